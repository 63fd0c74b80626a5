"""Algorithm 1 of Bits-Ensemble on one level of digits: close digits become one, their mean.

The step that quantize.sharing repeats for each level of a code.

As implemented, with its errata: sort the K digits of a position, cut where one of the K - 1 gaps
is greater than Lambda, give each run its mean, undo the sort. The mean is rounded to the digits,
half away from zero, so that a level's alphabet can store it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgeens.errors import DataError

Codes = NDArray[np.int8]
Share = Callable[[Codes], Codes]

# Members that sharing serves: below 2 there is nothing to share, above 16 patterns cost too much.
MEMBERS = range(2, 17)
# Positions that one step works on: the temporaries of 16 members then fit a processor's cache.
_CHUNK = 1 << 15
# Digit tuples that a table may list: 17**4 at the deepest level, 5**7 at the one above.
_LARGEST_TABLE = 17**4
# A table is built by the scan, so it pays once there are enough positions to look up in it.
_POSITIONS_PER_ENTRY = 1 / 8


def share_digits(digits: Codes, lam: float) -> Codes:
    """Algorithm 1 on one level of digits.

    Args:
        digits: int8, shape (K, ...), K from 2 to 16.
        lam: Lambda >= 0, in digit units; gaps are integers, so below 1 nothing changes.

    Returns:
        int8, same shape; a run that is chained by small gaps may be (K - 1) * lam wide.

    Raises:
        DataError: K, the type of *digits* or *lam* is out of range.
    """
    flat = by_position(digits)
    widest = max(-int(digits.min()), int(digits.max())) if digits.size else 0
    share = sharer(flat.shape, widest, lam)
    shared = np.empty_like(flat)
    for part in chunks(flat.shape[1]):
        shared[:, part] = share(flat[:, part])
    return shared.reshape(digits.shape)


def by_position(codes: Codes) -> Codes:
    """Codes or digits as (K, positions), after a check of their type and K."""
    if codes.dtype != np.int8:
        raise DataError(f"bits are shared among codes of type int8, not {codes.dtype}")
    members = codes.shape[0] if codes.ndim else 0
    if members not in MEMBERS:
        raise DataError(f"bits are shared among 2 to 16 members, not {members}")
    return np.ascontiguousarray(codes).reshape(members, codes[0].size)


def chunks(positions: int) -> Iterator[slice]:
    """Slices of at most _CHUNK positions each."""
    for start in range(0, positions, _CHUNK):
        yield slice(start, min(start + _CHUNK, positions))


def sharer(shape: tuple[int, ...], widest: int, lam: float) -> Share:
    """Algorithm 1 for digits of *shape* (K, positions) in -widest..widest, in its fastest form."""
    members, positions = shape
    if not lam >= 0:
        raise DataError(f"Lambda must be a number >= 0, not {lam}")
    reach = int(min(lam, 2 * widest))  # an integer gap is greater than Lambda iff than its floor
    if reach == 0:
        return lambda digits: digits
    entries = (2 * widest + 1) ** members
    if entries <= _LARGEST_TABLE and positions >= entries * _POSITIONS_PER_ENTRY:
        table = _table(members, widest, reach)
        return lambda digits: _look_up(digits, widest, table)
    return lambda digits: _scan(digits, widest, reach)


@lru_cache(maxsize=64)
def _table(members: int, widest: int, reach: int) -> Codes:
    """The shared digits of every tuple of digits, shape (members, entries)."""
    levels = 2 * widest + 1
    tuples = np.indices((levels,) * members, dtype=np.int8).reshape(members, -1)
    return _scan(tuples - np.int8(widest), widest, reach)


def _look_up(digits: Codes, widest: int, table: Codes) -> Codes:
    """Shared digits out of a table; a tuple is a number whose first digit weighs most."""
    levels = 2 * widest + 1
    index = digits[0].astype(np.int32)
    for digit in digits[1:]:
        index *= levels
        index += digit
    index += table.shape[1] // 2  # the tuple of zeros stands in the middle
    wide = index.astype(np.intp)
    shared = np.empty_like(digits)
    for column, out in zip(table, shared, strict=True):
        # "clip" never clips here; it spares the copy that "raise" makes.
        np.take(column, wide, out=out, mode="clip")
    return shared


def _scan(digits: Codes, widest: int, reach: int) -> Codes:
    """Shared digits by two scans over the sorted digits.

    Digits are few, so they are sorted by counting: the first scan goes up through -widest..widest
    and keeps the mean of the run so far, the second goes down and spreads each run's last mean.
    """
    levels = 2 * widest + 1
    positions = digits.shape[1]
    mean = np.empty((levels, positions), np.int8)
    joins = np.empty((levels, positions), np.int8)  # -1: no run begins at this digit; 0: one does
    total = np.zeros(positions, np.int16)
    count = np.zeros(positions, np.int16)
    gap = np.zeros(positions, np.int16)  # to the last digit present
    for level, digit in enumerate(range(-widest, widest + 1)):
        held = np.add.reduce(np.equal(digits, digit).view(np.int8), axis=0, dtype=np.int8)
        absent = held == 0
        gap += 1
        goes_on = absent | (gap <= reach)
        np.negative(goes_on.view(np.int8), out=joins[level])
        gap *= absent
        total *= goes_on
        count *= goes_on
        total += np.multiply(held, digit, dtype=np.int16)
        count += held
        mean[level] = _rounded_mean(total, count)
    for level in range(levels - 2, -1, -1):
        # mean[level + 1] where it joins, else mean[level]: a select without branches
        mean[level] ^= (mean[level] ^ mean[level + 1]) & joins[level + 1]
    index = digits.astype(np.intp)
    index += widest
    index *= positions
    index += np.arange(positions)
    return mean.reshape(-1).take(index, mode="clip")


def _rounded_mean(total: NDArray[np.int16], count: NDArray[np.int16]) -> NDArray[np.float32]:
    """total / count, rounded half away from zero (0 / 0 gives 0).

    Float32 does it exactly: halves are exact, and with count <= 16 any other quotient is 1/32 or
    more away from a half, far above the rounding of a number below 256.
    """
    quotient = np.divide(total, np.maximum(count, 1), dtype=np.float32)
    quotient += np.copysign(np.float32(0.5), quotient)
    return np.trunc(quotient, out=quotient)
