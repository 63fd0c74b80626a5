"""Digits of 8-bit codes (METHODS: n = 85a + 17b + c, and 64a + 16b + c)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgeens.errors import DataError
from edgeens.quantize.digits import join_balanced, join_planes, split_balanced, split_planes

SYMMETRIC = np.arange(-127, 128, dtype=np.int8)
ALL = np.arange(-128, 128).astype(np.int8)


def alphabets(*ends):
    tuples = itertools.product(*(range(low, high + 1) for low, high in ends))
    return [np.array(digit, np.int8) for digit in zip(*tuples, strict=True)]


def test_every_symmetric_code_survives_balanced_digits():
    assert np.array_equal(join_balanced(*split_balanced(SYMMETRIC)), SYMMETRIC)


def test_every_code_survives_bit_planes():
    assert np.array_equal(join_planes(*split_planes(ALL)), ALL)


def test_all_balanced_digits_make_all_symmetric_codes_once_and_come_back():
    digits = alphabets((-1, 1), (-2, 2), (-8, 8))
    codes = join_balanced(*digits)
    assert codes.dtype == np.int8
    assert np.array_equal(np.sort(codes), SYMMETRIC)
    for digit, back in zip(digits, split_balanced(codes), strict=True):
        assert np.array_equal(digit, back)


def test_all_bit_planes_make_all_codes_once_and_come_back():
    digits = alphabets((-2, 1), (0, 3), (0, 15))
    codes = join_planes(*digits)
    assert np.array_equal(np.sort(codes), ALL)
    for digit, back in zip(digits, split_planes(codes), strict=True):
        assert np.array_equal(digit, back)


def test_balanced_digits_are_those_of_rounding_to_nearest():
    a, b, c = split_balanced(SYMMETRIC)
    level4 = np.rint(SYMMETRIC / 17)
    assert np.array_equal(c, SYMMETRIC - 17 * level4)
    assert np.array_equal(a, np.rint(level4 / 5))
    assert np.array_equal(b, level4 - 5 * np.rint(level4 / 5))


def test_digits_keep_the_shape_and_read_any_layout_and_any_size():
    codes = np.resize(SYMMETRIC, (3, 70_001)).astype(np.int8)
    for digit, of_transposed in zip(split_balanced(codes), split_balanced(codes.T), strict=True):
        assert digit.shape == codes.shape
        assert np.array_equal(digit.T, of_transposed)
    assert np.array_equal(join_balanced(*split_balanced(codes)), codes)
    assert split_balanced(np.empty((2, 0), np.int8))[0].shape == (2, 0)


def test_minus_128_has_no_balanced_digits():
    with pytest.raises(DataError, match=r"^code -128 has no balanced digits; use a symmetric grid"):
        split_balanced(ALL)


def test_codes_of_another_type_are_refused():
    with pytest.raises(DataError, match=r"^digits are taken from codes of type int8, not int64$"):
        split_planes(np.arange(3))
    with pytest.raises(DataError, match=r"^digits are taken from codes of type int8, not float32$"):
        split_balanced(np.zeros(3, np.float32))
