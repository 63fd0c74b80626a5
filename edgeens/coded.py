"""The ensemble as a file holds it: integer codes on grids, and how each tensor is stored.

Middle of the pipeline: made by quantize, written by container.writer. Nothing after this stage
knows whether bits were shared by training, by search, or drawn by stochastic rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Method = Literal["raw", "plain", "shared", "joint", "drawn"]
Coder = Literal["fixed", "entropy"]
Predictor = Literal["none", "first", "mean", "haar"]
Digits = Literal["none", "balanced", "planes"]
Profile = Literal["desktop", "mcu"]


@dataclass(frozen=True, eq=False)
class Grid:
    """The values a code can stand for: value = scale * (code - zero_point).

    Attributes:
        bits: width of a code, 2 to 8; codes lie in [-2**(bits-1), 2**(bits-1) - 1].
        scale: float32, shape (1,) for one scale a tensor, or (channels,) along *channel_axis*.
        channel_axis: the axis that *scale* runs along, or the output-channel axis for information
            when there is one scale; None if the tensor has no such axis.
        zero_point: the code of the value 0.
    """

    bits: int
    scale: NDArray[np.float32]
    channel_axis: int | None = None
    zero_point: int = 0

    @property
    def largest(self) -> int:
        """q, the largest code of the symmetric grid (METHODS: q = 2**(bits-1) - 1)."""
        return (1 << (self.bits - 1)) - 1

    def broadcast_scale(self, ndim: int) -> NDArray[np.float32]:
        """The scales, shaped to multiply an array of shape (copies, *shape) with *ndim* dims."""
        if self.scale.size == 1 or self.channel_axis is None:
            return self.scale.reshape((1,) * (ndim + 1))
        shape = [1] * (ndim + 1)
        shape[1 + self.channel_axis] = self.scale.size
        return self.scale.reshape(shape)


@dataclass(frozen=True)
class Draw:
    """What makes members out of a stored parent (LPE-BSR): see SPEC, "Drawn members".

    Attributes:
        key: 64 bits that name the ensemble's draws.
        parent_levels: Q, the largest code of the parent grid, 1 to 127.
    """

    key: int
    parent_levels: int


@dataclass(frozen=True, eq=False)
class CodedTensor:
    """One tensor of all members, ready to be written.

    Attributes:
        name: unique within the file.
        dtype: type of a decoded value, by its ONNX name in lower case.
        codes: with a grid: int8, shape (copies, *shape). Without one: the exact values, same
            shape, little-endian of *dtype* (bfloat16 as uint16 bit patterns).
            For method "drawn": the parent's codes, shape (1, *shape).
        grid: None for a tensor that is kept exactly.
        method: how the codes are stored.
        digits: the decomposition that "shared" uses; "none" for other methods.
        draw: only for method "drawn".
        coder: "fixed" for fields of one width, or "entropy" for prefix codes (plain, joint, drawn):
            in the file the coder entropy, filtered or split (S10), as the writer chooses.
        predictor: of member from member, for method "joint" (always with coder "entropy"); the
            codes stay the members' codes.
    """

    name: str
    dtype: str
    codes: Array
    grid: Grid | None = None
    method: Method = "raw"
    digits: Digits = "none"
    draw: Draw | None = None
    coder: Coder = "fixed"
    predictor: Predictor = "none"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one member's tensor."""
        return tuple(int(n) for n in self.codes.shape[1:])


@dataclass(frozen=True)
class Section:
    """A part of the file beside the tensors: four-letter type, payload, and whether a reader
    that does not know the type must refuse the file."""

    type: str
    payload: bytes
    critical: bool = False


@dataclass(frozen=True, eq=False)
class CodedEnsemble:
    """Everything that one file holds.

    Attributes:
        members: K, 1 to 64.
        tensors: in any order; the file sorts them by the bytes of their names.
        sections: in the order of the file; the writer adds digests.
        profile: limits that the file keeps to ("mcu": at most 4096 codes a block, and
            nothing that a small build of the C decoder lacks).
        block_codes: most codes a block may hold over all copies, or None for the profile's own.
    """

    members: int
    tensors: tuple[CodedTensor, ...]
    sections: tuple[Section, ...] = field(default_factory=tuple)
    profile: Profile = "desktop"
    block_codes: int | None = None
