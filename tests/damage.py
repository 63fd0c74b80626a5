"""Containers taken apart, to be put together again with a fault in them.

Everything that the fault does not name is recomputed (offsets, counts, sizes, checksums), so that a
damaged file reaches the check that it is meant for and no earlier one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from edgeens.container.checksum import crc32c
from edgeens.container.layout import (
    BLOCK_ENTRY,
    HEADER,
    RECORD,
    SECTION_HEADER,
    Header,
    TensorRecord,
)


@dataclass
class SectionDraft:
    """A section; *crc* and *size* None: what they should be."""

    type: bytes
    payload: bytes
    flags: int = 0
    crc: int | None = None
    size: int | None = None

    def build(self) -> bytes:
        size = len(self.payload) if self.size is None else self.size
        front = SECTION_HEADER.pack(self.type, self.flags, size, 0)[:16]
        crc = crc32c(front, self.payload) if self.crc is None else self.crc
        return front + struct.pack("<I", crc) + self.payload


@dataclass
class TensorDraft:
    """A tensor: name, record, scales and the bytes of its blocks, first to last.

    Attributes:
        lies: fields of the record that are written as they stand here.
        ends, crcs: entries of the block index that are written as they stand here, by block.
    """

    name: bytes
    record: TensorRecord
    scales: bytes
    blocks: list[bytes]
    lies: dict[str, Any] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    crcs: dict[int, int] = field(default_factory=dict)

    def common(self, block: bytes) -> bytes:
        """The part of a block that its CRC in the index covers."""
        record = self.record
        return block[: record.lane_entry * record.lanes] if record.lanes else block

    def seal_lanes(self, block: int) -> None:
        """Make the lanes' checksums of a block right again, after its lanes were changed, if any.

        With coder entropy the lanes are as long as the block says they are.
        """
        lanes, entry = self.record.lanes, self.record.lane_entry
        data = bytearray(self.blocks[block])
        start = entry * lanes
        equal = (len(data) - start) // max(1, lanes)
        for lane in range(lanes):
            crc_at = entry * lane + entry - 4
            stated = int.from_bytes(data[entry * lane : crc_at], "little")
            size = stated if entry > 4 else equal
            data[crc_at : crc_at + 4] = struct.pack("<I", crc32c(data[start : start + size]))
            start += size
        self.blocks[block] = bytes(data)


@dataclass
class Draft:
    """A container in parts.

    Attributes:
        lies: fields of the header that are written as they stand here.
        tail: bytes behind the last section.
    """

    header: Header
    tensors: list[TensorDraft]
    sections: list[SectionDraft]
    tables: bytes = b""
    tail: bytes = b""
    lies: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def take_apart(cls, data: bytes) -> Draft:
        """The parts of a good file."""
        header = Header(*HEADER.unpack_from(data))
        names_at = HEADER.size + header.tensor_count * RECORD.size
        scales_at = names_at + header.names_size
        tables_at = scales_at + 4 * header.scale_count
        index_at = tables_at + header.tables_size
        tensors = []
        offset = header.head_size
        for number in range(header.tensor_count):
            record = TensorRecord.unpack(data, HEADER.size + number * RECORD.size)
            name_at = names_at + record.name_offset
            scale_at = scales_at + 4 * record.scale_index
            blocks = []
            for block in range(record.block_count):
                entry = index_at + (record.first_block + block) * BLOCK_ENTRY.size
                end = record.data_offset + BLOCK_ENTRY.unpack_from(data, entry)[0]
                blocks.append(data[offset:end])
                offset = end
            tensors.append(
                TensorDraft(
                    data[name_at : name_at + record.name_size],
                    record,
                    data[scale_at : scale_at + 4 * record.scale_count],
                    blocks,
                )
            )
        sections = []
        for _ in range(header.section_count):
            type_, flags, size, _ = SECTION_HEADER.unpack_from(data, offset)
            start = offset + SECTION_HEADER.size
            sections.append(SectionDraft(type_, data[start : start + size], flags))
            offset = start + size
        return cls(header, tensors, sections, data[tables_at:index_at])

    def keep(self, numbers: Iterable[int]) -> None:
        """Drop the other tensors, and their digests."""
        kept = list(numbers)
        for section in self.sections:
            if section.type == b"DGST":
                payload = section.payload
                section.payload = b"".join(payload[32 * i : 32 * i + 32] for i in kept)
        self.tensors = [self.tensors[number] for number in kept]

    def build(self) -> bytes:
        """The file."""
        index = [BLOCK_ENTRY.pack(*entry) for tensor in self.tensors for entry in _index(tensor)]
        names = b"".join(tensor.name for tensor in self.tensors)
        scales = b"".join(tensor.scales for tensor in self.tensors)
        blocks = b"".join(block for tensor in self.tensors for block in tensor.blocks)
        sections = b"".join(section.build() for section in self.sections)
        honest = self.header._replace(
            section_count=len(self.sections),
            tensor_count=len(self.tensors),
            names_size=len(names),
            scale_count=len(scales) // 4,
            tables_size=len(self.tables),
            block_count=len(index),
            head_crc=0,
        )
        behind = len(blocks) + len(sections) + len(self.tail)
        honest = honest._replace(file_size=honest.head_size + behind)
        records = b"".join(self._records(honest.head_size))
        header = honest._replace(**{k: v for k, v in self.lies.items() if k != "head_crc"})
        head = HEADER.pack(*header) + records + names + scales + self.tables + b"".join(index)
        crc = self.lies.get("head_crc", crc32c(head[: header.head_size]))
        head = head[:16] + struct.pack("<I", crc) + head[20:]
        return head + blocks + sections + self.tail

    def _records(self, offset: int) -> list[bytes]:
        names = scales = blocks = 0
        records = []
        for tensor in self.tensors:
            record = tensor.record._replace(
                data_offset=offset,
                name_offset=names,
                name_size=len(tensor.name),
                scale_index=scales,
                scale_count=len(tensor.scales) // 4,
                first_block=blocks,
                block_count=len(tensor.blocks),
            )
            records.append(record._replace(**tensor.lies).pack())
            names += len(tensor.name)
            scales += len(tensor.scales) // 4
            blocks += len(tensor.blocks)
            offset += sum(map(len, tensor.blocks))
        return records


def _index(tensor: TensorDraft) -> list[tuple[int, int]]:
    entries = []
    end = 0
    for number, block in enumerate(tensor.blocks):
        end += len(block)
        crc = tensor.crcs.get(number, crc32c(tensor.common(block)))
        entries.append((tensor.ends.get(number, end), crc))
    return entries


def resealed(damaged: bytes, good: bytes) -> bytes:
    """*damaged* with every checksum made right, where the good file of the same length has them."""
    data = bytearray(damaged)
    draft = Draft.take_apart(good)
    header = draft.header
    entry = header.head_size - 8 * header.block_count
    offset = header.head_size
    for tensor in draft.tensors:
        for block in tensor.blocks:
            tensor.blocks = [bytes(data[offset : offset + len(block)])]
            if tensor.record.lanes:
                tensor.seal_lanes(0)
            data[offset : offset + len(block)] = tensor.blocks[0]
            crc = crc32c(tensor.common(tensor.blocks[0]))
            data[entry + 4 : entry + 8] = struct.pack("<I", crc)
            entry += 8
            offset += len(block)
    for section in draft.sections:
        end = offset + SECTION_HEADER.size + len(section.payload)
        crc = crc32c(data[offset : offset + 16], data[offset + 20 : end])
        data[offset + 16 : offset + 20] = struct.pack("<I", crc)
        offset = end
    head = bytes(data[:16]) + bytes(4) + bytes(data[20 : header.head_size])
    data[16:20] = struct.pack("<I", crc32c(head))
    return bytes(data)
