"""What every bit of a file is spent on: the honest accounting behind `inspect`.

Reads a finished file; after the writer, before the tables that people read. The kinds of bits are
the paper's (S7): metadata, pattern and parameter bits, with all that a real file adds to them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from edgeens.container.layout import (
    BLOCK_ENTRY,
    CODERS,
    DTYPE_NAMES,
    DTYPES,
    HEADER,
    LANE_CRC,
    METHODS,
    PARTS,
    PARTS_FROM,
    PROFILES,
    RECORD,
    SECTION_HEADER,
    STREAM_SIZE,
    TABLE_ENTRY,
    Header,
    TensorRecord,
    ceil8,
    pattern_bits,
)
from edgeens.container.reference import read_container
from edgeens.container.reference_records import StoredTensor

_METHOD_NAMES = {number: name for name, number in METHODS.items()}
_CODER_NAMES = {number: name for name, number in CODERS.items()}
_DESCRIPTIVE = ("META", "SKLF", "SKLC", "SKLQ")


@dataclass(frozen=True)
class Bits:
    """Bits by what they are spent on; together all bits of a file, or of a tensor.

    Attributes:
        header_bits: the file's header, the tensors' records and names.
        metadata_bits: how blocks are laid out (runs, and sizes of lanes, streams and parts).
        pattern_bits: which members share.
        parameter_bits: codes, bases and digits.
        table_bits: scales and the table pool; of tensors that share a table, the first has it.
        index_bits: the block index and the lanes' checksums.
        exact_bits: values kept exactly.
        section_bits: graph, metadata in JSON, digests and other sections, with their headers.
    """

    header_bits: int = 0
    metadata_bits: int = 0
    pattern_bits: int = 0
    parameter_bits: int = 0
    table_bits: int = 0
    index_bits: int = 0
    exact_bits: int = 0
    section_bits: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, field.name) for field in fields(Bits))


@dataclass(frozen=True)
class _Described:
    name: str
    shape: tuple[int, ...]
    dtype: str
    method: str
    coder: str
    bits: int
    copies: int
    file_bits: int


@dataclass(frozen=True)
class TensorSizes(Bits, _Described):
    """One tensor: what it is, and all bits of the file that are there for it (file_bits)."""


@dataclass(frozen=True)
class _Totals:
    format_version: str
    members: int
    file_bytes: int
    float32_bytes: int
    int8_bytes: int
    bits_per_member_weight: float | None
    workspace_bytes: int
    tensors: tuple[TensorSizes, ...]


@dataclass(frozen=True)
class Sizes(Bits, _Totals):
    """A whole file.

    Attributes:
        format_version: "major.minor".
        members: K.
        file_bytes: the file's size; the bits of all kinds sum to eight times this.
        float32_bytes: K members' tensors uncompressed, each in its own dtype.
        int8_bytes: the same with a byte for each weight of a tensor that has codes, and the other
            tensors as often as the file keeps copies.
        bits_per_member_weight: 8 x (file without graph and META) / (K x weights that have codes);
            None if no tensor has codes.
        workspace_bytes: working memory for decoding through a callback: the largest common part or
            lane of any block.
        tensors: in the order of the file.
    """


def measure(data: bytes) -> Sizes:
    """Account for every bit of a container. Raises FormatError where opening it does."""
    container = read_container(data)
    header = container.header
    members = header.member_count
    profile = next(name for name, number in PROFILES.items() if number == header.profile)
    tables = _table_sizes(data, header)
    tensors = tuple(_tensor_sizes(data, tensor, profile, tables) for tensor in container.tensors)
    whole = Bits(
        header_bits=8 * HEADER.size,
        table_bits=8 * sum(tables),
        section_bits=8 * sum(_section_size(section.payload) for section in container.sections),
    )
    described = sum(
        _section_size(section.payload)
        for section in container.sections
        if section.type in _DESCRIPTIVE
    )
    float_bytes, int8_bytes, coded = _plain_bytes(container.tensors, members)
    return Sizes(
        format_version=f"{header.major}.{header.minor}",
        members=members,
        file_bytes=len(data),
        float32_bytes=float_bytes,
        int8_bytes=int8_bytes,
        bits_per_member_weight=8 * (len(data) - described) / coded if coded else None,
        workspace_bytes=max(
            (largest_piece(data, tensor) for tensor in container.tensors), default=0
        ),
        tensors=tensors,
        **_sum([whole, *tensors]),
    )


def _section_size(payload: bytes) -> int:
    return SECTION_HEADER.size + len(payload)


def _sum(parts: Iterable[Bits]) -> dict[str, int]:
    kept = list(parts)
    return {field.name: sum(getattr(part, field.name) for part in kept) for field in fields(Bits)}


def _table_sizes(data: bytes, header: Header) -> list[int]:
    """Bytes of each table with its entry in the directory."""
    start = HEADER.size + header.tensor_count * RECORD.size + header.names_size
    start += 4 * header.scale_count
    directory = data[start : start + header.table_count * TABLE_ENTRY.size]
    return [TABLE_ENTRY.size + size for _, _, size in TABLE_ENTRY.iter_unpack(directory)]


def _tensor_sizes(
    data: bytes, tensor: StoredTensor, profile: str, tables: list[int]
) -> TensorSizes:
    """The sizes of one tensor; it takes what *tables* still hold for those that it names."""
    record = tensor.record
    checksums = record.block_count * (BLOCK_ENTRY.size + LANE_CRC * record.lanes)
    stored = sum(end - start - LANE_CRC * record.lanes for start, end, _ in tensor.blocks)
    metadata = pattern = 0
    if record.method == METHODS["shared"] and record.coder == CODERS["fixed"]:
        parts = [_shared_parts(data[start:end], record.copies) for start, end, _ in tensor.blocks]
        metadata = sum(part[0] for part in parts)
        pattern = sum(part[1] for part in parts)
    if tensor.tables is not None:
        metadata = sum(
            _stream_sizes(record, number, end - start, profile)
            for number, (start, end, _) in enumerate(tensor.blocks)
        )
    named = range(record.first_table, record.first_table + record.table_count)
    table_bytes = sum(tables[number] for number in named)
    for number in named:
        tables[number] = 0  # tensors after the first that names a table have it for nothing
    exact = stored if record.bits == 0 else 0
    bits = Bits(
        header_bits=8 * (RECORD.size + record.name_size),
        metadata_bits=8 * metadata,
        pattern_bits=8 * pattern,
        parameter_bits=8 * (stored - exact - metadata - pattern),
        table_bits=32 * record.scale_count + 8 * table_bytes,
        index_bits=8 * checksums,
        exact_bits=8 * exact,
    )
    return TensorSizes(
        name=tensor.name,
        shape=record.shape,
        dtype=DTYPE_NAMES[record.dtype],
        method=_METHOD_NAMES[record.method],
        coder=_CODER_NAMES[record.coder],
        bits=record.bits,
        copies=record.copies,
        file_bits=bits.total,
        **_sum([bits]),
    )


def _shared_parts(block: bytes, members: int) -> tuple[int, int]:
    """Bytes of metadata and of patterns in a shared block (S8); a damaged one counts as it says."""
    run_count = min(int.from_bytes(block[:2], "little"), (len(block) - 6) // 2)
    metadata = 6 + 2 * run_count
    runs = np.frombuffer(block[2 : metadata - 4], "<u2").astype(np.int64)
    lengths, levels = (runs >> 2) + 1, runs & 3
    width = pattern_bits(members)
    pattern = sum(ceil8(int(lengths[levels >= least].sum()) * width) for least in (2, 3))
    return metadata, min(pattern, len(block) - metadata)


def _stream_sizes(record: TensorRecord, number: int, size: int, profile: str) -> int:
    """Bytes of a block that say how long its code streams and their parts are (S10)."""
    n = min(record.block_positions, record.elements - number * record.block_positions)
    parts = PARTS[profile] if n >= PARTS_FROM else 1
    streams = record.lanes or record.copies
    return min(STREAM_SIZE * streams * parts, size - LANE_CRC * record.lanes)


def _plain_bytes(tensors: Iterable[StoredTensor], members: int) -> tuple[int, int, int]:
    """Bytes of all members uncompressed, of their flat int8, and member weights with codes."""
    float_bytes = int8_bytes = coded = 0
    for tensor in tensors:
        record = tensor.record
        size = DTYPES[DTYPE_NAMES[record.dtype]].size
        float_bytes += members * record.elements * size
        if record.bits:
            coded += members * record.elements
            int8_bytes += members * record.elements
        else:
            int8_bytes += record.copies * record.elements * size
    return float_bytes, int8_bytes, coded


def largest_piece(data: bytes, tensor: StoredTensor) -> int:
    """Bytes of the largest common part or lane of a tensor (S7): what has to be in one piece."""
    record = tensor.record
    largest = max((end - start for start, end, _ in tensor.blocks), default=0)
    if record.lanes == 0 or largest == 0:
        return largest
    common = record.lane_entry * record.lanes
    if record.coder == CODERS["fixed"]:
        return max(common, (largest - common) // record.lanes)
    stated = [
        int.from_bytes(data[start + at : start + at + STREAM_SIZE], "little")
        for start, _, _ in tensor.blocks
        for at in range(0, common, record.lane_entry)
    ]
    return max(common, min(largest - common, max(stated)))  # a damaged size may be anything
