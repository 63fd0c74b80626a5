"""Means over seeds have the t-intervals of the textbook."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edgeens.intervals import estimate, t_quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 30, 301])
@pytest.mark.parametrize("probability", [0.6, 0.95, 0.975, 0.995])
def test_the_quantiles_are_those_of_scipy(degrees, probability):
    expected = stats.t.ppf(probability, degrees)
    assert t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9)


def test_an_estimate_is_the_mean_and_scipys_interval():
    values = [0.2, 0.5, 0.1, 0.45, 0.3]
    found = estimate(values)
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (found.mean, found.seeds) == (pytest.approx(np.mean(values)), 5)
    assert found.half == pytest.approx((high - low) / 2)


def test_one_seed_has_no_interval_and_equal_seeds_one_of_no_width():
    assert estimate([0.5]).half is None
    assert estimate([0.5, 0.5, 0.5]).half == 0
