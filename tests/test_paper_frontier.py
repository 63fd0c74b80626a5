"""The frontier: what is chosen and compared follows from its points; a tiny one runs."""

from __future__ import annotations

import json
from statistics import fmean

import pytest

from benchmarks.paper.experiment import Setup
from benchmarks.paper.frontier_report import by_way, chosen_way, ratios, report
from benchmarks.paper.page import RESULTS
from tests.idx_files import write_squares


def point(way, family, bits, validation, test, *, seed=0):
    return {
        "recipe": "r",
        "seed": seed,
        "way": way,
        "family": family,
        "bytes": 1000,
        "bits_mw": bits,
        "validation_nll": validation,
        "validation_accuracy": 0.9,
        "test_nll": test,
        "test_accuracy": 0.9,
    }


def results_of(*points):
    return {
        "seeds": sorted({each["seed"] for each in points}),
        "titles": {"r": "R"},
        "reduced": "reduced",
        "schedule": {"epochs": 8},
        "points": list(points),
    }


FLOAT = point("float32", "float32", 32, 1.00, 1.1)


def test_the_smallest_way_within_one_percent_on_validation_pictures_is_chosen():
    results = results_of(
        FLOAT,
        point("a", "uniform", 1.0, 1.011, 1.0),  # good on test pictures, which have no say
        point("b", "uniform", 1.5, 1.009, 1.5),
        point("c", "uniform", 2.0, 0.990, 1.0),
        point("d", "fixed", 1.0, 1.2, 1.0),
    )
    assert chosen_way(results, "r", "uniform") == "b"
    assert chosen_way(results, "r", "fixed") is None
    assert "| R | uniform grid | b | 1.500 | 1.1000 | 1.5000 | 36.36 | 1 |" in report(results)
    row = "| R | shared, Lambda fixed | none; nearest: d (+20.0 % on validation) | 1.000 |"
    assert row in report(results)


def test_the_choice_is_by_the_mean_over_seeds():
    results = results_of(
        FLOAT,
        point("float32", "float32", 32, 2.0, 2.0, seed=1),
        point("a", "uniform", 1.0, 1.03, 1.0),
        point("a", "uniform", 1.0, 1.96, 2.0, seed=1),  # ratios 1.03 and 0.98
    )
    assert chosen_way(results, "r", "uniform") == "a"
    ways = by_way(results, "r")
    assert ratios(ways["a"], ways["float32"], "validation") == [1.03, 0.98]


def test_ways_are_compared_with_uniform_grids_of_their_size_by_interpolation():
    results = results_of(
        FLOAT,
        point("a", "uniform", 1.0, 1.0, 1.2),
        point("b", "uniform", 3.0, 1.0, 1.0),
        point("c", "fixed", 1.5, 1.0, 1.20),
        point("d", "learned", 3.5, 1.0, 1.10),
    )
    # At 1.5 bits uniform grids have 1.15; at 3.5 there is none.
    text = report(results)
    assert "| R | shared, Lambda fixed: c | 1.500 | 50.00 |" in text
    assert "| R | shared, Lambda learned: d | 3.500 | no such size |" in text


def test_four_members_take_1_3_bits_within_one_percent_of_float32():
    saved = json.loads((RESULTS / "frontier.json").read_text())
    for recipe in saved["titles"]:
        way = chosen_way(saved, recipe, "rated")
        ways = by_way(saved, recipe)
        assert fmean(each["bits_mw"] for each in ways[way].values()) <= 1.3, recipe
        assert fmean(ratios(ways[way], ways["float32"], "test")) <= 1.01, recipe


@pytest.mark.torch
def test_a_tiny_frontier_runs_and_takes_what_is_finished_from_the_cache(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from benchmarks.paper import frontier_runs
    from benchmarks.paper.frontier import Study, measure
    from benchmarks.paper.frontier_runs import Schedule, Way

    write_squares(tmp_path / "mnist", training=300, test=60)
    ways = (
        Way("float32", "float32"),
        Way("rounded", "rounded", bits=4),
        Way("uniform", "uniform", "uniform", {"bits": 3}),
        Way("learned", "learned", "shared", {"levels": 2}, 0.1),
    )
    study = Study(ways={"mnist-mlp": ways}, seeds=1, schedule=Schedule(epochs=2, limit=64))
    setup = Setup(tmp_path, tmp_path / "cache", lambda label, done, total: None)
    results = measure(setup, study)
    assert results == json.loads(json.dumps(results))
    sizes = {each["way"]: each["bits_mw"] for each in results["points"]}
    assert sizes["float32"] > 32 > 8 > sizes["rounded"] > sizes["uniform"]

    def fail(*arguments):
        raise AssertionError("a finished point was measured again")

    monkeypatch.setattr(frontier_runs, "_measured", fail)
    assert measure(setup, study) == results
    assert "| MLP 784-128-10, MNIST |" in report(results)
