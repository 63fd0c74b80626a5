"""Residuals across the members: back to the codes, and small where members are close."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeens.container.layout import PREDICTORS
from edgeens.container.predictors import members, residuals
from edgeens.container.reference_entropy import member_codes

NAMES = ["first", "mean", "haar"]


@given(st.sampled_from(NAMES), st.integers(1, 64), st.integers(0, 2**32 - 1))
def test_any_codes_come_back(predictor, count, seed):
    codes = np.random.default_rng(seed).integers(-128, 128, (count, 5)).astype(np.int8)
    streams = residuals(codes, predictor)
    assert streams.dtype == np.int8
    assert np.array_equal(members(streams, predictor), codes)
    for position, expected in zip(streams.T.tolist(), codes.T.tolist(), strict=True):
        assert member_codes(position, PREDICTORS[predictor]) == expected


@pytest.mark.parametrize("predictor", NAMES)
def test_equal_members_leave_nothing(predictor):
    codes = np.repeat(np.arange(-128, 128).astype(np.int8)[None], 7, axis=0)
    streams = residuals(codes, predictor)
    assert np.array_equal(streams[0], codes[0])
    assert not streams[1:].any()


def test_the_streams_are_those_of_the_specification():
    codes = np.array([[10], [13], [-4], [7], [100]], np.int8)
    assert residuals(codes, "first").ravel().tolist() == [10, 3, -14, -3, 90]
    # means 10, 11.5 -> 12, 19 / 3 -> 6, 26 / 4 = 6.5 -> 7
    assert residuals(codes, "mean").ravel().tolist() == [10, 3, -16, 1, 93]
    # pairs (10, 13) and (-4, 7): d 3 and 11, l 11 and 1; then d -10, l 6; then (6, 100): d 94
    assert residuals(codes, "haar").ravel().tolist() == [53, 94, -10, 3, 11]


def test_sums_wrap_at_eight_bits():
    codes = np.array([[-128], [127]], np.int8)
    assert residuals(codes, "first").ravel().tolist() == [-128, -1]
    assert residuals(codes, "mean").ravel().tolist() == [-128, -1]
    assert residuals(codes, "haar").ravel().tolist() == [127, -1]


def test_a_mean_of_two_halves_is_rounded_up():
    for pair, expected in [((1, 2), 2), ((-1, -2), -1), ((0, -1), 0), ((-3, 0), -1)]:
        codes = np.array([*pair, 0], np.int8)[:, None]
        assert residuals(codes, "mean")[2, 0] == -expected
