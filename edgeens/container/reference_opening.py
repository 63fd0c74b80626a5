"""The reference decoder's door: what is checked when a container is opened (S2 to S6, S11, S12).

Used by container.reference alone. Written from docs/SPEC.md, in its order, to be read beside it;
it is slow on purpose and shares no code with the C decoder or the writer but the tables of layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeens.container.layout import (
    BYTE_ORDER,
    HEAD_CRC_OFFSET,
    HEADER,
    KNOWN_SECTIONS,
    MAGIC,
    MAJOR,
    MAX_BLOCKS,
    MAX_MEMBERS,
    MAX_NAMES,
    MAX_SCALES,
    MAX_SECTIONS,
    MAX_TABLES,
    MAX_TABLES_SIZE,
    MAX_TENSORS,
    RECORD,
    SECTION_HEADER,
    Header,
    Status,
)
from edgeens.container.reference_bits import refuse
from edgeens.container.reference_records import StoredTensor, open_tensors, tensors_end
from edgeens.container.reference_tables import open_tables


@dataclass(frozen=True)
class StoredSection:
    """A section of an open file (S11)."""

    type: str
    critical: bool
    payload: bytes
    crc: int
    checked: bytes  # what the CRC covers


@dataclass(frozen=True)
class Opened:
    """All that opening reads."""

    header: Header
    tensors: tuple[StoredTensor, ...]
    sections: tuple[StoredSection, ...]


def crc32c(data: bytes) -> int:
    """CRC-32C (S1), byte by byte."""
    register = 0xFFFFFFFF
    for byte in data:
        register = _CRC_TABLE[(register ^ byte) & 0xFF] ^ register >> 8
    return register ^ 0xFFFFFFFF


def _crc_of_byte(register: int) -> int:
    for _ in range(8):
        register = register >> 1 ^ 0x82F63B78 if register & 1 else register >> 1
    return register


_CRC_TABLE = tuple(_crc_of_byte(byte) for byte in range(256))


def open_container(data: bytes, limit: int | None) -> Opened:
    """The checks of "Opening" (S12), steps 1 to 9."""
    header = _open_header(data)
    names_at = HEADER.size + header.tensor_count * RECORD.size
    scales_at = names_at + header.names_size
    tables_at = scales_at + 4 * header.scale_count
    index_at = tables_at + header.tables_size
    tables = open_tables(data[tables_at:index_at], header)
    names = data[names_at:scales_at]
    scales = data[scales_at:tables_at]
    index = data[index_at : header.head_size]
    tensors = open_tensors(
        data, header, names=names, scales=scales, tables=tables, index=index, limit=limit
    )
    _check_nothing_left(header, tensors)
    sections = _open_sections(data, header, tensors_end(tensors, header))
    return Opened(header, tuple(tensors), sections)


def _open_header(data: bytes) -> Header:
    """Steps 1 to 5 (S3)."""
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        refuse(Status.MAGIC, f"it begins with {data[: len(MAGIC)].hex()}")
    if len(data) < HEADER.size:
        refuse(Status.TRUNCATED, f"{len(data)} bytes do not hold the header")
    header = Header(*HEADER.unpack_from(data))
    if header.byte_order != BYTE_ORDER:
        refuse(Status.BYTE_ORDER, f"it is {header.byte_order:#010x}")
    if header.major != MAJOR:
        refuse(Status.VERSION, f"it is {header.major}")
    if header.file_size > len(data):
        refuse(Status.TRUNCATED, f"{len(data)} of {header.file_size} bytes are there")
    if header.file_size < len(data):
        refuse(Status.TRAILING, f"{len(data)} bytes instead of {header.file_size} are there")
    for field, least, most in (
        ("section_count", 0, MAX_SECTIONS),
        ("member_count", 1, MAX_MEMBERS),
        ("profile", 0, 1),
        ("reserved_35", 0, 0),
        ("tensor_count", 0, MAX_TENSORS),
        ("names_size", 0, MAX_NAMES),
        ("scale_count", 0, MAX_SCALES),
        ("table_count", 0, MAX_TABLES),
        ("tables_size", 0, MAX_TABLES_SIZE),
        ("block_count", 0, MAX_BLOCKS),
        ("reserved_60", 0, 0),
    ):
        if not least <= getattr(header, field) <= most:
            refuse(Status.HEADER, f"{field} is {getattr(header, field)}")
    if header.head_size > header.file_size:
        refuse(Status.HEADER, f"the head takes {header.head_size} bytes")
    head = data[:HEAD_CRC_OFFSET] + bytes(4) + data[HEAD_CRC_OFFSET + 4 : header.head_size]
    if crc32c(head) != header.head_crc:
        refuse(Status.HEAD_CHECKSUM, f"{header.head_crc:#010x} is stated")
    return header


def _check_nothing_left(header: Header, tensors: Sequence[StoredTensor]) -> None:
    """Step 8."""
    last = tensors[-1].record if tensors else None
    for status, used, stated in (
        (Status.NAME, last.name_offset + last.name_size if last else 0, header.names_size),
        (Status.SCALE, last.scale_index + last.scale_count if last else 0, header.scale_count),
        (Status.INDEX, last.first_block + last.block_count if last else 0, header.block_count),
    ):
        if used != stated:
            refuse(status, f"the tensors use {used} of {stated}")


def _open_sections(data: bytes, header: Header, offset: int) -> tuple[StoredSection, ...]:
    """Step 9 (S11)."""
    sections: list[StoredSection] = []
    seen: set[str] = set()
    for number in range(header.section_count):
        where = f"section {number}"
        if offset + SECTION_HEADER.size > header.file_size:
            refuse(Status.SECTION, f"{where}: its header reaches beyond the file")
        letters, flags, size, crc = SECTION_HEADER.unpack_from(data, offset)
        start = offset + SECTION_HEADER.size
        if start + size > header.file_size:
            refuse(Status.SECTION, f"{where}: its {size} bytes reach beyond the file")
        if not all(48 <= byte <= 57 or 65 <= byte <= 90 for byte in letters):
            refuse(Status.SECTION, f"{where}: its type is {letters!r}")
        name = letters.decode("ascii")
        if flags > 1 or name in seen:
            refuse(Status.SECTION, f"{where}: {name} has the flags {flags:#x} or comes twice")
        if flags and (name not in KNOWN_SECTIONS or "SIGN" in seen):
            refuse(Status.CRITICAL, f"{where}: {name} is critical")
        seen.add(name)
        payload = data[start : start + size]
        checked = data[offset : offset + 16] + payload
        sections.append(StoredSection(name, flags == 1, payload, crc, checked))
        offset = start + size
    if offset != header.file_size:
        refuse(Status.SECTION, f"{header.file_size - offset} bytes stand behind the last one")
    return tuple(sections)
