"""Code streams: plain, drawn and joint codes in prefix codes (S10).

Between the codes of a tensor and the writer: fits the tables of one tensor (a Coding), says how
many bytes it then takes, and packs its blocks. container.tables puts the tables of all tensors
together; container.choice compares with the other methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import CodedTensor, Profile
from edgeens.container.blocks import TensorBlocks, block_positions
from edgeens.container.checksum import crc32c_each
from edgeens.container.classes import Classes, classes_size, column_counts, fit_classes
from edgeens.container.filters import Filter, fit_filter, idle_filter
from edgeens.container.host import Stream
from edgeens.container.layout import (
    BLOCK_ENTRY,
    LANE_CRC,
    MAX_CLASS_TABLES,
    MAX_GROUP,
    MAX_SYMBOLS,
    MAX_TABLES,
    MAX_TABLES_SIZE,
    STREAM_SIZE,
    TABLE_ENTRY,
)
from edgeens.container.predictors import residuals
from edgeens.container.prefix import PrefixCode, fit_code

Codes = NDArray[np.int8]

# Classes cost a table each and three bits a row and column: nothing for fewer codes than these.
_CLASSES_FROM = 2048

# Numbers of tables worth trying; a microcontroller holds two at a time.
_CLASS_TABLES = {"desktop": (MAX_CLASS_TABLES, 4, 2), "mcu": (2,)}

# With one table, or one a row, a decoder takes several codes a look-up, if there are enough of them
# to make tables for that. Half the time is worth a few bytes: classes must save so much.
_SEVERAL_FROM = 1 << 15  # codes
_LONG_ROW = 64
_ROW_TABLES = (2, 4)
_ROWS_COST = 0.99  # of the bytes, for 2 tables instead of 1, and for 4 instead of 2
_COLUMNS_COST = 0.96


@dataclass(frozen=True, eq=False)
class Coding:
    """The tables of one tensor (S5.3).

    Attributes:
        classes: of its rows and columns, or None.
        sets: the prefix codes by class, shape (1, C); for joint (2, C): those of the first stream,
            and those of the others.
        filters: what foretells the codes (S5.4), for joint two; none for the coder entropy.
    """

    classes: Classes | None
    sets: tuple[tuple[PrefixCode, ...], ...]
    filters: tuple[Filter, ...] = ()

    def bodies(self) -> list[tuple[int, bytes]]:
        """Kind and body of each table, in the order of the file."""
        filters = [each.body() for each in self.filters]
        classes = [self.classes.body()] if self.classes else []
        return filters + classes + [code.body() for codes in self.sets for code in codes]

    @property
    def table_count(self) -> int:
        """The number of tables."""
        return len(self.filters) + (self.classes is not None) + sum(map(len, self.sets))

    @property
    def table_bytes(self) -> int:
        """Bytes in the table pool, the directory's entries with them."""
        return sum(TABLE_ENTRY.size + len(body) for _, body in self.bodies())


@dataclass(frozen=True, eq=False)
class Streams:
    """The code streams of one tensor, before a coding is known.

    Attributes:
        codes: of each stream, shape (streams, E).
        shape: of the tensor.
        positions: P.
        profile: of the file.
        joint: whether the streams are residuals, the first with tables of its own.
        lanes: lanes of a block.
    """

    codes: Codes
    shape: tuple[int, ...]
    positions: int
    profile: Profile
    joint: bool

    @property
    def lanes(self) -> int:
        """Lanes of a block."""
        return 0 if self.joint else len(self.codes)

    def of_set(self, number: int) -> Codes:
        """The streams that one set of tables codes."""
        if not self.joint:
            return self.codes
        return self.codes[1:] if number else self.codes[:1]

    def residuals(self, filters: tuple[Filter, ...]) -> Streams:
        """What the *filters*, one for each set of tables, leave of the streams."""
        if not filters:
            return self
        left = [
            each.residuals(self.of_set(number), self.positions)
            for number, each in enumerate(filters)
        ]
        return replace(self, codes=np.concatenate(left))

    def block_bytes(self, coding: Coding) -> int:
        """Bytes of all blocks and of their entries in the block index."""
        blocks = -(-self.codes.shape[1] // self.positions)
        each = STREAM_SIZE * len(self.codes) + LANE_CRC * self.lanes + BLOCK_ENTRY.size
        streams = sum(
            int(stream.measure(words).sum(dtype=np.int64))
            + STREAM_SIZE * int((stream.part_counts() - 1).sum())
            for stream, words in self.prepared(coding)
        )
        return int(blocks * each + streams)

    def prepared(self, coding: Coding) -> Iterator[tuple[Stream, NDArray[np.uint32]]]:
        """Each stream as the kernels take it, with the codewords of its tables."""
        for number, codes in enumerate(self.residuals(coding.filters).codes):
            tables = coding.sets[1 if self.joint and number else 0]
            low = min(table.low for table in tables)
            values = max(table.low + table.values for table in tables) - low
            group = tables[0].group
            words = np.zeros((len(tables), values**group), np.uint32)
            for row, table in zip(words, tables, strict=True):
                start = table.low - low if group == 1 else 0
                row[start : start + len(table.lengths)] = table.words()
            yield (
                self._stream(number, codes, low, values, group, coding.classes, len(tables)),
                words,
            )

    def _stream(
        self,
        number: int,
        codes: Codes,
        low: int,
        values: int,
        group: int,
        classes: Classes | None,
        tables: int,
    ) -> Stream:
        return Stream(
            codes,
            self.positions,
            self.profile,
            low,
            values,
            group,
            classes.of_rows[number] if classes else None,
            classes.of_columns if classes else None,
            tables,
        )

    def counts(
        self,
        number: int,
        group: int = 1,
        classes: Classes | None = None,
        tables: int = 1,
        within: tuple[int, int] | None = None,
    ) -> tuple[int, int, NDArray[np.int64]]:
        """Smallest code, number of values, and counts (C, A**g) of the symbols of a set.

        Low and A are those *within*, where they are given.
        """
        first = 1 if number else 0
        codes = self.of_set(number)
        low, values = within or (int(codes.min()), int(codes.max()) - int(codes.min()) + 1)
        counts = np.zeros((tables, values**group), np.int64)
        for place, row in enumerate(codes, start=first):
            stream = self._stream(place, row, low, values, group, classes, tables)
            counts += stream.count().astype(np.int64)
        return low, values, counts


def entropy_streams(
    tensor: CodedTensor, members: int, *, profile: Profile, block_codes: int | None
) -> Streams:
    """What a tensor of the coder entropy is made of; it has at least one element."""
    flat = np.ascontiguousarray(tensor.codes.reshape(len(tensor.codes), -1))
    joint = tensor.method == "joint"
    positions = block_positions(tensor, members, profile=profile, block_codes=block_codes)
    codes = residuals(flat, tensor.predictor) if joint else flat
    return Streams(codes, tensor.shape, positions, profile, joint)


def fit_coding(
    streams: Streams, *, most_tables: int = MAX_TABLES, most_bytes: int = MAX_TABLES_SIZE // 2
) -> Coding:
    """The tables with which the streams take the fewest bytes, the tables counted in.

    Args:
        streams: of one tensor.
        most_tables: that it may have, at least 1, for joint 2.
        most_bytes: that its classes may take.
    """
    filters = _fit_filters(streams)
    best, least = _fit_tables(streams, most_tables, most_bytes)
    if not filters or most_tables < 2 * len(filters):
        return best
    # What the filters leave has classes and prefix codes of its own.
    left = streams.residuals(filters)
    coding, size = _fit_tables(left, most_tables - len(filters), most_bytes)
    filtered = replace(coding, filters=filters)
    more = filtered.table_bytes - coding.table_bytes
    return filtered if size + more < least else best


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
    """Classes and prefix codes with which the streams take the fewest bytes, and these bytes."""
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
        for tables in _ROW_TABLES:
            for found in with_classes(row, tables, by_row=True):
                best = _cheaper(best, found, _ROWS_COST)
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


def entropy_blocks(streams: Streams, coding: Coding) -> TensorBlocks:
    """All blocks of a tensor (S10.2, S10.3)."""
    sizes, cut = [], []
    for stream, words in streams.prepared(coding):
        part_sizes = stream.measure(words)
        parts = stream.part_counts()
        in_parts = np.add.reduceat(part_sizes, np.cumsum(parts) - parts, dtype=np.int64)
        sizes.append(in_parts + STREAM_SIZE * (parts - 1))
        cut.append(_cut(stream.pack(words, part_sizes), sizes[-1]))
    commons = _common_parts(cut, np.array(sizes), joint=streams.joint)
    pieces: list[bytes | memoryview] = []
    for common, *of_block in zip(commons, *cut, strict=True):
        pieces += [common, *of_block]
    if streams.joint:
        crcs = crc32c_each([b"".join(block) for block in zip(commons, *cut, strict=True)])
    else:
        crcs = crc32c_each(commons)
    totals = np.sum(sizes, axis=0) + np.array([len(common) for common in commons], np.int64)
    return TensorBlocks(streams.positions, pieces, totals, crcs)


def _cut(packed: NDArray[np.uint8], sizes: NDArray[np.int64]) -> list[memoryview]:
    """The code stream of each block."""
    data = packed.data
    ends = np.cumsum(sizes).tolist()
    return [data[end - size : end] for end, size in zip(ends, sizes.tolist(), strict=True)]


def _common_parts(
    cut: list[list[memoryview]], sizes: NDArray[np.int64], *, joint: bool
) -> list[bytes]:
    """What stands before the streams of each block: their sizes, and for lanes their CRCs."""
    fields = sizes.T[:, :, None].astype("<u4")
    if not joint:
        crcs = np.stack([crc32c_each(lanes) for lanes in cut], axis=1)
        fields = np.concatenate([fields, crcs[:, :, None].astype("<u4")], axis=2)
    return [block.tobytes() for block in fields]
