"""Calibration errors against loops and hand-computed cases; temperatures against a fine search."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from edgeens import calibration
from edgeens.arrays import Array
from edgeens.errors import DataError
from edgeens.uncertainty import softmax


def _two_class(confidence: list[float]) -> Array:
    """Probabilities (batch, 2) whose first class has the given confidence, all at least 1/2."""
    first = np.array(confidence)
    return np.stack((first, 1.0 - first), axis=1)


@st.composite
def judged(draw: st.DrawFn) -> tuple[Array, Array]:
    """Probabilities (batch, C), many of them equal and on the edges of bins, and labels."""
    batch, classes = draw(st.integers(1, 40)), draw(st.integers(2, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        probabilities = random.multinomial(15, np.full(classes, 1 / classes), batch) / 15
    else:
        probabilities = random.dirichlet(np.full(classes, 0.5), batch)
    return probabilities, random.integers(0, classes, batch)


def _ece_by_loops(probabilities: Array, labels: Array, bins: int) -> float:
    total = 0.0
    for m in range(bins):
        low, high = m / bins, (m + 1) / bins
        hits, sure = [], []
        for row, label in zip(probabilities, labels, strict=True):
            confidence = max(row)
            if low < confidence <= high or (m == 0 and confidence == 0):
                hits.append(float(np.argmax(row) == label))
                sure.append(confidence)
        if hits:
            total += len(hits) / len(labels) * abs(np.mean(hits) - np.mean(sure))
    return total


@given(judged(), st.sampled_from([1, 2, 10, 15, 100]))
def test_ece_agrees_with_loops(case: tuple[Array, Array], bins: int) -> None:
    probabilities, labels = case
    expected = _ece_by_loops(probabilities, labels, bins)
    assert calibration.ece(probabilities, labels, bins=bins) == pytest.approx(expected, abs=1e-12)


def test_ece_of_a_hand_case() -> None:
    # Bins (.4, .6], (.6, .8] and (.8, 1]: two at .6 of which one is right, one at .7 and wrong,
    # two at .9 and 1 that are right.
    p = _two_class([0.6, 0.6, 0.7, 0.9, 1.0])
    labels = np.array([0, 1, 1, 0, 0])
    expected = 2 / 5 * abs(0.5 - 0.6) + 1 / 5 * abs(0.0 - 0.7) + 2 / 5 * abs(1.0 - 0.95)
    assert calibration.ece(p, labels, bins=5) == pytest.approx(expected)


def test_a_confidence_on_an_edge_is_in_the_lower_bin() -> None:
    on_edges = [9 / 15, 12 / 15, 1.0]
    table = calibration.reliability_table(_two_class(on_edges), np.zeros(3, int))
    assert np.flatnonzero(table.count).tolist() == [8, 11, 14]
    above = [np.nextafter(edge, 1.0) for edge in on_edges]
    table = calibration.reliability_table(_two_class(above), np.zeros(3, int))
    assert np.flatnonzero(table.count).tolist() == [9, 12, 14]


def test_the_table_has_each_bin_and_marks_the_empty() -> None:
    table = calibration.reliability_table(_two_class([0.6, 0.6, 1.0]), np.array([0, 1, 0]), bins=5)
    assert table.count.tolist() == [0, 0, 2, 0, 1]
    np.testing.assert_allclose(table.confidence, [np.nan, np.nan, 0.6, np.nan, 1.0])
    np.testing.assert_allclose(table.accuracy, [np.nan, np.nan, 0.5, np.nan, 1.0])
    assert table.error == pytest.approx(2 / 3 * 0.1)


def test_equal_mass_bins_of_a_hand_case() -> None:
    # Five inputs in two bins: .55, .6, .7 (one right) and .8, .9 (both right).
    p = _two_class([0.9, 0.55, 0.8, 0.7, 0.6])
    labels = np.array([0, 0, 0, 1, 1])
    expected = 3 / 5 * abs(1 / 3 - (0.55 + 0.6 + 0.7) / 3) + 2 / 5 * abs(1.0 - 0.85)
    assert calibration.adaptive_ece(p, labels, bins=2) == pytest.approx(expected)


def test_equal_confidences_split_over_bins_share_their_accuracy() -> None:
    p = _two_class([0.75, 0.75, 0.75, 0.75])
    assert calibration.adaptive_ece(p, np.array([0, 0, 0, 1]), bins=2) == pytest.approx(0.0)


@given(judged(), st.data())
def test_the_order_of_inputs_never_matters(case: tuple[Array, Array], data: st.DataObject) -> None:
    probabilities, labels = case
    order = np.array(data.draw(st.permutations(range(len(labels)))))
    for error in (calibration.ece, calibration.adaptive_ece):
        shuffled = error(probabilities[order], labels[order])
        assert shuffled == pytest.approx(error(probabilities, labels), abs=1e-12)


@given(judged())
def test_one_bin_leaves_only_the_overall_gap(case: tuple[Array, Array]) -> None:
    probabilities, labels = case
    hits = probabilities.argmax(axis=1) == labels
    gap = abs(hits.mean() - probabilities.max(axis=1).mean())
    for error in (calibration.ece, calibration.adaptive_ece):
        assert error(probabilities, labels, bins=1) == pytest.approx(gap, abs=1e-12)
        # Finer bins only split the gap, and cannot make it smaller.
        assert error(probabilities, labels, bins=7) >= gap - 1e-12


def test_no_bins_are_refused() -> None:
    for error in (calibration.ece, calibration.adaptive_ece):
        with pytest.raises(DataError, match=r"^bins must be at least 1, not 0$"):
            error([[1.0, 0.0]], np.array([0]), bins=0)


def _overconfident(members: int, seed: int) -> tuple[Array, Array]:
    """Members' logits, three times as large as the labels justify, and the labels."""
    random = np.random.default_rng(seed)
    fair = random.normal(0.0, 1.5, (400, 4))
    labels = (fair + random.gumbel(size=fair.shape)).argmax(axis=1)
    return 3.0 * (fair + random.normal(0.0, 0.7, (members, *fair.shape))), labels


def _loss(t: float, logits: Array, labels: Array) -> float:
    p = scipy.special.softmax(logits / t, axis=-1).mean(axis=0)
    return float(-np.log(p[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("members", [1, 4])
def test_the_temperature_has_the_least_loss(members: int, pooled: bool) -> None:
    logits, labels = _overconfident(members, 3)
    shown = logits.mean(axis=0, keepdims=True) if pooled else logits
    best = scipy.optimize.minimize_scalar(
        _loss, bounds=(0.1, 30.0), args=(shown, labels), method="bounded", options={"xatol": 1e-9}
    )
    found = calibration.fit_temperature(logits, labels, pooled=pooled)
    assert found == pytest.approx(best.x, rel=1e-4)
    assert _loss(found, shown, labels) < _loss(1.0, shown, labels)


def test_members_and_pooled_logits_have_different_temperatures() -> None:
    logits, labels = _overconfident(4, 3)
    members = calibration.fit_temperature(logits, labels, pooled=False)
    pooled = calibration.fit_temperature(logits, labels, pooled=True)
    assert pooled > 1.02 * members


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("scale", [0.02, 50.0])
def test_the_temperature_scales_with_the_logits(scale: float, pooled: bool) -> None:
    logits, labels = _overconfident(3, 7)
    one = calibration.fit_temperature(logits, labels, pooled=pooled)
    scaled = calibration.fit_temperature(scale * logits, labels, pooled=pooled)
    assert scaled == pytest.approx(scale * one, rel=1e-5)


def test_labels_without_a_single_error_determine_no_temperature() -> None:
    logits, _ = _overconfident(1, 1)
    text = r"^these logits and labels determine no temperature: the loss still falls at 0\.0"
    with pytest.raises(DataError, match=text):
        calibration.fit_temperature(logits, logits[0].argmax(axis=1), pooled=True)


def test_labels_that_are_never_the_likeliest_determine_no_temperature() -> None:
    logits, _ = _overconfident(1, 1)
    text = r"determine no temperature: the loss still falls at 1000; use more held-out inputs, of"
    with pytest.raises(DataError, match=text):
        calibration.fit_temperature(logits, logits[0].argmin(axis=1), pooled=True)


def test_calibration_refuses_labels_of_another_batch() -> None:
    p, labels = np.full((3, 2), 0.5), np.zeros(4, int)
    for error in (calibration.ece, calibration.adaptive_ece):
        with pytest.raises(DataError, match=r"^labels must have shape \(3,\), one class index"):
            error(p, labels)
    with pytest.raises(DataError, match=r"^labels must have shape \(3,\), one class index"):
        calibration.fit_temperature(p[None], labels, pooled=True)


def test_temperatures_are_fitted_to_logits_of_all_members() -> None:
    with pytest.raises(
        DataError, match=r"^logits must have shape \(members, batch, classes\), but"
    ):
        calibration.fit_temperature(softmax(np.zeros((3, 2))), np.zeros(3, int), pooled=True)
