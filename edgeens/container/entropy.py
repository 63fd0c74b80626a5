"""Code streams: plain, drawn and joint codes in prefix codes (S10).

Between the codes of a tensor and the writer: says how many bytes the codes take with the tables of
a Coding, and packs their blocks. container.fitting finds the best tables of one tensor,
container.tables puts those of all tensors together; container.choice compares with the other
methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import CodedTensor, Profile
from edgeens.container.blocks import TensorBlocks, block_positions
from edgeens.container.checksum import crc32c_each
from edgeens.container.classes import Classes
from edgeens.container.filters import Filter
from edgeens.container.host import Stream
from edgeens.container.layout import (
    BLOCK_ENTRY,
    LANE_CRC,
    STREAM_SIZE,
    TABLE_ENTRY,
)
from edgeens.container.low_bits import LowBits, low_bits_body, split_codes
from edgeens.container.predictors import residuals
from edgeens.container.prefix import PrefixCode

Codes = NDArray[np.int8]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Coding:
    """The tables of one tensor (S5.3).

    Attributes:
        classes: of its rows and columns, or None.
        sets: the prefix codes by class, shape (1, C); for joint (2, C): those of the first stream,
            and those of the others.
        filters: what foretells the codes (S5.4), for joint two; none for the coder entropy.
        low_bits: for the coder split those of each prefix code (S5.5), as in sets; else empty.
    """

    classes: Classes | None
    sets: tuple[tuple[PrefixCode, ...], ...]
    filters: tuple[Filter, ...] = ()
    low_bits: tuple[tuple[int, ...], ...] = ()

    @property
    def coder(self) -> str:
        """That of the tensor's record."""
        if self.low_bits:
            return "split"
        return "filtered" if self.filters else "entropy"

    def bodies(self) -> list[tuple[int, bytes]]:
        """Kind and body of each table, in the order of the file."""
        low_bits = [low_bits_body(self.low_bits)] if self.low_bits else []
        filters = [each.body() for each in self.filters]
        classes = [self.classes.body()] if self.classes else []
        return low_bits + filters + classes + [code.body() for codes in self.sets for code in codes]

    @property
    def table_count(self) -> int:
        """The number of tables."""
        return len(self.bodies())

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
            + int(low_bits.sizes().sum())
            for stream, words, low_bits in self.prepared(coding)
        )
        return int(blocks * each + streams)

    def prepared(self, coding: Coding) -> Iterator[tuple[Stream, NDArray[np.uint32], LowBits]]:
        """Each stream as the kernels take it, the codewords of its tables, and its low bits."""
        for number, codes in enumerate(self.residuals(coding.filters).codes):
            of_set = 1 if self.joint and number else 0
            tables = coding.sets[of_set]
            widths = np.array(coding.low_bits[of_set] if coding.low_bits else (0,), np.uint8)
            high, low_bits = split_codes(
                codes, self._at_rows(number, widths, coding.classes), self.positions
            )
            low = min(table.low for table in tables)
            values = max(table.low + table.values for table in tables) - low
            group = tables[0].group
            words = np.zeros((len(tables), values**group), np.uint32)
            for row, table in zip(words, tables, strict=True):
                start = table.low - low if group == 1 else 0
                row[start : start + len(table.lengths)] = table.words()
            yield (
                self._stream(number, high, low, values, group, coding.classes, len(tables)),
                words,
                low_bits,
            )

    def _at_rows(self, number: int, of_tables: Bytes, classes: Classes | None) -> Bytes:
        """What belongs to the table of each position of a stream; columns have no classes."""
        if classes is None or len(of_tables) == 1:
            return of_tables
        of_rows = of_tables[np.minimum(classes.of_rows[number], len(of_tables) - 1)]
        return np.repeat(of_rows, len(classes.of_columns))

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


def entropy_blocks(streams: Streams, coding: Coding) -> TensorBlocks:
    """All blocks of a tensor (S10.2, S10.3)."""
    sizes, cut = [], []
    for stream, words, low_bits in streams.prepared(coding):
        part_sizes = stream.measure(words)
        parts = stream.part_counts()
        in_parts = np.add.reduceat(part_sizes, np.cumsum(parts) - parts, dtype=np.int64)
        behind = in_parts + STREAM_SIZE * (parts - 1)
        codewords = _cut(stream.pack(words, part_sizes), behind)
        if low_bits.width:
            pairs = zip(low_bits.packed(), codewords, strict=True)
            cut.append([memoryview(b"".join(pair)) for pair in pairs])
        else:
            cut.append(codewords)
        sizes.append(low_bits.sizes() + behind)
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
