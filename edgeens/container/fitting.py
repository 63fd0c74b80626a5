"""Which filters, classes and prefix codes store the streams of a tensor in the fewest bytes (S5.3).

Between container.entropy, which measures and packs, and container.tables and container.choice,
which ask for a coding. A decoder is much faster without classes of columns, so those must save
more than a little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from edgeens.container.classes import classes_size, column_counts, fit_classes
from edgeens.container.entropy import Coding, Streams
from edgeens.container.filters import Filter, fit_filter, idle_filter
from edgeens.container.layout import (
    MAX_CLASS_TABLES,
    MAX_GROUP,
    MAX_SYMBOLS,
    MAX_TABLES,
    MAX_TABLES_SIZE,
    MCU_TABLES,
)
from edgeens.container.prefix import PrefixCode, fit_code

Codes = NDArray[np.int8]

# Classes cost a table each and three bits a row and column: nothing for fewer codes than these.
_CLASSES_FROM = 2048

# Numbers of tables worth trying.
_CLASS_TABLES = {"desktop": (MAX_CLASS_TABLES, 4, 2), "mcu": (MCU_TABLES,)}

# With one table, or one a row, a decoder takes several codes a look-up, if there are enough of them
# to make tables for that. Half the time is worth a few bytes: classes must save so much.
_SEVERAL_FROM = 1 << 15  # codes
_LONG_ROW = 64
_ROW_TABLES = {2: 0.99, 4: 0.96}  # four do not fit beside each other in the nearest cache
_COLUMNS_COST = 0.96

# As many of the lowest bits as cost no more than this stand beside the codewords of a set, in
# tensors as large as above: a decoder finds more codes in a look-up then.
_LOW_BITS = (3, 2)  # fields of one bit gain nothing
_LOW_BITS_COST = 1.0025


def fit_coding(
    streams: Streams, *, most_tables: int = MAX_TABLES, most_bytes: int = MAX_TABLES_SIZE // 2
) -> Coding:
    """The tables with which the streams take the fewest bytes, the tables counted in.

    Or a few per cent more, where a decoder is much faster so.

    Args:
        streams: of one tensor.
        most_tables: that it may have, at least 1, for joint 2.
        most_bytes: that its classes may take.
    """
    filters = _fit_filters(streams)
    best, least = _fit_tables(streams, most_tables, most_bytes)
    if not filters or most_tables < 2 * len(filters):
        return _split(streams, best)
    # What the filters leave has classes and prefix codes of its own.
    left = streams.residuals(filters)
    coding, size = _fit_tables(left, most_tables - len(filters), most_bytes)
    filtered = replace(coding, filters=filters)
    more = filtered.table_bytes - coding.table_bytes
    if size + more < least:
        return replace(_split(left, coding), filters=filters)
    return _split(streams, best)


def _fit_filters(streams: Streams) -> tuple[Filter, ...]:
    """The best filter of each set of streams; none at all where no set has a use for one."""
    filters = [_fit_filter(streams.of_set(n), streams) for n in range(2 if streams.joint else 1)]
    if not any(filters):
        return ()
    columns = next(each.columns for each in filters if each)
    return tuple(each or idle_filter(columns) for each in filters)


def _fit_filter(codes: Codes, streams: Streams) -> Filter | None:
    """The best filter of *codes*, whose rows are those of the tensor, or all of it is one row.

    The last for a dense layer that multiplies from the left: its neighbours lie below each other.
    """
    elements = codes.shape[1]
    best, least = None, None
    for columns in (prod(streams.shape[1:]), elements):
        fitted = fit_filter(codes, columns) if len(streams.shape) > 1 else None
        if fitted:
            error = int(np.square(fitted.residuals(codes, streams.positions), dtype=np.int64).sum())
            if least is None or error < least:
                best, least = fitted, error
    return best


def _fit_tables(streams: Streams, most_tables: int, most_bytes: int) -> tuple[Coding, int]:
    """Classes and prefix codes for the streams, and the bytes of both."""
    best = _sized(streams, _without_classes(streams))
    if streams.codes.size < _CLASSES_FROM or (streams.joint and streams.profile == "mcu"):
        return best
    sets = 2 if streams.joint else 1

    def with_classes(columns: int, tables: int, *, by_row: bool) -> Iterator[tuple[Coding, int]]:
        size = classes_size(columns, streams.codes.size // columns)
        if 1 + sets * tables <= most_tables and size <= most_bytes:
            yield _sized(streams, _with_classes(streams, columns, tables, by_row=by_row))

    several = streams.profile == "desktop" and streams.codes.size >= _SEVERAL_FROM
    row = prod(streams.shape[1:])
    if several and streams.shape[1:] and row >= _LONG_ROW:
        # Parts of a row may have a class each as well, and then fewer columns have the class 0.
        lengths = [row // parts for parts in (1, 2) if row % parts == 0]
        for tables, cost in _ROW_TABLES.items():
            rows = [
                each
                for length in lengths
                if length >= _LONG_ROW
                for each in with_classes(length, tables, by_row=True)
            ]
            if rows:
                best = _cheaper(best, min(rows, key=lambda each: each[1]), cost)
    columns = product(column_counts(streams.shape), _CLASS_TABLES[streams.profile])
    free = [each for pair in columns for each in with_classes(*pair, by_row=False)]
    if free:
        smallest = min(free, key=lambda each: each[1])
        best = _cheaper(best, smallest, _COLUMNS_COST if several else 1.0)
    return best


def _sized(streams: Streams, coding: Coding) -> tuple[Coding, int]:
    """The coding, and the bytes of the streams and its tables."""
    return coding, coding.table_bytes + streams.block_bytes(coding)


def _cheaper(
    best: tuple[Coding, int], other: tuple[Coding, int], cost: float
) -> tuple[Coding, int]:
    """The other if it takes less than this part of the bytes."""
    return other if other[1] < cost * best[1] else best


def _split(streams: Streams, coding: Coding) -> Coding:
    """*coding* with low bits beside the codewords (S5.5), where they cost almost nothing.

    *streams* are what the codewords stand for: residuals, if there are filters.
    """
    classes = coding.classes
    if streams.profile != "desktop" or streams.codes.size < _SEVERAL_FROM:
        return coding
    if classes is not None and classes.of_columns.any():
        return coding
    sets = [_split_set(streams, coding, number) for number in range(len(coding.sets))]
    low_bits = tuple(widths for _, widths in sets)
    if not any(map(any, low_bits)):
        return coding
    return replace(coding, sets=tuple(codes for codes, _ in sets), low_bits=low_bits)


def _split_set(
    streams: Streams, coding: Coding, number: int
) -> tuple[tuple[PrefixCode, ...], tuple[int, ...]]:
    """The prefix codes of one set, and the low bits of each."""
    codes = coding.sets[number]
    if codes[0].group == 1:  # groups stand for few values
        low, _, counts = streams.counts(number, 1, coding.classes, len(codes))
        whole = sum(_with_low_bits(each, low, 0)[2] for each in counts)
        for width in _LOW_BITS:
            tables = [_with_low_bits(each, low, width) for each in counts]
            if sum(bits for _, _, bits in tables) <= _LOW_BITS_COST * whole:
                return tuple(code for code, _, _ in tables), tuple(used for _, used, _ in tables)
    return codes, (0,) * len(codes)


def _with_low_bits(counts: NDArray[np.int64], low: int, width: int) -> tuple[PrefixCode, int, int]:
    """The prefix code of one class above so many low bits, how many those are, and all bits.

    They are none where the class has one value, which takes no bits.
    """
    if np.count_nonzero(counts) <= 1:
        width = 0
    values = (np.arange(len(counts)) + low) >> width
    above = np.bincount(values - values[0], weights=counts).astype(np.int64)
    code = _trimmed(above, int(values[0]), "desktop")
    used = np.flatnonzero(above)
    bits = code.bits(above[used[0] : used[-1] + 1]) if len(used) else 0
    assert bits is not None  # the code is that of these counts
    return code, width, bits + width * int(counts.sum()) + 8 * len(code.body()[1])


def fit_groups(streams: Streams, number: int) -> list[PrefixCode]:
    """For a set of tables without classes, the best prefix code of each possible group."""
    codes: list[PrefixCode] = []
    for group in range(1, MAX_GROUP + 1):
        if codes and codes[0].values ** group > MAX_SYMBOLS:
            break
        low, values, counts = streams.counts(number, group)
        codes.append(
            fit_code(counts[0], group=group, low=low, values=values, profile=streams.profile)
        )
        if values == 1:
            break
    return codes


def _without_classes(streams: Streams) -> Coding:
    best = []
    for number in range(2 if streams.joint else 1):
        alone = Streams(
            streams.of_set(number), streams.shape, streams.positions, streams.profile, False
        )
        codings = [Coding(None, ((code,),)) for code in fit_groups(alone, 0)]
        best.append(min(codings, key=lambda each: each.table_bytes + alone.block_bytes(each)))
    return Coding(None, tuple(coding.sets[0] for coding in best))


def _with_classes(streams: Streams, columns: int, tables: int, *, by_row: bool = False) -> Coding:
    classes = fit_classes(streams.codes, columns, tables=tables, joint=streams.joint, by_row=by_row)
    sets = []
    for number in range(2 if streams.joint else 1):
        low, _, counts = streams.counts(number, 1, classes, tables)
        sets.append(tuple(_trimmed(of_table, low, streams.profile) for of_table in counts))
    return Coding(classes, tuple(sets))


def _trimmed(counts: NDArray[np.int64], low: int, profile: str) -> PrefixCode:
    """The prefix code of one class, over no more values than occur in it."""
    used = np.flatnonzero(counts)
    first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
    return fit_code(
        counts[first : last + 1],
        group=1,
        low=low + first,
        values=last - first + 1,
        profile=profile,
    )
