"""Weights without a graph: safetensors files and PyTorch state dicts, as arrays by name.

First stage of the pipeline where members come so; onnx.states puts them into a graph.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.errors import MembersError, MissingPackageError

Array = NDArray[Any]
PathLike = str | os.PathLike[str]

SAFETENSORS = ".safetensors"
STATE_DICTS = (".pt", ".pth", ".th")

# safetensors' and PyTorch's names of types, by their ONNX names in lower case.
_DTYPES = {
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F64": "double",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "bool",
    "float64": "double",
}
_NUMPY = {"double": "float64", "bfloat16": "uint16"}


@dataclass(frozen=True, eq=False)
class StateTensor:
    """One named tensor of a file.

    Attributes:
        dtype: by its ONNX name in lower case ("float32", "bfloat16", "double", ...).
        values: bfloat16 as uint16 bit patterns.
    """

    dtype: str
    values: Array


State = dict[str, StateTensor]


def is_state_file(path: PathLike) -> bool:
    """Whether the name is that of a file of weights without a graph."""
    return Path(path).suffix.lower() in (SAFETENSORS, *STATE_DICTS)


def read_state(path: PathLike) -> State:
    """The tensors of a .safetensors file, or of a state dict that torch.save wrote.

    A checkpoint may hold its state dict under one key beside other things. Nothing but tensors
    and plain containers is unpickled.

    Raises:
        MembersError: the file holds something else, or tensors of a type that ONNX lacks.
        MissingPackageError: safetensors or torch is not installed.
        OSError: the file cannot be read.
    """
    if Path(path).suffix.lower() == SAFETENSORS:
        return _read_safetensors(path)
    return _read_state_dict(path)


def _read_safetensors(path: PathLike) -> State:
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError as error:
        raise MissingPackageError(
            f"reading {path} needs the package safetensors, which is not installed; install the "
            "extra edgeens[safetensors]"
        ) from error
    try:
        found = deserialize(Path(path).read_bytes())  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise MembersError(f"{path} is not a safetensors file: {error}") from error
    state = {}
    for name, entry in found:
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise _unknown_type(path, name, entry["dtype"])
        values = np.frombuffer(entry["data"], np.dtype(_NUMPY.get(dtype, dtype)).newbyteorder("<"))
        state[name] = StateTensor(dtype, values.reshape(entry["shape"]))
    return state


def _read_state_dict(path: PathLike) -> State:
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError(
            f"reading {path} needs PyTorch, which is not installed; install the extra "
            "edgeens[torch], or save the weights as safetensors"
        ) from error
    with Path(path).open("rb"):  # a missing file is an OSError, whatever torch makes of it
        pass
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise MembersError(
            f"{path} is not a file of tensors alone, and nothing else is unpickled: write it anew "
            "with torch.save(model.state_dict(), path)"
        ) from error
    return {
        name: _from_torch(path, name, tensor)
        for name, tensor in _state_dict(path, loaded, torch.Tensor).items()
    }


def _state_dict(path: PathLike, loaded: Any, tensor: type) -> Mapping[str, Any]:
    """The state dict that *loaded* is, or that it has under one key."""
    if _holds_tensors(loaded, tensor):
        return loaded  # type: ignore[no-any-return]
    inner = {}
    if isinstance(loaded, Mapping):
        inner = {key: value for key, value in loaded.items() if _holds_tensors(value, tensor)}
    if len(inner) != 1:
        what = f"{len(inner)} state dicts ({', '.join(map(str, inner))})" if inner else "none"
        raise MembersError(
            f"{path} must be a state dict, or a checkpoint with one, but it holds {what}: write it "
            "anew with torch.save(model.state_dict(), path)"
        )
    return next(iter(inner.values()))


def _holds_tensors(value: Any, tensor: type) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(key, str) for key in value)
        and all(isinstance(item, tensor) for item in value.values())
    )


def _from_torch(path: PathLike, name: str, tensor: Any) -> StateTensor:
    import torch

    kind = str(tensor.dtype).removeprefix("torch.")
    dtype = _DTYPES.get(kind, kind)
    if dtype not in _DTYPES.values() or tensor.layout != torch.strided:
        raise _unknown_type(path, name, f"{kind}, {str(tensor.layout).removeprefix('torch.')}")
    plain = tensor.detach().contiguous()
    if dtype == "bfloat16":
        plain = plain.view(torch.int16)
    values = plain.numpy()
    return StateTensor(dtype, values.view(np.uint16) if dtype == "bfloat16" else values)


def _unknown_type(path: PathLike, name: str, kind: str) -> MembersError:
    return MembersError(
        f"tensor {name!r} of {path} is {kind}, which ONNX's graphs of weights do not know: store "
        "it as an ordinary float32 tensor"
    )
