"""The search for the Lambdas of bits sharing, and the paper's count of what sharing saves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeens.errors import DataError
from edgeens.quantize.digits import join_balanced, split_balanced
from edgeens.quantize.sharing import auto_lambda, drop_level8, saved_bits, share_codes


def bell(*shape, seed=0, sigma=28):
    draw = np.random.default_rng(seed).standard_normal(shape) * sigma
    return np.clip(np.rint(draw), -127, 127).astype(np.int8)


def relative_error(codes, shared):
    codes = codes.astype(float)
    return float(np.sqrt(np.sum((shared - codes) ** 2) / max(np.sum(codes**2), 1)))


def residual_bits(codes):
    _, b, c = split_balanced(codes.reshape(len(codes), -1))
    return sum(
        width * len(set(column)) for width, digit in ((3, b), (5, c)) for column in digit.T.tolist()
    )


def best_within(codes, largest_error):
    """Fewest residual bits of all pairs of Lambdas, by trying them all."""
    pairs = {}
    for lambda4, lambda8 in itertools.product(np.arange(0.5, 5), np.arange(0.5, 17)):
        shared = share_codes(codes, lambda4=lambda4, lambda8=lambda8)
        if relative_error(codes, shared) <= largest_error:
            pairs[lambda4, lambda8] = residual_bits(shared)
    return pairs


def code_arrays(positions):
    return st.integers(2, 16).flatmap(
        lambda k: hnp.arrays(np.int8, (k, positions), elements=st.integers(-127, 127))
    )


@settings(max_examples=25, deadline=None)
@given(codes=code_arrays(12), largest_error=st.floats(0, 1))
def test_auto_lambda_finds_the_fewest_bits_of_all_pairs_within_the_error(codes, largest_error):
    pairs = best_within(codes, largest_error)
    assert pairs[auto_lambda(codes, largest_error=largest_error)] == min(pairs.values())


@pytest.mark.parametrize("largest_error", [0.1, 0.3, 0.4, 0.5, 0.6])
def test_auto_lambda_weighs_a_b_at_3_bits_and_a_c_at_5(largest_error):
    codes = bell(4, 300)
    pairs = best_within(codes, largest_error)
    assert pairs[auto_lambda(codes, largest_error=largest_error)] == min(pairs.values())


@pytest.mark.parametrize("largest_error", [0.0, 0.01, 0.05, 0.2, 0.6, 5.0])
@pytest.mark.parametrize("members", [2, 4, 7])
def test_the_error_of_the_chosen_lambdas_is_within_the_bound(members, largest_error):
    codes = bell(members, 30, 100, seed=members)
    lambda4, lambda8 = auto_lambda(codes, largest_error=largest_error)
    shared = share_codes(codes, lambda4=lambda4, lambda8=lambda8)
    assert relative_error(codes, shared) <= largest_error
    if largest_error == 0:
        assert np.array_equal(shared, codes)
    if largest_error >= 0.05:
        assert residual_bits(shared) < residual_bits(codes)


def test_the_bound_holds_on_the_whole_tensor_when_the_sample_flatters(monkeypatch):
    monkeypatch.setattr("edgeens.quantize.sharing._SAMPLE", 101)
    codes = bell(4, 5000, sigma=4)
    sample = np.arange(101) * 5000 // 101
    codes[:, sample] = 111 + bell(4, 101, sigma=2)  # large codes, of small relative error
    lambda4, lambda8 = auto_lambda(codes[:, sample], largest_error=0.05)
    shared = share_codes(codes, lambda4=lambda4, lambda8=lambda8)
    assert relative_error(codes, shared) > 0.05
    lambda4, lambda8 = auto_lambda(codes, largest_error=0.05)
    shared = share_codes(codes, lambda4=lambda4, lambda8=lambda8)
    assert relative_error(codes, shared) <= 0.05


def test_a_sample_of_a_big_tensor_chooses_as_the_whole_does(monkeypatch):
    codes = bell(3, 70_000, seed=6)
    codes[:, :66_000] //= 8  # the last positions weigh as much as all before them
    sampled = auto_lambda(codes, largest_error=0.08)
    monkeypatch.setattr("edgeens.quantize.sharing._SAMPLE", 70_000)
    assert sampled == auto_lambda(codes, largest_error=0.08)
    assert sampled != auto_lambda(codes[:, :65_521], largest_error=0.08)


def test_saved_bits_are_counted_as_in_table_2():
    # Position 0: b = 1, 1, 1, 1 and c = 0, 0, 3, 3; position 1: four values of b, c all 1.
    b = np.array([[1, -2], [1, -1], [1, 1], [1, 2]], np.int8)
    c = np.array([[0, 1], [0, 1], [3, 1], [3, 1]], np.int8)
    saved = saved_bits(join_balanced(np.zeros_like(b), b, c))
    assert saved.level4 == pytest.approx((3 / 4 + 0) / 2)
    assert saved.level8 == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert saved.total == pytest.approx((24 + 2 * saved.level4 + 4 * saved.level8) / 32)


def test_a_dropped_level_counts_as_saved_whole():
    dropped = drop_level8(bell(4, 70_000))
    saved = saved_bits(dropped)
    assert saved.level8 == 1.0
    assert saved.total == pytest.approx((28 + 2 * saved.level4) / 32)
    assert 0 < saved.level4 < 0.75
    dropped[0, 5] += 1  # one digit that is left, in the first of several chunks
    assert saved_bits(dropped).level8 == pytest.approx(0.75, abs=1e-4)
    with pytest.raises(DataError, match=r"^a tensor without weights has no bits to save$"):
        saved_bits(np.empty((4, 0), np.int8))
