"""The reference decoder's tensor records: their checks, names, scales and index (S4, S6, S12).

For step 7 of "Opening", run by container.reference_opening. Written from docs/SPEC.md in its order.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from edgeens.container.layout import (
    BLOCK_ENTRY,
    CODED_DTYPES,
    DTYPE_NAMES,
    DTYPES,
    HEADER,
    MAX_DIMS,
    MAX_ELEMENTS,
    MAX_MEMBERS,
    MAX_NAME,
    MAX_PARENT_LEVELS,
    MAX_SHARED_MEMBERS,
    MINOR,
    NO_AXIS,
    RECORD,
    Header,
    Status,
    TensorRecord,
    ceil8,
    parent_bits,
    pattern_bits,
)
from edgeens.container.reference_bits import refuse
from edgeens.container.reference_tables import Table, TensorTables, tensor_tables

RAW, PLAIN, SHARED, JOINT, DRAWN = range(5)  # (S4.3)
FIXED, ENTROPY, FILTERED, SPLIT = range(4)  # (S4)
DESKTOP = 0  # (S3)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of an open file.

    Attributes:
        record: its record (S4).
        name: its name.
        scales: its scales.
        blocks: start, end and CRC of each block.
        tables: what its code streams are decoded with; None if it has none.
    """

    record: TensorRecord
    name: str
    scales: tuple[float, ...]
    blocks: tuple[tuple[int, int, int], ...]
    tables: TensorTables | None


def open_tensors(
    data: bytes,
    header: Header,
    *,
    names: bytes,
    scales: bytes,
    tables: Sequence[Table],
    index: bytes,
    limit: int | None,
) -> tuple[StoredTensor, ...]:
    """Step 7 of "Opening" (S12): every record with its name, scales and blocks."""
    tensors: list[StoredTensor] = []
    for number in range(header.tensor_count):
        record = TensorRecord.unpack(data, HEADER.size + number * RECORD.size)
        where = f"tensor {number}"
        before = tensors[-1] if tensors else None
        name = _open_name(record, names, before, where)
        _check_record(record, header, where)
        named = None
        if record.coder != FIXED and record.method in (PLAIN, JOINT, DRAWN):
            named = tensor_tables(record, tables, where, profile=header.profile)
        stored_scales = _open_scales(record, scales, before, where)
        start = tensors_end(tensors, header)
        blocks = _open_blocks(record, index, before, start, header, where)
        size = record.copies * record.elements * DTYPES[DTYPE_NAMES[record.dtype]].size
        if limit is not None and size > limit:
            refuse(Status.LIMIT, f"{where} takes {size} bytes, the limit is {limit}")
        tensors.append(StoredTensor(record, name, stored_scales, blocks, named))
    return tuple(tensors)


def _open_name(record: TensorRecord, names: bytes, before: StoredTensor | None, where: str) -> str:
    """Step 7.1 (S4.1)."""
    start = before.record.name_offset + before.record.name_size if before else 0
    if record.name_offset != start:
        refuse(Status.NAME, f"{where}: name_offset is {record.name_offset}, not {start}")
    if not 1 <= record.name_size <= MAX_NAME or start + record.name_size > len(names):
        refuse(Status.NAME, f"{where}: name_size is {record.name_size}")
    name = names[start : start + record.name_size]
    if any(byte < 0x20 or byte == 0x7F for byte in name):
        refuse(Status.NAME, f"{where}: {name!r} holds a control character")
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        refuse(Status.NAME, f"{where}: {name!r} is not UTF-8")
    if before and name <= before.name.encode():
        refuse(Status.NAME, f"{where}: {text!r} does not stand behind {before.name!r}")
    return text


def _check_record(record: TensorRecord, header: Header, where: str) -> None:
    """Step 7.2 (S4, S4.2, S4.3, S4.5), the fields in the order of S12."""

    def need(holds: bool, what: str) -> None:
        if not holds:
            refuse(Status.RECORD, f"{where}: {what}")

    def known(field: str, values: range | frozenset[int]) -> None:
        value = getattr(record, field)
        if value not in values:
            status = Status.UNSUPPORTED if header.minor > MINOR else Status.RECORD
            refuse(status, f"{where}: {field} is {value}")

    known("dtype", frozenset(DTYPE_NAMES))
    need(record.ndim <= MAX_DIMS, f"ndim is {record.ndim}")
    need(not any(record.dims[record.ndim :]), f"dims behind ndim are {record.dims}")
    product = 1
    for dim in record.shape:
        product *= dim
        need(dim <= MAX_ELEMENTS and product <= MAX_ELEMENTS, f"the shape is {record.shape}")
    known("method", range(5))
    known("coder", range(4))
    need(record.bits in (0, *range(2, 9)), f"bits is {record.bits}")
    known("predictor", range(4))
    known("digits", range(3))
    method = record.method
    need(method != RAW or record.coder == FIXED, "raw with codewords")
    need(method != SHARED or record.coder in (FIXED, ENTROPY), f"shared, coder {record.coder}")
    widths = {RAW: (0, 8), SHARED: (8,)}.get(method, range(2, 9))
    need(record.bits in widths, f"bits is {record.bits}")
    dtype = DTYPE_NAMES[record.dtype]
    need(record.bits == 0 or dtype in CODED_DTYPES, f"codes of {dtype}")
    need(method == JOINT or record.predictor == 0, f"predictor is {record.predictor}")
    need((method == SHARED) == (record.digits != 0), f"digits is {record.digits}")
    axis = record.channel_axis
    need(axis < record.ndim or axis == NO_AXIS, f"channel_axis is {axis}")
    levels = record.parent_levels
    need(levels <= MAX_PARENT_LEVELS, f"parent_levels is {levels}")
    need((method == DRAWN) == (levels != 0), f"parent_levels is {levels}")
    need(record.reserved_55 == 0 and record.reserved_84 == 0, "a reserved field is not 0")
    members = header.member_count
    many = {SHARED: range(2, MAX_SHARED_MEMBERS + 1), JOINT: range(2, MAX_MEMBERS + 1)}
    need(members in many.get(method, range(1, MAX_MEMBERS + 1)), f"method {method}, K {members}")
    copies = (1, members) if method in (RAW, PLAIN) else (members,)
    need(record.copies in copies, f"copies is {record.copies}")
    zero = 0 if record.bits == 0 or method == DRAWN else record.zero_point
    need(-128 <= record.zero_point <= 127, f"zero_point is {record.zero_point}")
    need(record.zero_point == zero, f"zero_point is {record.zero_point}")
    tables = (record.first_table, record.table_count)
    need(record.coder != FIXED or tables == (0, 0), f"tables {tables} for the coder fixed")
    need(record.coder != FILTERED or header.minor >= 2, f"filtered in version 1.{header.minor}")
    need(record.coder != SPLIT or header.minor >= 3, f"split in version 1.{header.minor}")
    need(record.coder != SPLIT or header.profile == DESKTOP, "split in the mcu profile")
    need(sum(tables) <= header.table_count, f"tables {tables} of {header.table_count}")
    need(method == DRAWN or record.key == 0, f"key is {record.key}")
    positions = record.block_positions
    weight = record.copies * (1 if record.bits else DTYPES[dtype].size)
    need(positions >= 1, "block_positions is 0")
    need(positions * weight <= header.block_limit, f"block_positions is {positions}")
    blocks = -(-record.elements // positions)
    need(record.block_count == blocks, f"block_count is {record.block_count}, not {blocks}")


def _open_scales(
    record: TensorRecord, scales: bytes, before: StoredTensor | None, where: str
) -> tuple[float, ...]:
    """Step 7.3 (S4.4)."""
    start = before.record.scale_index + before.record.scale_count if before else 0
    if record.scale_index != start:
        refuse(Status.SCALE, f"{where}: scale_index is {record.scale_index}, not {start}")
    counts = {0} if record.bits == 0 else {1}
    if record.bits and record.channel_axis != NO_AXIS and record.shape[record.channel_axis]:
        counts.add(record.shape[record.channel_axis])
    count = record.scale_count
    if count not in counts or 4 * (start + count) > len(scales):
        refuse(Status.SCALE, f"{where}: scale_count is {count}")
    part = scales[4 * start : 4 * (start + count)]
    for (pattern,) in struct.iter_unpack("<I", part):
        if not 1 <= pattern >> 23 <= 246:  # the sign bit is the ninth
            refuse(Status.SCALE, f"{where}: a scale has the bits {pattern:#010x}")
    return struct.unpack(f"<{count}f", part)


def tensors_end(tensors: Sequence[StoredTensor], header: Header) -> int:
    """Where the blocks of the last of *tensors* end; the head's end if there is none."""
    if not tensors:
        return header.head_size
    last = tensors[-1]
    return last.blocks[-1][1] if last.blocks else last.record.data_offset


def _open_blocks(
    record: TensorRecord,
    index: bytes,
    before: StoredTensor | None,
    start: int,
    header: Header,
    where: str,
) -> tuple[tuple[int, int, int], ...]:
    """Step 7.4 (S4.5, S6)."""
    first = before.record.first_block + before.record.block_count if before else 0
    if record.first_block != first or first + record.block_count > header.block_count:
        refuse(
            Status.INDEX,
            f"{where}: {record.block_count} blocks from {record.first_block} on, not from {first} "
            f"on, of {header.block_count}",
        )
    if record.data_offset != start:
        refuse(Status.INDEX, f"{where}: data_offset is {record.data_offset}")
    blocks: list[tuple[int, int, int]] = []
    for block in range(record.block_count):
        end, crc = BLOCK_ENTRY.unpack_from(index, (first + block) * BLOCK_ENTRY.size)
        end += record.data_offset
        least, most = _block_sizes(record, block_length(record, block))
        if not least <= end - start <= most or end > header.file_size:  # so ends grow: least >= 1
            refuse(Status.INDEX, f"{where}: block {block} reaches from {start} to {end}")
        blocks.append((start, end, crc))
        start = end
    return tuple(blocks)


def block_length(record: TensorRecord, block: int) -> int:
    """Positions in a block (S4.5)."""
    start = block * record.block_positions
    return min(record.block_positions, record.elements - start)


def _block_sizes(record: TensorRecord, n: int) -> tuple[int, int]:
    """The least and the largest size of a block of *n* positions (S6)."""
    copies = record.copies
    if record.coder != FIXED and record.method != SHARED:
        least = {PLAIN: 8 * copies, DRAWN: 8, JOINT: 4 * copies}[record.method]
        return least, 1 << 32
    if record.method == JOINT or record.coder == ENTROPY:
        return 1, 1 << 32
    if record.method == SHARED:
        patterns = 2 * ceil8(n * pattern_bits(copies))
        digits = ceil8(2 * n * copies) + ceil8(3 * n * copies) + ceil8(5 * n * copies)
        return 8, 6 + 2 * n + patterns + digits
    if record.method == DRAWN:
        size = 4 + ceil8(n * parent_bits(record.parent_levels))
    elif record.bits:
        size = copies * (4 + ceil8(n * record.bits))
    else:
        size = copies * (4 + n * DTYPES[DTYPE_NAMES[record.dtype]].size)
    return size, size
