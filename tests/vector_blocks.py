"""Blocks that are wrong inside: refused vectors that open, and fail when they are decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from edgeens.container.bits import pack
from edgeens.container.checksum import crc32c
from edgeens.container.layout import Status
from tests.damage import Draft
from tests.vector_records import BALANCED, DRAWN, EXACT, FLAGS, PLAIN, PLANES

CONTENT, CHECKSUM = Status.BLOCK_CONTENT, Status.BLOCK_CHECKSUM


def shared_block(
    *,
    runs: Sequence[tuple[int, int]] = ((3, 10),),
    fours: Sequence[int] = (1,) * 10,
    eights: Sequence[int] = (1,) * 10,
    bases: Sequence[int] = (1,) * 30,
    four_digits: Sequence[int] = (2, 1) * 10,
    eight_digits: Sequence[int] = (8, 3) * 10,
    pattern_width: int = 3,
    widths: tuple[int, int] = (3, 5),
    size4: int | None = None,
    run_count: int | None = None,
) -> bytes:
    """The block that the fields make: 10 positions, 3 members in the pattern 001 by default."""
    parts = [
        _stream(fours, pattern_width),
        _stream(eights, pattern_width),
        _stream(bases, 2),
        _stream(four_digits, widths[0]),
        _stream(eight_digits, widths[1]),
    ]
    count = len(runs) if run_count is None else run_count
    head = struct.pack("<H", count)
    head += b"".join(struct.pack("<H", (length - 1) << 2 | level) for level, length in runs)
    return head + struct.pack("<I", len(parts[3]) if size4 is None else size4) + b"".join(parts)


def _stream(fields: Sequence[int], width: int) -> bytes:
    return pack(np.array(fields, np.uint64), width).tobytes()


Edit = Callable[[Draft], Any]
Row = tuple[str, Status, str, Edit, int]


def block_faults() -> Iterator[Row]:
    """Name, status, what is wrong, what is done to the base of vector_faults, and its tensor."""
    for name, detail, fields in SHARED:
        yield name, CONTENT, detail, put(BALANCED, shared_block(**fields)), BALANCED
    for name, detail, fields in IN_PLANES:
        block = shared_block(**fields, widths=(2, 4))
        yield name, CONTENT, detail, put(PLANES, block), PLANES
    for name, what, offset, bit in SPARE:
        block = bytearray(shared_block())
        block[offset] |= bit
        yield name, CONTENT, f"an unused bit behind {what}", put(BALANCED, bytes(block)), BALANCED
    for name, detail, tensor, offset, change in LANES:
        yield name, CONTENT, detail, sealed(tensor, offset, change), tensor
    for name, detail, tensor, block_number, offset in FLIPPED:
        yield name, CHECKSUM, detail, flipped(tensor, block_number, offset), tensor
    yield "crc_index", CHECKSUM, "a checksum in the index", restated, PLAIN


def put(tensor: int, block: bytes) -> Edit:
    return lambda draft: draft.tensors[tensor].blocks.__setitem__(0, block)


def sealed(tensor: int, offset: int, change: Callable[[int], int]) -> Edit:
    """Change a byte of the first block and make the checksums right again."""

    def edit(draft: Draft) -> None:
        blocks = draft.tensors[tensor].blocks
        block = bytearray(blocks[0])
        block[offset] = change(block[offset])
        blocks[0] = bytes(block)
        draft.tensors[tensor].seal_lanes(0)

    return edit


def flipped(tensor: int, block: int, offset: int) -> Edit:
    """Flip a bit of a block and leave the checksums as they were."""

    def edit(draft: Draft) -> None:
        each = draft.tensors[tensor]
        each.crcs[block] = crc32c(each.common(each.blocks[block]))
        data = bytearray(each.blocks[block])
        data[offset] ^= 1
        each.blocks[block] = bytes(data)

    return edit


def restated(draft: Draft) -> None:
    draft.tensors[PLAIN].crcs[1] = 7


def growth_fault(good: bytes) -> bytes:
    """A file of five members whose last pattern is 0000 2: the new cluster must be 1.

    The digits are as many as for three clusters; the last one being 0, they also are the bytes
    that two clusters would have. So only the pattern is wrong.
    """
    draft = Draft.take_apart(good)
    draft.keep([0])
    fours = (0,) * 63 + (0 | 2 << 4,)
    draft.tensors[0].blocks[0] = shared_block(
        runs=((3, 64),),
        pattern_width=7,
        fours=fours,
        eights=(0,) * 64,
        bases=(1,) * 64 * 5,
        four_digits=(*(2,) * 65, 0),
        eight_digits=(8,) * 64,
    )
    return draft.build()


LAST = (1,) * 9

SHARED: list[tuple[str, str, dict[str, Any]]] = [
    ("pattern_4_5", "a level-4 pattern behind the list", {"fours": (*LAST, 5)}),
    ("pattern_8_7", "a level-8 pattern behind the list", {"eights": (7, *LAST)}),
    ("patterns_less", "level-4 patterns that are missing", {"fours": LAST[:5]}),
    ("base_3", "a base digit out of its alphabet", {"bases": (1,) * 29 + (3,)}),
    ("bases_less", "bases that are missing", {"bases": (1,) * 26}),
    ("digit_4_5", "a level-4 digit out of its alphabet", {"four_digits": (2, 5) * 10}),
    ("digit_8_17", "a level-8 digit out of its alphabet", {"eight_digits": (17, 0) * 10}),
    ("digit_8_31", "a level-8 digit of all ones", {"eight_digits": (0, 31) * 10}),
    ("runs_none", "no runs", {"runs": ()}),
    ("runs_short", "runs of nine positions", {"runs": ((3, 9),)}),
    ("runs_long", "runs of eleven positions", {"runs": ((3, 11),)}),
    ("runs_longest", "a run of 16 384 positions", {"runs": ((3, 16384),)}),
    ("runs_more", "a run behind the last position", {"runs": ((3, 10), (0, 1))}),
    ("runs_beyond", "more runs than the block has bytes", {"run_count": 65535}),
    ("runs_missing", "a run made of the size that follows", {"run_count": 2}),
    ("size4_small", "a byte of level 4 counted with level 8", {"size4": 7}),
    ("size4_large", "a byte of level 8 counted with level 4", {"size4": 9}),
    ("size4_huge", "level 4 beyond the block", {"size4": 2**32 - 1}),
    ("digits_4_more", "a level-4 digit of no cluster", {"four_digits": (2, 1) * 12}),
    (
        "digits_4_none",
        "a byte of level 4 where no position has that level",
        {"runs": ((1, 10),), "fours": (), "eights": (), "four_digits": (0,), "eight_digits": ()},
    ),
    (
        "digits_8_none",
        "a byte of level 8 where no position has that level",
        {"runs": ((1, 10),), "fours": (), "eights": (), "four_digits": (), "eight_digits": (0,)},
    ),
    ("digits_8_more", "a level-8 digit of no cluster", {"eight_digits": (8, 3) * 11}),
    ("digits_8_less", "a level-8 digit that is missing", {"eight_digits": (8, 3) * 9}),
]

IN_PLANES: list[tuple[str, str, dict[str, Any]]] = [
    ("planes_more", "a digit of no cluster in planes", {"eight_digits": (8, 3) * 11}),
    ("planes_pattern", "a pattern behind the list in planes", {"eights": (6, *LAST)}),
]

# Bytes of the default block: runs and size4 0..7, patterns 8..11 and 12..15, bases 16..23, level-4
# digits 24..31, level-8 digits 32..44; every stream leaves bits of its last byte unused.
SPARE = [
    ("padding_patterns_4", "the level-4 patterns", 11, 0x40),
    ("padding_patterns_8", "the level-8 patterns", 15, 0x80),
    ("padding_bases", "the bases", 23, 0x10),
    ("padding_digits_4", "the level-4 digits", 31, 0x10),
    ("padding_digits_8", "the level-8 digits", 44, 0x80),
]

LANES: list[tuple[str, str, int, int, Callable[[int], int]]] = [
    ("padding_plain", "an unused bit behind the last lane", PLAIN, -1, lambda b: b | 128),
    ("padding_plain_first", "an unused bit behind a lane", PLAIN, 12 + 6, lambda b: b | 128),
    ("padding_drawn", "an unused bit behind a parent", DRAWN, -1, lambda b: b | 128),
    ("parent_low", "the parent code -8 of 7 levels", DRAWN, 4, lambda b: b & 240 | 8),
    ("bool_2", "a bool that is 2", FLAGS, 13, lambda b: 2),
    ("bool_255", "a bool that is 255", FLAGS, -1, lambda b: 255),
]

FLIPPED = [
    ("crc_common", "a lane's checksum", PLAIN, 1, 0),
    ("crc_lane", "a byte of the last lane", PLAIN, 0, -1),
    ("crc_shared", "a byte of a shared block", BALANCED, 1, -1),
    ("crc_parent", "a byte of a parent", DRAWN, 0, 5),
    ("crc_exact", "a byte of exact values", EXACT, 0, 7),
]
