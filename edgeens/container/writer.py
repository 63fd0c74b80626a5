"""CodedEnsemble -> bytes of a container (docs/SPEC.md).

The last stage of the encoder: after quantize and container.choice, before a device decodes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from edgeens.atomic import replacing
from edgeens.coded import CodedEnsemble, CodedTensor
from edgeens.container.blocks import TensorBlocks, encode_blocks
from edgeens.container.checks import check_ensemble
from edgeens.container.checksum import crc32c
from edgeens.container.drawn import drawn_codes
from edgeens.container.entropy import Streams, entropy_blocks, entropy_streams
from edgeens.container.layout import (
    BYTE_ORDER,
    CODERS,
    DIGITS,
    DTYPES,
    HEAD_CRC_OFFSET,
    HEADER,
    MAGIC,
    MAJOR,
    MAX_BLOCKS,
    MAX_DIMS,
    MAX_NAMES,
    MAX_SCALES,
    METHODS,
    MINOR_OF_CODERS,
    NO_AXIS,
    PREDICTORS,
    PROFILES,
    SECTION_HEADER,
    Header,
    TensorRecord,
)
from edgeens.container.tables import Map, TablePool, plan_tables
from edgeens.errors import MembersError

Piece = bytes | memoryview

_MAX_TENSOR_BYTES = (1 << 32) - 1


def write_container(
    coded: CodedEnsemble, path: str | os.PathLike[str], *, threads: int = 1
) -> None:
    """Write *coded* as a file that is either complete or absent.

    Args:
        coded: what the file holds.
        path: its name; an existing file is replaced at the end, in one step.
        threads: workers that encode tensors; the bytes are the same for any number.

    Raises:
        MembersError: *coded* breaks a rule of the format.
        OSError: as the operating system reports it (a full disk, no permission).
    """
    pieces = _pieces(coded, threads)
    with replacing(path) as file:
        for piece in pieces:
            file.write(piece)


def serialise(coded: CodedEnsemble, *, threads: int = 1) -> bytes:
    """The same file in memory. Raises MembersError."""
    return b"".join(_pieces(coded, threads))


@dataclass(frozen=True, eq=False)
class _Encoded:
    """What a file holds of one tensor: blocks, digest, coder, and its tables in the pool."""

    blocks: TensorBlocks
    digest: bytes
    coder: str = "fixed"
    first_table: int = 0
    table_count: int = 0


def _pieces(coded: CodedEnsemble, threads: int) -> list[Piece]:
    """The file, cut anywhere."""
    check_ensemble(coded)
    tensors = sorted(coded.tensors, key=lambda tensor: tensor.name.encode())
    coded = replace(coded, tensors=tuple(tensors))
    with _workers(threads) as map_:
        pool, encoded = _encode(coded, map_)
    sections = [
        section_bytes(section.type, section.payload, critical=section.critical)
        for section in coded.sections
    ]
    sections.append(section_bytes("DGST", b"".join(tensor.digest for tensor in encoded)))
    blocks = [piece for tensor in encoded for piece in tensor.blocks.pieces]
    behind = sum(piece.nbytes if isinstance(piece, memoryview) else len(piece) for piece in blocks)
    behind += sum(len(section) for section in sections)
    return [_head(coded, encoded, pool, len(sections), behind), *blocks, *sections]


@contextmanager
def _workers(threads: int) -> Iterator[Map]:
    """A map over that many threads."""
    if threads == 1:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


def _encode(coded: CodedEnsemble, map_: Map) -> tuple[TablePool, list[_Encoded]]:
    """The table pool, and every tensor's blocks and digest (S11.2), in the order of the file."""
    members, profile, block_codes = coded.members, coded.profile, coded.block_codes

    def streams(tensor: CodedTensor) -> Streams | None:
        if tensor.coder == "fixed":
            return None
        return entropy_streams(tensor, members, profile=profile, block_codes=block_codes)

    def encode(number: int) -> _Encoded:
        tensor, of_tensor, planned = coded.tensors[number], parts[number], plans[number]
        digest = _digest(tensor, members, number)
        if of_tensor is not None and planned is not None:
            first, coding = planned
            blocks = entropy_blocks(of_tensor, coding)
            return _Encoded(blocks, digest, coding.coder, first, coding.table_count)
        blocks = encode_blocks(tensor, members, profile=profile, block_codes=block_codes)
        return _Encoded(blocks, digest)

    parts = list(map_(streams, coded.tensors))
    pool, plans = plan_tables(parts, map_=map_)
    return pool, list(map_(encode, range(len(coded.tensors))))


def _digest(tensor: CodedTensor, members: int, number: int) -> bytes:
    digest = hashlib.sha256()
    if tensor.draw is not None and tensor.grid is not None:
        for codes in drawn_codes(
            tensor.codes.reshape(-1),
            members=members,
            bits=tensor.grid.bits,
            levels=tensor.draw.parent_levels,
            key=tensor.draw.key,
            tensor=number,
        ):
            digest.update(codes.data)
    else:
        stored = np.int8 if tensor.grid else DTYPES[tensor.dtype].numpy
        flat = np.ascontiguousarray(tensor.codes, stored).reshape(-1)
        digest.update(flat.view(np.uint8).data)
    return digest.digest()


def section_bytes(type_: str, payload: bytes, *, critical: bool = False) -> bytes:
    """Header and payload (S11)."""
    front = SECTION_HEADER.pack(type_.encode(), int(critical), len(payload), 0)[:-4]
    return front + crc32c(front, payload).to_bytes(4, "little") + payload


def _head(
    coded: CodedEnsemble,
    encoded: list[_Encoded],
    pool: TablePool,
    section_count: int,
    behind: int,
) -> bytes:
    """The file up to and including the block index (S2), *behind* bytes following it."""
    names = [tensor.name.encode() for tensor in coded.tensors]
    scales = [_scales(tensor) for tensor in coded.tensors]
    ends = [np.cumsum(tensor.blocks.sizes) for tensor in encoded]
    index = b"".join(
        np.stack([end.astype("<u4"), tensor.blocks.crcs.astype("<u4")], axis=1).tobytes()
        for end, tensor in zip(ends, encoded, strict=True)
    )
    tables = pool.pack()
    header = Header(
        magic=MAGIC,
        major=MAJOR,
        minor=max((MINOR_OF_CODERS[tensor.coder] for tensor in encoded), default=0),
        byte_order=BYTE_ORDER,
        head_crc=0,
        section_count=section_count,
        file_size=0,
        member_count=coded.members,
        profile=PROFILES[coded.profile],
        reserved_35=0,
        tensor_count=len(names),
        names_size=sum(map(len, names)),
        scale_count=sum(map(len, scales)) // 4,
        table_count=len(pool.bodies),
        tables_size=len(tables),
        block_count=sum(map(len, ends)),
        reserved_60=0,
    )
    _check_counts(header)
    header = header._replace(file_size=header.head_size + behind)
    records = _records(coded, encoded, ends, scales, header.head_size)
    head = bytearray(b"".join((HEADER.pack(*header), *records, *names, *scales, tables, index)))
    head[HEAD_CRC_OFFSET : HEAD_CRC_OFFSET + 4] = crc32c(head).to_bytes(4, "little")
    return bytes(head)


def _records(
    coded: CodedEnsemble,
    encoded: list[_Encoded],
    ends: list[np.ndarray],
    scales: list[bytes],
    head_size: int,
) -> list[bytes]:
    """The records (S4): each tensor's own fields, and where its parts begin."""
    sizes = [int(end[-1]) if len(end) else 0 for end in ends]
    names = accumulate((len(tensor.name.encode()) for tensor in coded.tensors), initial=0)
    scale_starts = accumulate((len(scale) // 4 for scale in scales), initial=0)
    block_starts = accumulate((len(end) for end in ends), initial=0)
    offsets = accumulate(sizes, initial=head_size)
    records = []
    for tensor, stored, end, scale, size in zip(
        coded.tensors, encoded, ends, scales, sizes, strict=True
    ):
        if size > _MAX_TENSOR_BYTES:
            raise MembersError(
                f"tensor {tensor.name!r}: its blocks take {size} bytes, but a tensor's take "
                f"less than 4 GiB; split it"
            )
        record = _record(tensor, coded.members)._replace(
            data_offset=next(offsets),
            name_offset=next(names),
            scale_index=next(scale_starts),
            scale_count=len(scale) // 4,
            first_block=next(block_starts),
            block_count=len(end),
            block_positions=stored.blocks.positions,
            coder=CODERS[stored.coder],
            first_table=stored.first_table,
            table_count=stored.table_count,
        )
        records.append(record.pack())
    return records


def _record(tensor: CodedTensor, members: int) -> TensorRecord:
    """The fields that do not depend on the tensor's place in the file."""
    grid, draw = tensor.grid, tensor.draw
    axis = NO_AXIS if grid is None or grid.channel_axis is None else grid.channel_axis
    shape = tensor.shape
    return TensorRecord(
        data_offset=0,
        name_offset=0,
        name_size=len(tensor.name.encode()),
        dtype=DTYPES[tensor.dtype].number,
        ndim=len(shape),
        dims=shape + (0,) * (MAX_DIMS - len(shape)),
        method=METHODS[tensor.method],
        coder=0,
        bits=grid.bits if grid else 0,
        predictor=PREDICTORS[tensor.predictor],
        digits=DIGITS[tensor.digits],
        channel_axis=axis,
        parent_levels=draw.parent_levels if draw else 0,
        reserved_55=0,
        scale_index=0,
        scale_count=0,
        first_block=0,
        block_count=0,
        block_positions=0,
        copies=members if draw else len(tensor.codes),
        zero_point=grid.zero_point if grid else 0,
        first_table=0,
        table_count=0,
        reserved_84=0,
        key=draw.key if draw else 0,
    )


def _scales(tensor: CodedTensor) -> bytes:
    return tensor.grid.scale.astype("<f4").tobytes() if tensor.grid else b""


def _check_counts(header: Header) -> None:
    for count, most, what in (
        (header.names_size, MAX_NAMES, "bytes of names"),
        (header.scale_count, MAX_SCALES, "scales"),
        (header.block_count, MAX_BLOCKS, "blocks"),
    ):
        if count > most:
            raise MembersError(
                f"a file holds at most {most} {what}, but these are {count}; split the ensemble"
            )
