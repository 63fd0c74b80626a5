"""Encoding within a budget, from members to the file, from Python and the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import edgeens.curve
import edgeens.demo
from edgeens import metrics
from edgeens.cli import main
from edgeens.encoder import encode
from edgeens.errors import BudgetError, DataError, MembersError
from edgeens.onnx.files import run_files
from edgeens.onnx.session import Session
from edgeens.uncertainty import softmax
from tests import onnx_graphs as graphs

DEMO = Path(edgeens.demo.__file__).parent
MEMBERS = [str(DEMO / f"member_{k}.onnx") for k in range(4)]
DATA = DEMO / "digits_validation.npz"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Path, encoding and output of one search on the command line."""
    path = tmp_path_factory.mktemp("budget") / "digits.eens"
    return path, encode(MEMBERS, path, budget="nll=+3%", data=DATA, calibration=DATA)


def ensemble(folder, make, rows: int = 60):
    """Member files of a graph, and labelled data that the members are mostly right about."""
    models = [make(seed) for seed in range(3)]
    paths = graphs.save(models, folder)
    (x,) = graphs.random_inputs(models[0], rows=rows).values()
    (outputs,) = run_files(paths, x).values()
    mean = outputs.mean(axis=0)
    y = (mean > 0.5) * 1 if make is graphs.multilabel else mean.argmax(axis=-1)
    y[:6] = 0
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "x.npz", x=x)
    return paths


def test_the_chosen_file_keeps_the_budget_by_the_members_own_nll(digits):
    path, encoding = digits
    search = encoding.search
    with np.load(DATA) as data, Session(path) as session:
        (logits,) = run_files(MEMBERS, data["x"]).values()
        before = metrics.nll(softmax(logits).mean(axis=0), data["y"])
        after = metrics.nll(session.predict(data["x"]).mean, data["y"])
    assert search.float_nll == pytest.approx(before, rel=1e-4)
    assert search.point.nll == pytest.approx(after, rel=1e-4)
    assert search.point.change == pytest.approx(after / before - 1, abs=1e-4)
    assert search.point.change + 2 * search.point.standard_error <= 0.03
    assert path.stat().st_size == search.point.bytes == encoding.sizes.file_bytes
    assert encoding.sizes.bits_per_member_weight == search.point.bits_per_member_weight


def test_it_is_far_smaller_than_one_width_for_all_tensors_that_keeps_the_budget(digits, tmp_path):
    """At 4 bits the NLL is 1 % above, at 3 bits 5 %."""
    flat = encode(MEMBERS, tmp_path / "f.eens", bits=4, calibration=DATA)
    assert digits[1].sizes.file_bytes < 0.8 * flat.sizes.file_bytes


def test_the_standard_error_is_that_of_differences_row_by_row(digits):
    path, encoding = digits
    with np.load(DATA) as data, Session(path) as session:
        (logits,) = run_files(MEMBERS, data["x"]).values()
        means = softmax(logits).mean(axis=0), session.predict(data["x"]).mean
        rows = np.arange(len(data["y"]))
        before, after = (-np.log(mean[rows, data["y"]].astype(np.float64)) for mean in means)
    expected = (after - before).std() / len(before) ** 0.5 / before.mean()
    assert encoding.search.point.standard_error == pytest.approx(expected, rel=1e-3)


def test_the_curve_is_saved_beside_the_file(digits):
    path, encoding = digits
    assert [file.name for file in encoding.written] == ["digits.curve.json", "digits.curve.png"]
    saved = json.loads(encoding.written[0].read_text())
    assert saved["budget"] == "nll=+3%"
    assert saved["point"] in saved["points"]
    assert saved["point"]["bytes"] == path.stat().st_size
    assert {tensor["name"] for tensor in saved["tensors"]} >= {"dense.weight"}
    assert encoding.written[1].read_bytes().startswith(b"\x89PNG")


def test_the_members_are_compared_on_the_data(digits):
    (note,) = digits[1].notes
    assert note.startswith("The 4 members act as different models: two of them choose different")


def test_the_command_prints_curve_choice_and_verdict(tmp_path, capsys):
    paths = ensemble(tmp_path, graphs.mlp)
    arguments = ["encode", *map(str, paths), "-o", str(tmp_path / "f.eens"), "--budget", "nll=+5%"]
    arguments += ["--data", str(tmp_path / "data.npz")]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "budget nll=+5%, files measured on 60 rows:" in printed
    assert sum(line.startswith("chosen ") for line in printed.splitlines()) == 1
    assert "std. error" in printed
    assert "step/rms" in printed
    assert "The 3 members act as" in printed
    assert "without calibration all weights are rounded to nearest" in printed
    assert f"the curve is in {tmp_path / 'f.curve.json'}, {tmp_path / 'f.curve.png'}" in printed


def test_the_curve_is_json_alone_where_matplotlib_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(edgeens.curve, "find_spec", lambda name: None)
    paths = ensemble(tmp_path, graphs.mlp)
    arguments = ["encode", *map(str, paths), "-o", str(tmp_path / "f.eens"), "--budget", "bits=12"]
    assert main([*arguments, "--calibration", str(tmp_path / "x.npz")]) == 0
    assert "for a picture of it, install the extra edgeens[report]" in capsys.readouterr().out
    assert (tmp_path / "f.curve.json").exists()
    assert not (tmp_path / "f.curve.png").exists()


@pytest.mark.parametrize("budget", ["bits=14", "size=1.8KB"])
def test_a_budget_of_size_is_kept_by_the_finest_file_with_calibration_inputs_alone(
    tmp_path, budget
):
    paths = ensemble(tmp_path, graphs.mlp)
    search = encode(
        paths, tmp_path / "f.eens", budget=budget, calibration=tmp_path / "x.npz"
    ).search
    of = "bytes" if budget.startswith("size") else "bits_per_member_weight"
    limit = 1800 if budget.startswith("size") else 14
    assert search.float_nll is None
    assert getattr(search.point, of) <= limit
    larger = [point for point in search.points if point.bytes > search.point.bytes]
    assert larger
    assert all(getattr(point, of) > limit for point in larger)


def test_a_model_without_classes_has_a_budget_of_size_but_none_of_loss(tmp_path):
    paths = ensemble(tmp_path, graphs.regression)
    data = {"data": tmp_path / "data.npz"}
    found = encode(paths, tmp_path / "f.eens", budget="size=2KB", **data)
    assert found.search.point.bytes <= 2000
    with pytest.raises(BudgetError, match=r"needs a model with classes .* one of regression"):
        encode(paths, tmp_path / "f.eens", budget="nll=+1%", **data)


def test_labels_side_by_side_are_judged_each(tmp_path):
    paths = ensemble(tmp_path, graphs.multilabel)
    search = encode(
        paths, tmp_path / "f.eens", budget="accuracy=-2%", data=tmp_path / "data.npz"
    ).search
    with np.load(tmp_path / "data.npz") as data, Session(tmp_path / "f.eens") as session:
        mean = session.predict(data["x"]).mean
        assert search.point.nll == pytest.approx(metrics.multilabel_nll(mean, data["y"]), rel=1e-5)
        right = metrics.multilabel_accuracy(mean, data["y"])
    assert search.point.accuracy == pytest.approx(right)
    assert search.point.change == pytest.approx(search.float_accuracy - right)


def test_an_unreachable_budget_leaves_no_file_and_says_how_near_it_came(tmp_path, capsys):
    paths = ensemble(tmp_path, graphs.mlp)
    arguments = ["encode", *map(str, paths), "-o", str(tmp_path / "f.eens"), "--budget", "bits=0.1"]
    assert main([*arguments, "--data", str(tmp_path / "data.npz")]) == 1
    assert "the budget bits=0.1 cannot be kept: the smallest file" in capsys.readouterr().err
    assert not list(tmp_path.glob("f.*"))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"budget": "nll=+1%", "calibration": "x.npz"}, r"^the budget nll=\+1% is judged on val"),
        ({"budget": "bits=2"}, r"^the budget bits=2 needs inputs .* --calibration X.npz or --data"),
        ({"budget": "bits=2", "draw": 4}, r"^drawn members have one size: leave out the budget"),
    ],
)
def test_a_budget_without_what_it_needs_is_refused(tmp_path, options, text):
    with pytest.raises(BudgetError, match=text):
        encode(MEMBERS[:1], tmp_path / "f.eens", **options)


def test_a_budget_shares_no_bits(tmp_path):
    with pytest.raises(MembersError, match=r"^a budget does not share bits: leave out lambda4"):
        encode(MEMBERS, tmp_path / "f.eens", budget="bits=2", data=DATA, lambda4=2.0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--draw", "4"], "--draw has one size: leave out --budget"),
        (["--bits", "4"], "--budget chooses the width of each tensor: leave out --bits"),
        (["--lambda8", "auto"], "--budget does not share bits"),
    ],
)
def test_a_wrong_call_exits_with_2(capsys, options, text):
    with pytest.raises(SystemExit, match="2"):
        main(["encode", "a.onnx", "-o", "f", "--budget", "bits=2", "--data", "d.npz", *options])
    assert text in capsys.readouterr().err


def test_nothing_to_quantise_is_said(tmp_path):
    paths = ensemble(tmp_path, graphs.mlp)
    with pytest.raises(BudgetError, match=r"^no tensor may be quantised, so nothing can be chosen"):
        encode(paths, tmp_path / "f", budget="bits=2", data=tmp_path / "data.npz", exclude=["*"])


def test_labels_that_do_not_fit_are_refused(tmp_path):
    paths = ensemble(tmp_path, graphs.mlp)
    with np.load(tmp_path / "data.npz") as data:
        np.savez(tmp_path / "bad.npz", x=data["x"], y=data["y"] + 7)
    with pytest.raises(DataError):
        encode(paths, tmp_path / "f.eens", budget="nll=+1%", data=tmp_path / "bad.npz")


def test_tensors_that_calibration_cannot_reach_are_named(tmp_path, capsys):
    paths = ensemble(tmp_path, graphs.segmentation)
    out = ["-o", str(tmp_path / "f.eens")]
    code = main(["encode", *map(str, paths), *out, "--calibration", str(tmp_path / "x.npz")])
    printed = capsys.readouterr().out
    assert code == 0
    assert "2 of 4 tensors are rounded to nearest, without error feedback" in printed
    assert "cannot be captured: w2, w3" in printed


def test_one_model_given_twice_is_said_to_be_one(tmp_path, capsys):
    paths = ensemble(tmp_path, graphs.mlp)
    arguments = ["encode", str(paths[0]), str(paths[0]), "-o", str(tmp_path / "f.eens")]
    assert main([*arguments, "--calibration", str(tmp_path / "x.npz")]) == 0
    assert "The 2 members act as one model" in capsys.readouterr().out


def test_progress_ends_within_what_it_announced(tmp_path):
    steps: list[tuple[int, int]] = []
    encode(
        ensemble(tmp_path, graphs.mlp),
        tmp_path / "f.eens",
        budget="nll=+5%",
        data=tmp_path / "data.npz",
        progress=lambda label, done, total: steps.append((done, total)),
    )
    assert len(steps) > 6
    assert [done for done, _ in steps] == list(range(len(steps)))
    assert all(done < total for done, total in steps)
    assert "matplotlib" in sys.modules  # it drew, and on no screen
