"""The ensemble as it comes in: K members' tensors as plain arrays.

First stage of the pipeline: made by onnx.members or torch.members, consumed by quantize.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class GivenCodes:
    """The grid that a tensor came on: its values are scale * (code - zero_point), exactly.

    Attributes:
        codes: int8, shape (copies, *shape).
        scale: float32, shape (1,), or (channels,) along *channel_axis*.
        channel_axis: axis of *shape*, or None for one scale.
        zero_point: the code of the value 0, -128 to 127.
    """

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]
    channel_axis: int | None = None
    zero_point: int = 0


@dataclass(frozen=True, eq=False)
class MemberTensor:
    """One named tensor of all members.

    Attributes:
        name: unique within the ensemble; 1 to 1024 bytes of UTF-8.
        values: shape (copies, *shape); copies is 1 when all members hold the same tensor, else K.
            bfloat16 values are held as their uint16 bit patterns.
        dtype: the type of a value in the members, by its ONNX name in lower case ("float32",
            "float16", "double", "bfloat16", "int64", "bool", ...).
        channel_axis: axis of *shape* that counts output channels, or None if there is none.
        quantise: whether the encoder may put the tensor on a grid; otherwise it is kept exactly.
        given: the codes it has already, of all copies, where they are on one grid.
    """

    name: str
    values: Array
    dtype: str
    channel_axis: int | None = None
    quantise: bool = False
    given: GivenCodes | None = None

    @property
    def copies(self) -> int:
        """How many members' values are held: 1 or K."""
        return int(self.values.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one member's tensor."""
        return tuple(int(n) for n in self.values.shape[1:])


@dataclass(frozen=True, eq=False)
class Ensemble:
    """K members that differ only in the values of their tensors.

    Attributes:
        members: K, 1 to 64.
        tensors: every tensor that the file will hold, in any order.
        skeletons: the graph without its weights, by section type of the file ("SKLF", ...).
        metadata: JSON-serialisable description that travels with the file (names, classes, ...).
    """

    members: int
    tensors: tuple[MemberTensor, ...]
    skeletons: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def equal_members(self) -> list[list[int]]:
        """Groups of two or more members that hold the same values in every tensor."""
        groups = [list(range(self.members))]
        for tensor in self.tensors:
            if tensor.copies > 1:
                groups = [part for group in groups for part in _parted(tensor.values, group)]
        return [group for group in groups if len(group) > 1]


def _parted(values: Array, group: list[int]) -> list[list[int]]:
    """The members of *group* by the values that they hold."""
    parts: list[list[int]] = []
    for member in group:
        for part in parts:
            if _equal(values[member], values[part[0]]):
                part.append(member)
                break
        else:
            parts.append([member])
    return parts


def _equal(one: Array, other: Array) -> bool:
    """Whether two tensors have the same bytes; members that differ do so from the start."""
    a, b = (np.ascontiguousarray(each).reshape(-1).view(np.uint8) for each in (one, other))
    return np.array_equal(a[:4096], b[:4096]) and np.array_equal(a, b)


@dataclass(frozen=True, eq=False)
class LayerInputs:
    """What one tensor is multiplied with, summed up over calibration data.

    Attributes:
        grams: float64, shape (K, groups, columns, columns): X^T X of the vectors that each
            member's tensor, as a matrix, is applied to; one matrix for each group of channels.
        order: the axes of the tensor's *shape* in the order that makes it (groups, rows, columns)
            when reshaped; a row is the weights of one output.
    """

    grams: NDArray[np.float64]
    order: tuple[int, ...]
