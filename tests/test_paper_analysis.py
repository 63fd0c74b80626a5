"""Bits-Ensemble's analysis: digits to 32 bits, Algorithm 1, the paper's count, what was saved."""

from __future__ import annotations

import json
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.paper.analysis_report import gain, report
from benchmarks.paper.analysis_sharing import SCHEMES
from benchmarks.paper.digit_levels import (
    LEVELS,
    decompose,
    fit_lambda,
    share,
    total_saving,
)
from benchmarks.paper.experiment import Setup
from benchmarks.paper.intervals import cell, half_width
from benchmarks.paper.page import RESULTS
from edgeens.datasets.images import Images
from edgeens.quantize.digits import split_balanced
from tests.idx_files import write_squares

WEIGHTS = np.random.default_rng(0).normal(size=(4, 500)).astype(np.float32)


def algorithm_1(values, threshold):
    """The paper's pseudocode at one position, with METHODS' errata; and how many clusters."""
    order = sorted(range(len(values)), key=lambda k: values[k])
    result, buffer, clusters = [0.0] * len(values), [], 0
    for place, member in enumerate(order):
        buffer.append(member)
        last = place == len(order) - 1
        if last or values[order[place + 1]] - values[member] > threshold:
            for each in buffer:
                result[each] = sum(values[k] for k in buffer) / len(buffer)
            buffer, clusters = [], clusters + 1
    return result, clusters


@pytest.mark.parametrize("ranges", ["one", "own"])
def test_all_levels_together_are_the_weights_to_32_bits(ranges):
    digits = decompose(WEIGHTS, ranges)
    every = {level: digits.residuals(level) for level in LEVELS}
    assert np.abs(digits.weights(every) - WEIGHTS).max() <= 0.51 * digits.step.max()
    for level, largest in zip(LEVELS, (2, 8, 128, 32768), strict=True):
        assert np.abs(digits.levels[level]).max() <= largest
    assert digits.step.shape == ((4, 1) if ranges == "own" else (1, 1))


def test_the_first_levels_are_the_digits_of_the_format():
    digits = decompose(WEIGHTS, "one")
    # Rounded at once to 8 bits or level by level is the same but for ties.
    codes = np.rint(WEIGHTS / (np.abs(WEIGHTS).max() / np.float64(127))).astype(np.int8)
    for ours, theirs in zip(
        (digits.base, digits.levels["eps4"], digits.levels["eps8"]),
        split_balanced(codes),
        strict=True,
    ):
        assert np.array_equal(ours, theirs)


@settings(max_examples=50)
@given(
    st.integers(1, 6).flatmap(
        lambda k: st.lists(
            st.lists(st.integers(-8, 8), min_size=k, max_size=k), min_size=1, max_size=5
        )
    ),
    st.sampled_from([0.0, 0.5, 1.5, 2.0, 5.0]),
)
def test_sharing_is_algorithm_1(positions, threshold):
    shared, saved = share(np.array(positions, float).T, threshold)
    expected = [algorithm_1(values, threshold) for values in positions]
    assert np.allclose(shared.T, [values for values, _ in expected])
    clusters = sum(count for _, count in expected)
    assert saved == pytest.approx(1 - clusters / np.size(positions))


def test_lambda_is_the_median_over_all_positions():
    values = np.array([[0.0, 0.0], [1.0, 10.0], [3.0, 30.0]])
    assert fit_lambda(values, "pairs") == 6.5  # of 1, 2, 3, 10, 20, 30
    assert fit_lambda(values, "gaps") == 6.0  # of 1, 2, 10, 20


def test_the_total_is_counted_as_the_paper_counts_it():
    published = {
        "eps32": (0.933, 46.7),
        "eps16": (0.935, 73.4),
        "eps8": (0.933, 86.7),
        "eps4": (0.933, 93.3),
    }
    for level, (saved, total) in published.items():
        assert round(100 * total_saving({level: saved}), 1) == pytest.approx(total, abs=0.06)
    assert total_saving({"eps4": 0.475}) == pytest.approx(0.9047, abs=1e-4)  # printed 90.4
    assert total_saving({"eps4": 0.5, "eps8": 0.25}) == (24 + 1 + 1) / 32


def test_an_interval_is_students():
    assert half_width([1.0]) is None
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.303 / np.sqrt(3))
    assert cell([0.01, 0.02, 0.03], 1, factor=100) == "2.0 ± 2.5"
    assert cell([0.5], 2) == "0.50"


@pytest.fixture(scope="module")
def saved():
    return json.loads((RESULTS / "analysis.json").read_text())


def test_the_saved_bits_are_those_of_table_2_within_half_a_point(saved):
    assert [row["scheme"] for row in saved["table2"]] == [scheme.name for scheme in SCHEMES]
    for row in saved["table2"]:
        for key, published in zip(("total", "level"), row["published"], strict=True):
            assert 100 * fmean(row[key]) == pytest.approx(published, abs=0.5), row["scheme"]


def test_sixteen_members_gain_two_points_of_accuracy(saved):
    assert gain(saved) >= 2.0


def test_the_order_of_table_3_holds_where_weights_have_places(saved):
    for tensor in ("layer-1-weight", "layer-2-weight", "layer-2-bias"):
        rows = saved["table3"][tensor]
        normal, mirrored, shuffled = (fmean(row[k] for row in rows["corr"]) for k in range(3))
        assert normal > mirrored > shuffled, tensor
        normal, mirrored, shuffled = (fmean(row[k] for row in rows["disp"]) for k in range(3))
        assert normal < mirrored < shuffled, tensor


@pytest.mark.torch
def test_a_tiny_analysis_runs(tmp_path):
    pytest.importorskip("torch")
    from benchmarks.paper.analysis import Study, measure
    from benchmarks.paper.analysis_members import Protocol

    write_squares(tmp_path / "mnist", training=300, test=60)
    setup = Setup(tmp_path, tmp_path, lambda label, done, total: None)
    study = Study(
        protocol=Protocol(members=4, pictures=100, epochs=2, batch=20),
        seeds=1,
        table3_seeds=2,
        groups=(1, 4),
        grid4=(0.5,),
        grid8=(0.5, 1.5),
    )
    results = measure(setup, study)
    assert results == json.loads(json.dumps(results))
    assert len(list(tmp_path.glob("members_*.npz"))) == 2
    text = report(results)
    for row in results["files"]:
        assert f"| {row['name']} |" in text
    full, coded = results["files"][:2]
    assert coded["bytes"] < full["bytes"] / 4
    # One member has nothing to share, and 32 bits are the weights.
    alone, exact = (results["figure2"][name]["1"] for name in ("eps32", "full precision"))
    assert alone["accuracy"] == exact["accuracy"]
    assert alone["ece"] == pytest.approx(exact["ece"], abs=1e-6)


@pytest.mark.torch
def test_members_are_trained_once_and_each_on_its_own_pictures(tmp_path):
    pytest.importorskip("torch")
    from benchmarks.paper.analysis_members import Protocol, trained_members

    random = np.random.default_rng(0)
    images = Images(random.integers(0, 256, (40, 1, 28, 28), dtype=np.uint8), np.arange(40) % 10)
    protocol = Protocol(members=2, pictures=20, epochs=1, batch=10)
    first = trained_members(protocol, images, seed=3, cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    written = kept.stat().st_mtime_ns
    again = trained_members(protocol, images, seed=3, cache=tmp_path)
    assert kept.stat().st_mtime_ns == written
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["w1"][0], first["w1"][1])
    other = trained_members(protocol, images, seed=4, cache=tmp_path)
    assert not np.array_equal(first["w1"], other["w1"])
