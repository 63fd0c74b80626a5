"""One tensor's blocks (S4.5, S6, S7): how many positions each holds, and their bytes.

Between a CodedTensor and the writer, which lays the blocks of all tensors behind the head. The
blocks of the coder entropy are made by container.entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import CodedTensor
from edgeens.container.bits import pack
from edgeens.container.checksum import crc32c_each, crc32c_rows
from edgeens.container.layout import BLOCK_LIMITS, DTYPES, LANE_CRC, MAX_RUN, parent_bits
from edgeens.container.parameters import split

Bytes = NDArray[np.uint8]

# Codes of a block over all copies. Below about this many, checksums and index would cost half a
# percent; above, a block no longer fits a small machine's first-level cache.
_DESKTOP_CODES = 1 << 14
_MCU_CODES = 1 << 12
# With many copies a lane would become short and its checksum dear.
_DESKTOP_LANE = 1 << 10
# With prefix codes a lane costs 20 bytes more for sizes, and ends its parts on whole bytes.
_ENTROPY_CODES = 1 << 16
_ENTROPY_LANE = 1 << 13
# Filtered rows are decoded up to 32 at a time, if a block holds so many whole ones.
_ROWS_AT_ONCE = (32, 16, 8, 1)
# For that it may have so many times the positions that it would else have. A decoder keeps the
# codes of one lane at a time, but those of all streams of a joint block.
_MOST_FOR_LANES = 9  # 32 rows of 512 channels and 9 taps, of four members
_MOST_FOR_JOINT = 4

_BATCH = 1 << 21


@dataclass(frozen=True, eq=False)
class TensorBlocks:
    """The blocks of one tensor.

    Attributes:
        positions: P.
        pieces: the blocks' bytes, one behind the other, cut anywhere.
        sizes: bytes of each block.
        crcs: CRC-32C of each block's common part.
    """

    positions: int
    pieces: list[bytes | memoryview]
    sizes: NDArray[np.int64]
    crcs: NDArray[np.uint32]


def block_positions(
    tensor: CodedTensor, members: int, *, profile: str, block_codes: int | None
) -> int:
    """P, the positions of a block: as the profile says, or *block_codes* over all copies."""
    copies = members if tensor.method == "drawn" else len(tensor.codes)
    weight = copies * (1 if tensor.grid else DTYPES[tensor.dtype].size)
    if block_codes is not None:
        positions = block_codes // weight
    elif profile == "mcu":
        positions = _MCU_CODES // weight
    elif tensor.coder == "entropy":
        positions = max(_ENTROPY_CODES // copies, _ENTROPY_LANE)
        most = _MOST_FOR_JOINT if tensor.method == "joint" else _MOST_FOR_LANES
        positions = _whole_rows(positions, most * positions, tensor.shape)
    else:
        positions = max(_DESKTOP_CODES // weight, _DESKTOP_LANE * copies // weight)
    positions = min(positions, BLOCK_LIMITS[profile] // weight)
    if tensor.method == "shared":
        positions = min(positions, MAX_RUN)  # so the number of runs fits its 16 bits too
    elements = int(tensor.codes[0].size)
    return max(1, min(positions, elements))


def _whole_rows(positions: int, most: int, shape: tuple[int, ...]) -> int:
    """About as many positions in whole rows, a multiple of 32, 16 or 8 if *most* allows it."""
    row = prod(shape[1:])
    for unit in (rows * row for rows in _ROWS_AT_ONCE):
        if 0 < unit <= most:
            return unit * max(1, (2 * positions + unit) // (2 * unit))
    return positions


def encode_blocks(
    tensor: CodedTensor, members: int, *, profile: str, block_codes: int | None
) -> TensorBlocks:
    """All blocks of a tensor that has been checked and has the coder fixed."""
    positions = block_positions(tensor, members, profile=profile, block_codes=block_codes)
    if tensor.method == "shared":
        return _shared_blocks(tensor, positions)
    return _lane_blocks(tensor, positions)


def _shared_blocks(tensor: CodedTensor, positions: int) -> TensorBlocks:
    blocks: list[bytes] = []
    for batch in split(_flat(tensor), positions, tensor.digits):
        blocks += batch.pack()
    sizes = np.array([len(block) for block in blocks], np.int64)
    return TensorBlocks(positions, list(blocks), sizes, crc32c_each(blocks))


def _lane_blocks(tensor: CodedTensor, positions: int) -> TensorBlocks:
    flat = _flat(tensor)
    copies, elements = flat.shape
    whole = elements // positions
    batch = max(1, _BATCH // (copies * positions))
    matrices = []
    for block in range(0, whole, batch):
        last = min(block + batch, whole)
        part = flat[:, block * positions : last * positions]
        matrices.append(_lanes(_streams(tensor, part.reshape(copies, -1, positions))))
    if elements > whole * positions:
        rest = flat[:, whole * positions :]
        matrices.append(_lanes(_streams(tensor, rest.reshape(copies, 1, -1))))
    sizes = [np.full(len(matrix), matrix.shape[1], np.int64) for matrix in matrices]
    crcs = [crc32c_rows(matrix[:, : LANE_CRC * copies]) for matrix in matrices]
    return TensorBlocks(
        positions,
        [matrix.data.cast("B") for matrix in matrices],
        np.concatenate([np.empty(0, np.int64), *sizes]),
        np.concatenate([np.empty(0, np.uint32), *crcs]),
    )


def _flat(tensor: CodedTensor) -> NDArray[np.int8]:
    return tensor.codes.reshape(len(tensor.codes), -1)


def _streams(tensor: CodedTensor, codes: NDArray[np.int8]) -> Bytes:
    """The lanes' bytes, shape (copies, blocks, bytes), of codes (copies, blocks, positions)."""
    if tensor.grid is None:
        exact = np.ascontiguousarray(codes, DTYPES[tensor.dtype].numpy)
        return exact.view(np.uint8)
    fields = codes.view(np.uint8)
    draw = tensor.draw
    width = parent_bits(draw.parent_levels) if draw else tensor.grid.bits
    return pack(fields & np.uint8((1 << width) - 1), width)


def _lanes(streams: Bytes) -> Bytes:
    """Blocks as rows: the lanes' checksums, then the lanes."""
    copies, blocks, size = streams.shape
    common = LANE_CRC * copies
    matrix = np.empty((blocks, common + copies * size), np.uint8)
    crcs = crc32c_rows(np.ascontiguousarray(streams).reshape(copies * blocks, size))
    matrix[:, :common] = (
        np.ascontiguousarray(crcs.reshape(copies, blocks).T).astype("<u4").view(np.uint8)
    )
    matrix[:, common:].reshape(blocks, copies, size)[:] = streams.transpose(1, 0, 2)
    return matrix
