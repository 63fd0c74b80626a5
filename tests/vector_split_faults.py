"""Refused vectors of the coder split: one fault in tables, low bits or code streams.

A row is: the file's name, the fault in words, and what is done to the base, which is that of the
coder entropy.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgeens.container.layout import LOW_BITS, Status
from tests.damage import Draft
from tests.vector_entropy_faults import (
    CODES,
    DRAWN,
    JOINT,
    KIND2,
    LAST_TRIPLE,
    PAIRS,
    PLAIN,
    THREE,
    TRIPLES,
    Edit,
    base,
    base_of_parts,
    both,
    classes,
    code,
    header,
    joint,
    lanes,
    lengths,
    lies,
    pool,
    put,
    stream,
    tables,
)
from tests.vector_filtered import filter_
from tests.vector_split_blocks import packed

CONTENT, CHECKSUM = Status.BLOCK_CONTENT, Status.BLOCK_CHECKSUM


def low(*low_bits: int) -> tuple[int, bytes]:
    """A table of kind 4."""
    return LOW_BITS, bytes(low_bits)


def fields(codes: tuple[int, ...]) -> bytes:
    """The low bits, one a code."""
    return packed((each & 1, 1) for each in codes)


def split_stream(codes: tuple[int, ...]) -> bytes:
    """Codes -2 to 1 with one low bit each, the rest in the codewords of THREE."""
    return fields(codes) + stream([each >> 1 for each in codes])


FIRST, SECOND = (split_stream(each) for each in CODES)
LOW_FIRST, LOW_SECOND = (fields(each) for each in CODES)
HIGH_SECOND = SECOND[len(LOW_SECOND) :]
ONES = (1,) * 14


def _split(*bodies: bytes | tuple[int, bytes], tensor: int = PLAIN) -> Edit:
    return both(tables(*bodies, tensor=tensor), lies(0, coder=3), header(minor=3))


def _plain(block: bytes, *, seal: bool = True) -> Edit:
    return both(_split(low(1), THREE), put(0, block, seal=seal))


def _joint(block: bytes) -> Edit:
    return both(_split(low(1, 1), THREE, THREE, tensor=JOINT), put(0, block))


def split_base() -> Draft:
    """The base of the coder entropy with one low bit a code: tensors drawn, joint and plain."""
    draft = base()
    draft.tensors[DRAWN].blocks = [lanes(FIRST)]
    draft.tensors[JOINT].blocks = [joint(FIRST, SECOND)]
    draft.tensors[PLAIN].blocks = [lanes(FIRST, SECOND)]
    for number, tensor in enumerate(draft.tensors):
        first, count = (2, 3) if number == JOINT else (0, 2)
        tensor.lies.update(coder=3, first_table=first, table_count=count)
        tensor.seal_lanes(0)
    draft.tables = pool([low(1), (1, THREE), low(1, 1), (1, THREE), (1, THREE)])
    draft.lies.update(minor=3, table_count=5)
    return draft


def faults() -> Iterator[tuple[str, Status, str, bytes, str]]:
    """Name, status, what is wrong, the file, and when it is refused."""
    for name, detail, edit in RECORDS:
        yield f"split_{name}", Status.RECORD, detail, _edited(base(), edit), "open"
    for name, detail, edit in SIZES:
        yield f"split_{name}", Status.INDEX, detail, _edited(base(), edit), "open"
    for name, detail, edit in CONTENTS:
        yield f"split_{name}", CONTENT, detail, _edited(base(), edit), "verify"
    for name, detail, lane in PARTS:
        edit = both(_split(low(1), code(b"", low=0, values=1), tensor=0), put(0, lanes(lane)))
        yield f"split_{name}", CONTENT, detail, _edited(base_of_parts(), edit), "verify"
    for name, status, detail, edit in SEALS:
        yield f"split_{name}", status, detail, _edited(base(), edit), "verify"
    data = _edited(base(profile="mcu"), _split(low(1), THREE))
    yield "split_mcu", Status.RECORD, "the mcu profile has no split", data, "open"


def _edited(draft: Draft, edit: Edit) -> bytes:
    edit(draft)
    return draft.build()


UNKNOWN = (200, low(1)[1])
FILTER_4 = filter_(4)  # rows of 4, and 14 codes


def _columns(of_columns: bytes) -> tuple[int, bytes]:
    """A table of kind 2 of two copies of 2 x 7 codes."""
    return 2, classes(body=of_columns + bytes(2))


RECORDS = [
    ("none", "split without low bits", _split(THREE)),
    ("kind", "low bits of a kind not known", _split(UNKNOWN, THREE)),
    ("kind_3", "low bits in a table of kind 3", _split((3, low(1)[1]), THREE)),
    ("kind_drawn", "drawn with a kind not known", _split(UNKNOWN, THREE, tensor=DRAWN)),
    ("alone", "low bits and no code", _split(low(1))),
    ("alone_empty", "low bits of no code", _split(low())),
    ("twice", "low bits twice", _split(low(1), low(1), THREE)),
    ("behind_filter", "low bits behind a filter", _split(filter_(), low(1), THREE)),
    ("behind_classes", "low bits behind the classes", _split(KIND2, low(1), THREE)),
    ("last", "low bits behind the code", _split(THREE, low(1))),
    ("empty", "low bits of no byte", _split(low(), THREE)),
    ("more", "low bits of two bytes, and one code", _split(low(1, 1), THREE)),
    ("less", "one byte, and two codes", _split(low(1), KIND2, THREE, THREE)),
    ("joint_less", "joint with one byte", _split(low(1), THREE, THREE, tensor=JOINT)),
    (
        "joint_more",
        "joint with a byte for the filters, too",
        _split(low(1, 1, 1, 1), filter_(), filter_(), THREE, THREE, tensor=JOINT),
    ),
    ("seven", "seven low bits", _split(low(7), THREE)),
    ("high", "255 low bits", _split(low(255), THREE)),
    ("seven_last", "seven low bits of the last code", _split(low(0, 7), KIND2, THREE, THREE)),
    (
        "seven_joint",
        "seven low bits of the second set",
        _split(low(1, 7), THREE, THREE, tensor=JOINT),
    ),
    ("widths", "low bits of two widths", _split(low(1, 2), KIND2, THREE, THREE)),
    (
        "widths_apart",
        "two widths with none between them",
        _split(low(2, 0, 1), KIND2, THREE, THREE, THREE),
    ),
    (
        "widths_first",
        "two widths in the first set",
        _split(low(2, 1, 1, 1), KIND2, *[THREE] * 4, tensor=JOINT),
    ),
    (
        "widths_second",
        "two widths in the second set",
        _split(low(1, 1, 1, 2), KIND2, *[THREE] * 4, tensor=JOINT),
    ),
    ("column", "a column of class 1", _split(low(1, 1), _columns(b"\1\0\0"), THREE, THREE)),
    (
        "column_last",
        "the last column of class 4",
        _split(low(1, 0), _columns(b"\0\0\x10"), THREE, THREE),
    ),
    (
        "column_none",
        "a column of class 1 where no low bits are",
        _split(low(0), _columns(b"\1\0\0"), THREE),
    ),
    ("filter_size", "15 bytes of a filter", _split(low(1), (3, filter_()[1][:-1]), THREE)),
    ("filter_elements", "14 codes in rows of 4", _split(low(1), FILTER_4, THREE)),
    ("filter_twice", "two filters of plain", _split(low(1), filter_(), filter_(), THREE)),
    ("filter_behind", "a filter behind the classes", _split(low(1), KIND2, filter_(), THREE)),
    ("filter_last", "a filter behind the code", _split(low(1), THREE, filter_())),
    (
        "filter_one",
        "joint with one filter",
        _split(low(1, 1), filter_(), THREE, THREE, tensor=JOINT),
    ),
    (
        "filter_three",
        "joint with three filters",
        _split(low(1, 1), *[filter_()] * 3, THREE, THREE, tensor=JOINT),
    ),
    (
        "filter_kind",
        "joint, the second filter of a kind not known",
        _split(low(1, 1), filter_(), UNKNOWN, THREE, THREE, tensor=JOINT),
    ),
    (
        "filter_second_size",
        "joint, 15 bytes of the second filter",
        _split(low(1, 1), filter_(), (3, filter_()[1][:-1]), THREE, THREE, tensor=JOINT),
    ),
    ("two_codes", "two codes without classes", _split(low(1, 1), THREE, THREE)),
    ("groups", "classes and groups", _split(low(1, 1), KIND2, THREE, PAIRS)),
    ("entropy", "low bits, coder entropy", both(tables(low(1), THREE), header(minor=3))),
    (
        "filtered",
        "low bits, coder filtered",
        both(tables(low(1), filter_(), THREE), lies(0, coder=2), header(minor=3)),
    ),
    (
        "filtered_behind",
        "low bits behind the filter, coder filtered",
        both(tables(filter_(), low(1), THREE), lies(0, coder=2), header(minor=3)),
    ),
    ("minor_2", "version 1.2 has no split", both(_split(low(1), THREE), header(minor=2))),
    ("minor_0", "nor has version 1.0", both(_split(low(1), THREE), header(minor=0))),
    ("raw", "raw with coder split", both(_split(low(1), THREE), lies(0, method=0, bits=8))),
    (
        "shared",
        "shared with coder split",
        both(_split(low(1), THREE), lies(0, method=2, bits=8, digits=1)),
    ),
    ("coder_4", "an unknown coder in this version", both(_split(low(1), THREE), lies(0, coder=4))),
]

SIZES = [
    ("plain_15", "a plain block of 15 bytes", _plain(bytes(15), seal=False)),
    (
        "drawn_7",
        "a drawn block of 7 bytes",
        both(_split(low(1), THREE, tensor=DRAWN), put(0, bytes(7), seal=False)),
    ),
    ("joint_7", "a joint block of 7 bytes", _joint(bytes(7))),
]

CONTENTS = [
    ("lane_none", "a lane without bytes", _plain(lanes(FIRST, b""))),
    ("low_early", "half the low bits", _plain(lanes(FIRST, LOW_SECOND[:1]))),
    ("low_only", "low bits and no more", _plain(lanes(FIRST, LOW_SECOND))),
    ("high_only", "the codewords without low bits", _plain(lanes(FIRST, HIGH_SECOND))),
    ("low_behind", "low bits at the end", _plain(lanes(FIRST, HIGH_SECOND + LOW_SECOND))),
    (
        "low_late",
        "a byte behind the low bits",
        _plain(lanes(FIRST, fields((*CODES[1], 0, 0, 0)) + HIGH_SECOND)),
    ),
    (
        "low_padding",
        "the first unused bit of the low bits",
        _plain(lanes(FIRST, bytes([SECOND[0], SECOND[1] | 64]) + HIGH_SECOND)),
    ),
    (
        "low_padding_last",
        "the last unused bit of the low bits",
        _plain(lanes(bytes([FIRST[0], FIRST[1] | 128]) + FIRST[2:], SECOND)),
    ),
    ("early", "a lane that ends early", _plain(lanes(FIRST, SECOND[:-1]))),
    ("late", "a byte behind a lane", _plain(lanes(FIRST + b"\0", SECOND))),
    (
        "padding",
        "an unused bit of the codewords",
        _plain(lanes(FIRST, SECOND[:-1] + bytes([SECOND[-1] | 128]))),
    ),
    ("code_outside", "the code 2 in two bits", _plain(lanes(FIRST, bytes(2) + stream(ONES)))),
    (
        "code_under",
        "the code -3 in two bits",
        both(
            _split(low(1), code(lengths(2, 1, 2), low=-2)),
            put(0, lanes(*[b"\xff\x3f" + stream([-1] * 14)] * 2)),
        ),
    ),
    (
        "parent_outside",
        "the parent code 2 of one level",
        both(_split(low(1), THREE, tensor=DRAWN), put(0, lanes(bytes(2) + stream(ONES)))),
    ),
    (
        "joint_outside",
        "the code 1 + 1 in two bits",
        both(_joint(joint(split_stream(ONES), split_stream(ONES))), lies(0, bits=2)),
    ),
    ("joint_early", "a stream that ends early", _joint(joint(FIRST[:-1], SECOND))),
    ("joint_low", "a stream of half the low bits", _joint(joint(FIRST, SECOND[:1]))),
    (
        "joint_padding",
        "an unused low bit",
        _joint(joint(FIRST, bytes([SECOND[0], SECOND[1] | 64]) + HIGH_SECOND)),
    ),
    (
        "filter_outside",
        "ones that add up",
        both(_split(low(1), filter_(), THREE), put(0, lanes(split_stream(ONES), SECOND))),
    ),
    (
        "surplus",
        "a number behind the last one that is not low",
        both(
            _split(low(1), TRIPLES),
            put(0, lanes(bytes(4), bytes(2) + LAST_TRIPLE.to_bytes(2, "little"))),
        ),
    ),
]

PARTS = [
    ("parts_missing", "low bits and 11 bytes", bytes(128 + 11)),
    ("parts_beyond", "a part beyond its code stream", bytes(128) + b"\1" + bytes(11)),
    ("part_late", "a byte in a part that needs none", bytes(128) + b"\1" + bytes(12)),
    ("part_late_last", "a byte in the last part", bytes(128 + 13)),
]

CHANGED = bytes([SECOND[0] ^ 1]) + SECOND[1:]

SEALS = [
    ("crc_lane", CHECKSUM, "a low bit", _plain(lanes(FIRST, SECOND), seal=False)),
    (
        "crc_joint",
        CHECKSUM,
        "a joint block",
        both(_joint(joint(FIRST, SECOND)), lambda draft: draft.tensors[0].crcs.update({0: 7})),
    ),
    ("low_changed", Status.DIGEST, "another low bit", _plain(lanes(FIRST, CHANGED))),
    (
        "low_changed_joint",
        Status.DIGEST,
        "another low bit of a residual",
        _joint(joint(FIRST, CHANGED)),
    ),
]
