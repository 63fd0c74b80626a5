"""Classes of rows and columns, each class with a prefix code of its own (S5.2).

Under container.fitting. Weights of one row or column tend to be of one size, as if each weight were
a number of unit size times its row's and its column's: so classes are steps of the logarithm of the
mean magnitude, and the class of a position is the sum of its row's and its column's. From such a
start, the classes of all rows (and columns) of one size are moved to where they cost the fewest
bits, in turn, until nothing changes.

Everything but the logarithms of code lengths is in integers, and those are rounded: the classes do
not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from edgeens.container.bits import pack
from edgeens.container.host import count_levels, magnitudes
from edgeens.container.layout import CLASSES, MAX_CLASS, ceil8

Codes = NDArray[np.int8]
Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]

_LEVELS = 8  # levels of magnitude in an octave
_STEPS = (2, 3, 4)  # levels in a class: 2**0.25, 2**0.375, 2**0.5
_QUANTILES = ((0.05, 0.05), (0.05, 0.5), (0.5, 0.05), (0.25, 0.25))  # of rows, of columns: class 0
_ROUNDS = 12
_LENGTH_UNIT = 256  # parts of a bit


@dataclass(frozen=True, eq=False)
class Classes:
    """A table of kind 2.

    Attributes:
        of_columns: class of each column, shape (B,).
        of_rows: class of each row of each copy, shape (copies, R).
    """

    of_columns: Bytes
    of_rows: Bytes

    def body(self) -> tuple[int, bytes]:
        """Kind and body of the table."""
        head = np.array([self.of_columns.size, self.of_rows.shape[1]], "<u4").tobytes()
        rows = pack(self.of_rows.reshape(-1), 3)
        return CLASSES, head + pack(self.of_columns, 3).tobytes() + rows.tobytes()


def column_counts(shape: tuple[int, ...]) -> tuple[int, ...]:
    """What the columns of a tensor can be: all but the first axis, or the last axis."""
    if len(shape) < 2:
        return ()
    return tuple(sorted({prod(shape[1:]), shape[-1]} - {0, 1}))


def classes_size(columns: int, rows: int) -> int:
    """Bytes of the body of a table of kind 2, the *rows* being those of all copies."""
    return 8 + ceil8(3 * columns) + ceil8(3 * rows)


def fit_classes(
    streams: Codes, columns: int, *, tables: int, joint: bool, by_row: bool = False
) -> Classes:
    """Classes of the *streams*, shape (copies, E), for *tables* tables a set.

    With *joint*, stream 0 has a set of tables of its own. With *by_row*, columns have no say: their
    class is 0.
    """
    of_rows, of_columns = _magnitudes(streams, columns, joint)
    if by_row:
        of_columns = np.zeros_like(of_columns)
    levels = _Levels(streams, of_rows, of_columns, joint)
    refined = [levels.refine(*start, tables) for start in levels.starts(tables)]
    best = min(refined, key=lambda each: levels.cost(each[0], each[1], tables))
    return Classes(best[1][levels.column_levels], best[0][levels.row_levels])


def _magnitudes(streams: Codes, columns: int, joint: bool) -> tuple[Integers, Integers]:
    """Levels of magnitude of the rows, shape (copies, R), and of the columns, shape (B,)."""
    of_rows, of_columns = [], np.zeros(columns, np.int64)
    totals = []
    for stream in streams:
        row_sums, column_sums = magnitudes(stream, columns)
        of_rows.append(row_sums.astype(np.int64))
        totals.append(int(row_sums.sum()) + 1)
        # Residuals are smaller than the codes that they start from, but their columns count too.
        weight = totals[0] // totals[-1] if joint else 1
        of_columns += column_sums.astype(np.int64) * max(1, weight)
    rows = np.array(of_rows)
    return (
        _levels(rows, columns) - (rows == 0),  # zeros have a level to themselves
        _levels(of_columns, streams.size // columns) - (of_columns == 0),
    )


def _levels(sums: Integers, count: int) -> Integers:
    """Floor of 8 log2 of the mean of *count* magnitudes, each with a quarter added, times 4 count.

    In exact integers: the eighth power's number of bits. A kernel's rows can be millions, whose
    sums repeat: the level of each possible sum is then worked out once.
    """
    totals = 4 * sums + count
    most = int(totals.max())
    if most < totals.size:
        return _bit_lengths(np.arange(most + 1))[totals]
    return _bit_lengths(totals.reshape(-1)).reshape(sums.shape)


def _bit_lengths(totals: Integers) -> Integers:
    """Of the eighth powers of *totals*, shape (count,)."""
    return np.array([(int(total) ** _LEVELS).bit_length() for total in totals], np.int64)


def _distinct(levels: Integers) -> tuple[Integers, Bytes]:
    """The levels that occur, in order, and for each of *levels* its place among them.

    np.unique would sort; the span of levels is small.
    """
    offsets = levels - levels.min()
    occurs = np.bincount(offsets.ravel()) > 0
    places = (np.cumsum(occurs) - 1).astype(np.uint8)
    return np.flatnonzero(occurs) + levels.min(), places[offsets]


class _Levels:
    """Codes counted by the levels of their rows and columns: all that the search looks at."""

    def __init__(
        self, streams: Codes, of_rows: Integers, of_columns: Integers, joint: bool
    ) -> None:
        """Count; *of_rows* and *of_columns* are levels of any origin."""
        self.columns, self.column_levels = _distinct(of_columns)
        # Rows of stream 0 and of the others keep apart if their tables do.
        apart = of_rows.copy()
        if joint:
            apart[1:] += 1 << 20
        rows, self.row_levels = _distinct(apart)
        self.set_of_row = (rows >> 20).astype(np.int64)
        self.rows: Integers = rows & (1 << 20) - 1
        self.sets = 2 if joint else 1
        shape = (len(self.rows), len(self.columns), 256)
        self.counts = np.zeros(shape, np.int64)
        for stream, levels in zip(streams, self.row_levels, strict=True):
            counted = count_levels(stream, levels, self.column_levels).astype(np.int64)
            self.counts[: len(counted), : counted.shape[1]] += counted
        used = np.flatnonzero(self.counts.any(axis=(0, 1)))
        self.counts = np.ascontiguousarray(self.counts[:, :, used[0] : used[-1] + 1])

    def starts(self, tables: int) -> Iterator[tuple[Bytes, Bytes]]:
        """Classes of the row levels and of the column levels to begin with.

        Where neurons died, or were pruned, all codes of a row are one: a table that has only that
        takes no bits. It can be the last, which a row that has its class reaches with any column.
        """
        last = np.uint8(tables - 1)
        dead_rows = (self.counts > 0).any(axis=1).sum(axis=1) == 1
        dead_columns = (self.counts > 0).any(axis=0).sum(axis=1) == 1
        for step, (low_row, low_column) in product(_STEPS, _QUANTILES):
            origin = np.empty(len(self.rows), np.int64)
            for each in range(self.sets):
                chosen = self.set_of_row == each
                weights = self.counts[chosen].sum(axis=(1, 2))
                origin[chosen] = _quantile(self.rows[chosen], weights, low_row)
            middle = _quantile(self.columns, self.counts.sum(axis=(0, 2)), low_column)
            rows = _steps(self.rows - origin, step, tables)
            columns = _steps(self.columns - middle, step, tables)
            yield rows, columns
            if dead_rows.any() or dead_columns.any():
                most = (tables - 2) // 2  # so that two of them leave the last table alone
                yield (
                    np.where(dead_rows, last, np.minimum(rows, most)),
                    np.where(dead_columns, last, np.minimum(columns, most)),
                )

    def _tables(self, rows: Bytes, columns: Bytes, tables: int) -> Integers:
        """The table of each row level and column level; a set's follow those of the set before."""
        sums = rows.astype(np.int64)[:, None] + columns.astype(np.int64)
        return np.minimum(sums, tables - 1) + (self.set_of_row * tables)[:, None]

    def _lengths(self, rows: Bytes, columns: Bytes, tables: int) -> tuple[Integers, Integers]:
        """Counts of the codes of each table, and what a code costs in it, in parts of a bit."""
        table_of = self._tables(rows, columns, tables)
        counts = np.stack(
            [self.counts[table_of == table].sum(axis=0) for table in range(self.sets * tables)]
        )
        total = counts.sum(axis=1, keepdims=True)
        # Half a code more of each, so that none costs infinitely many bits where it is new.
        lengths = np.log2(2 * total + counts.shape[1]) - np.log2(2 * counts + 1)
        # A codeword has a bit at least, unless there is no other.
        alone = (counts > 0) & ((counts > 0).sum(axis=1, keepdims=True) == 1)
        lengths = np.where(alone, 0, np.maximum(lengths, 1))
        return counts, np.round(_LENGTH_UNIT * lengths).astype(np.int64)

    def cost(self, rows: Bytes, columns: Bytes, tables: int) -> int:
        """Parts of bits that all codes take."""
        counts, lengths = self._lengths(rows, columns, tables)
        return int((counts * lengths).sum())

    def refine(self, rows: Bytes, columns: Bytes, tables: int) -> tuple[Bytes, Bytes]:
        """Move the levels to the classes where they cost least, the rows', then the columns'."""
        best = self.cost(rows, columns, tables)
        for _ in range(_ROUNDS):
            _, lengths = self._lengths(rows, columns, tables)
            costs = self._costs(lengths, tables)
            moved_rows = _cheapest(costs, columns, tables)
            moved_columns = columns
            if len(columns) > 1:  # a single level's class would only be added to all rows'
                moved_columns = _cheapest(costs.transpose(1, 0, 2), moved_rows, tables)
            cost = self.cost(moved_rows, moved_columns, tables)
            if cost >= best:
                break
            best, rows, columns = cost, moved_rows, moved_columns
        return rows, columns

    def _costs(self, lengths: Integers, tables: int) -> Integers:
        """What the codes of each row level and column level cost in each table of their set."""
        costs = np.empty((*self.counts.shape[:2], tables), np.int64)
        for each in range(self.sets):
            chosen = self.set_of_row == each
            costs[chosen] = self.counts[chosen] @ lengths[each * tables : (each + 1) * tables].T
        return costs


def _quantile(levels: Integers, weights: Integers, part: float) -> int:
    """The level below which at most *part* of the weight lies."""
    below = np.cumsum(weights) <= part * int(weights.sum())
    return int(levels[min(int(below.sum()), len(levels) - 1)])


def _steps(levels: Integers, step: int, tables: int) -> Bytes:
    return np.clip((2 * levels + step) // (2 * step), 0, min(MAX_CLASS, tables - 1)).astype(
        np.uint8
    )


def _cheapest(costs: Integers, others: Bytes, tables: int) -> Bytes:
    """The best class of each first index, the classes of the second index being *others*."""
    choices = np.arange(min(MAX_CLASS + 1, tables))
    at = np.minimum(choices[:, None] + others, tables - 1)
    sums = costs[:, np.arange(costs.shape[1]), at].sum(axis=2)
    best: Bytes = sums.argmin(axis=1).astype(np.uint8)
    return best
