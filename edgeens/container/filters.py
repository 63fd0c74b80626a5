"""Filters of rows: what foretells a code from its neighbours (S5.4, S10.4).

Under container.entropy, which codes the residuals. Where the inputs of a layer are pixels, the
weights of neighbouring ones are alike, because the images that they were trained on are smooth: a
weight is its start, noise, plus a picture. So a code is foretold from up to four codes before it in
its row by linear prediction, as images and sound are; the lags are those that the autocorrelation
of the rows names. Columns differ in how far they left their start (dead pixels not at all), so
each has one of up to eight sets of weights, found as the centres of k-means are.

All sums are exact integers, and the few divisions follow one order: a filter does not depend on the
machine.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeens.container.bits import pack
from edgeens.container.layout import (
    FILTER,
    FILTER_UNIT,
    MAX_LAG,
    SETS,
    TAPS,
)

Codes = NDArray[np.int8]
Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]

# The first tap must take so much of the variance, .006 bit a code, and each further one so much.
_FIRST_GAIN = 1 / 128
_NEXT_GAIN = 1 / 1024
_SEARCHED = 1 << 20  # codes whose autocorrelation is looked at
_FITTED = 1 << 22  # codes that weights are fitted to
_FARTHEST = 1 << 15  # lag that is looked at
_ROUNDS = 10
# Rows without which the three bits of each column's set would not come back.
_ROWS_FOR_SETS = 32


@dataclass(frozen=True, eq=False)
class Filter:
    """A table of kind 3.

    Attributes:
        columns: B.
        lags: of one to four taps, ascending.
        weights: shape (S, taps), in parts of 1 / 64; S is 1 or 8.
        of_columns: set of each column, shape (B,).
    """

    columns: int
    lags: tuple[int, ...]
    weights: NDArray[np.int8]
    of_columns: Bytes

    def body(self) -> tuple[int, bytes]:
        """Kind and body of the table."""
        rest = TAPS - len(self.lags)
        head = struct.pack(f"<I{TAPS}H", self.columns, *self.lags, *[0] * rest)
        weights = np.pad(self.weights, ((0, 0), (0, rest))).tobytes()
        sets = pack(self.of_columns, 3).tobytes() if len(self.weights) > 1 else b""
        return FILTER, head + weights + sets

    def residuals(self, streams: Codes, positions: int) -> Codes:
        """What is left of *streams*, shape (streams, E), in blocks of *positions* positions."""
        left = np.empty_like(streams)
        weights = self.weights.astype(np.int16)[self.of_columns]  # of each column, shape (B, T)
        starts = range(positions, streams.shape[1], positions)
        for stream, out in zip(streams, left, strict=True):
            rows = stream.reshape(-1, self.columns).astype(np.int16)
            sums = np.full(rows.shape, FILTER_UNIT // 2, np.int16)
            for lag, of_columns in zip(self.lags, weights.T, strict=True):
                sums[:, lag:] += of_columns[lag:] * rows[:, :-lag]
                for start in starts:
                    # Columns of this block whose neighbour lies in the same row, but in another.
                    row, column = divmod(start, self.columns)
                    end = min(column + min(lag, positions), self.columns)
                    cut = slice(max(column, lag), end)
                    if cut.start < cut.stop:
                        before = rows[row, cut.start - lag : cut.stop - lag]
                        sums[row, cut] -= of_columns[cut] * before
            out[:] = (rows - sums // FILTER_UNIT).reshape(-1).astype(np.int8)
        return left


def fit_filter(streams: Codes, columns: int) -> Filter | None:
    """A filter for *streams*, shape (streams, E), whose rows have *columns* codes.

    None if neighbours foretell next to nothing.
    """
    rows = streams.reshape(-1, columns)
    if columns < 2:
        return None
    lags = _lags(rows[:: -(-rows.size // _SEARCHED), :_SEARCHED])
    if not lags:
        return None
    if len(rows) < _ROWS_FOR_SETS:
        weights, _ = _Moments(rows[:, :_FITTED], lags, apart=False).fit(1)
        return Filter(columns, lags, weights, np.zeros(columns, np.uint8))
    moments = _Moments(rows[:: -(-rows.size // _FITTED)], lags, apart=True)
    return Filter(columns, lags, *moments.fit(SETS))


def idle_filter(columns: int) -> Filter:
    """A filter that foretells nothing, for a set of streams that has no use for one."""
    return Filter(columns, (1,), np.zeros((1, 1), np.int8), np.zeros(columns, np.uint8))


def _lags(rows: Codes) -> tuple[int, ...]:
    """The lags of the best taps, each the one that the residuals so far ask for most."""
    correlation = _autocorrelation(rows)
    total = left = float(correlation[0])
    chosen: list[int] = []
    distances = np.arange(len(correlation))
    open_ = correlation.copy()
    while len(chosen) < TAPS:
        open_[[0, *chosen]] = 0
        next_ = int(np.abs(open_).argmax())
        if open_[next_] == 0:
            break
        lags = [*chosen, next_]
        matrix = [[float(correlation[abs(a - b)]) for b in lags] for a in lags]
        weights = _solve(matrix, [float(correlation[lag]) for lag in lags])
        rest = total - sum(
            weight * float(correlation[lag]) for weight, lag in zip(weights, lags, strict=True)
        )
        if left - rest <= total * (_NEXT_GAIN if chosen else _FIRST_GAIN):
            break
        chosen, left = lags, rest
        open_ = correlation.copy()
        for weight, lag in zip(weights, lags, strict=True):
            open_ -= weight * correlation[np.abs(distances - lag)]
    return tuple(sorted(chosen))


def _autocorrelation(rows: Codes) -> NDArray[np.float64]:
    """Sums of products of codes at each distance in a row, in whole numbers; from distance 0 on."""
    columns = rows.shape[1]
    size = 1 << (2 * columns - 1).bit_length()
    power = np.zeros(size // 2 + 1)
    at_once = max(1, _SEARCHED // size)
    for first in range(0, len(rows), at_once):
        spectrum = np.fft.rfft(rows[first : first + at_once].astype(np.float64), size, axis=1)
        power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
    # At most 2**20 products of 2**14: rounding errors are far below a half.
    sums = np.rint(np.fft.irfft(power, size))
    longest: NDArray[np.float64] = sums[: min(columns, _FARTHEST, MAX_LAG + 1)]
    return longest


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """The weights w with matrix w = right, for a positive definite matrix of a few rows."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    count = len(rows)
    for i in range(count):
        if rows[i][i] <= 0:
            rows[i][i] = 1.0  # a tap that is always 0
        for j in range(i + 1, count):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i], strict=True)]
    weights = [0.0] * count
    for i in reversed(range(count)):
        known = sum(rows[i][k] * weights[k] for k in range(i + 1, count))
        weights[i] = (rows[i][count] - known) / rows[i][i]
    return weights


class _Moments:
    """Sums of products of each column's codes and of those at its taps: all that a fit needs.

    Of all columns together, as if they were one, where they are not *apart*.
    """

    def __init__(self, rows: Codes, lags: tuple[int, ...], *, apart: bool) -> None:
        columns, taps = rows.shape[1] if apart else 1, len(lags)
        codes = rows.astype(np.int32)
        shifted = [np.zeros_like(codes) for _ in lags]
        for each, lag in zip(shifted, lags, strict=True):
            each[:, lag:] = codes[:, :-lag]

        def summed(products: NDArray[np.int32]) -> Integers:
            sums: Integers = products.sum(axis=0, dtype=np.int64)
            return sums if apart else sums.sum(keepdims=True)

        self.squares = summed(codes * codes)
        self.with_code: Integers = np.empty((columns, taps), np.int64)
        self.with_tap: Integers = np.empty((columns, taps, taps), np.int64)
        for i, one in enumerate(shifted):
            self.with_code[:, i] = summed(one * codes)
            for j, other in enumerate(shifted[: i + 1]):
                self.with_tap[:, i, j] = self.with_tap[:, j, i] = summed(one * other)

    def fit(self, sets: int) -> tuple[NDArray[np.int8], Bytes]:
        """The weights of *sets* sets, shape (S, T), and the set of each column."""
        diagonal = np.einsum("bii->bi", self.with_tap)
        order = np.argsort((self.with_code / (diagonal + 1)).sum(axis=1), kind="stable")
        of_columns = np.empty(len(order), np.int64)
        for number, columns in enumerate(np.array_split(order, sets)):
            of_columns[columns] = number
        weights = np.zeros((sets, self.with_code.shape[1]), np.int64)
        for _ in range(_ROUNDS):
            for number in range(sets):
                columns = np.flatnonzero(of_columns == number)
                if columns.size:
                    weights[number] = self._best(columns)
            nearest = self._errors(weights).argmin(axis=1)
            if np.array_equal(nearest, of_columns):
                break
            of_columns = nearest
        return weights.astype(np.int8), of_columns.astype(np.uint8)

    def _best(self, columns: Integers) -> Integers:
        """The weights with the least sum of squares over *columns*, in whole parts."""
        matrix = self.with_tap[columns].sum(axis=0).tolist()
        right = self.with_code[columns].sum(axis=0).tolist()
        exact = _solve([list(map(float, row)) for row in matrix], list(map(float, right)))
        whole: Integers = np.rint(np.array(exact) * FILTER_UNIT).clip(-128, 127).astype(np.int64)
        return whole

    def _errors(self, weights: Integers) -> Integers:
        """Sums of squared residuals of each column with each set, shape (B, S), times 64**2."""
        squares = np.einsum("bij,si,sj->bs", self.with_tap, weights, weights)
        products = self.with_code @ weights.T
        errors: Integers = (
            FILTER_UNIT**2 * self.squares[:, None] - 2 * FILTER_UNIT * products + squares
        )
        return errors
