"""The tables of docs/SPEC.md as Python: field layouts, numbers, caps and statuses.

Under the writer, the reference decoder and the size accounting; nothing here reads or writes.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

MAGIC: Final = b"\x8aEENS\r\n\x1a"
MAJOR: Final = 1
MINOR: Final = 3  # the newest minor version; a file has that of its newest coder
MINOR_OF_CODERS: Final = {"fixed": 0, "entropy": 1, "filtered": 2, "split": 3}
BYTE_ORDER: Final = 0x0A0B0C0D

# (S3)
HEADER: Final = struct.Struct("<8sHHIIIQHBBIIIIIII")
HEAD_CRC_OFFSET: Final = 16

# (S4)
RECORD: Final = struct.Struct("<QIHBB8I8BIIIIIHhHHIQ")

# (S5), (S6), (S11)
TABLE_ENTRY: Final = struct.Struct("<B3sI")
BLOCK_ENTRY: Final = struct.Struct("<II")
SECTION_HEADER: Final = struct.Struct("<4sIQI")
SECTION_CHECKED: Final = 16  # bytes of a section's header that its CRC covers
LANE_CRC: Final = 4  # bytes in the common part for each lane (S7)
STREAM_SIZE: Final = 4  # bytes of the size of a lane, a part or a joint code stream (S10)

MAX_MEMBERS: Final = 64
MAX_SHARED_MEMBERS: Final = 16
MAX_SECTIONS: Final = 64
MAX_TENSORS: Final = 65_535
MAX_NAMES: Final = 1 << 24
MAX_SCALES: Final = 1 << 24
MAX_TABLES: Final = 1024
MAX_TABLES_SIZE: Final = 1 << 24
MAX_BLOCKS: Final = 1 << 24
MAX_NAME: Final = 1024
MAX_DIMS: Final = 8
MAX_ELEMENTS: Final = (1 << 31) - 1
MAX_RUN: Final = 1 << 14
MAX_PARENT_LEVELS: Final = 127
NO_AXIS: Final = 255

# (S5), (S10.1)
PREFIX_CODE: Final = 1
CLASSES: Final = 2
FILTER: Final = 3
MAX_GROUP: Final = 4
MAX_SYMBOLS: Final = 1024
MAX_CLASS: Final = 7  # of a row or of a column
MAX_CLASS_TABLES: Final = 8  # C
MCU_TABLES: Final = 2  # prefix codes that a tensor names in the mcu profile
LENGTH_LIMITS: Final = {"desktop": 12, "mcu": 11}
PARTS: Final = {"desktop": 4, "mcu": 1}
PARTS_FROM: Final = 1024  # positions of the shortest block that is cut into parts

# (S5.4), (S10.4)
TAPS: Final = 4
SETS: Final = 8  # or one
MAX_LAG: Final = 65_535
FILTER_UNIT: Final = 64  # a weight of 1

# (S5.5), (S10.5)
LOW_BITS: Final = 4  # the kind of the table
MAX_LOW_BITS: Final = 6

PROFILES: Final = {"desktop": 0, "mcu": 1}
BLOCK_LIMITS: Final = {"desktop": 1 << 20, "mcu": 4096}

METHODS: Final = {"raw": 0, "plain": 1, "shared": 2, "joint": 3, "drawn": 4}
CODERS: Final = {"fixed": 0, "entropy": 1, "filtered": 2, "split": 3}
PREDICTORS: Final = {"none": 0, "first": 1, "mean": 2, "haar": 3}
DIGITS: Final = {"none": 0, "balanced": 1, "planes": 2}

# (S11) those whose meaning version 1.0 defines; a critical section of another type is refused.
KNOWN_SECTIONS: Final = frozenset({"META", "SKLF", "SKLC", "DGST"})
DIGEST_SIZE: Final = 32


class DType(NamedTuple):
    """A type of values (S4.2): its number, bytes an element, and NumPy's name for its bytes."""

    number: int
    size: int
    numpy: str


DTYPES: Final = {
    "float32": DType(1, 4, "<f4"),
    "uint8": DType(2, 1, "|u1"),
    "int8": DType(3, 1, "|i1"),
    "uint16": DType(4, 2, "<u2"),
    "int16": DType(5, 2, "<i2"),
    "int32": DType(6, 4, "<i4"),
    "int64": DType(7, 8, "<i8"),
    "bool": DType(9, 1, "|b1"),
    "float16": DType(10, 2, "<f2"),
    "double": DType(11, 8, "<f8"),
    "uint32": DType(12, 4, "<u4"),
    "uint64": DType(13, 8, "<u8"),
    "bfloat16": DType(16, 2, "<u2"),  # as bit patterns
}
DTYPE_NAMES: Final = {dtype.number: name for name, dtype in DTYPES.items()}
CODED_DTYPES: Final = frozenset({"float32", "float16", "double", "bfloat16"})


class Header(NamedTuple):
    """The header's fields (S3), in the order of HEADER."""

    magic: bytes
    major: int
    minor: int
    byte_order: int
    head_crc: int
    section_count: int
    file_size: int
    member_count: int
    profile: int
    reserved_35: int
    tensor_count: int
    names_size: int
    scale_count: int
    table_count: int
    tables_size: int
    block_count: int
    reserved_60: int

    @property
    def block_limit(self) -> int:
        """Most codes, or bytes of exact values, in a block (S3, S4.5)."""
        return tuple(BLOCK_LIMITS.values())[self.profile]

    @property
    def head_size(self) -> int:
        """Bytes up to and including the block index (S2)."""
        return (
            HEADER.size
            + self.tensor_count * RECORD.size
            + self.names_size
            + 4 * self.scale_count
            + self.tables_size
            + self.block_count * BLOCK_ENTRY.size
        )


class TensorRecord(NamedTuple):
    """A tensor record's fields (S4), in the order of RECORD; dims are one field here."""

    data_offset: int
    name_offset: int
    name_size: int
    dtype: int
    ndim: int
    dims: tuple[int, ...]
    method: int
    coder: int
    bits: int
    predictor: int
    digits: int
    channel_axis: int
    parent_levels: int
    reserved_55: int
    scale_index: int
    scale_count: int
    first_block: int
    block_count: int
    block_positions: int
    copies: int
    zero_point: int
    first_table: int
    table_count: int
    reserved_84: int
    key: int

    @classmethod
    def unpack(cls, data: bytes, offset: int) -> TensorRecord:
        """The record at *offset*."""
        fields = RECORD.unpack_from(data, offset)
        return cls._make((*fields[:5], fields[5 : 5 + MAX_DIMS], *fields[5 + MAX_DIMS :]))

    def pack(self) -> bytes:
        """The record's 96 bytes."""
        return RECORD.pack(*self[:5], *self.dims, *self[6:])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one copy."""
        return self.dims[: self.ndim]

    @property
    def elements(self) -> int:
        """E, the product of the dims (S4.3)."""
        product = 1
        for dim in self.shape:
            product *= dim
        return product

    @property
    def lanes(self) -> int:
        """Lanes of a block (S7): one a copy, one in all for drawn, none for shared and joint."""
        if self.method in (METHODS["shared"], METHODS["joint"]):
            return 0
        return 1 if self.method == METHODS["drawn"] else self.copies

    @property
    def lane_entry(self) -> int:
        """Bytes of a lane in the common part: its CRC, with codewords its size too (S10.2)."""
        return LANE_CRC + (STREAM_SIZE if self.coder != CODERS["fixed"] else 0)


def pattern_bits(members: int) -> int:
    """Width of the field of one pattern over *members* members, 2 to 16 (S8)."""
    first = min(members, 4)
    return (0, 0, 1, 3, 4)[first] + sum(rest_widths(members))


def rest_widths(members: int) -> tuple[int, ...]:
    """Widths of the fields of members 4 and up in a pattern (S8): 3 bits to member 7, then 4."""
    return tuple(3 if member < 8 else 4 for member in range(4, members))


def parent_bits(levels: int) -> int:
    """Width of a parent's code for drawn (S9): 1 more than the bit length of Q = *levels*."""
    return 1 + levels.bit_length()


def ceil8(bits: int) -> int:
    """Bytes that hold *bits* bits (S1)."""
    return (bits + 7) // 8


class Status(IntEnum):
    """Why a container is refused (S12)."""

    OK = 0
    ARGUMENT = 1
    MAGIC = 2
    BYTE_ORDER = 3
    VERSION = 4
    TRUNCATED = 5
    TRAILING = 6
    HEADER = 7
    HEAD_CHECKSUM = 8
    TABLE = 9
    NAME = 10
    RECORD = 11
    SCALE = 12
    INDEX = 13
    LIMIT = 14
    SECTION = 15
    CRITICAL = 16
    SECTION_CHECKSUM = 17
    BLOCK_CHECKSUM = 18
    BLOCK_CONTENT = 19
    DIGEST = 20
    UNSUPPORTED = 21
    WORKSPACE = 22
    OUTPUT = 23
    READ = 24
    NOT_FOUND = 25

    @property
    def sentence(self) -> str:
        """The sentence of S12, the same in every decoder."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Status.OK: "ok",
    Status.ARGUMENT: "the call is wrong: an argument is out of range",
    Status.MAGIC: "not an edgeens container",
    Status.BYTE_ORDER: "the byte order mark is wrong",
    Status.VERSION: "the major version is not one this decoder knows",
    Status.TRUNCATED: "the file is shorter than it says",
    Status.TRAILING: "the file is longer than it says",
    Status.HEADER: "a field of the header is out of range",
    Status.HEAD_CHECKSUM: "checksum mismatch in the head",
    Status.TABLE: "the table pool is malformed",
    Status.NAME: "a tensor's name is malformed or out of order",
    Status.RECORD: "a tensor record is malformed",
    Status.SCALE: "a scale is not a positive normal number, or scales are missing",
    Status.INDEX: "the block index does not fit the tensors",
    Status.LIMIT: "a tensor is larger than the limit the caller set",
    Status.SECTION: "a section is malformed",
    Status.CRITICAL: "the file needs a section that this decoder does not know",
    Status.SECTION_CHECKSUM: "checksum mismatch in a section",
    Status.BLOCK_CHECKSUM: "checksum mismatch in a block",
    Status.BLOCK_CONTENT: "a block's content is malformed",
    Status.DIGEST: "the decoded tensor does not have the digest that the file states",
    Status.UNSUPPORTED: (
        "this decoder was built without the method or coder that the tensor needs; for a small "
        "build encode with profile mcu"
    ),
    Status.WORKSPACE: "the workspace is too small",
    Status.OUTPUT: "the output is too small",
    Status.READ: "the storage could not be read",
    Status.NOT_FOUND: "there is no such tensor or section",
}
