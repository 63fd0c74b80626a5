"""Which method and coder store a tensor's codes in the fewest bytes.

Between quantize, which decides the codes, and container.writer. The codes stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import CodedEnsemble, CodedTensor, Coder, Digits, Predictor, Profile
from edgeens.container.blocks import block_positions
from edgeens.container.entropy import Streams, entropy_streams
from edgeens.container.fitting import fit_coding
from edgeens.container.layout import (
    BLOCK_ENTRY,
    DTYPES,
    LANE_CRC,
    MAX_SHARED_MEMBERS,
    ceil8,
    parent_bits,
)
from edgeens.container.parameters import split
from edgeens.container.tables import BORROWER, plan_tables

Allowed = Literal["auto", "plain"]

_PREDICTORS: tuple[Predictor, ...] = ("first", "mean", "haar")

# Sharing is slow to measure: of more codes than these, a sixteenth is looked at first, and the rest
# only if that part does not take a tenth more than it may.
_SAMPLED = 1 << 21
_SAMPLE = 16
_HOPELESS = 1.1


@dataclass(frozen=True)
class _File:
    """What the size of a tensor depends on beside its codes."""

    members: int
    profile: Profile
    block_codes: int | None

    def positions(self, tensor: CodedTensor) -> int:
        return block_positions(
            tensor, self.members, profile=self.profile, block_codes=self.block_codes
        )

    def streams(self, tensor: CodedTensor) -> Streams:
        return entropy_streams(
            tensor, self.members, profile=self.profile, block_codes=self.block_codes
        )

    def size(self, tensor: CodedTensor) -> int:
        return coded_size(tensor, self.members, profile=self.profile, block_codes=self.block_codes)


def choose_methods(
    coded: CodedEnsemble, *, method: Allowed = "auto", coder: Coder | None = None
) -> CodedEnsemble:
    """*coded* with the smallest method and coder for each tensor; arguments as choose_method.

    A small tensor for which tables of its own do not pay may use those of another.
    """
    chosen = [
        choose_method(
            tensor,
            coded.members,
            profile=coded.profile,
            block_codes=coded.block_codes,
            method=method,
            coder=coder,
        )
        for tensor in coded.tensors
    ]
    if coder != "fixed":
        chosen = _borrowing(replace(coded, tensors=tuple(chosen)))
    return replace(coded, tensors=tuple(chosen))


def _borrowing(coded: CodedEnsemble) -> list[CodedTensor]:
    """The tensors, those with coder entropy that are smaller so with the tables of others."""
    file = _File(coded.members, coded.profile, coded.block_codes)
    tensors = list(coded.tensors)
    small = [
        number
        for number, tensor in enumerate(tensors)
        if tensor.coder == "fixed" and tensor.grid and 0 < tensor.codes.size < BORROWER
    ]
    lenders = [file.streams(tensor) for tensor in tensors if tensor.coder == "entropy"]
    if not small or not lenders:
        return tensors
    pool, _ = plan_tables(lenders)
    for number in small:
        tensor = tensors[number]
        borrower = replace(
            tensor, method="drawn" if tensor.draw else "plain", digits="none", coder="entropy"
        )
        streams = file.streams(borrower)
        coding = pool.borrowed(streams)
        if coding is None:
            continue
        if streams.block_bytes(coding) + pool.added_bytes(coding) < file.size(tensor):
            pool.add(coding)
            tensors[number] = borrower
    return tensors


def choose_method(
    tensor: CodedTensor,
    members: int,
    *,
    profile: Profile = "desktop",
    block_codes: int | None = None,
    method: Allowed = "auto",
    coder: Coder | None = None,
) -> CodedTensor:
    """*tensor* with the smallest of the methods plain, shared and joint, and of the coders.

    Exact values stay raw and drawn members stay drawn. Raw codes are never smaller than plain ones
    of 8 bits. Equal sizes: the coder fixed, then plain, then balanced digits.

    Args:
        tensor: its codes are kept.
        members: K.
        profile, block_codes: as in CodedEnsemble.
        method: "plain" leaves out shared and joint.
        coder: the only one to use, or None for either. A tensor without elements is always fixed.
    """
    if tensor.grid is None:
        return tensor
    file = _File(members, profile, block_codes)
    best, least = tensor, -1
    if coder != "entropy" or tensor.codes.size == 0:
        for each in _fixed(tensor, members, method):
            if each.method == "shared" and _hopeless(each, least, file):
                continue
            size = file.size(each)
            if least < 0 or size < least:
                best, least = each, size
    if coder != "fixed" and tensor.codes.size:
        for each in _entropy(tensor, method, file):
            size = file.size(each)
            if least < 0 or size < least:
                best, least = each, size
    return best


def _fixed(tensor: CodedTensor, members: int, method: Allowed) -> Iterator[CodedTensor]:
    """The tensor in each method that it may have with the coder fixed."""
    basis = replace(tensor, coder="fixed", predictor="none", digits="none")
    if tensor.draw is not None:
        yield basis
        return
    yield replace(basis, method="plain")
    if (
        method == "plain"
        or not 2 <= members <= MAX_SHARED_MEMBERS
        or len(tensor.codes) != members
        or tensor.grid is None
        or tensor.grid.bits != 8
    ):
        return
    kinds: list[Digits] = ["balanced", "planes"]
    if tensor.codes.size and int(tensor.codes.min()) == -128:
        kinds.remove("balanced")  # their codes are -127..127
    for kind in kinds:
        yield replace(basis, method="shared", digits=kind)


def _entropy(tensor: CodedTensor, method: Allowed, file: _File) -> Iterator[CodedTensor]:
    """The tensor in each method that it may have with the coder entropy, the hopeless left out.

    Classes serve residuals as well as codes, so residuals of more entropy cannot become smaller.
    """
    basis = replace(tensor, coder="entropy", predictor="none", digits="none")
    if tensor.draw is not None:
        yield basis
        return
    plain = replace(basis, method="plain")
    yield plain
    if method == "plain" or file.members < 2 or len(tensor.codes) != file.members:
        return
    most = _entropy_bits(file.streams(plain))
    for predictor in _PREDICTORS:
        joint = replace(basis, method="joint", predictor=predictor)
        if _entropy_bits(file.streams(joint)) < most:
            yield joint


def _entropy_bits(streams: Streams) -> int:
    """Order-0 entropy of the streams, in bits, by set of tables."""
    total = 0.0
    for number in range(2 if streams.joint else 1):
        _, _, counts = streams.counts(number)
        used: NDArray[np.int64] = counts[counts > 0]
        total += float((used * (np.log2(used.sum()) - np.log2(used))).sum())
    return round(total)


def _hopeless(tensor: CodedTensor, least: int, file: _File) -> bool:
    """Whether a part of many codes tells that sharing will not be smaller than *least* bytes."""
    if tensor.codes.size < _SAMPLED:
        return False
    positions = file.positions(tensor)
    flat = tensor.codes.reshape(file.members, -1)
    blocks = flat.shape[1] // positions
    whole = flat[:, : blocks * positions].reshape(file.members, blocks, positions)
    part = np.ascontiguousarray(whole[:, ::_SAMPLE]).reshape(file.members, -1)
    size = sum(int(batch.sizes().sum()) for batch in split(part, positions, tensor.digits))
    return size * flat.shape[1] > _HOPELESS * least * part.shape[1]


def coded_size(
    tensor: CodedTensor,
    members: int,
    *,
    profile: Profile = "desktop",
    block_codes: int | None = None,
) -> int:
    """Bytes of the tensor's blocks, their entries in the block index, and tables of its own."""
    if tensor.coder == "entropy":
        streams = entropy_streams(tensor, members, profile=profile, block_codes=block_codes)
        coding = fit_coding(streams)
        return coding.table_bytes + streams.block_bytes(coding)
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
