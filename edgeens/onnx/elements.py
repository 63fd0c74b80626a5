"""Element types of tensors, as ONNX numbers them, ONNX Runtime calls them and NumPy holds them.

Beside the pipeline at the ONNX edge: members, skeleton and session take their types from here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# TensorProto.DataType of every type that a container can hold (SPEC S4.2).
NAMES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "double",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}
NUMBERS = {name: number for number, name in NAMES.items()}
FLOATS = frozenset({"float32", "float16", "double", "bfloat16"})


def numpy_type(name: str) -> np.dtype[Any]:
    """The little-endian NumPy type of an element; bfloat16 is held as uint16 bit patterns."""
    special = {"bfloat16": "uint16", "double": "float64"}
    return np.dtype(special.get(name, name)).newbyteorder("<")


def runtime_type(name: str) -> str:
    """What ONNX Runtime calls a tensor of these elements, such as "tensor(float)"."""
    return "tensor(float)" if name == "float32" else f"tensor({name})"
