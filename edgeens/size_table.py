"""The honest size table of an encoding: ours beside what the same weights cost otherwise.

Made from the codes and the finished file; printed by `edgeens encode` and `edgeens demo`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import prod

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import CodedEnsemble, CodedTensor
from edgeens.container.choice import coded_size
from edgeens.container.sizes import Sizes
from edgeens.quantize.rounding import drawn_codes
from edgeens.tables import counted

_ZSTD_LEVEL = 19
_ZSTD_SAMPLE = 8 << 20  # level 19 manages about 2 MB/s: beyond this, the first bytes speak for all


@dataclass(frozen=True)
class SizeRow:
    """One way to store the ensemble.

    Attributes:
        label: what is stored, and how.
        bytes: in all; None where it could not be measured (the remark says why).
        bits_per_weight: bits per weight of a member, over the coded tensors' weights.
        remark: what the reader must know beside the number; mostly empty.
    """

    label: str
    bytes: int | None
    bits_per_weight: float | None
    remark: str = ""


def size_rows(coded: CodedEnsemble, sizes: Sizes) -> list[SizeRow]:
    """The baselines, and the finished file last.

    The baselines count weights alone: no graph, no names, no index, no checksums. Exactly kept
    tensors are counted in every row. The file's own bits per weight leave out graph and JSON.
    Members that the device draws came from one model, so that model is the first row then.
    """
    weights = sum(coded.members * prod(t.shape) for t in coded.tensors if t.grid is not None)
    exact = sum(t.codes.nbytes for t in coded.tensors if t.grid is None)
    members = counted(coded.members, "member")

    def row(label: str, size: int | None, remark: str = "") -> SizeRow:
        bits = None if size is None or weights == 0 else 8 * size / weights
        return SizeRow(label, size, bits, remark)

    zstd, remark = _zstd_bytes(coded, weights)
    drawn = any(tensor.draw is not None for tensor in coded.tensors)
    rows = [row("the 1 model, floating point", sizes.float32_bytes // coded.members)] * drawn
    rows += [
        row(f"{members}, floating point", sizes.float32_bytes),
        row(f"{members}, flat int8", sizes.int8_bytes),
        row(f"zstd -{_ZSTD_LEVEL} of the codes", None if zstd is None else zstd + exact, remark),
    ]
    paper = _paper_bytes(coded)
    if paper is not None:
        rows.append(row("Bits-Ensemble layout (2/3/5 + patterns)", paper + exact))
    ours = SizeRow("this file", sizes.file_bytes, sizes.bits_per_member_weight)
    return [*rows, ours]


def _paper_bytes(coded: CodedEnsemble) -> int | None:
    """Fixed-width digits and patterns for every coded tensor; None where there are no digits."""
    total = 0
    for tensor in coded.tensors:
        if tensor.grid is None:
            continue
        copies = tensor.codes.shape[0]
        if tensor.grid.bits != 8 or tensor.method == "drawn" or not 2 <= copies <= 16:
            return None
        as_paper = replace(
            tensor, method="shared", digits="balanced", coder="fixed", predictor="none"
        )
        total += coded_size(as_paper, coded.members)
    return total


def _zstd_bytes(coded: CodedEnsemble, weights: int) -> tuple[int | None, str]:
    """Size of all members' codes, a byte each, after zstd; and a remark."""
    if find_spec("zstandard") is None:
        return None, "not measured: needs the package zstandard"
    import zstandard

    sample = min(weights, _ZSTD_SAMPLE)
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
    stream = compressor.compressobj(size=sample)
    size, left = 0, sample
    for codes in _members_codes(coded):
        taken = codes[:left].tobytes()
        size += len(stream.compress(taken))
        left -= len(taken)
        if left == 0:
            break
    size += len(stream.flush())
    if sample == weights:
        return size, ""
    return round(size * weights / sample), f"estimated from the first {sample >> 20} MiB"


def _members_codes(coded: CodedEnsemble) -> Iterator[NDArray[np.int8]]:
    """The codes of every member of every coded tensor, flat, tensor by tensor."""
    names = sorted(coded.tensors, key=lambda tensor: tensor.name.encode())
    for number, tensor in enumerate(names):
        if tensor.grid is None:
            continue
        for member in range(coded.members):
            yield _one_member(tensor, number, member)


def _one_member(tensor: CodedTensor, number: int, member: int) -> NDArray[np.int8]:
    if tensor.draw is None or tensor.grid is None:
        copy = member if tensor.codes.shape[0] > 1 else 0
        flat: NDArray[np.int8] = tensor.codes[copy].reshape(-1)
        return flat
    bits = tensor.grid.bits
    parent = tensor.codes[0]
    return drawn_codes(parent, bits=bits, draw=tensor.draw, tensor=number, member=member).reshape(
        -1
    )
