"""Digits of an 8-bit code: the balanced 2/3/5 digits and the 2/2/4 bit planes.

Bits sharing works on these digits. They are taken from integers: the nested float rounding of
Bits-Ensemble Eq. 1-4 gives other digits on ties, while 17 and 5 are odd, so integers have none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeens.errors import DataError

Codes = NDArray[np.int8]
Split = tuple[Codes, Codes, Codes]

# Codes that one step looks up: NumPy widens an index to 8 bytes, so a big tensor goes in chunks.
_CHUNK = 1 << 16


def _by_code(digit: NDArray[np.int64]) -> Codes:
    """A table of 256 entries for the codes -128..127, in the order of their bytes as uint8."""
    return np.roll(digit, -128).astype(np.int8)


_CODES = np.arange(-128, 128)
_LEVEL4 = (_CODES + 8) // 17  # round(n / 17): 15 levels, the paper's 4-bit code
_BASE = (_LEVEL4 + 2) // 5  # round(level4 / 5)
_BALANCED = (_by_code(_BASE), _by_code(_LEVEL4 - 5 * _BASE), _by_code(_CODES - 17 * _LEVEL4))
_PLANES = (_by_code(_CODES >> 6), _by_code((_CODES >> 4) & 3), _by_code(_CODES & 15))


def split_balanced(codes: Codes) -> Split:
    """Digits (a, b, c) with n = 85 a + 17 b + c: Bits-Ensemble's q2, eps4 and eps8.

    Args:
        codes: int8, any shape, -127 to 127.

    Returns:
        Three int8 arrays of that shape: a in -1..1, b in -2..2, c in -8..8. 3 * 5 * 17 = 255, so
        each code has its own digits and any three digits make a code.

    Raises:
        DataError: a code is -128, which has no balanced digits, or *codes* is not int8.
    """
    if codes.size and codes.min() == -128:
        raise DataError(
            "code -128 has no balanced digits; use a symmetric grid, whose codes are -127 to 127, "
            "or bit planes"
        )
    return _look_up(_BALANCED, codes)


def join_balanced(a: Codes, b: Codes, c: Codes) -> Codes:
    """Codes 85 a + 17 b + c, int8, of balanced digits in their alphabets."""
    return 85 * a + 17 * b + c  # every partial sum fits int8: 85, 85 + 34, 119 + 8


def split_planes(codes: Codes) -> Split:
    """Bit planes (a, b, c) with n = 64 a + 16 b + c, rounded down at each level.

    Args:
        codes: int8, any shape.

    Returns:
        Three int8 arrays of that shape: a in -2..1, b in 0..3, c in 0..15.

    Raises:
        DataError: *codes* is not int8.
    """
    return _look_up(_PLANES, codes)


def join_planes(a: Codes, b: Codes, c: Codes) -> Codes:
    """Codes 64 a + 16 b + c, int8, of bit planes in their alphabets."""
    return 64 * a + 16 * b + c  # every partial sum fits int8: -128..64, -128..112, -128..127


def _look_up(tables: Split, codes: Codes) -> Split:
    """The entry of each table for each code."""
    if codes.dtype != np.int8:
        raise DataError(f"digits are taken from codes of type int8, not {codes.dtype}")
    index = np.ascontiguousarray(codes).reshape(-1).view(np.uint8)
    digits = tuple(np.empty(index.size, np.int8) for _ in tables)
    for start in range(0, index.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        for table, digit in zip(tables, digits, strict=True):
            # "clip" never clips a uint8 index; it spares the copy that "raise" makes.
            np.take(table, index[part], out=digit[part], mode="clip")
    a, b, c = (digit.reshape(codes.shape) for digit in digits)
    return a, b, c
