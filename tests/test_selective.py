"""Risk against coverage, and thresholds to abstain by whose bound is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeens.errors import DataError
from edgeens.selective import aurc, binomial_bound, fit_abstention, risk_at, risk_curve
from edgeens.uncertainty import summarize, summarize_regression


def two_classes(confidence):
    p = np.asarray(confidence, np.float64)
    return np.stack([p, 1 - p], axis=1)


def test_risk_counts_errors_among_the_surest():
    probabilities = two_classes([0.9, 0.8, 0.7, 0.6])
    labels = [0, 1, 0, 1]
    np.testing.assert_allclose(risk_curve(probabilities, labels), [0, 1 / 2, 1 / 3, 2 / 4])
    assert risk_at(probabilities, labels, coverage=0.5) == 0.5
    assert risk_at(probabilities, labels, coverage=0.51) == pytest.approx(1 / 3)
    assert aurc(probabilities, labels) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_rows_of_equal_doubt_share_their_errors_in_any_order():
    probabilities = two_classes([0.8, 0.8, 0.6])
    assert risk_curve(probabilities, [0, 1, 0]) == pytest.approx([0.5, 0.5, 1 / 3])
    assert risk_curve(probabilities, [1, 0, 0]) == pytest.approx([0.5, 0.5, 1 / 3])


@pytest.mark.parametrize(("wrong", "rows"), [(0, 10), (3, 50), (40, 200), (7, 5000)])
def test_the_binomial_bound_is_scipys(wrong, rows):
    beta = pytest.importorskip("scipy.stats").beta
    expected = beta.ppf(0.95, wrong + 1, rows - wrong)
    assert binomial_bound(wrong, rows, confidence=0.95) == pytest.approx(expected, rel=1e-9)
    assert binomial_bound(rows, rows, confidence=0.95) == 1.0


def sample(rng, rows):
    """Rows whose classes are right just as often as they are sure."""
    sure = rng.uniform(0.5, 1.0, rows)
    return two_classes(sure), (rng.uniform(size=rows) > sure).astype(int)


def test_the_risk_of_what_is_decided_keeps_the_target_on_fresh_data():
    rng = np.random.default_rng(5)
    kept = []
    for _ in range(100):
        found = fit_abstention(*sample(rng, 4000), target_risk=0.1)
        threshold = found.threshold
        kept.append(threshold / 2 <= 0.1)  # doubt is uniform in 0..1/2: the exact risk
        assert found.bound <= 0.1
    assert np.mean(kept) >= 0.95


def test_the_threshold_decides_as_much_as_the_bound_allows():
    found = fit_abstention(*sample(np.random.default_rng(1), 20000), target_risk=0.1)
    assert 0.18 < found.threshold <= 0.2
    assert found.coverage == pytest.approx(2 * found.threshold, abs=0.02)


def test_a_target_that_nothing_keeps_gives_no_threshold():
    assert fit_abstention(two_classes([0.9] * 20), [0] * 20, target_risk=0.01) is None
    with pytest.raises(DataError, match="a target risk lies between 0 and 1, not at 1"):
        fit_abstention(two_classes([0.9]), [0], target_risk=1.0)


def test_a_prediction_decides_or_abstains():
    members = np.stack([two_classes([0.9, 0.3, 0.6])] * 2)
    prediction = summarize(members)
    np.testing.assert_array_equal(prediction.decide(0.35), [0, 1, -1])
    np.testing.assert_array_equal(prediction.decide(1.0), [0, 1, 0])
    with_file = replace(prediction, abstention=0.35)
    np.testing.assert_array_equal(with_file.decide(), [0, 1, -1])
    np.testing.assert_array_equal(with_file.decide(0.0), [-1, -1, -1])  # 0 is a threshold, too
    half = summarize(np.stack([two_classes([0.5])] * 2))
    np.testing.assert_array_equal(half.decide(0.5), [0])  # above, not at, the threshold
    with pytest.raises(DataError, match="no threshold to abstain by: give one, or calibrate"):
        prediction.decide()


def test_the_class_axis_may_stand_anywhere_and_regression_decides_nothing():
    members = np.moveaxis(np.stack([two_classes([0.9, 0.3, 0.6]).reshape(1, 3, 2)] * 2), -1, 2)
    np.testing.assert_array_equal(summarize(members, axis=2).decide(0.2), [[0, -1, -1]])
    np.testing.assert_array_equal(summarize(members, axis=2).decide(0.5), [[0, 1, 0]])
    with pytest.raises(DataError, match="only a classifier decides for a class; the task is reg"):
        summarize_regression(np.zeros((2, 3))).decide(0.5)
