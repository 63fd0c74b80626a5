"""Refused vectors of the coder entropy: one fault in tables or code streams.

A row is: the file's name, the status, the fault in words, and what is done to the base.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from edgeens.coded import CodedEnsemble, Draw, Section
from edgeens.container.layout import MINOR, Status
from edgeens.container.writer import serialise
from tests.damage import Draft
from tests.vector_ensembles import KEY
from tests.vector_entropy import entropy

TABLE, RECORD, INDEX = Status.TABLE, Status.RECORD, Status.INDEX
CONTENT, CHECKSUM = Status.BLOCK_CONTENT, Status.BLOCK_CHECKSUM

DRAWN, JOINT, PLAIN = range(3)
Edit = Callable[[Draft], Any]


def lengths(*each: int | None) -> bytes:
    """The bit stream of code lengths; None for the change "one less", else the length in full."""
    fields = width = 0
    for length in each:
        fields |= (2 if length is None else 3 | length << 2) << width
        width += 2 if length is None else 6
    return fields.to_bytes((width + 7) // 8, "little")


def code(body: bytes, group: int = 1, low: int = -1, values: int = 3, reserved: int = 0) -> bytes:
    """The body of a table of kind 1: by default, the codes -1, 0 and 1."""
    return struct.pack("<BbBB", group, low, values - 1, reserved) + body


THREE = code(lengths(2, 1, 2))  # the codewords 10, 0, 11
PAIRS = code(lengths(4, 3, 4, 3, 2, 3, 4, 3, 4), group=2)


def classes(columns: int = 7, rows: int = 2, body: bytes = bytes(3 + 2)) -> bytes:
    """The body of a table of kind 2: by default, of two copies of 2 x 7 codes, all of class 0."""
    return struct.pack("<II", columns, rows) + body


Tables = Sequence[tuple[int, bytes]]


def pool(tables: Tables) -> bytes:
    directory = b"".join(struct.pack("<BBHI", kind, 0, 0, len(body)) for kind, body in tables)
    return directory + b"".join(body for _, body in tables)


def stream(codes: Sequence[int]) -> bytes:
    """Codes -1, 0 and 1 in the codewords of THREE."""
    bits = "".join({-1: "10", 0: "0", 1: "11"}[code] for code in codes)
    return int(bits[::-1] or "0", 2).to_bytes((len(bits) + 7) // 8, "little")


CODES = ((0, 1, -1, 0, 0, 1, 0, 0, -1, -1, 0, 1, 1, 0), (1, 1, 0, 0, -1, 0, 0, 0, 0, 0, 0, 1, 0, 0))
FIRST, SECOND = (stream(each) for each in CODES)


def base(*, profile: str = "desktop") -> Draft:
    """Two members of 2 x 7 codes; tensors drawn, joint and plain, all with the table THREE.

    The residuals of joint are what the other two have as codes.
    """
    codes = np.array(CODES, np.int8).reshape(2, 2, 7)
    summed = np.stack([codes[0], codes[0] + codes[1]])
    tensors = (
        entropy("drawn", codes[:1], 3, "drawn", draw=Draw(KEY, 1)),
        entropy("joint", summed, 3, "joint", predictor="first"),
        entropy("plain", codes, 2),
    )
    coded = CodedEnsemble(2, tensors, (Section("META", b"{}"),), profile=profile)
    draft = Draft.take_apart(serialise(coded))
    draft.tensors[DRAWN].blocks = [lanes(FIRST)]
    draft.tensors[JOINT].blocks = [joint(FIRST, SECOND)]
    draft.tensors[PLAIN].blocks = [lanes(FIRST, SECOND)]
    for number, tensor in enumerate(draft.tensors):
        tensor.lies.update(first_table=0, table_count=2 if number == JOINT else 1)
        if number != JOINT:
            tensor.seal_lanes(0)
    draft.tables = pool([(1, THREE), (1, THREE)])
    draft.lies["table_count"] = 2
    return draft


def base_of_parts() -> Draft:
    """A member of 1024 zeros: a lane of three sizes and four parts without bytes."""
    zeros = entropy("zeros", np.zeros((1, 1024), np.int8))
    return Draft.take_apart(serialise(CodedEnsemble(1, (zeros,))))


def lanes(*streams: bytes, sizes: Sequence[int] | None = None) -> bytes:
    """A block of plain or drawn; its CRCs are still to be set."""
    stated = [len(each) for each in streams] if sizes is None else sizes
    return b"".join(struct.pack("<II", size, 0) for size in stated) + b"".join(streams)


def joint(*streams: bytes, sizes: Sequence[int] | None = None) -> bytes:
    """A block of joint."""
    stated = [len(each) for each in streams] if sizes is None else sizes
    return b"".join(struct.pack("<I", size) for size in stated) + b"".join(streams)


def tables(*bodies: bytes | tuple[int, bytes], tensor: int = PLAIN, first: int = 0) -> Edit:
    """Only *tensor*, with tables of kind 1, or of the kind that stands before the body."""

    def edit(draft: Draft) -> None:
        draft.keep([tensor])
        pairs = [each if isinstance(each, tuple) else (1, each) for each in bodies]
        draft.tables = pool(pairs)
        draft.lies["table_count"] = len(pairs)
        draft.tensors[0].lies.update(first_table=first, table_count=len(pairs) - first)

    return edit


def put(tensor: int, block: bytes, *, seal: bool = True) -> Edit:
    """Only *tensor*, with another block."""

    def edit(draft: Draft) -> None:
        draft.keep([tensor])
        draft.tensors[0].blocks[0] = block
        if seal:
            draft.tensors[0].seal_lanes(0)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(draft: Draft) -> None:
        for each in edits:
            each(draft)

    return edit


def header(**values: int) -> Edit:
    return lambda draft: draft.lies.update(values)


def lies(tensor: int, **values: int) -> Edit:
    return lambda draft: draft.tensors[tensor].lies.update(values)


def faults() -> Iterator[tuple[str, Status, str, bytes, str]]:
    """Name, status, what is wrong, the file, and when it is refused."""
    for name, status, detail, edit in OPENED:
        yield f"entropy_{name}", status, detail, _edited(base(), edit), "open"
    for name, status, detail, edit in DECODED:
        yield f"entropy_{name}", status, detail, _edited(base(), edit), "verify"
    for name, detail, lane in PARTS:
        data = _edited(base_of_parts(), put(0, lanes(lane)))
        yield f"entropy_{name}", CONTENT, detail, data, "verify"
    data = _edited(base(profile="mcu"), tables(code(TWELVE, values=13)))
    yield "entropy_length_12_mcu", TABLE, "a codeword of 12 bits in the mcu profile", data, "open"
    for name, detail, edit in MCU:
        data = _edited(base(profile="mcu"), edit)
        yield f"entropy_{name}_mcu", RECORD, f"{detail} in the mcu profile", data, "open"


def _edited(draft: Draft, edit: Edit) -> bytes:
    edit(draft)
    return draft.build()


KIND2 = (2, classes())
MCU = [
    ("three_codes", "three prefix codes", tables(KIND2, *[THREE] * 3)),
    ("joint_four_codes", "two prefix codes a set", tables(KIND2, *[THREE] * 4, tensor=JOINT)),
]
TWELVE = lengths(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12)
TRIPLES = code(lengths(*[3] * 8), group=3, values=2)  # five of them for 14 codes
TWO_OF_1089 = b"\x21" + bytes(272)  # lengths 1, 1 and zeros: complete, but for their number
LAST_TRIPLE = 0b111 << 12
ONES = (1,) * 14

PARTS = [
    ("parts_missing", "a code stream of 11 bytes", bytes(11)),
    ("parts_beyond", "a part beyond its code stream", b"\1" + bytes(11)),
    ("parts_wrap", "sizes of parts that wrap", b"\1\0\0\0" + b"\xff" * 4 + bytes(4)),
    ("part_late", "a byte in a part that needs none", b"\1" + bytes(12)),
    ("part_late_last", "a byte in the last part", bytes(13)),
]

OPENED = [
    ("code_short", TABLE, "half a prefix code", tables(THREE[:3])),
    ("code_empty", TABLE, "a prefix code without bytes", tables(b"")),
    ("group_0", TABLE, "groups of no codes", tables(code(lengths(2, 1, 2), group=0))),
    ("group_5", TABLE, "groups of five", tables(code(b"", group=5, low=0, values=1))),
    ("low_high", TABLE, "a code above 127", tables(code(lengths(2, 1, 2), low=126))),
    ("code_reserved", TABLE, "a reserved byte", tables(code(lengths(2, 1, 2), reserved=1))),
    ("symbols_1089", TABLE, "33 x 33 symbols", tables(code(TWO_OF_1089, 2, 0, 33))),
    ("symbols_wrap", TABLE, "2^32 symbols", tables(code(bytes(300), 4, -128, 256))),
    ("single_lengths", TABLE, "lengths of one symbol", tables(code(b"\0", low=0, values=1))),
    ("lengths_early", TABLE, "lengths that end early", tables(THREE[:-1])),
    ("lengths_none", TABLE, "no lengths", tables(THREE[:4])),
    ("lengths_late", TABLE, "a byte behind the lengths", tables(THREE + b"\0")),
    ("lengths_padding", TABLE, "an unused bit", tables(THREE[:-1] + bytes([THREE[-1] | 128]))),
    ("length_13", TABLE, "a codeword of 13 bits", tables(code(lengths(1, 2, 13)))),
    ("length_more", TABLE, "one more than 12", tables(code(b"\x73\0"))),
    ("length_less", TABLE, "one less than no bits", tables(code(lengths(None, 1, 1)))),
    ("incomplete", TABLE, "codewords that nothing has", tables(code(lengths(2, 1, 3)))),
    ("oversubscribed", TABLE, "more codewords than fit", tables(code(lengths(2, 1, 1)))),
    ("one_symbol", TABLE, "one of three symbols alone", tables(code(lengths(0, 1, 0)))),
    ("no_symbol", TABLE, "no symbol occurs", tables(code(lengths(0, 0, 0)))),
    ("unnamed", TABLE, "a bad table that no tensor names", tables(THREE[:3], THREE, first=1)),
    ("classes_short", TABLE, "half a table of classes", tables((2, classes()[:7]), THREE)),
    ("classes_columns", TABLE, "classes without columns", tables((2, classes(0)), THREE)),
    ("classes_rows", TABLE, "classes without rows", tables((2, classes(7, 0)), THREE)),
    ("tables_none", RECORD, "no tables", tables(THREE, first=1)),
    (
        "tables_beyond",
        RECORD,
        "a table behind the last",
        lies(PLAIN, first_table=1, table_count=2),
    ),
    ("kind_3", RECORD, "a table of another kind", tables((3, THREE))),
    (
        "kind_newer",
        RECORD,
        "a table of a newer kind where prefix codes stand, in a newer minor version",
        both(tables((200, THREE)), header(minor=MINOR + 1)),
    ),
    ("minor_0", RECORD, "version 1.0 has no such tables", both(tables(THREE), header(minor=0))),
    ("classes_alone", RECORD, "classes without a prefix code", tables(KIND2)),
    ("classes_twice", RECORD, "classes twice", tables(KIND2, KIND2, THREE)),
    ("classes_last", RECORD, "classes behind the prefix code", tables(THREE, KIND2)),
    ("two_codes", RECORD, "two prefix codes without classes", tables(THREE, THREE)),
    ("nine_codes", RECORD, "nine prefix codes", tables(KIND2, *[THREE] * 9)),
    ("classes_group", RECORD, "classes and groups", tables(KIND2, THREE, PAIRS)),
    ("joint_one_code", RECORD, "joint with one code", tables(THREE, tensor=JOINT)),
    ("joint_three", RECORD, "joint with three codes", tables(KIND2, *[THREE] * 3, tensor=JOINT)),
    ("joint_four", RECORD, "joint, four and no classes", tables(*[THREE] * 4, tensor=JOINT)),
    ("classes_elements", RECORD, "3 x 7 codes", tables((2, classes(7, 3, bytes(6))), THREE)),
    ("classes_wrap", RECORD, "2^32 + 14 codes", tables((2, classes(2**31 + 7, 2)), THREE)),
    ("classes_less", RECORD, "a byte too few", tables((2, classes(body=bytes(4))), THREE)),
    ("classes_more", RECORD, "a byte too many", tables((2, classes(body=bytes(6))), THREE)),
    (
        "classes_drawn",
        RECORD,
        "classes of two copies of a parent",
        tables((2, classes(body=bytes(3 + 2))), THREE, tensor=DRAWN),
    ),
    (
        "classes_padding_columns",
        RECORD,
        "an unused bit behind the columns",
        tables((2, classes(body=b"\0\0\x20\0\0")), THREE),
    ),
    (
        "classes_padding_rows",
        RECORD,
        "an unused bit behind the rows",
        tables((2, classes(body=b"\0\0\0\0\x80")), THREE),
    ),
    ("plain_15", INDEX, "a plain block of 15 bytes", put(PLAIN, bytes(15), seal=False)),
    ("drawn_7", INDEX, "a drawn block of 7 bytes", put(DRAWN, bytes(7), seal=False)),
    ("joint_7", INDEX, "a joint block of 7 bytes", put(JOINT, bytes(7))),
]

DECODED = [
    ("lanes_less", CONTENT, "a byte that no lane has", put(PLAIN, lanes(FIRST, SECOND) + b"\0")),
    ("lanes_more", CONTENT, "a lane beyond the block", put(PLAIN, lanes(FIRST, SECOND)[:-1])),
    (
        "lanes_wrap",
        CONTENT,
        "sizes of lanes that wrap",
        put(PLAIN, lanes(FIRST, SECOND, sizes=(2**32 - 1, len(FIRST + SECOND) + 1)), seal=False),
    ),
    ("stream_early", CONTENT, "a lane that ends early", put(PLAIN, lanes(FIRST, SECOND[:-1]))),
    ("stream_none", CONTENT, "a lane without bytes", put(PLAIN, lanes(FIRST, b""))),
    ("stream_late", CONTENT, "a byte behind a lane", put(PLAIN, lanes(FIRST + b"\0", SECOND))),
    (
        "stream_padding",
        CONTENT,
        "an unused bit",
        put(PLAIN, lanes(FIRST, SECOND[:-1] + bytes([SECOND[-1] | 128]))),
    ),
    ("code_outside", CONTENT, "the code 2 in two bits", tables(code(lengths(2, 1, 2), low=0))),
    (
        "parent_outside",
        CONTENT,
        "the parent code 2 of one level",
        tables(code(lengths(2, 1, 2), low=0), tensor=DRAWN),
    ),
    ("code_under", CONTENT, "the code -3 in two bits", tables(code(lengths(2, 1, 2), low=-3))),
    (
        "parent_under",
        CONTENT,
        "the parent code -2 of one level",
        tables(code(lengths(2, 1, 2), low=-2), tensor=DRAWN),
    ),
    (
        "joint_under",
        CONTENT,
        "the code -3 of member 0 in two bits",
        both(tables(code(lengths(2, 1, 2), low=-3), THREE, tensor=JOINT), lies(0, bits=2)),
    ),
    (
        "surplus",
        CONTENT,
        "a code behind the last one that is not low",
        both(tables(TRIPLES), put(0, lanes(bytes(2), LAST_TRIPLE.to_bytes(2, "little")))),
    ),
    ("joint_less", CONTENT, "a byte of no stream", put(JOINT, joint(FIRST, SECOND) + b"\0")),
    ("joint_more", CONTENT, "a stream beyond the block", put(JOINT, joint(FIRST, SECOND)[:-1])),
    (
        "joint_wrap",
        CONTENT,
        "sizes of streams that wrap",
        put(JOINT, joint(FIRST, SECOND, sizes=(2**32 - 1, len(FIRST + SECOND) + 1))),
    ),
    ("joint_early", CONTENT, "a stream that ends early", put(JOINT, joint(FIRST[:-1], SECOND))),
    (
        "joint_outside",
        CONTENT,
        "the code 1 + 1 in two bits",
        both(put(JOINT, joint(stream(ONES), stream(ONES))), lies(0, bits=2)),
    ),
    (
        "crc_common",
        CHECKSUM,
        "the size of a lane",
        lambda draft: draft.tensors[PLAIN].crcs.update({0: 7}),
    ),
    (
        "shared_tables",
        Status.UNSUPPORTED,
        "shared with a table, which is not looked at",
        both(tables((200, b"")), lies(0, method=2, bits=8, digits=1), header(minor=0)),
    ),
    ("crc_lane", CHECKSUM, "a byte of a lane", put(PLAIN, lanes(FIRST, SECOND), seal=False)),
    ("crc_joint", CHECKSUM, "a joint block", lambda d: d.tensors[JOINT].crcs.update({0: 7})),
]
