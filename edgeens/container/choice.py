"""Which method stores a tensor's codes in the fewest bytes.

Between quantize, which decides the codes, and container.writer. The codes stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

from edgeens.coded import CodedTensor, Digits, Profile
from edgeens.container.blocks import block_positions
from edgeens.container.layout import (
    BLOCK_ENTRY,
    DTYPES,
    LANE_CRC,
    MAX_SHARED_MEMBERS,
    ceil8,
    parent_bits,
)
from edgeens.container.parameters import split


def choose_method(
    tensor: CodedTensor,
    members: int,
    *,
    profile: Profile = "desktop",
    block_codes: int | None = None,
) -> CodedTensor:
    """*tensor* with the smallest of the methods plain, shared balanced and shared planes.

    Exact values stay raw and drawn members stay drawn. Raw codes are never smaller than plain ones
    of 8 bits. Equal sizes: plain, then balanced.
    """
    if tensor.grid is None or tensor.draw is not None:
        return tensor
    candidates = [replace(tensor, method="plain", digits="none")]
    if (
        2 <= members <= MAX_SHARED_MEMBERS
        and len(tensor.codes) == members
        and tensor.grid.bits == 8
    ):
        kinds: list[Digits] = ["balanced", "planes"]
        if tensor.codes.size and int(tensor.codes.min()) == -128:
            kinds.remove("balanced")  # their codes are -127..127
        candidates += [replace(tensor, method="shared", digits=kind) for kind in kinds]
    return min(
        candidates,
        key=lambda each: coded_size(each, members, profile=profile, block_codes=block_codes),
    )


def coded_size(
    tensor: CodedTensor,
    members: int,
    *,
    profile: Profile = "desktop",
    block_codes: int | None = None,
) -> int:
    """Bytes of the tensor's blocks and of their entries in the block index, as written."""
    positions = block_positions(tensor, members, profile=profile, block_codes=block_codes)
    copies, elements = len(tensor.codes), int(tensor.codes[0].size)
    whole, rest = divmod(elements, positions)
    index = BLOCK_ENTRY.size * (whole + bool(rest))
    if tensor.method == "shared":
        flat = tensor.codes.reshape(copies, elements)
        batches = split(flat, positions, tensor.digits)
        return index + sum(int(batch.sizes().sum()) for batch in batches)
    if tensor.grid is None:
        width = 8 * DTYPES[tensor.dtype].size
    elif tensor.draw is not None:
        width = parent_bits(tensor.draw.parent_levels)
    else:
        width = tensor.grid.bits
    lanes = whole * ceil8(positions * width) + ceil8(rest * width)
    return index + copies * (lanes + LANE_CRC * (whole + bool(rest)))
