"""The C library, its calls on one file, and its refusals as exceptions.

Below decoder.container. The only place where a status of the C library becomes an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from edgeens.errors import EdgeensError, FormatError, MissingPackageError

try:
    from edgeens._native import ffi, lib
except ImportError as error:
    raise MissingPackageError(
        f"the compiled decoder edgeens._native cannot be loaded ({error}); install edgeens with "
        "pip, which compiles it"
    ) from error


__all__ = ["OpenFile", "Storage", "ffi", "lib", "text"]


class Storage(Protocol):
    """Where the bytes of a file are: see decoder.storage."""

    @property
    def path(self) -> str | None:
        """Its name, for messages."""

    def open(self, file: Any, limit: int, where: Any) -> int:
        """Fill in an eens_file; returns the status."""

    def call(self, file: Any, function: Callable[..., int], *arguments: Any) -> int:
        """Call a function of the library on the open file; returns the status."""

    def in_memory(self, file: Any) -> Any:
        """An eens_file for functions that look only at the head, as if the file lay in memory."""


class OpenFile:
    """An open file of the C library.

    Attributes:
        header: its eens_file.
    """

    def __init__(self, storage: Storage, limit: int) -> None:
        """Open it. Raises FormatError; *limit*: bytes of the largest tensor, 0 for any size."""
        self._storage: Storage | None = storage
        self._path = storage.path
        self.header = ffi.new("eens_file *")
        where = ffi.new("eens_where *")
        status = storage.open(self.header, limit, where)
        if status != lib.EENS_OK:
            raise self.refusal(status, *self._places(storage, status, where))

    def close(self) -> None:
        """Let go of the storage; calls that other threads are in finish first."""
        self._storage = None

    def call(self, function: Callable[..., int], *arguments: Any, where: Any = None) -> None:
        """Call the library on this file; a refusal becomes an exception that says where."""
        storage = self._opened()  # kept alive until the call returns
        status = storage.call(self.header, function, *arguments)
        if status != lib.EENS_OK:
            raise self.refusal(status, *self._places(storage, status, where))

    def workspace_in_memory(self, record: Any) -> int:
        """Bytes that decoding an eens_tensor would need if the file lay in memory.

        0 if this build cannot decode it.
        """
        storage = self._opened()
        size = ffi.new("size_t *")
        status = lib.eens_workspace_size(storage.in_memory(self.header), record, size)
        return int(size[0]) if status == lib.EENS_OK else 0

    def refusal(self, status: int, *places: str) -> FormatError:
        """The library's sentence, then where."""
        sentence = ffi.string(lib.eens_strerror(status)).decode()
        where = ", ".join((*places, *([f"in {self._path}"] if self._path else [])))
        return FormatError(status, f"{sentence}: {where}" if where else sentence)

    def name(self, record: Any) -> str:
        """The name of an eens_tensor."""
        return self._name(self._opened(), record)

    def _opened(self) -> Storage:
        storage = self._storage
        if storage is None:
            raise EdgeensError("the container is closed; open it again")
        return storage

    def _name(self, storage: Storage, record: Any) -> str:
        buffer = ffi.new("char[]", lib.EENS_MAX_NAME + 1)
        storage.call(self.header, lib.eens_tensor_name, record, buffer, len(buffer))
        return text(buffer, record.name_size)

    def _places(self, storage: Storage, status: int, where: Any) -> list[str]:
        """An eens_where in words."""
        if where is None:
            return []
        places = []
        if where.tensor >= 0:
            record = ffi.new("eens_tensor *")
            storage.call(self.header, lib.eens_tensor_at, where.tensor, record)  # even if refused
            named = status != lib.EENS_ERR_NAME
            name = repr(self._name(storage, record)) if named else where.tensor
            places.append(f"tensor {name}")
        if where.block >= 0:
            places.append(f"block {where.block}")
        if where.section >= 0:
            section = ffi.new("eens_section *", {"index": 0xFFFFFFFF})
            storage.call(self.header, lib.eens_section_at, where.section, section)
            was_read = section.index == where.section  # not if its header lies behind the file
            name = f" {text(section.type, 4)!r}" if was_read else ""
            places.append(f"section {where.section}{name}")
        return places


def text(characters: Any, size: int) -> str:
    """The first *size* bytes of a char array as text."""
    return bytes(ffi.buffer(characters, size)).decode("utf-8", "replace")
