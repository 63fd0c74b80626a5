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

# Where a TensorProto keeps elements that are not raw bytes; all other types are in int32_data.
_FIELDS = {
    "float32": "float_data",
    "double": "double_data",
    "int64": "int64_data",
    "uint32": "uint64_data",
    "uint64": "uint64_data",
}


def numpy_type(name: str) -> np.dtype[Any]:
    """The little-endian NumPy type of an element; bfloat16 is held as uint16 bit patterns."""
    special = {"bfloat16": "uint16", "double": "float64"}
    return np.dtype(special.get(name, name)).newbyteorder("<")


def runtime_type(name: str) -> str:
    """What ONNX Runtime calls a tensor of these elements, such as "tensor(float)"."""
    return "tensor(float)" if name == "float32" else f"tensor({name})"


def tensor_values(tensor: Any) -> Array:
    """The elements of a TensorProto whose data_type is in NAMES, shaped as its dims say.

    bfloat16 comes as uint16 bit patterns, which NumPy can hold without another package. Raises
    ValueError if the number of elements does not fit the dims.
    """
    name = NAMES[tensor.data_type]
    dtype = numpy_type(name)
    if tensor.HasField("raw_data"):
        values = np.frombuffer(tensor.raw_data, dtype)
    elif name == "float16":  # bit patterns, as bfloat16's are here too
        values = np.array(tensor.int32_data, "<u2").view(dtype)
    else:
        values = np.array(getattr(tensor, _FIELDS.get(name, "int32_data")), dtype)
    return values.reshape(tuple(tensor.dims))
