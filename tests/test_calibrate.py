"""A file is calibrated on validation data; then it runs fewer members, and may abstain."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edgeens.demo
from edgeens.calibrate import calibrate
from edgeens.cli import main
from edgeens.container.reference import read_container
from edgeens.decoder import Container
from edgeens.early_exit import EarlyExit
from edgeens.encoder import encode
from edgeens.errors import DataError
from edgeens.metrics import nll
from edgeens.onnx.session import Session
from tests import onnx_graphs as graphs

DEMO = Path(edgeens.demo.__file__).parent


@pytest.fixture(scope="module")
def digits():
    """The demo's pictures with noise on them, so that some are hard; validation and test."""
    with np.load(DEMO / "digits_test.npz") as data:
        x, y = data["x"], data["y"]
    noise = np.random.default_rng(0).normal(size=x.shape)
    x = (x + 0.25 * np.abs(x).max() * noise).astype(x.dtype)
    return {"x": x[::2], "y": y[::2]}, {"x": x[1::2], "y": y[1::2]}


@pytest.fixture(scope="module")
def files(tmp_path_factory, digits):
    """The file before and after calibration, and what was found."""
    folder = tmp_path_factory.mktemp("calibrate")
    encode([DEMO / f"member_{k}.onnx" for k in range(4)], folder / "f.eens")
    np.savez(folder / "v.npz", **digits[0])
    found = calibrate(
        folder / "f.eens",
        folder / "v.npz",
        folder / "c.eens",
        max_nll_loss=0.1,
        target_risk=0.2,
    )
    return folder, found


def test_a_calibrated_file_is_good_in_both_readers_and_holds_the_same_weights(files):
    folder, found = files
    with Container.open(folder / "f.eens") as before, Container.open(folder / "c.eens") as after:
        after.verify()
        for name in before.names:
            np.testing.assert_array_equal(before.decode(name), after.decode(name))
        assert after.calibration["edgeens.temperature"] == found.temperature
        assert after.calibration["edgeens.calibration"]["rows"] == found.rows
    read_container(folder / "c.eens").verify()


def test_the_calibrations_temperature_takes_the_place_of_the_metadatas(files, digits):
    folder, found = files
    validation, _ = digits
    with Session(folder / "f.eens") as before, Session(folder / "c.eens") as after:
        assert before.temperature == 1.0
        assert after.temperature == found.temperature
        first = nll(before.predict(validation["x"]).mean, validation["y"])
        second = nll(after.predict(validation["x"]).mean, validation["y"])
    assert second < first
    assert first == pytest.approx(found.nll_before, rel=1e-6)
    assert second == pytest.approx(found.nll, rel=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"mode": "streaming"}, {"mode": "compact"}, {"threads": 2}]
)
@pytest.mark.parametrize("batch", [None, 7])
def test_members_that_run_give_what_all_outputs_give(files, digits, options, batch):
    folder, found = files
    _, test = digits
    with Session(folder / "c.eens", **options) as session:
        assert session.early_exit == found.rule
        early = session.predict(test["x"], early_exit=True, batch=batch)
        expected = session.summarise_early(session.predict_members(test["x"]), found.rule)
    assert 1 < early.members_used.mean() < 4
    np.testing.assert_array_equal(early.members_used, expected.members_used)
    np.testing.assert_allclose(early.mean, expected.mean, rtol=1e-4, atol=1e-6)


def test_a_rule_that_is_given_goes_before_the_files(files, digits):
    folder, _ = files
    given = EarlyExit((3, 2, 1, 0), (1.0,) * 4, 1e9)
    with Session(folder / "f.eens") as session:
        early = session.predict(digits[1]["x"][:5], early_exit=given)
        members = session.predict(digits[1]["x"][:5]).members
    assert (early.members_used == 1).all()
    np.testing.assert_allclose(early.mean, members[3], rtol=1e-5, atol=1e-7)


def test_a_file_without_a_rule_says_so(files, digits):
    folder, _ = files
    with (
        Session(folder / "f.eens") as session,
        pytest.raises(DataError, match="no rule for an early exit: make one with `edgeens cal"),
    ):
        session.predict(digits[1]["x"], early_exit=True)


def test_a_rule_for_other_members_is_refused(files, digits):
    folder, _ = files
    with (
        Session(folder / "f.eens") as session,
        pytest.raises(DataError, match="a rule for 2 members, but there are 4"),
    ):
        session.predict(digits[1]["x"], early_exit=EarlyExit((0, 1), (1.0, 1.0), 0.1))


def test_inputs_of_different_lengths_do_not_exit_early(tmp_path):
    text = """net (float[N, 8] a, float[M, 8] b) => (float[N, M] logits) {
        w = MatMul (a, weight)
        t = Transpose <perm = [1, 0]> (b)
        logits = MatMul (w, t)
    }"""
    models = [graphs.build(text, graphs.normal(seed, weight=(8, 8))) for seed in range(2)]
    encode(graphs.save(models, tmp_path), tmp_path / "b.eens")
    feeds = {"a": np.zeros((3, 8), np.float32), "b": np.zeros((2, 8), np.float32)}
    with (
        Session(tmp_path / "b.eens") as session,
        pytest.raises(DataError, match="without one common length have no rows that could exit"),
    ):
        session.predict(feeds, early_exit=EarlyExit((0, 1), (1.0, 1.0), 0.1))


def test_the_files_threshold_decides(files, digits):
    folder, found = files
    with Session(folder / "c.eens") as session:
        prediction = session.predict(digits[0]["x"])
    decided = prediction.decide()
    kept = decided >= 0
    assert kept.mean() == pytest.approx(found.abstention.coverage)
    assert (decided != digits[0]["y"])[kept].mean() == pytest.approx(found.abstention.risk)
    assert found.abstention.bound <= 0.2


def test_a_graph_of_a_fixed_batch_runs_the_rows_left_in_whole_batches(tmp_path):
    models = []
    for seed in range(3):
        model = graphs.mlp(seed)
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 4
        models.append(model)
    encode(graphs.save(models, tmp_path), tmp_path / "f.eens")
    x = np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)
    rule = EarlyExit((0, 1, 2), (1.0,) * 3, 0.5)
    with Session(tmp_path / "f.eens", task="classification") as session:
        early = session.predict(x, early_exit=rule)
        expected = session.summarise_early(session.predict_members(x), rule)
    assert len(np.unique(early.members_used)) > 1
    np.testing.assert_array_equal(early.members_used, expected.members_used)
    np.testing.assert_allclose(early.mean, expected.mean, rtol=1e-5)


def test_the_command_writes_into_the_file_shows_the_curve_and_evaluates(
    files, digits, tmp_path, capsys
):
    folder, _ = files
    path = tmp_path / "g.eens"
    path.write_bytes((folder / "f.eens").read_bytes())
    command = ["calibrate", str(path), "--data", str(folder / "v.npz")]
    assert main([*command, "--max-nll-loss", "10%", "--target-risk", "0.2"]) == 0
    out = capsys.readouterr().out
    assert "members used" in out
    assert "chosen" in out
    assert "abstain where 1 - max p >" in out
    curve = json.loads(path.with_suffix(".exit.json").read_text())
    assert curve["chosen"] in curve["points"]
    assert main([*command, "--max-nll-loss", "10%"]) == 0  # replaces the old calibration
    with Container.open(path) as container:
        assert "edgeens.abstention" not in container.calibration
    np.savez(tmp_path / "t.npz", **digits[1])
    capsys.readouterr()
    assert main(["evaluate", str(folder / "c.eens"), "--data", str(tmp_path / "t.npz")]) == 0
    out = capsys.readouterr().out
    assert "early exit, " in out
    assert "AURC" in out
    assert "risk by file" in out
    np.save(tmp_path / "x.npy", digits[1]["x"][:9])
    command = ["run", str(folder / "c.eens"), "--input", str(tmp_path / "x.npy"), "--early-exit"]
    assert main([*command, "-o", str(tmp_path / "o.npz")]) == 0
    with np.load(tmp_path / "o.npz") as written:
        assert written["members_used"].shape == (9,)


@pytest.mark.parametrize("text", ["2", "-1%", "101%"])
def test_a_share_beyond_the_whole_is_a_wrong_call(text, files, capsys):
    folder, _ = files
    with pytest.raises(SystemExit) as stop:
        main(["calibrate", str(folder / "f.eens"), "--data", "v.npz", f"--target-risk={text}"])
    assert stop.value.code == 2
    assert "is not between 0 % and 100 %" in capsys.readouterr().err


def test_what_is_no_classifier_of_rows_is_not_calibrated(files, tmp_path):
    folder, _ = files
    encode(graphs.save([graphs.regression(0)], tmp_path), tmp_path / "r.eens")
    with pytest.raises(DataError, match="only classifiers can be calibrated; the file's task is"):
        calibrate(tmp_path / "r.eens", folder / "v.npz")
    with pytest.raises(DataError, match="a loss to allow is at least 0, not -1"):
        calibrate(folder / "f.eens", folder / "v.npz", max_nll_loss=-1)


def test_a_damaged_calibration_is_refused_in_words(files):
    folder, _ = files
    from edgeens.container.amend import with_last_section

    data = (folder / "f.eens").read_bytes()
    with Container.from_bytes(data) as container:
        sizes = {info.type: info.size for info in container.sections.values()}
    for payload, text in (
        ({"edgeens.abstention": 3}, "edgeens.abstention is 3, which has no threshold"),
        ({"edgeens.early_exit": 3}, "lacks order, temperatures or threshold"),
        ({"edgeens.temperature": -1}, "the temperature -1 is not a positive number"),
    ):
        pieces = with_last_section(data, sizes, "CALI", json.dumps(payload).encode())
        with pytest.raises(DataError, match=text):
            Session(Container.from_bytes(b"".join(pieces)))
