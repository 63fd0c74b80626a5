"""Members' weights in memory, in the form that a mode of running needs.

Between decoder.Container and onnx.runtime. Float values or int8 codes of all members are decoded
once and shared by all sessions on the same file; or one member's values at a time lie in a buffer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from edgeens.decoder import Container
from edgeens.errors import DataError
from edgeens.onnx.elements import Array, numpy_type
from edgeens.onnx.forms import (
    DEQUANTIZE_OPSET,
    Codes,
    coded_tensors,
    codes_name,
    opset,
    scales_name,
)
from edgeens.records import TensorInfo

Each = TypeVar("Each")
Arrays = list[dict[str, Array]]  # of each member, by the name of the input that takes them


class Shared(Generic[Each]):
    """What sessions on one file share. When the last one is closed, its memory is free.

    Attributes:
        members: each member's part: its arrays by name, where what the members share is the same
            object in all, or its session of ONNX Runtime.
    """

    def __init__(self, members: list[Each]) -> None:
        """Keep the parts."""
        self.members = members


_shared: WeakValueDictionary[tuple[object, ...], Shared[Any]] = WeakValueDictionary()
_lock = Lock()


def shared(
    identity: tuple[object, ...] | None, kind: str, make: Callable[[], list[Each]]
) -> Shared[Each]:
    """What *make* gives, made once for all sessions that are open on the same file.

    *identity* tells files apart (`file_identity`), None shares with nobody; *kind* tells what is
    made of a file apart.
    """
    if identity is None:
        return Shared(make())
    with _lock:
        found = _shared.get((*identity, kind))
        if found is None:
            found = _shared[(*identity, kind)] = Shared(make())
        return found


def file_identity(path: str | os.PathLike[str]) -> tuple[object, ...]:
    """What changes when a file does: device, inode, size, time of the last change."""
    about = os.stat(path)
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def decode_values(container: Container, *, threads: int) -> Arrays:
    """Every member's values; K times the weights."""
    members: Arrays = [{} for _ in range(container.members)]
    for info in container.tensors:
        _decode(container, info, members, threads=threads)
    return members


def coded_inputs(container: Container, graph: bytes) -> dict[str, Codes]:
    """The weights that a graph can take as codes: float32, with the code 0 for 0.

    Raises DataError if there are none, or the graph's operators are too old for it.
    """
    if opset(graph) < DEQUANTIZE_OPSET:
        raise DataError(
            f"mode compact needs a graph of opset {DEQUANTIZE_OPSET} or newer, but this one has "
            f"opset {opset(graph)}: use mode resident or streaming"
        )
    found = coded_tensors(container)
    if not found:
        raise DataError("no tensor of the file has codes, so mode compact would save nothing")
    return found


def decode_codes(container: Container, coded: dict[str, Codes], *, threads: int) -> Arrays:
    """Every member's codes and scales where the graph takes codes, and values elsewhere."""
    members: Arrays = [{} for _ in range(container.members)]
    for info in container.tensors:
        if info.name not in coded:
            _decode(container, info, members, threads=threads)
            continue
        codes: Arrays = [{} for _ in range(container.members)]
        _decode(container, info, codes, threads=threads, as_="int8")
        scales = container.scales(info.name)
        scales = scales if coded[info.name].axis is not None else scales.reshape(())
        for arrays, own in zip(members, codes, strict=True):
            arrays[codes_name(info.name)] = own[info.name]
            arrays[scales_name(info.name)] = scales
    return members


def _decode(
    container: Container, info: TensorInfo, members: Arrays, *, threads: int, as_: str = "values"
) -> None:
    """Give each member its array of a tensor; one array serves all where the members share it.

    All copies are decoded in one go: large arrays come in fewer, larger pages, which halves the
    time, and every block is read once.
    """
    copies = container.decode(info.name, as_=as_, threads=threads)
    for member, arrays in enumerate(members):
        arrays[info.name] = copies[member if info.copies > 1 else 0, ...]  # an array, if 0-d


class Streamed:
    """One member's values at a time, decoded from the open file into the same arrays."""

    def __init__(self, container: Container, *, threads: int) -> None:
        """Make room for one member; *threads* decode."""
        self._container = container
        self._threads = threads
        self._loaded: int | None = None
        self.arrays = {
            info.name: np.empty(info.shape, numpy_type(info.dtype)) for info in container.tensors
        }

    def load(self, member: int) -> None:
        """Decode *member*, unless its values are there. Raises FormatError for a damaged file."""
        if member == self._loaded:
            return
        for info in self._container.tensors:
            if self._loaded is None or info.copies > 1:
                self._container.decode(
                    info.name, member=member, out=self.arrays[info.name], threads=self._threads
                )
        self._loaded = member
