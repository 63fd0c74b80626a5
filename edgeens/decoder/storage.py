"""Where the C library finds a container's bytes: in memory, or in an open file.

Between the operating system and decoder.library. A file is read where the library asks for its
bytes and never mapped: what somebody cuts off, or a card that fails, is an error and not the end of
the process, and the bytes whose checksum was compared are those that are decoded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from weakref import finalize

from edgeens.decoder.library import ffi, lib
from edgeens.errors import FormatError

_HEAD_BYTES = 1 << 16  # first guess of how long the head is; most are shorter

_INDEX_ENTRY_BYTES = 8  # (S6)


class Memory:
    """Bytes in memory, which are kept and not copied."""

    path: str | None = None

    def __init__(self, data: Any) -> None:
        """*data*: bytes or another buffer."""
        self._buffer = ffi.from_buffer(data)

    def open(self, file: Any, limit: int, where: Any) -> int:
        """Fill in an eens_file; returns the status."""
        return int(lib.eens_open(self._buffer, len(self._buffer), limit, file, where))

    def call(self, file: Any, function: Callable[..., int], *arguments: Any) -> int:
        """Call a function of the library on the open file; returns the status."""
        return function(file, *arguments)

    def in_memory(self, file: Any) -> Any:
        """The file itself."""
        return file


class File:
    """A file that stays open as long as this object lives.

    Its head (SPEC, "Layout") is read once and kept; every call reads the blocks and sections that
    it needs, into the workspace that it decodes from.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open it. Raises OSError as the operating system reports it."""
        self.path = os.fsdecode(path)
        with open(self.path, "rb") as file:
            self._size = os.fstat(file.fileno()).st_size
            self._reader = ffi.new("eens_reader *", {"descriptor": os.dup(file.fileno())})
        finalize(self, os.close, self._reader.descriptor)
        self._head = bytearray()

    def open(self, file: Any, limit: int, where: Any) -> int:
        """Fill in an eens_file; returns the status. Raises as `call` does."""
        self._keep_head(_HEAD_BYTES)
        status = self._open(file, limit, where)
        head = file.index_offset + _INDEX_ENTRY_BYTES * file.block_count
        if head > len(self._head):  # what is kept is what was checked
            self._keep_head(head)
            status = self._open(file, limit, where)
        self._reader.head_size = min(head, len(self._head))
        return status

    def call(self, file: Any, function: Callable[..., int], *arguments: Any) -> int:
        """Call a function of the library on the open file; returns the status.

        Raises FormatError if the file has become shorter, OSError if it cannot be read.
        """
        reader = ffi.new("eens_reader *", self._reader[0])  # calls may run at the same time
        own = ffi.new("eens_file *", file[0])
        own.context = reader
        return self._checked(function(own, *arguments), reader)

    def in_memory(self, file: Any) -> Any:
        """An eens_file for functions that look only at the head, as if the file lay in memory."""
        copy = ffi.new("eens_file *", file[0])
        copy.data = self._buffer
        return copy

    def _keep_head(self, size: int) -> None:
        head = bytearray(min(size, self._size))
        self._reader.head_size = 0
        buffer = ffi.from_buffer("uint8_t[]", head)
        failed = lib.eens_reader_read(self._reader, 0, buffer, len(head))
        self._checked(lib.EENS_ERR_READ if failed else lib.EENS_OK, self._reader)
        self._head = head
        self._buffer = self._reader.head = buffer
        self._reader.head_size = len(head)

    def _open(self, file: Any, limit: int, where: Any) -> int:
        read = ffi.addressof(lib, "eens_reader_read")
        status = lib.eens_open_reader(read, self._reader, self._size, limit, file, where)
        return self._checked(status, self._reader)

    def _checked(self, status: int, reader: Any) -> int:
        if status != lib.EENS_ERR_READ:
            return status
        if reader.error != 0:
            raise OSError(reader.error, os.strerror(reader.error), self.path)
        raise FormatError(
            int(lib.EENS_ERR_TRUNCATED),
            f"{self.path}: the file was cut off while it was open, byte {reader.end} is not there "
            "any more: open a whole one",
        )
