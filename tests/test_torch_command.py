"""`edgeens train`: what it leaves behind, and what it says when it cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgeens.cli import main  # noqa: E402
from edgeens.cli.train import METHODS as COMMAND_METHODS  # noqa: E402
from edgeens.data import load_labelled  # noqa: E402
from edgeens.datasets.images import Images  # noqa: E402
from edgeens.errors import MembersError  # noqa: E402
from edgeens.evaluate import evaluate  # noqa: E402
from edgeens.onnx.files import run_files  # noqa: E402
from edgeens.torch.methods import METHODS  # noqa: E402
from edgeens.torch.recipes import RECIPES  # noqa: E402
from edgeens.torch.results import check_members  # noqa: E402
from tests.idx_files import write_squares  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """5000 pictures for validation and 300 to train on, in the form of MNIST."""
    folder = tmp_path_factory.mktemp("data")
    write_squares(folder / "mnist", training=5300, test=100)
    return folder


def train(data, out, *options):
    return main(["train", "mnist-mlp", "--data", str(data), "--out", str(out), *options])


@pytest.fixture(scope="module", params=["independent", "uniform"])
def trained(request, data, tmp_path_factory):
    """The folder of a finished run of three members, and its method."""
    out = tmp_path_factory.mktemp("out") / "run"
    options = ("--method", request.param, "--members", "3", "--epochs", "4", "--bits", "5")
    assert train(data, out, *options) == 0
    return out, request.param


def test_a_run_leaves_members_a_file_and_a_report(trained):
    out, method = trained
    members = [f"member_{k}.onnx" for k in range(3)]
    files = [*members, "ensemble.eens", "report.json", "log.csv", "validation.npz", "test.npz"]
    assert {path.name for path in out.iterdir()} >= set(files)
    report = json.loads((out / "report.json").read_text())
    assert report["run"]["method"] == method
    assert report["pictures"] == {"training": 300, "validation": 5000, "test": 100}
    assert report["bytes"] == {name: (out / name).stat().st_size for name in files[:4]}
    assert 0 < report["bits_per_member_weight"] < 5.5
    assert [row["epoch"] for row in report["epochs"]] == [1, 2, 3, 4]
    ensemble, one, stored = report["test"]
    assert ensemble["accuracy"] > 0.9
    assert ensemble["NLL"] < one["NLL"]
    assert abs(stored["NLL"] - ensemble["NLL"]) < 0.05


def test_the_report_has_a_picture_or_says_why_not(trained):
    out, _ = trained
    picture = json.loads((out / "report.json").read_text())["picture"]
    if picture == "report.png":
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    else:
        assert picture.startswith("none: it needs matplotlib")


def test_the_figures_of_the_report_are_those_of_the_files(trained):
    out, method = trained
    rows = evaluate(out / "ensemble.eens", out / "test.npz", sorted(out.glob("member_*.onnx")))
    report = json.loads((out / "report.json").read_text())["test"]
    for found, written in zip((rows[0], rows[2]), (report[0], report[2]), strict=True):
        for name in ("accuracy", "NLL", "Brier", "ECE"):
            assert found[name] == pytest.approx(written[name], abs=1e-5)
    if method == "uniform":  # the weights were on the grid already
        assert rows[0]["NLL"] == pytest.approx(rows[2]["NLL"], abs=1e-6)
    else:
        assert rows[0]["NLL"] != rows[2]["NLL"]


def test_members_that_compute_something_else_are_refused(trained):
    out, _ = trained
    files = sorted(out.glob("member_*.onnx"))
    test = load_labelled(out / "test.npz")
    images = Images(np.rint(test.x * 255).astype(np.uint8), test.y)
    (logits,) = run_files(files, test.x).values()
    check_members(files, images, logits + 9e-5)
    with pytest.raises(MembersError, match=r"^the exported members differ .* by 1\.1e-04 in"):
        check_members(files, images, logits + 1.1e-4)


def test_a_run_is_not_overwritten_but_resumed(data, tmp_path, capsys):
    options = ("--members", "1", "--epochs", "1", "--limit-train", "200")
    assert train(data, tmp_path, *options) == 0
    assert train(data, tmp_path, *options) == 1
    assert "already holds a run; go on with it by --resume" in capsys.readouterr().err
    first = (tmp_path / "ensemble.eens").read_bytes()
    (tmp_path / "ensemble.eens").unlink()
    assert train(data, tmp_path, *options, "--resume") == 0
    assert (tmp_path / "ensemble.eens").read_bytes() == first
    assert train(data, tmp_path, *options, "--resume", "--seed", "1") == 1
    assert "belongs to a run with seed 0, not 1" in capsys.readouterr().err


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"independent", "uniform"}))
def test_every_method_trains_and_its_file_computes_what_its_members_do(data, tmp_path, method):
    options = ("--members", "2", "--method", method, "--epochs", "2", "--limit-train", "256")
    assert train(data, tmp_path, *options) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    ensemble, _, stored = report["test"]
    assert ensemble["accuracy"] > 0.3
    assert stored["NLL"] == pytest.approx(ensemble["NLL"], abs=1e-5)


def test_widths_of_a_method_that_has_its_own_are_refused(data, tmp_path, capsys):
    assert train(data, tmp_path, "--method", "shared", "--bits", "8") == 1
    assert "the method 'shared' has widths of its own: leave out --bits" in capsys.readouterr().err


def test_missing_data_is_one_sentence(tmp_path, capsys):
    assert train(tmp_path, tmp_path / "out") == 1
    errors = capsys.readouterr().err
    assert errors.startswith("edgeens: ")
    assert "mnist lacks train-images-idx3-ubyte" in errors
    assert "download the four official files from https://" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnist-mpl", "--data", "a", "--out", "b"], "RECIPE must be one of mnist-mlp, fashion-"),
        ([], "RECIPE must be one of"),
        (["mnist-mlp", "--out", "b"], "--data DIR and --out DIR are needed"),
        (["mnist-mlp", "--bits", "9"], "9 is not between 2 and 8"),
        (["mnist-mlp", "--rate", "-1"], "-1 is not a number of at least 0"),
    ],
)
def test_a_wrong_call_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["train", *arguments])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_the_recipes_are_listed(capsys):
    assert main(["train", "--list"]) == 0
    listed = capsys.readouterr().out
    for recipe in RECIPES.values():
        assert recipe.name in listed
        assert recipe.title in listed


def test_the_command_names_the_methods_that_there_are():
    assert set(METHODS) == set(COMMAND_METHODS)


def test_ctrl_c_says_how_to_go_on(data, tmp_path, capsys, monkeypatch):
    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("edgeens.torch.run.fit", interrupt)
    with pytest.raises(SystemExit) as exit_:
        train(data, tmp_path)
    assert exit_.value.code == 130
    assert f"interrupted; --resume goes on with {tmp_path}" in capsys.readouterr().err
