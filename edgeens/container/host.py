"""The encoder's C kernels on NumPy arrays (native/host): symbols and digits counted and packed.

Under container.classes, container.entropy and container.parameters. The kernels check nothing: what
reaches them was made here, from codes that lie in the ranges stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens._host import ffi, lib
from edgeens.container.layout import PARTS, PARTS_FROM

Codes = NDArray[np.int8]
Counts = NDArray[np.uint64]
Words = NDArray[np.uint32]
Bytes = NDArray[np.uint8]

_NEVER = (1 << 32) - 1


@dataclass(frozen=True, eq=False)
class Stream:
    """The codes of one copy, how they are cut, and how they become symbols (S5.1, S10.1).

    Attributes:
        codes: shape (E,), each in low..low + values - 1.
        positions: P, of a block.
        profile: "desktop" or "mcu", which has no parts.
        low, values: the range of the codes.
        group: g; 1 with classes.
        row_classes, column_classes: of the rows of this copy and of the columns, each 0 to 7; both
            None for no classes.
        tables: C, 1 without classes.
    """

    codes: Codes
    positions: int
    profile: str
    low: int
    values: int
    group: int = 1
    row_classes: Bytes | None = None
    column_classes: Bytes | None = None
    tables: int = 1

    def part_counts(self) -> NDArray[np.int64]:
        """The number of parts in each block."""
        blocks = -(-self.codes.size // self.positions)
        lengths = np.full(blocks, self.positions, np.int64)
        lengths[-1:] -= blocks * self.positions - self.codes.size
        return np.where(lengths >= PARTS_FROM, PARTS[self.profile], 1)

    def count(self) -> Counts:
        """How often each symbol occurs, by table: shape (C, A**g)."""
        counts = np.zeros((self.tables, self.values**self.group), np.uint64)
        lib.eens_host_count(self._copy(), _pointer("uint64_t *", counts))
        return counts

    def measure(self, words: Words) -> Words:
        """Bytes of every part, with the codewords *words* of shape (C, A**g) (PrefixCode.words)."""
        sizes = np.zeros(int(self.part_counts().sum()), np.uint32)
        words = np.ascontiguousarray(words)
        lib.eens_host_measure(
            self._copy(), _pointer("uint32_t *", words), _pointer("uint32_t *", sizes)
        )
        return sizes

    def pack(self, words: Words, part_sizes: Words) -> Bytes:
        """The code streams of all blocks, one behind the other; *part_sizes* is from measure."""
        stated = int((self.part_counts() - 1).sum()) * 4
        out = np.empty(int(part_sizes.sum(dtype=np.int64)) + stated, np.uint8)
        words = np.ascontiguousarray(words)
        lib.eens_host_pack(
            self._copy(),
            _pointer("uint32_t *", words),
            _pointer("uint32_t *", part_sizes),
            _pointer("uint8_t *", out),
        )
        return out

    def _copy(self) -> Any:
        """The C struct; the arrays outlive it, for self holds them."""
        return ffi.new(
            "eens_host_copy *",
            {
                "codes": _pointer("int8_t *", self.codes),
                "elements": self.codes.size,
                "block_positions": self.positions,
                "split_from": PARTS_FROM if PARTS[self.profile] > 1 else _NEVER,
                "group": self.group,
                "low": self.low,
                "values": self.values,
                "tables": self.tables,
                "row_classes": _pointer("uint8_t *", self.row_classes),
                "column_classes": _pointer("uint8_t *", self.column_classes),
                "columns": 1 if self.column_classes is None else self.column_classes.size,
            },
        )


def magnitudes(codes: Codes, columns: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Sums of |code| of each row and of each column of *codes*, shape (R * B,), B = *columns*."""
    rows = codes.size // columns
    of_rows, of_columns = np.zeros(rows, np.uint64), np.zeros(columns, np.uint64)
    lib.eens_host_magnitudes(
        _pointer("int8_t *", codes),
        rows,
        columns,
        _pointer("uint64_t *", of_rows),
        _pointer("uint64_t *", of_columns),
    )
    return of_rows, of_columns


def count_levels(codes: Codes, row_levels: Bytes, column_levels: Bytes) -> Counts:
    """How often each code occurs, by the level of its row and column.

    Args:
        codes: shape (R * B,).
        row_levels, column_levels: shapes (R,) and (B,).

    Returns:
        Shape (row levels, column levels, 256), the code -128 first.
    """
    shape = (int(row_levels.max()) + 1, int(column_levels.max()) + 1, 256)
    counts = np.zeros(shape, np.uint64)
    lib.eens_host_count_levels(
        _pointer("int8_t *", codes),
        row_levels.size,
        column_levels.size,
        _pointer("uint8_t *", row_levels),
        _pointer("uint8_t *", column_levels),
        shape[1],
        _pointer("uint64_t *", counts),
    )
    return counts


def clusters(digits: Codes) -> tuple[Bytes, Bytes, Codes]:
    """Partition the members at every position by equality of their digits (S8).

    Args:
        digits: shape (K, n), member by member, K from 1 to 255.

    Returns:
        The restricted-growth strings, shape (K, n); the number of clusters at each position, shape
        (n,); and the digits of the clusters, position after position, shape (sum of those,).
    """
    digits = np.ascontiguousarray(digits)
    strings = np.empty(digits.shape, np.uint8)
    counts = np.empty(digits.shape[1], np.uint8)
    opening = np.empty(digits.size, np.int8)
    found = lib.eens_host_clusters(
        _pointer("int8_t *", digits),
        *digits.shape,
        _pointer("uint8_t *", strings),
        _pointer("uint8_t *", counts),
        _pointer("int8_t *", opening),
    )
    return strings, counts, opening[:found]


def _pointer(kind: str, array: NDArray[Any] | None) -> Any:
    if array is None:
        return ffi.NULL
    return ffi.cast(kind, ffi.from_buffer(array)) if array.size else ffi.NULL
