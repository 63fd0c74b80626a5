"""The table pool of a file (S5): the tables of all tensors, and who uses which.

Between container.fitting, which fits the tables of one tensor, and the writer. Equal tables stand
once; a small tensor uses tables of another where its own would not pay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeens.container.entropy import Coding, Streams
from edgeens.container.fitting import fit_coding
from edgeens.container.layout import MAX_TABLES, MAX_TABLES_SIZE, TABLE_ENTRY
from edgeens.container.prefix import PrefixCode, fit_code

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Below so many codes a table of 50 bytes or more is worth a look at the others'.
BORROWER = 1 << 14

# Tensors that may have tables of their own, so that each can have at least four of the 1024; the
# smallest of a larger number use the others', or one pair of tables that suits all of them.
MAX_OWNERS = 255


_NO_COUNTS = np.zeros(256, np.int64)


class Map(Protocol):
    """The built-in map, or that of a pool of threads: results in the order of the items."""

    def __call__(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item], /
    ) -> Iterable[_Result]:
        """Apply *function* to each of *items*."""


@dataclass
class TablePool:
    """The tables of a file, in order.

    Attributes:
        bodies: kind and body of each.
        codes: the prefix code of each, with its low bits; None for other kinds.
    """

    bodies: list[tuple[int, bytes]] = field(default_factory=list)
    codes: list[tuple[PrefixCode, int] | None] = field(default_factory=list)

    def pack(self) -> bytes:
        """Directory and bodies."""
        directory = (TABLE_ENTRY.pack(kind, bytes(3), len(body)) for kind, body in self.bodies)
        return b"".join([*directory, *(body for _, body in self.bodies)])

    def place(self, coding: Coding) -> int | None:
        """The number of the first of tables that are just those of *coding*, if there are any."""
        wanted = coding.bodies()
        for first in range(len(self.bodies) - len(wanted) + 1):
            if self.bodies[first : first + len(wanted)] == wanted:
                return first
        return None

    def add(self, coding: Coding) -> int:
        """The number of the first of *coding*'s tables, which are appended if they are new."""
        first = self.place(coding)
        if first is None:
            first = len(self.bodies)
            self.bodies += coding.bodies()
            codes = [code for codes in coding.sets for code in codes]
            low_bits = [each for of_set in coding.low_bits for each in of_set] or [0] * len(codes)
            self.codes += [None] * (coding.table_count - len(codes))
            self.codes += zip(codes, low_bits, strict=True)
        return first

    def added_bytes(self, coding: Coding) -> int:
        """Bytes that the pool grows by if *coding* is added."""
        return coding.table_bytes if self.place(coding) is None else 0

    def borrowed(self, streams: Streams) -> Coding | None:
        """The coding of fewest bits from prefix codes that are there; None if none has all codes.

        Where those have low bits, a table of these that stands beside them may have to be added.
        """
        best = None
        pairs = zip(self.codes, self.codes[1:], strict=False)
        choices = pairs if streams.joint else zip(self.codes)
        for choice in choices:
            codes = [code for code in choice if code is not None]
            if len(codes) < len(choice):
                continue
            bits = [bits_with(streams, number, *code) for number, code in enumerate(codes)]
            known = [each for each in bits if each is not None]
            if len(known) < len(bits):
                continue
            size = sum(known)
            coding = Coding(None, tuple((code,) for code, _ in codes))
            if any(low for _, low in codes):
                coding = replace(coding, low_bits=tuple((low,) for _, low in codes))
                size += 8 * self.added_bytes(coding)
            if best is None or size < best[0]:
                best = size, coding
        return best[1] if best else None


def bits_with(streams: Streams, number: int, code: PrefixCode, low_bits: int) -> int | None:
    """Bits of the streams of set *number* with *code*; None if it lacks a codeword."""
    above = replace(streams, codes=streams.codes >> low_bits)
    codes = above.of_set(number)
    if int(codes.min()) < code.low or int(codes.max()) >= code.low + code.values:
        return None
    _, _, counts = above.counts(number, code.group, within=(code.low, code.values))
    bits = code.bits(counts[0])
    return None if bits is None else bits + low_bits * codes.size


def plan_tables(
    streams: Sequence[Streams | None], *, map_: Map = map
) -> tuple[TablePool, list[tuple[int, Coding] | None]]:
    """The pool, and for each of *streams* the number of its first table and its coding.

    Args:
        streams: of each tensor in the order of the file; None for one of the coder fixed.
        map_: applies a function to many streams; the tables do not depend on it.
    """
    present = [number for number, each in enumerate(streams) if each is not None]
    order = sorted(present, key=lambda number: -_streams(streams, number).codes.size)
    owners = sorted(order[:MAX_OWNERS])
    share = max(1, len(owners))

    def fit(each: Streams) -> Coding:
        most_bytes = MAX_TABLES_SIZE // (2 * share)
        return fit_coding(each, most_tables=(MAX_TABLES - 2) // share, most_bytes=most_bytes)

    own = dict(zip(owners, map_(fit, [_streams(streams, n) for n in owners]), strict=True))
    pool = TablePool()
    planned: list[tuple[int, Coding] | None] = [None] * len(streams)
    small = [number for number in owners if _streams(streams, number).codes.size < BORROWER]
    for number in owners:
        if number not in small:
            planned[number] = pool.add(own[number]), own[number]
    for number in small:
        coding = _smaller(pool, _streams(streams, number), own[number])
        planned[number] = pool.add(coding), coding
    rest = [number for number in present if number not in own]
    if rest:
        pool.add(_for_all([_streams(streams, number) for number in rest]))
    for number in rest:
        borrowed = pool.borrowed(_streams(streams, number))
        assert borrowed is not None  # the last pair has every code
        planned[number] = pool.add(borrowed), borrowed
    return pool, planned


def _streams(streams: Sequence[Streams | None], number: int) -> Streams:
    each = streams[number]
    assert each is not None
    return each


def _smaller(pool: TablePool, streams: Streams, own: Coding) -> Coding:
    """Its own tables or those of another, whatever takes fewer bytes."""
    borrowed = pool.borrowed(streams)
    if borrowed is None:
        return own
    return min((borrowed, own), key=lambda each: streams.block_bytes(each) + pool.added_bytes(each))


def _for_all(streams: list[Streams]) -> Coding:
    """Two tables for many tensors: one for their first streams, one for all other streams."""
    firsts = sum((_all_counts(each, 0) for each in streams), _NO_COUNTS)
    others = sum((_all_counts(each, 1) for each in streams if each.joint), firsts)
    codes = (
        fit_code(counts, group=1, low=-128, values=256, profile=streams[0].profile)
        for counts in (firsts, others)
    )
    return Coding(None, tuple((code,) for code in codes))


def _all_counts(streams: Streams, number: int) -> NDArray[np.int64]:
    """How often each code from -128 on occurs in a set."""
    _, _, counts = streams.counts(number, within=(-128, 256))
    of_table: NDArray[np.int64] = counts[0]
    return of_table
