"""Codes that members share, digit by digit, as the blocks of a file (S8).

Between the codes of a tensor and the writer: splits codes into digits, lets container.metadata
choose the levels and container.host find who shares, and packs the streams of every block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgeens.container.bits import pack_ragged
from edgeens.container.host import clusters
from edgeens.container.layout import pattern_bits
from edgeens.container.metadata import allowed_levels, choose_levels, level_costs, runs
from edgeens.container.patterns import pattern_fields

Codes = NDArray[np.int8]
Counts = NDArray[np.intp]

# Codes worked on at once: enough to hide NumPy's cost a call, few enough to stay in cache.
_BATCH = 1 << 20


@cache
def digit_tables(digits: str) -> tuple[Codes, Codes, Codes]:
    """The digits a, b, c of every code, indexed by the code's byte (two's complement).

    Balanced (METHODS: code = 85a + 17b + c): rounding to the nearest, without ties since 17 and 5
    are odd; -128 has none and gets those of no code. Planes (64a + 16b + c): floor.
    """
    codes = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int16)
    if digits == "planes":
        parts = (codes >> 6, codes >> 4 & 3, codes & 15)
    else:
        fine = (codes + 8) // 17
        coarse = (fine + 2) // 5
        parts = (coarse, fine - 5 * coarse, codes - 17 * fine)
    a, b, c = (part.astype(np.int8) for part in parts)
    return a, b, c


@dataclass(frozen=True, eq=False)
class Level:
    """One level of shared digits of several blocks.

    Attributes:
        counts: positions in each block that have the level, shape (blocks,).
        strings: their patterns, shape (K, sum of counts).
        digits: the digit of each cluster, in the order of the file.
        digit_counts: digits in each block, shape (blocks,).
    """

    counts: Counts
    strings: NDArray[np.uint8]
    digits: Codes
    digit_counts: Counts


@dataclass(frozen=True, eq=False)
class SharedBlocks:
    """Blocks of equal length, split but not yet packed.

    Attributes:
        members: K.
        kind: "balanced" or "planes".
        levels: L of each position, shape (blocks, positions).
        runs: of each block.
        bases: digit a of the positions with L >= 1, shape (K, count).
        base_counts: such positions in each block, shape (blocks,).
        fours, eights: the levels 4 and 8.
    """

    members: int
    kind: str
    levels: NDArray[np.uint8]
    runs: list[NDArray[np.uint16]]
    bases: Codes
    base_counts: Counts
    fours: Level
    eights: Level

    def sizes(self) -> Counts:
        """Bytes of each block, without packing it."""
        wide, narrow = _widths(self.kind)
        pattern = pattern_bits(self.members)
        streams = (
            self.fours.counts * pattern,
            self.eights.counts * pattern,
            self.base_counts * 2 * self.members,
            self.fours.digit_counts * narrow,
            self.eights.digit_counts * wide,
        )
        total = np.array([6 + 2 * len(run) for run in self.runs], np.intp)
        for stream in streams:
            total += -(-stream // 8)
        return total

    def pack(self) -> list[bytes]:
        """The bytes of each block."""
        wide, narrow = _widths(self.kind)
        pattern = pattern_bits(self.members)
        base, four, eight = (1, 2, 8) if self.kind == "balanced" else (2, 0, 0)
        bases = (self.bases.T.ravel() + np.int8(base)).view(np.uint8)
        streams = [
            pack_ragged(pattern_fields(self.fours.strings), self.fours.counts, pattern),
            pack_ragged(pattern_fields(self.eights.strings), self.eights.counts, pattern),
            pack_ragged(bases, self.base_counts * self.members, 2),
            pack_ragged(_fields(self.fours.digits, four), self.fours.digit_counts, narrow),
            pack_ragged(_fields(self.eights.digits, eight), self.eights.digit_counts, wide),
        ]
        blocks = []
        for block, run in enumerate(self.runs):
            parts = [stream[block] for stream in streams]
            head = [len(run).to_bytes(2, "little"), run.tobytes()]
            head.append(len(parts[3]).to_bytes(4, "little"))
            blocks.append(b"".join(head + [part.tobytes() for part in parts]))
        return blocks


def split(codes: Codes, positions: int, digits: str) -> Iterator[SharedBlocks]:
    """Cut a tensor's codes, shape (K, E), into blocks of *positions*, a batch of them at a time.

    The last block, if it is shorter, comes alone.
    """
    members, elements = codes.shape
    whole = elements // positions
    batch = max(1, _BATCH // (members * positions))
    for block in range(0, whole, batch):
        last = min(block + batch, whole)
        yield _split(codes[:, block * positions : last * positions], positions, digits)
    if elements > whole * positions:
        rest = codes[:, whole * positions :]
        yield _split(rest, rest.shape[1], digits)


def _split(codes: Codes, positions: int, digits: str) -> SharedBlocks:
    members = len(codes)
    index = np.ascontiguousarray(codes).view(np.uint8)
    a, b, c = (table[index] for table in digit_tables(digits))
    allowed = allowed_levels(a, b, c, digits).reshape(-1, positions)
    levels = choose_levels(allowed, level_costs(members, digits))
    return SharedBlocks(
        members=members,
        kind=digits,
        levels=levels,
        runs=[runs(row) for row in levels],
        bases=_select(a, levels >= 1),
        base_counts=(levels >= 1).sum(axis=1),
        fours=_level(b, levels >= 2),
        eights=_level(c, levels >= 3),
    )


def _level(digits: Codes, present: NDArray[np.bool_]) -> Level:
    counts = present.sum(axis=1)
    chosen = _select(digits, present)
    strings, clusters_at, of_clusters = clusters(chosen)
    before = np.concatenate([[0], np.cumsum(clusters_at, dtype=np.intp)])
    ends = before[np.cumsum(counts)]
    return Level(counts, strings, of_clusters, np.diff(ends, prepend=0))


def _select(digits: Codes, present: NDArray[np.bool_]) -> Codes:
    return digits if present.all() else digits[:, present.ravel()]


def _fields(digits: Codes, offset: int) -> NDArray[np.uint8]:
    return (digits + np.int8(offset)).view(np.uint8)


def _widths(kind: str) -> tuple[int, int]:
    """Bits of a level-8 and of a level-4 digit."""
    return (5, 3) if kind == "balanced" else (4, 2)
