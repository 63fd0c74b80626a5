"""What a container says about its tensors and sections, in Python's words.

Beside decoder, which fills these in from the C library's structs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

# (S4.2) ONNX's number -> its name in lower case, and NumPy's type for the same bytes.
DTYPES: Final = {
    1: ("float32", np.float32),
    2: ("uint8", np.uint8),
    3: ("int8", np.int8),
    4: ("uint16", np.uint16),
    5: ("int16", np.int16),
    6: ("int32", np.int32),
    7: ("int64", np.int64),
    9: ("bool", np.bool_),
    10: ("float16", np.float16),
    11: ("double", np.float64),
    12: ("uint32", np.uint32),
    13: ("uint64", np.uint64),
    16: ("bfloat16", np.uint16),
}
NUMPY_DTYPES: Final = dict(DTYPES.values())
METHODS: Final = ("raw", "plain", "shared", "joint", "drawn")
CODERS: Final = ("fixed", "entropy", "filtered", "split")
PREDICTORS: Final = ("none", "first", "mean", "haar")
DIGITS: Final = ("none", "balanced", "planes")
PROFILES: Final = ("desktop", "mcu")
NO_AXIS: Final = 255


@dataclass(frozen=True)
class TensorInfo:
    """What a tensor's record says (SPEC, "Tensor record").

    Attributes:
        index: its number in the file, from 0.
        name: unique in the file.
        shape: of one member's tensor.
        dtype: type of a decoded value, by its ONNX name in lower case.
        method: "raw", "plain", "shared", "joint" or "drawn".
        coder: "fixed", "entropy", "filtered" or "split".
        bits: width of a code, 2 to 8; 0 for exact values.
        predictor: for joint: "first", "mean" or "haar"; else "none".
        digits: "none", "balanced" or "planes".
        channel_axis: the axis of the output channels, or None.
        copies: 1 when all members hold the same values, else their number.
        zero_point: the code of the value 0.
        parent_levels: for drawn: the parent's largest code; else 0.
        key: for drawn: what the draws follow from; else 0.
        block_positions: positions in a block; the last block may hold fewer.
        block_count: how many blocks there are.
        scale_count: 0 for exact values, 1, or one for each channel.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    method: str
    coder: str
    bits: int
    predictor: str
    digits: str
    channel_axis: int | None
    copies: int
    zero_point: int
    parent_levels: int
    key: int
    block_positions: int
    block_count: int
    scale_count: int

    @classmethod
    def of_record(cls, record: Any, name: str) -> TensorInfo:
        """From the C library's struct eens_tensor."""
        return cls(
            index=record.index,
            name=name,
            shape=tuple(record.dims[0 : record.ndim]),
            dtype=DTYPES[record.dtype][0],
            method=METHODS[record.method],
            coder=CODERS[record.coder],
            bits=record.bits,
            predictor=PREDICTORS[record.predictor],
            digits=DIGITS[record.digits],
            channel_axis=None if record.channel_axis == NO_AXIS else record.channel_axis,
            copies=record.copies,
            zero_point=record.zero_point,
            parent_levels=record.parent_levels,
            key=record.key,
            block_positions=record.block_positions,
            block_count=record.block_count,
            scale_count=record.scale_count,
        )


@dataclass(frozen=True)
class SectionInfo:
    """A section's type (four letters), the bytes of its payload, and whether a reader that does
    not know the type must refuse the file."""

    type: str
    size: int
    critical: bool
