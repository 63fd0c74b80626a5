"""A data set runs some rows at a time, and its figures are those of all rows at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeens import outputs
from edgeens.encoder import encode
from edgeens.errors import DataError, MembersError
from edgeens.evaluate import evaluate
from edgeens.onnx.session import Session
from tests import onnx_graphs

DEMO = Path(__file__).parents[1] / "edgeens" / "demo"
MEMBERS = sorted(DEMO.glob("member_*.onnx"))
DATA = DEMO / "digits_test.npz"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluate") / "digits.eens"
    encode(MEMBERS, path)
    return path


def test_the_figures_do_not_depend_on_how_many_rows_run_at_a_time(digits, monkeypatch):
    given = []
    real = Session.predict_members
    monkeypatch.setattr(
        Session,
        "predict_members",
        lambda self, x, **options: (given.append(len(x)), real(self, x, **options))[1],
    )
    rows = evaluate(digits, DATA, MEMBERS)
    assert given == [256, 256, 256, 232, 256, 256, 256, 231]
    monkeypatch.setattr(outputs, "BATCH", 10_000)
    whole = evaluate(digits, DATA, MEMBERS)
    assert [row.keys() for row in rows] == [row.keys() for row in whole]
    for row, other in zip(rows, whole, strict=True):
        assert row.pop("model") == other.pop("model")
        figures = [np.array(list(each.values()), np.float64) for each in (row, other)]
        np.testing.assert_allclose(*figures, rtol=1e-4, atol=2e-4)


def test_progress_counts_every_row_of_every_member(digits):
    steps = []
    evaluate(digits, DATA, MEMBERS, progress=lambda *step: steps.append(step))
    done = [step[1] for step in steps]
    assert done == sorted(done)
    assert steps[0] == ("4 float members", 0, 8 * 1999)
    assert steps[-1] == ("4 members from the file", 8 * 1999, 8 * 1999)


def test_a_graph_of_a_fixed_size_runs_in_whole_pieces(tmp_path):
    models = []
    for seed in range(2):
        model = onnx_graphs.mlp(seed)
        for value in (model.graph.input[0], model.graph.output[0]):
            value.type.tensor_type.shape.dim[0].dim_value = 7
        models.append(model)
    paths = onnx_graphs.save(models, tmp_path)
    encode(paths, tmp_path / "f.eens", exclude=["*"])
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7 * 80, 12)).astype(np.float32), rng.integers(5, size=7 * 80)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    float_row, _, ours = evaluate(tmp_path / "f.eens", tmp_path / "d.npz", paths)
    assert ours["NLL"] == pytest.approx(float_row["NLL"], rel=1e-6)


def test_an_output_without_rows_is_refused_in_words(tmp_path):
    models = []
    for seed in range(2):
        model = onnx_graphs.build(
            """net (float[N, 3] x) => (float[4] logits) {
                h = MatMul (x, w)
                logits = ReduceMean <axes = [0], keepdims = 0> (h)
            }""",
            onnx_graphs.normal(seed, w=(3, 4)),
        )
        models.append(model)
    paths = onnx_graphs.save(models, tmp_path)
    encode(paths, tmp_path / "f.eens", exclude=["*"])
    np.savez(tmp_path / "d.npz", x=np.zeros((300, 3), np.float32), y=np.zeros(300, np.int64))
    for members in ([], paths):
        with pytest.raises(DataError, match="the output 'logits' has no batch axis"):
            evaluate(tmp_path / "f.eens", tmp_path / "d.npz", members)


def test_members_of_another_network_are_refused(digits, tmp_path):
    other = onnx_graphs.build(
        """net (float[N, 1, 8, 8] x) => (float[N, 3] logits) {
            f = Flatten (x)
            logits = MatMul (f, w)
        }""",
        onnx_graphs.normal(0, w=(64, 3)),
    )
    (path,) = onnx_graphs.save([other], tmp_path)
    with pytest.raises(MembersError, match=r"the output 'logits' of .* has shape \(1000, 3\)"):
        evaluate(digits, DATA, [MEMBERS[0], path])
    other.graph.output[0].name = "scores"
    other.graph.node[1].output[0] = "scores"
    (path,) = onnx_graphs.save([other], tmp_path)
    with pytest.raises(MembersError, match="has no output 'logits', but scores"):
        evaluate(digits, DATA, [path])
