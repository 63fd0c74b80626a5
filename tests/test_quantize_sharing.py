"""Bits sharing against a literal transcription of Algorithm 1 with its errata."""

from __future__ import annotations

import itertools
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeens.coded import CodedEnsemble, CodedTensor, Grid
from edgeens.errors import DataError
from edgeens.quantize.digits import split_balanced
from edgeens.quantize.sharing import (
    auto_lambda,
    drop_level8,
    share_bits,
    share_codes,
    share_digits,
)

LAMBDAS = st.one_of(st.sampled_from([n + 0.5 for n in range(20)]), st.floats(0, 20))
MEMBERS = st.integers(2, 16)


def half_away_from_zero(total, count):
    return int((Decimal(total) / Decimal(count)).quantize(Decimal(1), ROUND_HALF_UP))


def algorithm_1(eps, lam):
    """The paper's lines, with the four errata and the mean rounded to the digits."""
    k = len(eps)
    cluster = [0] * k  # 1
    counter, buffer, milestone = 0, 0, 0  # 2
    index = sorted(range(k), key=lambda i: eps[i])  # 3
    ordered = [eps[i] for i in index]
    delta = [ordered[i + 1] - ordered[i] for i in range(k - 1)]  # 4: K - 1 gaps
    p = [1 if gap > lam else 0 for gap in delta] + [1]  # 5, 6
    for i in range(k):  # 7
        buffer += ordered[i]  # 8: the sorted value
        counter += 1  # 9
        if p[i] == 1:  # 10
            average = half_away_from_zero(buffer, counter)  # 11
            for j in range(milestone, i + 1):  # 12
                cluster[j] = average
            milestone = i + 1  # 13
            buffer = counter = 0  # 14: the counter too
    result = [0] * k  # 17: map back
    for place, i in enumerate(index):
        result[i] = cluster[place]
    return result


def literal_digits(digits, lam):
    columns = digits.reshape(len(digits), -1).T.tolist()
    shared = np.array([algorithm_1(column, lam) for column in columns], np.int8)
    return shared.reshape(-1, len(digits)).T.reshape(digits.shape)


def literal_codes(codes, lambda4, lambda8):
    a, b, _ = (digit.astype(int) for digit in split_balanced(codes))
    b = literal_digits(b, lambda4).astype(int)
    c = np.clip(codes.astype(int) - 85 * a - 17 * b, -8, 8)
    return (85 * a + 17 * b + literal_digits(c, lambda8)).astype(np.int8)


def digit_arrays(widest):
    return MEMBERS.flatmap(
        lambda k: hnp.arrays(np.int8, (k, 9), elements=st.integers(-widest, widest))
    )


def code_arrays():
    return digit_arrays(127)


def bell(*shape, seed=0, sigma=28):
    draw = np.random.default_rng(seed).standard_normal(shape) * sigma
    return np.clip(np.rint(draw), -127, 127).astype(np.int8)


@settings(max_examples=300, deadline=None)
@given(digits=st.one_of(digit_arrays(2), digit_arrays(8), digit_arrays(127)), lam=LAMBDAS)
def test_sharing_digits_is_algorithm_1(digits, lam):
    assert np.array_equal(share_digits(digits, lam), literal_digits(digits, lam))


@settings(max_examples=300, deadline=None)
@given(codes=code_arrays(), lambda4=LAMBDAS, lambda8=LAMBDAS)
def test_sharing_codes_is_algorithm_1_on_b_and_then_on_what_b_leaves(codes, lambda4, lambda8):
    shared = share_codes(codes, lambda4=lambda4, lambda8=lambda8)
    assert np.array_equal(shared, literal_codes(codes, lambda4, lambda8))


@pytest.mark.parametrize(("members", "widest"), [(2, 8), (3, 8), (2, 2), (4, 2), (5, 2), (6, 2)])
def test_every_tuple_of_digits_is_shared_as_algorithm_1_does(members, widest):
    levels = range(-widest, widest + 1)
    tuples = np.array(list(itertools.product(levels, repeat=members)), np.int8).T
    for lam in (1, 1.5, widest / 2 + 0.5, 2.0 * widest):
        assert np.array_equal(share_digits(tuples, lam), literal_digits(tuples, lam))


@pytest.mark.parametrize("members", range(2, 17))
def test_many_positions_are_shared_as_few_are(members, monkeypatch):
    codes = bell(members, 33_000 // members, seed=members)
    expected = literal_codes(codes, 1.5, 4.5)
    for chunk in (1 << 15, 1000):
        monkeypatch.setattr("edgeens.quantize.runs._CHUNK", chunk)
        # Never, as usual, and always by table where there may be one.
        for entries in (float("inf"), 1 / 8, 0):
            monkeypatch.setattr("edgeens.quantize.runs._POSITIONS_PER_ENTRY", entries)
            shared = share_codes(codes, lambda4=1.5, lambda8=4.5)
            assert np.array_equal(shared, expected)


@settings(deadline=None)
@given(codes=code_arrays(), lam=st.floats(0, 1, exclude_max=True))
def test_below_a_lambda_of_1_sharing_loses_nothing(codes, lam):
    assert np.array_equal(share_codes(codes, lambda4=lam, lambda8=lam), codes)
    assert np.array_equal(share_digits(codes, lam), codes)


@settings(deadline=None)
@given(codes=code_arrays(), lambda4=LAMBDAS, lambda8=LAMBDAS)
def test_shared_codes_keep_their_bases_and_stay_shared(codes, lambda4, lambda8):
    shared = share_codes(codes, lambda4=lambda4, lambda8=lambda8)
    a, b, c = split_balanced(shared)
    assert np.array_equal(a, split_balanced(codes)[0])
    assert np.array_equal(b, literal_digits(split_balanced(codes)[1], lambda4))
    assert np.array_equal(c, share_digits(c, lambda8))
    again = share_codes(shared, lambda4=lambda4, lambda8=lambda8)
    assert np.array_equal(again, shared)


def test_c_makes_up_for_what_sharing_b_lost():
    codes = np.array([[8], [10], [10]], np.int8)  # b = 0, 1, 1 and c = 8, -7, -7
    assert [digit.ravel().tolist() for digit in split_balanced(codes)[1:]] == [
        [0, 1, 1],
        [8, -7, -7],
    ]
    # b becomes 1 for all, so c is taken again as -9 (clamped to -8), -7, -7.
    assert share_codes(codes, lambda4=1.5, lambda8=0.5).ravel().tolist() == [9, 10, 10]


def test_means_round_half_away_from_zero():
    digits = np.array([[0, 0, 1, -2, -1], [1, -1, 2, -1, 2]], np.int8)
    assert share_digits(digits, 9).tolist() == [[1, -1, 2, -2, 1]] * 2


def test_runs_chain_and_a_gap_of_exactly_lambda_does_not_cut():
    digits = np.array([[-6], [0], [6], [8]], np.int8)
    assert share_digits(digits, 6).ravel().tolist() == [2, 2, 2, 2]
    assert share_digits(digits, 5.9).ravel().tolist() == [-6, 0, 7, 7]


def test_an_infinite_lambda_joins_all_members():
    digits = np.array([[-128, 8], [127, -8]], np.int8)
    assert share_digits(digits, float("inf")).tolist() == [[-1, 0], [-1, 0]]


def test_any_layout_and_an_empty_tensor_are_shared():
    codes = bell(4, 6, 5)
    expected = share_codes(codes, lambda4=1.5, lambda8=3.5)
    strided = np.asfortranarray(codes)
    assert np.array_equal(share_codes(strided, lambda4=1.5, lambda8=3.5), expected)
    empty = np.empty((4, 0, 3), np.int8)
    assert share_codes(empty, lambda4=1.5, lambda8=3.5).shape == (4, 0, 3)
    assert share_digits(empty, 3).shape == (4, 0, 3)
    assert auto_lambda(empty, largest_error=1.0) == (0.5, 0.5)


def test_sharing_leaves_its_input_alone():
    codes = bell(4, 500)
    before = codes.copy()
    for lam in (0.5, 3.5):
        shared = share_codes(codes, lambda4=lam, lambda8=lam)
        shared[:] = 0
        digits = share_digits(codes, lam)
        digits[:] = 0
    assert np.array_equal(codes, before)


def test_dropping_the_deepest_level_leaves_the_nearest_multiple_of_17():
    codes = np.arange(-127, 128, dtype=np.int8)
    dropped = drop_level8(codes)
    assert dropped.dtype == np.int8
    assert dropped.tolist() == [17 * round(int(n) / 17) for n in codes]


def relative_error(codes, shared):
    codes = codes.astype(float)
    return float(np.sqrt(np.sum((shared - codes) ** 2) / max(np.sum(codes**2), 1)))


def tensor(name, codes, *, bits=8, method="plain"):
    return CodedTensor(name, "float32", codes, Grid(bits, np.ones(1, np.float32)), method)


def test_bits_are_shared_in_8_bit_tensors_of_all_members_only():
    exact = CodedTensor("exact", "int64", np.arange(4)[:, None])
    others = (
        exact,
        tensor("one copy", bell(1, 50)),
        tensor("narrow", bell(4, 50, sigma=2), bits=5),
    )
    wide = tensor("wide", bell(4, 50))
    coded = CodedEnsemble(4, (others[0], wide, *others[1:]))
    result = share_bits(coded, lambda4=1.5, lambda8=4.5)
    assert result.members == 4
    assert result.tensors[0] is others[0]
    assert result.tensors[2:] == others[1:]
    shared = result.tensors[1]
    assert (shared.name, shared.method, shared.digits) == ("wide", "shared", "balanced")
    assert shared.grid is wide.grid
    assert np.array_equal(shared.codes, share_codes(wide.codes, lambda4=1.5, lambda8=4.5))


@pytest.mark.parametrize(
    ("members", "method"), [(1, "plain"), (2, "shared"), (16, "shared"), (17, "plain")]
)
def test_2_to_16_members_share_and_others_are_left(members, method):
    coded = CodedEnsemble(members, (tensor("w", bell(members, 20)),))
    assert share_bits(coded).tensors[0].method == method


def test_automatic_sharing_chooses_in_each_tensor():
    close = bell(1, 300) // 2 + np.arange(4, dtype=np.int8)[:, None] % 2
    coded = CodedEnsemble(4, (tensor("far", bell(4, 300)), tensor("close", close)))
    result = share_bits(coded, largest_error=0.06)
    for before, after in zip(coded.tensors, result.tensors, strict=True):
        pair = auto_lambda(before.codes, largest_error=0.06)
        expected = share_codes(before.codes, lambda4=pair[0], lambda8=pair[1])
        assert np.array_equal(after.codes, expected)
        assert 0 < relative_error(before.codes, after.codes) <= 0.06


def test_bit_planes_are_shared_without_loss_and_hold_minus_128():
    codes = bell(4, 50)
    codes[0, 0] = -128
    (result,) = share_bits(CodedEnsemble(4, (tensor("w", codes),)), digits="planes").tensors
    assert (result.method, result.digits) == ("shared", "planes")
    assert np.array_equal(result.codes, codes)


def test_sharing_refuses_what_it_cannot_do():
    codes = bell(4, 50)
    coded = CodedEnsemble(4, (tensor("conv", codes),))
    with pytest.raises(DataError, match=r"^lambda4 and lambda8 must both be numbers or both be"):
        share_bits(coded, lambda4=1.5)
    with pytest.raises(DataError, match=r"^bit planes are shared without loss; leave lambda4"):
        share_bits(coded, lambda4=0.5, lambda8=0.5, digits="planes")
    with pytest.raises(DataError, match=r"^tensor 'conv': Lambda must be a number >= 0, not -1$"):
        share_bits(coded, lambda4=-1, lambda8=0.5)
    with pytest.raises(DataError, match=r"^Lambda must be a number >= 0, not nan$"):
        share_digits(codes, float("nan"))
    for bound in (-0.1, float("nan"), float("inf")):
        with pytest.raises(DataError, match=f"^largest_error must be a number >= 0, not {bound}$"):
            auto_lambda(codes, largest_error=bound)
    for members in (1, 17):
        with pytest.raises(
            DataError, match=f"^bits are shared among 2 to 16 members, not {members}"
        ):
            share_codes(bell(members, 5), lambda4=1, lambda8=1)
    with pytest.raises(DataError, match=r"^bits are shared among codes of type int8, not int64$"):
        share_digits(codes.astype(np.int64), 1)
    codes[1, 7] = -128
    with pytest.raises(DataError, match=r"^tensor 'conv': code -128 has no balanced digits"):
        share_bits(coded, lambda4=1.5, lambda8=1.5)
