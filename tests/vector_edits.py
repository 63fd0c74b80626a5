"""Refused vectors whose fault takes more than one field: tables, names, scales, index, sections.

A row is: the file's name, the status, the fault in words, and what is done to the base
(vector_faults.base).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from edgeens.container.layout import MINOR, Status
from tests.damage import Draft, SectionDraft
from tests.vector_records import BALANCED, EXACT, INDEX, NAME, PLAIN, PLANES, RECORD, SCALE

Edit = Callable[[Draft], Any]
Row = tuple[str, Status, str, Edit]

TABLE, SECTION, CRITICAL = Status.TABLE, Status.SECTION, Status.CRITICAL
UNSUPPORTED, DIGEST = Status.UNSUPPORTED, Status.DIGEST


def tables(count: int, *entries: tuple[int, int, int], bodies: bytes = b"") -> Edit:
    """A pool of *count* tables with the directory entries (kind, reserved, size)."""
    directory = b"".join(struct.pack("<BHBI", k, 0, r, size) for k, r, size in entries)

    def edit(draft: Draft) -> None:
        draft.tables = directory + bodies
        draft.lies["table_count"] = count

    return edit


TABLES: list[Row] = [
    ("table_kind_0", TABLE, "a table without a kind", tables(1, (0, 0, 0))),
    ("table_reserved", TABLE, "a reserved byte", tables(1, (1, 1, 0))),
    ("table_directory", TABLE, "a directory above its size", tables(1, bodies=bytes(7))),
    ("table_short", TABLE, "bytes that no table has", tables(1, (1, 0, 1), bodies=b"ab")),
    ("table_long", TABLE, "a table beyond the pool", tables(1, (1, 0, 2**32 - 1), bodies=b"ab")),
    ("table_wrap", TABLE, "sizes that wrap", tables(2, (1, 0, 2**32 - 1), (1, 0, 3), bodies=b"ab")),
    ("table_none", TABLE, "bytes without a table", tables(0, bodies=b"ab")),
]


def rename(name: bytes) -> Edit:
    return lambda draft: setattr(draft.tensors[EXACT], "name", name)


def unordered(draft: Draft) -> None:
    draft.tensors[EXACT : EXACT + 2] = draft.tensors[EXACT + 1 : EXACT - 1 : -1]


NAMES: list[Row] = [
    ("name_order", NAME, "names out of order", unordered),
    ("name_twice", NAME, "two tensors of one name", rename(b"drawn")),
    ("name_prefix", NAME, "a name before its own prefix", rename(b"flagsx")),
    ("name_control", NAME, "a line feed in a name", rename(b"exa\nt")),
    ("name_delete", NAME, "byte 7F in a name", rename(b"exa\x7ft")),
    ("name_zero", NAME, "a zero byte in a name", rename(b"exa\0t")),
    ("name_latin1", NAME, "a name that is not UTF-8", rename(b"exa\xe9t")),
    ("name_overlong", NAME, "a slash in two bytes", rename(b"exa\xc0\xaf")),
    ("name_surrogate", NAME, "half a surrogate pair", rename(b"exa\xed\xa0\x80")),
    ("name_beyond_unicode", NAME, "a character above 10FFFF", rename(b"exa\xf4\x90\x80\x80")),
    ("name_cut", NAME, "a character without its last byte", rename(b"exa\xe9\x87")),
    ("name_1025", NAME, "a name of 1025 bytes", rename(b"e" * 1025)),
]


def rescale(*values: float, tensor: int = PLANES) -> Edit:
    data = struct.pack(f"<{len(values)}f", *values)
    return lambda draft: setattr(draft.tensors[tensor], "scales", data)


def left_scale(draft: Draft) -> None:
    draft.tensors[PLAIN].scales += struct.pack("<f", 1.0)
    draft.tensors[PLAIN].lies["scale_count"] = 2


SCALES: list[Row] = [
    ("scale_nan", SCALE, "NaN", rescale(float("nan"))),
    ("scale_infinite", SCALE, "infinity", rescale(float("inf"))),
    ("scale_negative", SCALE, "a negative scale", rescale(-0.5)),
    ("scale_zero", SCALE, "the scale 0", rescale(0.0)),
    ("scale_denormal", SCALE, "a denormal scale", rescale(2.0**-127)),
    ("scale_large", SCALE, "255 times the scale overflows", rescale(2.0**120)),
    ("scale_last", SCALE, "the scale of the last channel", rescale(1.0, -1.0, tensor=PLAIN)),
    ("scale_count_2", SCALE, "two scales of one tensor", rescale(1.0, 1.0)),
    ("scale_exact", SCALE, "a scale of exact values", rescale(1.0, tensor=EXACT)),
    ("scale_left", SCALE, "a scale that no tensor uses", left_scale),
]


def ends(tensor: int, entries: dict[int, int]) -> Edit:
    return lambda draft: draft.tensors[tensor].ends.update(entries)


def resize(tensor: int, block: int, size: int) -> Edit:
    """Make a block *size* bytes long."""

    def edit(draft: Draft) -> None:
        blocks = draft.tensors[tensor].blocks
        blocks[block] = blocks[block].ljust(size, b"\0")[:size]

    return edit


def left_block(draft: Draft) -> None:
    tensor = draft.tensors[PLAIN]
    tensor.lies["block_count"] = len(tensor.blocks)
    tensor.blocks.append(b"\0")


def huge(draft: Draft) -> None:
    """2^31 - 1 codes, with the number of blocks that they would have."""
    draft.tensors[PLAIN].lies.update(ndim=1, dims=(2**31 - 1,) + (0,) * 7, channel_axis=255)
    draft.tensors[PLAIN].lies.update(scale_count=1, block_positions=2**20 // 3, block_count=6145)


BLOCKS: list[Row] = [
    ("block_ends_equal", INDEX, "a block without bytes", ends(PLAIN, {0: 0})),
    ("block_ends_shrink", INDEX, "an end before the one before", ends(PLAIN, {1: 1})),
    ("block_size", INDEX, "a plain block with a byte too many", resize(PLAIN, 1, 22)),
    ("block_short", INDEX, "a shared block of seven bytes", resize(PLANES, 0, 7)),
    ("block_long", INDEX, "a shared block above its bound", resize(PLANES, 0, 200)),
    ("block_beyond", INDEX, "a block beyond the file", ends(PLANES, {0: 60, 1: 10**5})),
    ("block_end_wrap", INDEX, "an end of 4 GiB", ends(PLANES, {1: 2**32 - 1})),
    ("block_left", INDEX, "an entry of the index that no tensor uses", left_block),
    ("huge_tensor", INDEX, "two thousand million weights in a small file", huge),
]


def insert(position: int, type_: bytes, payload: bytes = b"", **options: int) -> Edit:
    return lambda draft: draft.sections.insert(position, SectionDraft(type_, payload, **options))


def restate(position: int, **values: int) -> Edit:
    """State another size or checksum for a section."""
    return lambda draft: draft.sections[position].__dict__.update(values)


def cut_section(draft: Draft) -> None:
    draft.sections.pop()
    draft.tail = b"DGST\0\0\0\0"
    draft.lies["section_count"] = 2


def behind_sign(draft: Draft) -> None:
    draft.sections.insert(0, SectionDraft(b"SIGN", bytes(100)))
    draft.sections[1].flags = 1


def new(tensor: int, **lies: int) -> Edit:
    """A newer minor version with a value that this reader does not know."""

    def edit(draft: Draft) -> None:
        draft.lies["minor"] = MINOR + 1
        draft.tensors[tensor].lies.update(lies)

    return edit


SECTIONS: list[Row] = [
    ("section_cut", SECTION, "half a section's header", cut_section),
    ("section_beyond", SECTION, "a section beyond the file", restate(1, size=10**4)),
    ("section_wrap", SECTION, "a section's size that wraps", restate(1, size=2**64 - 1)),
    ("section_missing", SECTION, "too few sections", lambda d: d.lies.update(section_count=3)),
    ("section_type", SECTION, "a small letter in a type", insert(0, b"MEtA")),
    ("section_type_zero", SECTION, "a zero byte in a type", insert(0, b"AB\0\0")),
    ("section_flags", SECTION, "an unknown flag", insert(0, b"ABCD", flags=2)),
    ("section_flags_high", SECTION, "the highest flag", insert(0, b"ABCD", flags=1 << 31)),
    ("section_twice", SECTION, "a type that stands twice", insert(2, b"META", b"{}")),
    ("bytes_left", SECTION, "a byte behind the sections", lambda d: setattr(d, "tail", b"\0")),
    ("section_critical", CRITICAL, "an unknown critical section", insert(0, b"NEW1", flags=1)),
    ("sign_critical", CRITICAL, "a signature is never critical", insert(0, b"SIGN", flags=1)),
    ("sklq_critical", CRITICAL, "a reserved critical section", insert(0, b"SKLQ", flags=1)),
    ("cali_critical", CRITICAL, "a calibration is never critical", insert(0, b"CALI", flags=1)),
    ("critical_behind_sign", CRITICAL, "a critical section behind the signature", behind_sign),
    ("new_method", UNSUPPORTED, "a method of a newer minor version", new(PLAIN, method=5)),
    ("new_coder", UNSUPPORTED, "a coder of a newer minor version", new(PLAIN, coder=4)),
    ("new_dtype", UNSUPPORTED, "a dtype of a newer minor version", new(EXACT, dtype=21)),
    ("new_digits", UNSUPPORTED, "digits of a newer minor version", new(BALANCED, digits=3)),
    ("new_predictor", UNSUPPORTED, "a newer predictor", new(PLAIN, method=3, predictor=4)),
    ("new_predictor_plain", UNSUPPORTED, "a newer predictor of plain", new(PLAIN, predictor=4)),
    ("new_digits_plain", UNSUPPORTED, "newer digits of plain", new(PLAIN, digits=3)),
    (
        "new_digits_ties",
        UNSUPPORTED,
        "newer digits, found before that plain has no predictor and exact values no codewords",
        new(EXACT, coder=1, predictor=1, digits=3),
    ),
    (
        "new_digits_bits",
        RECORD,
        "codes of nine bits, then newer digits",
        new(PLAIN, bits=9, digits=3),
    ),
    (
        "same_minor",
        RECORD,
        "an unknown method in this very minor version",
        lambda d: (d.lies.update(minor=MINOR), d.tensors[PLAIN].lies.update(method=5)),
    ),
    ("new_reserved", RECORD, "a reserved byte, in any minor version", new(PLAIN, reserved_55=1)),
]


def meta(payload: bytes) -> Edit:
    return lambda draft: setattr(draft.sections[0], "payload", payload)


def lies(tensor: int, **values: int) -> Edit:
    return lambda draft: draft.tensors[tensor].lies.update(values)


def wrong_digest(draft: Draft) -> None:
    digests = bytearray(draft.sections[-1].payload)
    digests[-1] ^= 1
    draft.sections[-1].payload = bytes(digests)


def other_code(draft: Draft) -> None:
    """A code changed with every checksum right: only the digest knows."""
    tensor = draft.tensors[PLAIN]
    block = bytearray(tensor.blocks[0])
    block[12] ^= 1
    tensor.blocks[0] = bytes(block)
    tensor.seal_lanes(0)


def short_digests(draft: Draft) -> None:
    draft.sections[1].payload = draft.sections[1].payload[:-32]


SIXTY_FIVE = b'{"a":' + b"[" * 64 + b"]" * 64 + b',"a":1}'  # where the name stands again

VERIFIED: list[Row] = [
    ("meta_crc", Status.SECTION_CHECKSUM, "META's checksum", restate(0, crc=1)),
    ("digests_crc", Status.SECTION_CHECKSUM, "the digests' checksum", restate(1, crc=1)),
    ("meta_list", SECTION, "META that is a list", meta(b"[]")),
    ("meta_text", SECTION, "META that is not JSON", meta(b"{")),
    ("meta_nan", SECTION, "META with a number that JSON lacks", meta(b'{"a":NaN}')),
    ("meta_empty", SECTION, "META without bytes", meta(b"")),
    ("meta_latin1", SECTION, "META that is not UTF-8", meta(b'{"a":"\xe9"}')),
    ("meta_utf16", SECTION, "META in UTF-16", meta("{}".encode("utf-16"))),
    ("meta_deep", SECTION, "META that is nested too deep", meta(b"[" * 3000)),
    ("meta_65", SECTION, "65 objects and arrays in each other", meta(SIXTY_FIVE)),
    ("meta_mark", SECTION, "META behind a byte order mark", meta(b"\xef\xbb\xbf{}")),
    ("cali_list", SECTION, "CALI that is a list", insert(2, b"CALI", b"[]")),
    ("cali_text", SECTION, "CALI that is not JSON", insert(2, b"CALI", b"{'a':1}")),
    ("digests_short", SECTION, "fewer digests than tensors", short_digests),
    ("digest_wrong", DIGEST, "another digest", wrong_digest),
    ("code_changed", DIGEST, "another code under right checksums", other_code),
    ("joint", UNSUPPORTED, "joint, coder fixed", lies(PLAIN, method=3, predictor=2)),
    ("shared_entropy", UNSUPPORTED, "shared digits, coder entropy", lies(BALANCED, coder=1)),
]
