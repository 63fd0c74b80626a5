"""The benchmarks of running, on ensembles so small that they end at once. No training."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmarks import early_exit, networks, report, runtime
from benchmarks.early_exit import measure_early_exit
from benchmarks.ensembles import Recipe
from benchmarks.networks import Network, make_network, member_files
from benchmarks.runtime import Worker, measure_runtime
from benchmarks.runtime_ways import BASE, COMPACT, MEAN, OPTIMIZED, RESIDENT, STREAMING, WAYS
from edgeens.encoder import encode
from edgeens.errors import DataError, EdgeensError
from tests import onnx_graphs as graphs

DEMO = Path(__file__).parents[1] / "edgeens" / "demo"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
SMALL = Network("small", "Small", (12,))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Members as make_network leaves them, but of a small graph whose int8 form is float32 too."""
    cache = tmp_path_factory.mktemp("cache")
    folder = cache / "runtime" / SMALL.name
    for kind in (".", "mapped", "int8"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for member in range(8):
            model = graphs.mlp(member)
            model.graph.input[0].name = "input"
            model.graph.node[0].input[0] = "input"
            (folder / kind / f"member_{member}.onnx").write_bytes(model.SerializeToString())
    for path in member_files(folder, 8, "mapped"):
        path.with_name(f"{path.name}.data").touch()
    for members in networks.COUNTS:
        encode(member_files(folder, members), folder / f"{members}.eens")
    return cache


def test_every_way_gives_the_same_figures(cache):
    folder = make_network(SMALL, cache)
    x = networks.example(SMALL.shape, 3)
    expected = WAYS[BASE].open(folder, 4, 1)(x)
    for way in WAYS.values():
        if way.label == MEAN:
            np.testing.assert_allclose(way.open(folder, 4, 1)(x), expected.mean, atol=1e-6)
        elif way.label != "one member":
            for threads in way.threads:
                found = way.open(folder, 4, threads)(x)
                np.testing.assert_allclose(found.mean, expected.mean, atol=0.02)
                assert found.members.shape == expected.members.shape == (4, 3, 5)


def test_start_and_latency_and_memory_are_measured(cache, monkeypatch):
    few = {label: WAYS[label] for label in (RESIDENT, BASE, "one member")}
    monkeypatch.setattr(runtime, "WAYS", few)
    rows = measure_runtime(cache, networks=[SMALL], counts=(4,), starts={1: 1}, rounds=(1, 1))
    assert [(row["way"], row["threads"]) for row in rows] == list(product(few, (1, 2)))
    for row in rows:
        assert row["latency_s"] > 0
        assert row["start_s"] > row["latency_s"] / 10
        assert 0 < row["steady_mb"] < 200
        assert row["peak_mb"] > 0
        assert (row["latency"], row["start"]) == (1, 1) or (row["way"], row["threads"]) != (BASE, 1)
    sizes = {row["way"]: row["file_mb"] for row in rows}
    assert sizes[RESIDENT] < sizes[BASE] == pytest.approx(4 * sizes["one member"], rel=0.01)


def test_a_run_that_was_ended_goes_on_where_it_was(cache, monkeypatch, capsys):
    asked, limit = [], [2]

    def measured(network, folder, members, batch, starts, rounds):
        if len(asked) == limit[0]:
            raise KeyboardInterrupt
        asked.append((members, batch))
        return [{"network": network.title, "members": members, "batch": batch, "rounds": rounds}]

    def run(rounds=(1, 1)):
        rows = measure_runtime(cache, networks=[SMALL], counts=(4, 8), starts=starts, rounds=rounds)
        return [(row["members"], row["batch"]) for row in rows]

    monkeypatch.setattr(runtime, "_measured", measured)
    starts = {1: 1, 32: 1}
    cases = list(product((4, 8), starts))
    with pytest.raises(KeyboardInterrupt):
        run()
    assert asked == cases[:2]
    limit[0] = 3
    with pytest.raises(KeyboardInterrupt):
        run()
    assert "going on after 2 rows of an unfinished run" in capsys.readouterr().out
    limit[0] = 99
    assert run() == asked == cases
    assert run() == cases  # from the beginning: the run before came to its end
    assert asked == 2 * cases
    limit[0] = len(asked) + 1
    with pytest.raises(KeyboardInterrupt):
        run()
    limit[0] = 99
    asked.clear()
    assert run(rounds=(2, 2)) == asked == cases  # what was measured otherwise is not mixed in


def test_a_table_takes_the_place_of_the_one_with_its_first_line():
    old, new = (report.markdown(["a", "b"], [["x", each]]) for each in "12")
    page = f"before\n\n{old}\n\nafter\n| a | c |\n"
    assert report.with_table(page, new) == page.replace("| x | 1 |", "| x | 2 |")
    with pytest.raises(DataError, match=r"the page has no table that begins with '\| c \|'"):
        report.with_table(page, report.markdown(["c"], [["1"]]))


def test_the_tables_have_a_line_a_way():
    row = {"network": "Small", "batch": 1, "start_s": 0.1, "start": 0.5, "latency": 2.0}
    row |= {"peak_mb": 30.2, "steady_mb": 20.0, "file_mb": 1.2}
    rows = [
        {**row, "way": way.label, "threads": threads, "members": members}
        for members in (4, 8)
        for way in WAYS.values()
        for threads in way.threads
    ]
    lines = report.start_table(rows, networks=["Small"]).splitlines()
    assert len(lines) == 2 + sum(1 in way.threads for way in WAYS.values())
    cells = "100 (100) | 0.50 (0.50) | 30 (30) | 20 (20) | 1 (1)"
    assert lines[2] == f"| {RESIDENT} | {cells} |"
    lines = report.latency_table(rows, members=8).splitlines()
    assert len(lines) == 2 + len(WAYS)
    assert f"| {BASE} | 2.00 (2.00) |" in lines
    assert "| K sessions, members over threads | - (2.00) |" in lines


def test_the_saved_figures_keep_the_bounds_of_the_design():
    rows = json.loads((RESULTS / "runtime.json").read_text())["runtime"]
    rows = [row for row in rows if (row["batch"], row["threads"]) == (1, 1)]
    for row in rows:
        one, k = row["member_mb"], row["members"]
        # Small members are repacked, which takes up to four times the weights of the last one.
        bounds = {
            RESIDENT: (1.15 * k + (4 if one <= 16 else 0)) * one,
            COMPACT: 0.4 * k * one,
            STREAMING: 1.3 * one,
        }
        if row["way"] in bounds:
            assert row["peak_mb"] <= bounds[row["way"]] + 20
    (start,) = [
        row["start"]
        for row in rows
        if (row["network"], row["members"], row["way"]) == ("VGG11", 4, RESIDENT)
    ]
    assert start <= 0.6
    for row in rows:
        if row["way"] == RESIDENT:
            assert row["latency"] <= 1.3
        if row["way"] == OPTIMIZED:
            assert row["latency"] <= (1.07 if row["network"] == "CNN" else 1.05)


def test_a_process_that_fails_is_named(cache, capfd):
    with pytest.raises(EdgeensError, match="the process that measures 'no such way' ended early"):
        Worker("no such way", SMALL, cache, 4, 1, 1)
    assert "KeyError: 'no such way'" in capfd.readouterr().err


def test_a_network_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(network, path, *, seed):
        raise RuntimeError("no exporter")

    monkeypatch.setattr(networks, "_export", fail)
    with pytest.raises(RuntimeError, match="no exporter"):
        make_network(SMALL, tmp_path)
    assert list((tmp_path / "runtime").iterdir()) == []


def test_early_exit_is_fitted_on_validation_and_judged_on_test_images(tmp_path, monkeypatch):
    for member in DEMO.glob("member_*.onnx"):
        shutil.copy(member, tmp_path)
    shutil.copy(DEMO / "digits_validation.npz", tmp_path / "validation.npz")
    with np.load(DEMO / "digits_test.npz") as data:
        x, y = data["x"], data["y"]
    np.savez(tmp_path / "test.npz", x=x, y=y)
    monkeypatch.setattr(early_exit, "_TIMED_ROWS", 4)
    found = measure_early_exit(Recipe("digits", "Digits", None, "mlp"), tmp_path, rounds=1)
    assert found["members"] == 4
    used = [point["test_members"] for point in found["curve"]]
    assert used == sorted(used, reverse=True)
    assert used[-1] == pytest.approx(1, abs=0.05)
    last = found["curve"][0]
    assert abs(last["test_loss"]) < 0.05  # the strictest point stops next to nothing
    assert found["half"]["mean_members"] <= 1.96
    assert set(found["half"]["time"]) == {"1", "256"}
    np.savez(tmp_path / "test.npz", x=x, y=(y + 1) % 10)
    wrong = measure_early_exit(Recipe("digits", "Digits", None, "mlp"), tmp_path, rounds=1)
    assert wrong["nll"] > found["nll"]
    assert [point["nll_loss"] for point in wrong["curve"]] == [
        point["nll_loss"] for point in found["curve"]
    ]
    assert "| Digits |" in report.early_exit_table([found])


def test_no_early_exit_within_the_limit_is_told():
    point = {
        "test_members": 2.0,
        "test_loss": 0.01,
        "test_error": 0.001,
        "time": {"1": 1, "256": 2},
    }
    row = {"title": "Some", "members": 4, "chosen": None, "half": point}
    table = report.early_exit_table([row])
    assert "| Some | none |  |  | 50 % | +1.00 % (0.80 to 1.20) | 1.00 (2.00) |" in table


@pytest.mark.torch
def test_a_network_comes_in_every_form_with_the_same_logits(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(networks, "COUNTS", (2,))
    cnn = next(network for network in networks.NETWORKS if network.name == "cnn")
    folder = make_network(cnn, tmp_path)
    x = networks.example(cnn.shape, 3)
    expected = WAYS[BASE].open(folder, 2, 1)(x)
    for way in WAYS.values():
        if way.label not in (MEAN, "one member"):
            found = way.open(folder, 2, 2)(x)
            np.testing.assert_allclose(found.mean, expected.mean, atol=0.05)
    assert make_network(cnn, tmp_path) == folder
