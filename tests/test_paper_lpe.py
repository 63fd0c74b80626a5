"""LPE-BSR's experiments: figures, intervals, kept pieces, on a network of seconds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.paper import lpe_pretrained
from benchmarks.paper.experiment import Setup
from benchmarks.paper.judged import Answers, judge, losses, over_pictures
from benchmarks.paper.low_precision import (
    BITS,
    DRAWN,
    FLOAT,
    NEAREST,
    SCALED,
    Pictures,
    drawn,
    float_ensemble,
    measure_model,
    rounded,
)
from benchmarks.paper.lpe_report import differences, draw, finding, table
from benchmarks.paper.pieces import not_measured, piece
from benchmarks.paper.pretrained import MODELS, Pretrained
from edgeens.calibration import fit_temperature
from edgeens.data import Labelled
from edgeens.datasets.images import Images
from edgeens.decoder import Container
from edgeens.encoder import encode
from edgeens.errors import DataError
from edgeens.onnx.files import run_files
from edgeens.onnx.members import load_members
from tests.onnx_graphs import mlp, save

KEY = 7


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return save([mlp(0), mlp(1)], tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def pictures(models):
    """Inputs with labels that the first model mostly agrees with, so that it has a temperature."""
    generator = np.random.default_rng(0)

    def labelled(count):
        x = generator.normal(size=(count, 12)).astype(np.float32)
        logits = run_files(models[:1], x)["logits"][0]
        return Labelled(x=x, y=(logits + generator.gumbel(size=logits.shape)).argmax(axis=1))

    return Pictures(labelled(300), labelled(200), labelled(20).x)


@pytest.fixture(scope="module")
def rows(models, pictures):
    return measure_model(models[0], pictures, key=KEY, members=(1, 4, 32), stored=(4,))


def one(rows, way, bits, members=1):
    (row,) = (r for r in rows if (r["way"], r["bits"], r["members"]) == (way, bits, members))
    return row


def test_nll_err_and_ece_are_of_probabilities_and_amb_of_logits():
    logits = np.array([[[2.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [3.0, 0.0]]], np.float32)
    answers = Answers(logits, np.array([0, 1]))
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    mean = p.mean(axis=0)
    figures = judge(answers)
    assert figures["NLL"] == pytest.approx(-np.log(mean[[0, 1], [0, 1]]).mean())
    assert figures["ERR"] == 0.5
    together = logits.mean(axis=0)
    loss = np.log(np.exp(together).sum(axis=1)) - together[[0, 1], [0, 1]]
    assert figures["loss"] == pytest.approx(loss.mean())
    assert figures["mean loss"] == pytest.approx(-np.log(p[:, [0, 1], [0, 1]]).mean())
    assert figures["AMB"] == pytest.approx(figures["mean loss"] - figures["loss"])
    assert losses(answers).mean() == pytest.approx(figures["NLL"])
    halved = Answers(logits / 2, answers.labels)
    assert judge(answers, temperature=2.0) == pytest.approx(judge(halved))


def test_the_interval_over_pictures_is_that_of_a_mean_of_many():
    many = np.random.default_rng(0).normal(size=1000)
    low, high = stats.norm.interval(0.95, many.mean(), stats.sem(many))
    mean, half = over_pictures(many)
    assert (mean - half, mean + half) == pytest.approx((low, high), rel=1e-3)


def test_a_kept_piece_is_used_only_if_it_was_made_from_the_same(tmp_path):
    made = []

    def make():
        made.append(len(made))
        return {"value": made[-1]}

    folder = tmp_path / "cache"
    assert piece(folder, "a", {"seed": (1, 2)}, make) == {"value": 0}
    assert piece(folder, "a", {"seed": (1, 2)}, make) == {"value": 0}
    assert piece(folder, "a", {"seed": (1, 3)}, make) == {"value": 1}
    assert piece(folder, "b", {"seed": (1, 3)}, make) == {"value": 2}


def test_a_piece_that_failed_leaves_nothing(tmp_path):
    def fail():
        raise DataError("no")

    with pytest.raises(DataError):
        piece(tmp_path, "a", {}, fail)
    assert list(tmp_path.iterdir()) == []


def test_results_that_lack_something_say_so():
    assert not_measured(["a", "b"], ["b", "a"]) == []
    (sentence,) = not_measured(["a", "b", "c"], ["b"])
    assert sentence.endswith("measured by the command: a; c.")


def test_members_drawn_are_the_same_for_every_k_and_cost_the_parent_alone(models, tmp_path):
    paths = [tmp_path / f"{count}.eens" for count in (2, 5, 32)]
    for path, count in zip(paths, (2, 5, 32), strict=True):
        encode(models[:1], path, draw=count, bits=4, key=KEY)
    assert len({path.stat().st_size for path in paths}) == 1
    with Container.open(paths[0]) as few, Container.open(paths[2]) as many:
        for name in few.names:
            for member in range(2):
                assert np.array_equal(
                    few.decode(name, member=member), many.decode(name, member=member)
                )


@pytest.mark.parametrize("store", [False, True])
def test_the_files_are_those_of_the_command(models, tmp_path, store):
    ours, theirs = tmp_path / "ours.eens", tmp_path / "theirs.eens"
    size = drawn(load_members(models[:1]), ours, members=3, bits=5, key=KEY, store=store)
    encode(models[:1], theirs, draw=3, bits=5, key=KEY, store_members=store)
    assert ours.read_bytes() == theirs.read_bytes()
    assert size == theirs.stat().st_size


def test_all_ways_are_measured_and_figures_are_means_over_drawings(rows):
    ways = [(row["way"], row["members"]) for row in rows if row["bits"] == 4]
    assert ways == [
        ("RTN", 1),
        ("RTN, clipped", 1),
        ("error feedback", 1),
        ("LPE-BSR", 1),
        ("LPE-BSR", 4),
        ("LPE-BSR", 32),
    ]
    single = one(rows, DRAWN, 4)
    assert single["groups"] == 32
    assert single["deviation"] > 0
    assert one(rows, DRAWN, 4, 32)["deviation"] is None
    # The members' mean loss does not depend on how they are grouped.
    assert single["mean loss"] == pytest.approx(one(rows, DRAWN, 4, 32)["mean loss"])
    assert single["AMB"] == 0
    assert one(rows, DRAWN, 4, 32)["AMB"] > 0
    assert one(rows, DRAWN, 4, 4)["stored"] > 0
    assert one(rows, DRAWN, 4, 32)["stored"] is None


def test_fewer_bits_are_further_from_float32(rows):
    def away(way, members):
        return [
            abs(one(rows, way, bits, members)["less"][FLOAT][0]) for bits in (BITS[0], BITS[-1])
        ]

    for way, members in ((NEAREST, 1), (DRAWN, 1)):
        three, six = away(way, members)
        assert six < three / 4


def test_differences_are_those_of_the_rows(rows):
    base = one(rows, FLOAT, 32)
    nearest, many = one(rows, NEAREST, 3), one(rows, DRAWN, 3, 32)
    assert nearest["less"][FLOAT][0] == pytest.approx(nearest["NLL"] - base["NLL"])
    assert many["less"][NEAREST][0] == pytest.approx(many["NLL"] - nearest["NLL"])
    assert many["less"][SCALED][0] == pytest.approx(many["NLL"] - base["scaled"])


def test_nearest_rounding_uses_the_grid_that_members_are_drawn_on(models, pictures, tmp_path):
    near, two_drawn = tmp_path / "near.eens", tmp_path / "drawn.eens"
    rounded(models[0], near, tmp_path / "none.npz", NEAREST, 4)
    encode(models[:1], two_drawn, draw=2, bits=4, key=KEY)
    with Container.open(near) as one_member, Container.open(two_drawn) as two:
        for name in ("w1", "w2"):
            assert np.array_equal(one_member.scales(name), two.scales(name))


def test_the_tables_say_what_was_measured(models, pictures, rows, tmp_path):
    model = {"title": "a network", "runs": [{"rows": rows}] * 3}
    model["apart"] = float_ensemble(models, pictures)
    lines = table(model).splitlines()
    assert len(lines) == 2 + 2 + 6 * len(BITS)
    assert lines[2].startswith("| float32 | 1 | ")
    assert f"{one(rows, FLOAT, 32)['NLL']:.4f} ± 0.0000" in lines[2]
    assert differences(model).splitlines()[-1].startswith("| INT-3 | ")
    lost = one(rows, NEAREST, 4)["less"][FLOAT][0]
    left = one(rows, DRAWN, 4, 32)["less"][FLOAT][0]
    assert f"is at {lost:+.4f} nats when rounded to nearest" in finding(model)
    assert f"32 members drawn at {left:+.4f}" in finding(model)
    pytest.importorskip("matplotlib")
    draw({"models": [model]}, tmp_path / "lpe.png")
    assert (tmp_path / "lpe.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_network_says_where_it_is_from(tmp_path):
    for network in MODELS:
        with pytest.raises(DataError, match=r"models.* is missing: .*github\.com"):
            network.path(tmp_path)


def test_a_published_network_is_measured_from_its_file_to_the_report(models, tmp_path, monkeypatch):
    def images(seed, count):
        generator = np.random.default_rng(seed)
        x = generator.integers(0, 256, (count, 1, 3, 4)).astype(np.uint8)
        logits = run_files(models[:1], network.prepare(Images(x, x)))["logits"][0]
        return Images(x, (logits + generator.gumbel(size=logits.shape)).argmax(axis=1))

    def prepare(pictures):
        return pictures.x.reshape(-1, 12).astype(np.float32) / 64 - 2

    network = Pretrained("tiny", "a network", "mnist", "tiny.onnx", "made here", prepare, 150)
    setup = Setup(tmp_path, tmp_path / "cache", lambda label, done, total: None)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.onnx").write_bytes(models[0].read_bytes())
    parts = (images(0, 300), images(1, 250))
    monkeypatch.setattr(lpe_pretrained, "load_dataset", lambda folder, name: parts)
    monkeypatch.setattr(lpe_pretrained, "MODELS", (network,))
    monkeypatch.setattr(lpe_pretrained, "HELD_OUT", 100)
    results = lpe_pretrained.measure(setup)
    (model,) = results["models"]
    (run,) = model["runs"]
    assert [row["way"] for row in run["rows"]].count(FLOAT) == 1
    assert {row["bits"] for row in run["rows"]} == {32, *BITS}
    # The first 150 pictures are judged, none of the last 100: those make the temperature.
    test = parts[1]
    logits = run_files(models[:1], prepare(test))["logits"]
    shown = Answers(logits[:, :150], test.y[:150])
    assert run["rows"][0]["NLL"] == pytest.approx(judge(shown)["NLL"])
    temperature = fit_temperature(logits[:, 150:], test.y[150:], pooled=False)
    assert run["rows"][0]["T"] == pytest.approx(temperature)
    text = lpe_pretrained.report(results)
    assert "**a network**: first 150 test pictures; made here." in text
    assert f"Temperature of the float32 model: {temperature:.2f}" in text
    monkeypatch.setattr(lpe_pretrained, "measure_model", pytest.fail)
    assert lpe_pretrained.measure(setup) == results
