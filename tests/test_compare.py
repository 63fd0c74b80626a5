"""Files side by side: every figure is that of its own module, and temperatures see no test data."""

from __future__ import annotations

import csv
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edgeens import calibration, diversity, metrics, ood
from edgeens.atomic import replacing
from edgeens.calibrate import calibrate
from edgeens.cli import main
from edgeens.compare import Comparison, compare
from edgeens.compare_files import Method, named_methods
from edgeens.compare_tables import best_rows, cell, tables
from edgeens.container.sizes import measure
from edgeens.decoder import Container
from edgeens.encoder import encode
from edgeens.errors import DataError, MissingPackageError
from edgeens.intervals import estimate
from edgeens.judged import AS_STORED, EARLY_EXIT, MEAN_SCALED, MEMBERS_SCALED, ONE_MEMBER
from edgeens.onnx.session import Session
from edgeens.report import write_report
from edgeens.shift import Shift, parse_settings
from edgeens.uncertainty import softmax
from tests import onnx_graphs

DEMO = Path(__file__).parents[1] / "edgeens" / "demo"
MEMBERS = sorted(DEMO.glob("member_*.onnx"))
DATA, VALIDATION = DEMO / "digits_test.npz", DEMO / "digits_validation.npz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """plain.eens; low/: two seeds of few bits; drawn.eens; one/: one member; noise.npz."""
    folder = tmp_path_factory.mktemp("compare")
    encode(MEMBERS, folder / "plain.eens")
    (folder / "low").mkdir()
    encode(MEMBERS[:3], folder / "low" / "a.eens", bits=4)
    encode(MEMBERS[1:], folder / "low" / "b.eens", bits=4)
    encode(MEMBERS[:1], folder / "drawn.eens", draw=4, bits=8)
    encode(MEMBERS[:1], folder / "one.eens")
    rng = np.random.default_rng(0)
    np.savez(folder / "noise.npz", x=rng.random((100, 1, 8, 8), np.float32))
    return folder


@pytest.fixture(scope="module")
def comparison(folder):
    return compare(
        named_methods([f"{folder}/plain.eens", f"low={folder}/low", f"{folder}/one.eens"]),
        DATA,
        members=MEMBERS,
        held_out=VALIDATION,
        outside=[folder / "noise.npz"],
        shift=Shift((("contrast", 1), ("contrast", 4), ("gaussian_noise", 4))),
    )


def test_every_method_has_its_files_in_order(comparison, folder):
    assert [(file.method, Path(file.file.split(",")[0]).name) for file in comparison.files] == [
        ("4 float members", "member_0.onnx"),
        ("plain", "plain.eens"),
        ("low", "a.eens"),
        ("low", "b.eens"),
        ("one", "one.eens"),
    ]
    assert comparison.outside == {"x_ood of digits_test.npz": 999, "noise": 100}


def test_the_figures_are_those_of_the_modules_they_come_from(comparison, folder):
    with np.load(DATA) as data, np.load(VALIDATION) as held:
        x, y, x_ood, x_held, y_held = (
            *(data[n] for n in ("x", "y", "x_ood")),
            held["x"],
            held["y"],
        )
    with Session(folder / "plain.eens") as session:
        logits, outside, fitted = (
            session.predict_members(part)["logits"].astype(np.float64)
            for part in (x, x_ood, x_held)
        )
    found = comparison.files[1]
    inside = softmax(logits)
    both = calibration.fit_temperature(fitted, y_held, pooled=False)
    pooled = calibration.fit_temperature(fitted, y_held, pooled=True)
    for way, mean, temperature in (
        (AS_STORED, inside.mean(axis=0), 1.0),
        (MEMBERS_SCALED, softmax(logits / both).mean(axis=0), both),
        (MEAN_SCALED, softmax(logits.mean(axis=0) / pooled), pooled),
    ):
        expected = {
            "T": temperature,
            "accuracy": metrics.accuracy(mean, y),
            "NLL": metrics.nll(mean, y),
            "Brier": metrics.brier(mean, y),
            "ECE": calibration.ece(mean, y),
            "adaptive ECE": calibration.adaptive_ece(mean, y),
        }
        assert found.predictions[way] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    singles = [metrics.nll(member, y) for member in inside]
    assert found.predictions[ONE_MEMBER]["NLL"] == pytest.approx(np.mean(singles), rel=1e-4)
    assert found.ensemble == pytest.approx(
        {
            "members": 4,
            "ENC (logits)": metrics.enc_logits(logits),
            "ambiguity": metrics.ambiguity(logits, y),
            "disagreement": metrics.disagreement(logits),
            "variance of p": metrics.probability_variance(inside),
            "JS divergence": diversity.mean_jensen_shannon(inside),
            "file bytes": (folder / "plain.eens").stat().st_size,
            "bits/mw": measure((folder / "plain.eens").read_bytes()).bits_per_member_weight,
            **_of_weights(folder / "plain.eens"),
        },
        rel=1e-3,
    )
    assert found.verdict == diversity.collapse_verdict(inside)
    low, high = (ood.ood_scores(each, from_logits=True) for each in (logits, outside))
    scores = found.outside["x_ood of digits_test.npz"]
    assert scores.keys() == low.keys()
    for name, row in scores.items():
        figures = [f(low[name], high[name]) for f in (ood.auroc, ood.aupr, ood.fpr_at_tpr)]
        assert list(row.values()) == pytest.approx(figures, abs=2e-3)


def _of_weights(path):
    with Container.open(path) as container:
        tensors = [container.decode(name) for name in container.names if name.endswith("weight")]
    vectors = np.concatenate([tensor.reshape(4, -1) for tensor in tensors], axis=1)
    return {
        "Corr": diversity.weight_correlation(vectors),
        "disp": diversity.dispersion(vectors),
    }


def test_a_network_counts_as_one_long_vector_a_member():
    rng = np.random.default_rng(0)
    own, common = rng.standard_normal((3, 5, 7)), rng.standard_normal((1, 40))
    vectors = np.concatenate([own.reshape(3, -1), np.repeat(common, 3, axis=0)], axis=1)
    corr, disp = diversity.network_diversity([own, common], members=3)
    assert corr == pytest.approx(diversity.weight_correlation(vectors))
    assert disp == pytest.approx(diversity.dispersion(vectors))
    with pytest.raises(DataError, match="a tensor has 2 copies, but there are 3 members"):
        diversity.network_diversity([own[:2]], members=3)
    with pytest.raises(DataError, match="only weights of at least 2 members that are not all 0"):
        diversity.network_diversity([own * 0], members=3)


def test_one_member_has_no_figures_of_several(comparison):
    one = comparison.files[-1]
    assert one.predictions.keys() == {AS_STORED, MEAN_SCALED}
    assert one.ensemble["disagreement"] is None
    assert "Corr" not in one.ensemble
    assert one.verdict == "There is only one member, so there is nothing to compare."


def test_a_temperature_brings_the_nll_down_on_the_data_it_was_fitted_on(folder):
    (judged,) = compare(named_methods([f"{folder}/plain.eens"]), VALIDATION, held_out=DATA).files
    (other,) = compare(named_methods([f"{folder}/plain.eens"]), DATA, held_out=VALIDATION).files
    assert judged.predictions[MEAN_SCALED]["T"] != other.predictions[MEAN_SCALED]["T"]
    assert other.predictions[MEMBERS_SCALED]["NLL"] < other.predictions[AS_STORED]["NLL"]


def test_temperatures_are_never_fitted_on_the_data_that_judges(folder, tmp_path):
    with np.load(DATA) as data:
        np.savez(tmp_path / "copy.npz", x=data["x"], y=data["y"])
    for same in (DATA, tmp_path / "copy.npz"):
        with pytest.raises(DataError, match="holds the very data that judges"):
            compare(named_methods([f"{folder}/plain.eens"]), DATA, held_out=same)


def test_a_files_own_temperature_and_early_exit_are_used(folder, tmp_path):
    calibrate(folder / "plain.eens", VALIDATION, tmp_path / "c.eens", max_nll_loss=0.2)
    method = Method("c", (tmp_path / "c.eens",))
    whole, found = compare([method], DATA, members=MEMBERS, held_out=VALIDATION).files
    assert EARLY_EXIT not in whole.predictions  # the rule is for the members in the file
    stored, fitted = (found.predictions[way] for way in (AS_STORED, MEMBERS_SCALED))
    assert stored["T"] != 1.0
    # `calibrate` fits the same temperature on the same data.
    assert stored == pytest.approx(fitted, rel=1e-3, abs=1e-4)
    assert 1.0 <= found.predictions[EARLY_EXIT]["members run"] < 4.0
    with np.load(DATA) as data, Session(tmp_path / "c.eens") as session:
        low, high = (
            ood.ood_scores(
                session.predict_members(data[name])["logits"] / stored["T"], from_logits=True
            )
            for name in ("x", "x_ood")
        )
    (scores,) = found.outside.values()
    for name, row in scores.items():
        assert row["AUROC"] == pytest.approx(ood.auroc(low[name], high[name]), abs=2e-4)


def test_drawn_members_are_called_one_model(folder):
    (found,) = compare([Method("drawn", (folder / "drawn.eens",))], DATA).files
    assert found.verdict.startswith("The 4 members act as one model: ")


def test_shift_is_judged_on_the_same_corrupted_pictures_for_every_file(comparison):
    plain, *_ = [file for file in comparison.files if file.method == "plain"]
    assert {name: list(levels) for name, levels in plain.shift.items()} == {
        "contrast": [1, 4],
        "gaussian_noise": [4],
    }
    worse, least = plain.shift["contrast"][4], plain.shift["contrast"][1]
    assert worse["NLL"] > 2 * least["NLL"] > plain.predictions[AS_STORED]["NLL"]
    assert comparison.files[0].shift == {}  # float members are judged on clean data only


def test_data_from_elsewhere_is_told_apart_from_the_data(folder, tmp_path):
    (tmp_path / "noise").mkdir()
    np.save(tmp_path / "noise" / "digits_test.npy", np.load(folder / "noise.npz")["x"])
    outside = [tmp_path / "noise" / "digits_test.npy", folder / "noise.npz"]
    found = compare(named_methods([f"{folder}/one.eens"]), DATA, outside=outside)
    assert list(found.outside) == ["x_ood of digits_test.npz", "noise/digits_test", "noise"]


def test_small_figures_keep_their_digits():
    assert cell(estimate([1.23456e-5]), "disp") == "1.23e-05"
    assert cell(estimate([0.5]), "NLL") == "0.5000"
    assert cell(estimate([12345.0]), "file bytes") == "12 345"
    assert cell(None, "NLL") == "-"


def test_a_row_of_several_seeds_is_their_mean_and_interval(comparison):
    first = tables(comparison)[0]
    place = first.columns.index("NLL")
    ((labels, figures),) = [row for row in first.rows if row[0] == ("low", AS_STORED)]
    seeds = [file.predictions[AS_STORED]["NLL"] for file in comparison.files[2:4]]
    assert figures[place] == estimate(seeds)
    assert labels == ("low", AS_STORED)
    assert "95 % t-interval" in first.title


def test_the_best_figure_is_that_of_rows_of_the_same_kind(comparison):
    first = tables(comparison)[0]
    column = first.columns.index("NLL")
    marked = best_rows(first)[column]
    stored = [
        (figures[column].mean, place)
        for place, (labels, figures) in enumerate(first.rows)
        if labels[1] == AS_STORED
    ]
    assert [place for _, place in stored if place in marked] == [min(stored)[1]]
    assert best_rows(first)[first.columns.index("T")] == set()


def test_other_tasks_have_the_figures_of_their_task(tmp_path):
    paths = onnx_graphs.save([onnx_graphs.regression(seed) for seed in range(3)], tmp_path)
    encode(paths, tmp_path / "r.eens")
    inputs = onnx_graphs.random_inputs(onnx_graphs.regression(0), rows=20)
    with Session(tmp_path / "r.eens") as session:
        y = session.predict(inputs).mean + 1.0
    np.savez(tmp_path / "d.npz", y=y, **inputs)
    comparison = compare([Method("r", (tmp_path / "r.eens",))], tmp_path / "d.npz")
    (found,) = comparison.files
    assert found.predictions[AS_STORED]["RMSE"] == pytest.approx(1.0, rel=1e-5)
    assert [table.title.split()[0] for table in tables(comparison)] == ["Predictions", "Members"]
    written = write_report(comparison, tmp_path / "report")
    assert [path.name for path in written] == ["report.html", "report.json", "report.csv"]
    assert "Pictures" not in written[0].read_text()
    with pytest.raises(DataError, match=r"r\.eens is no classifier: leave corrupted pictures out"):
        compare(
            [Method("r", (tmp_path / "r.eens",))], tmp_path / "d.npz", shift=Shift((("fog", 1),))
        )


def test_networks_that_give_probabilities_have_temperatures_too(tmp_path):
    models = [onnx_graphs.cnn(seed) for seed in range(3)]
    encode(onnx_graphs.save(models, tmp_path), tmp_path / "p.eens")
    (x,) = onnx_graphs.random_inputs(models[0], rows=400).values()
    with Session(tmp_path / "p.eens") as session:
        assert session.output_kind == "probabilities"
        probabilities = session.predict(x).members
    y = probabilities.mean(axis=0).argmax(axis=1)
    y[::3] = (y[::3] + 1) % 4
    for name, rows in (("d", slice(200)), ("v", slice(200, 400))):
        np.savez(tmp_path / f"{name}.npz", x=x[rows], y=y[rows])
    method = Method("p", (tmp_path / "p.eens",))
    (found,) = compare([method], tmp_path / "d.npz", held_out=tmp_path / "v.npz").files
    expected = calibration.fit_temperature(np.log(probabilities[:, 200:]), y[200:], pooled=False)
    assert found.predictions[MEMBERS_SCALED]["T"] == pytest.approx(expected, rel=1e-4)
    assert "T" not in found.predictions[AS_STORED]


def test_data_that_does_not_fit_names_the_file(folder, tmp_path):
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 5), np.float32), y=np.zeros(3, np.int64))
    with pytest.raises(DataError, match=r"plain\.eens: input 'input' must have shape"):
        compare(named_methods([f"{folder}/plain.eens"]), tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["plain.eens", "drawn.eens"], ["plain", "drawn"]),
        (["low/a.eens", "low/b.eens"], ["a", "b"]),
        (["x=low/a.eens,low/b.eens", "y=plain.eens"], ["x", "y"]),
        (["x=low/*.eens"], ["x"]),
        (["low"], ["low"]),
    ],
)
def test_methods_are_named_as_the_user_says(folder, monkeypatch, texts, names):
    monkeypatch.chdir(folder)
    found = named_methods(texts)
    assert [method.name for method in found] == names
    for method in found:
        assert len(method.files) == (2 if method.name in ("x", "low") and len(texts) <= 2 else 1)
        assert all(path.is_file() for path in method.files)


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = ["runs/mnist/s0/e.eens", "runs/mnist/s1/e.eens", "runs/fashion/s1/e.eens", "f.eens"]
    for text in texts:
        Path(text).parent.mkdir(parents=True, exist_ok=True)
        Path(text).touch()
    names = [method.name for method in named_methods(texts)]
    assert names == ["s0/e", "mnist/s1/e", "fashion/s1/e", "f"]


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        (["x=nothing-*.eens"], "x=nothing-.* names no container"),
        (["=plain.eens"], "has no name before or no file behind the ="),
        (["x=plain.eens", "x=drawn.eens"], "2 methods are called x"),
    ],
)
def test_names_without_files_and_alike_are_refused(folder, monkeypatch, texts, text):
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match=text):
        named_methods(texts)


def test_corruptions_are_parsed_and_refused_in_words():
    assert parse_settings("fog:2,fog:2,contrast", frost=False) == (
        ("fog", 2),
        *(("contrast", level) for level in (1, 2, 3, 4, 5)),
    )
    assert len(parse_settings("all", frost=False)) == 14 * 5
    assert len(parse_settings("all:3", frost=True)) == 15
    with pytest.raises(DataError, match="'rain' is no corruption; there are all, gaussian_noise"):
        parse_settings("rain", frost=False)
    with pytest.raises(DataError, match="the severity of fog is 1 to 5, not '6'"):
        parse_settings("fog:6", frost=False)


class Page(HTMLParser):
    """What of a page points elsewhere, its pictures, and whether its tags close."""

    def __init__(self):
        super().__init__()
        self.sources, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.sources += [given[name] for name in ("src", "href") if name in given]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_report_holds_the_same_figures_as_page_table_and_json(folder, tmp_path, capsys):
    out = tmp_path / "out" / "report"
    arguments = [
        "evaluate", f"<b>={folder}/plain.eens", f"low={folder}/low/a.eens,{folder}/low/b.eens",
        "--data", DATA, "--validation", VALIDATION, "--ood", folder / "noise.npz",
        "--corrupt", "contrast:1,contrast:4", "--report", out,
    ]  # fmt: skip
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr().out
    pictures = {
        f"{name}.png"
        for name in ("size_nll", "reliability", "risk_coverage", "diversity", "diversity_gain",
                     "ood", "shift")
    }  # fmt: skip
    assert {path.name for path in out.iterdir()} == {
        "report.html", "report.json", "report.csv", *pictures,
    }  # fmt: skip
    report = json.loads((out / "report.json").read_text())
    with open(out / "report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for file, row in zip(report["files"], rows, strict=True):
        assert row["file"] == file["file"]
        assert float(row["NLL, as in the file"]) == file["predictions"]["as in the file"]["NLL"]
        assert float(row["NLL, contrast 4"]) == file["shift"]["contrast"]["4"]["NLL"]
        assert row["verdict"] == file["verdict"]
    page = Page()
    page.feed((out / "report.html").read_text())
    assert page.open == []
    assert len(page.sources) == len(pictures)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    text = " ".join(page.text)
    nll = report["files"][0]["predictions"]["as in the file"]["NLL"]
    for shown in (text, printed):
        assert f"{nll:.4f}" in shown
        assert "<b>" in shown
        assert report["files"][0]["verdict"] in shown
        assert report["files"][2]["verdict"] in shown
    assert re.search(r"\d\.\d{4} ± \d\.\d{4}", text)


def test_a_report_without_matplotlib_is_refused_before_the_work(
    folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    data = str(tmp_path / "nothing.npz")
    out = tmp_path / "report"
    code = main(["evaluate", f"{folder}/plain.eens", "--data", data, "--report", str(out)])
    assert code == 1
    assert "--report draws with matplotlib, which is not installed" in capsys.readouterr().err
    with pytest.raises(MissingPackageError, match="--report draws with matplotlib"):
        write_report(Comparison(("d", 1), None, {}, None, []), out)
    assert not out.exists()


def test_a_report_that_cannot_be_written_leaves_the_old_one(folder, tmp_path, capsys, monkeypatch):
    arguments = ["evaluate", f"{folder}/plain.eens", "--data", str(DATA), "--report", str(tmp_path)]
    assert main(arguments) == 0
    old = (tmp_path / "report.csv").read_bytes()

    def full(path):
        if Path(path).name == "report.csv":
            raise OSError(28, "No space left on device", str(path))
        return replacing(path)

    monkeypatch.setattr("edgeens.report.replacing", full)
    assert main(arguments) == 1
    assert "report.csv: No space left on device" in capsys.readouterr().err
    assert (tmp_path / "report.csv").read_bytes() == old


def test_one_file_and_no_more_prints_what_it_always_did(folder, capsys):
    assert main(["evaluate", f"{folder}/plain.eens", "--data", str(DATA)]) == 0
    assert "AUROC 1-max p" in capsys.readouterr().out
    assert main(["evaluate", f"{folder}/low", "--data", str(DATA), "--json"]) == 0
    assert [file["method"] for file in json.loads(capsys.readouterr().out)["files"]] == ["low"] * 2
