"""The C decoder as a Python object: a container's tensors, sections and metadata.

Last stage before a model runs: reads what container.writer wrote. The only user of edgeens._native,
and the only place where a status of the C library becomes an exception.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.errors import DataError, EdgeensError, FormatError, MissingPackageError
from edgeens.json_object import read_object
from edgeens.records import NUMPY_DTYPES, PROFILES, SectionInfo, TensorInfo

try:
    from edgeens._native import ffi, lib
except ImportError as error:
    raise MissingPackageError(
        f"the compiled decoder edgeens._native cannot be loaded ({error}); install edgeens with "
        "pip, which compiles it"
    ) from error

Array = NDArray[Any]

_FORMATS = {
    "values": (lib.EENS_AS_VALUES, None),
    "int8": (lib.EENS_AS_INT8, np.int8),
    "int16": (lib.EENS_AS_INT16, np.int16),
    "float32": (lib.EENS_AS_FLOAT32, np.float32),
    "float16": (lib.EENS_AS_FLOAT16, np.float16),
}

# The decoder writes its workspace before it reads it.
_uncleared = ffi.new_allocator(should_clear_after_alloc=False)

# Codes a thread must have to do before starting it pays (it costs some 0.1 ms).
_WORTH_A_THREAD = 1 << 17

# Bytes of a mapped file that may be in memory where its pages are not to be kept; letting them go
# and getting them again costs a few milliseconds for every 10 MB.
_FEW_BYTES = 1 << 22


class Container:
    """An open container: what it holds, and its tensors on demand. Use it as a context manager.

    Methods may be called from several threads at once. After close() those that read the file
    raise EdgeensError.

    Attributes:
        members: K, the number of members.
        profile: "desktop" or "mcu".
        minor: the file's minor version.
        file_bytes: size of the file.
        tensors: every tensor, in the order of the file (sorted by the bytes of their names).
        names: their names.
        sections: every section by its type, in the order of the file.
    """

    def __init__(
        self,
        data: Any,
        *,
        path: str | None = None,
        limit: int | None = None,
        keep_pages: bool = True,
    ) -> None:
        """Open a buffer: see Container.open and Container.from_bytes."""
        if limit is not None and not 0 < limit < 1 << 64:
            raise DataError(f"limit must be a positive number of bytes, but is {limit}")
        self._path = path
        self._mapping = data if isinstance(data, mmap.mmap) else None
        can_drop = self._mapping is not None and hasattr(mmap, "MADV_DONTNEED")  # not on Windows
        self._drops_pages = can_drop and not keep_pages and len(data) > _FEW_BYTES
        # Holds the buffer, and so the mapping of a file, until nobody uses it any more.
        self._memory: Any = ffi.from_buffer(data)
        self._file = ffi.new("eens_file *")
        where = ffi.new("eens_where *")
        status = lib.eens_open(self._memory, len(self._memory), limit or 0, self._file, where)
        if status != lib.EENS_OK:
            raise self._refusal(status, *self._places(status, where))
        self.members = int(self._file.member_count)
        self.profile = PROFILES[self._file.profile]
        self.minor = int(self._file.minor)
        self.file_bytes = int(self._file.size)
        self._records = ffi.new("eens_tensor[]", self._file.tensor_count)
        self.tensors = tuple(self._load_tensor(i) for i in range(self._file.tensor_count))
        self.names = tuple(info.name for info in self.tensors)
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self._sections = ffi.new("eens_section[]", self._file.section_count)
        loaded = [self._load_section(i) for i in range(self._file.section_count)]
        self.sections = {info.type: info for info in loaded}

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, limit: int | None = None, keep_pages: bool = True
    ) -> Container:
        """Map a file into memory and check its structure; no tensor is decoded yet.

        Args:
            path: a file that nobody changes while the container is open.
            limit: the largest decoded tensor, in bytes over all copies, that the caller is ready
                for.
            keep_pages: whether what was read of the file may stay in this process's memory. If
                not, a few megabytes of it do, and the rest stays in the system's cache alone,
                from which calls get it again.

        Raises:
            FormatError: it is not a container, is damaged, or holds a larger tensor.
            OSError: as the operating system reports it.
        """
        name = os.fsdecode(path)
        with open(name, "rb") as file:
            empty = os.fstat(file.fileno()).st_size == 0  # such a file cannot be mapped
            data = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return cls(data, path=name, limit=limit, keep_pages=keep_pages)

    @classmethod
    def from_bytes(cls, data: Any, *, limit: int | None = None) -> Container:
        """The same for a file in memory: bytes or another buffer, which is kept and not copied."""
        return cls(data, limit=limit)

    def close(self) -> None:
        """Let go of the file; what other threads are decoding finishes first."""
        self._memory = self._mapping = None

    def __enter__(self) -> Container:
        """The container itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def tensor(self, name: str) -> TensorInfo:
        """The tensor of this name. Raises DataError, which lists names that come close."""
        if name not in self._numbers:
            close = difflib.get_close_matches(name, self.names, n=3)
            hint = f"; close names: {', '.join(map(repr, close))}" if close else ""
            raise DataError(f"the container has no tensor {name!r}{hint}")
        return self.tensors[self._numbers[name]]

    def scales(self, name: str) -> NDArray[np.float32]:
        """The scales of a tensor: float32, shape (scale_count,); empty for exact values."""
        info = self.tensor(name)
        scales = np.empty(info.scale_count, np.float32)
        buffer = ffi.from_buffer("float[]", scales, require_writable=True)
        self._call(lib.eens_scales, self._records + info.index, 0, info.scale_count, buffer)
        return scales

    def decode(
        self,
        name: str,
        *,
        member: int | None = None,
        as_: str = "values",
        out: Array | None = None,
        threads: int = 1,
    ) -> Array:
        """Decode a tensor of all members, or of one. Checksums are compared on the way.

        Args:
            name: the tensor.
            member: 0 to members - 1, or None for every copy.
            as_: "values" (of the tensor's dtype; bfloat16 as uint16 bit patterns), or, for a
                tensor with codes, "int8" or "int16" (codes), "float32" or "float16" (values).
            out: where to put the result: C-contiguous, writable, of its shape and dtype.
            threads: workers among which the blocks are divided; they run without Python's global
                lock, and the result is the same for any number.

        Returns:
            *out*, or a new array, of the tensor's shape with *member*, else (copies, *shape).

        Raises:
            DataError: an argument does not fit the tensor, or there are less than 1 threads.
            FormatError: the tensor is damaged, or this decoder lacks its method or coder.
        """
        info = self.tensor(name)
        if as_ not in _FORMATS:
            raise DataError(f"as_ must be one of {', '.join(_FORMATS)}, but is {as_!r}")
        if info.bits == 0 and as_ != "values":
            raise DataError(
                f"tensor {name!r} holds exact {info.dtype} values, which decode only as 'values', "
                f"not {as_!r}"
            )
        if member is not None and not 0 <= member < self.members:
            raise DataError(f"member must lie in 0..{self.members - 1}, but is {member}")
        _check_threads(threads)
        number, stored = _FORMATS[as_]
        dtype = np.dtype(stored or NUMPY_DTYPES[info.dtype])
        shape = info.shape if member is not None else (info.copies, *info.shape)
        if out is None:
            out = np.empty(shape, dtype)
        else:
            _check_output(out, shape, dtype)
        self._decode(info, -1 if member is None else member, number, out, threads)
        return out

    def section(self, section_type: str) -> bytes:
        """The payload of a section, its checksum compared.

        Raises:
            DataError: the container has no such section.
            FormatError: it is damaged.
        """
        if section_type not in self.sections:
            present = ", ".join(self.sections) or "none"
            raise DataError(f"the container has no section {section_type!r}; it has {present}")
        number = list(self.sections).index(section_type)
        self._check_section(number)
        payload = bytearray(self.sections[section_type].size)
        buffer = ffi.from_buffer(payload)
        self._call(lib.eens_section_read, self._sections + number, 0, buffer, len(payload))
        return bytes(payload)

    @property
    def workspace_bytes(self) -> int:
        """Working memory that a thread of the C decoder needs for the largest tensor of the file.

        For a file in memory, in this build; a file read through a callback also needs room for the
        largest part of a block.
        """
        size, largest = ffi.new("size_t *"), 0
        for info in self.tensors:
            record = self._records + info.index
            if lib.eens_workspace_size(self._file, record, size) == lib.EENS_OK:
                largest = max(largest, size[0])
        return largest

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The section META (SPEC, "META"), or {} without one.

        Raises FormatError if it is damaged or not a JSON object.
        """
        return self._json("META")

    @cached_property
    def calibration(self) -> dict[str, Any]:
        """The section CALI (SPEC, "CALI"), or {} without one.

        Raises FormatError if it is damaged or not a JSON object.
        """
        return self._json("CALI")

    def _json(self, section_type: str) -> dict[str, Any]:
        if section_type not in self.sections:
            return {}
        try:
            return read_object(self.section(section_type))
        except ValueError as error:
            where = f"'{section_type}' is not a JSON object ({error})"
            raise self._refusal(lib.EENS_ERR_SECTION, where) from error

    def verify(
        self, *, progress: Callable[[int, int], None] | None = None, threads: int = 1
    ) -> None:
        """Check everything that opening left: every section, block, code and digest.

        Needs memory for the largest tensor's codes, of all copies, if the file states digests.

        Args:
            progress: called with the bytes decoded so far and their total, after each tensor.
            threads: as in decode.

        Raises:
            DataError: there are less than 1 threads.
            FormatError: the first fault, in the order of SPEC ("Verifying").
        """
        _check_threads(threads)
        for number in range(len(self.sections)):
            self._check_section(number)
        digests = self._digests()
        _ = self.metadata, self.calibration
        sizes = [_decoded_bytes(info) for info in self.tensors]
        done = 0
        for info, size in zip(self.tensors, sizes, strict=True):
            if digests is None:
                self._decode(info, -1, lib.EENS_AS_VALUES, None, threads)
            elif self._digest(info, threads) != digests[32 * info.index : 32 * info.index + 32]:
                raise self._refusal(lib.EENS_ERR_DIGEST, f"tensor {info.name!r}")
            done += size
            if progress is not None:
                progress(done, sum(sizes))

    def _digests(self) -> bytes | None:
        """The section DGST (SPEC, "DGST")."""
        if "DGST" not in self.sections:
            return None
        digests = self.section("DGST")
        if len(digests) != 32 * len(self.tensors):
            raise self._refusal(lib.EENS_ERR_SECTION, "'DGST' does not fit the number of tensors")
        return digests

    def _digest(self, info: TensorInfo, threads: int) -> bytes:
        """SHA-256 of a tensor's codes, or of its exact values in little-endian."""
        content = self.decode(info.name, as_="int8" if info.bits else "values", threads=threads)
        little = content.astype(content.dtype.newbyteorder("<"), copy=False)
        return hashlib.sha256(little.reshape(-1).view(np.uint8).data).digest()

    def _decode(
        self, info: TensorInfo, member: int, number: int, out: Array | None, threads: int
    ) -> None:
        """All blocks of a tensor into *out*; None: nothing is written, everything is checked."""
        elements = math.prod(info.shape)
        buffer = ffi.NULL if out is None else ffi.from_buffer(out, require_writable=True)
        width = 0 if out is None else out.itemsize

        def decode(begin: int, end: int) -> None:
            skip = begin * info.block_positions * width
            request = ffi.new("eens_request *", (begin, end - begin, member, number, elements))
            where = ffi.new("eens_where *")
            room = 0 if out is None else len(buffer) - skip
            output = ffi.NULL if out is None else buffer + skip
            record = self._records + info.index
            size = ffi.new("size_t *")
            where.tensor, where.block, where.section = info.index, -1, -1
            self._call(lib.eens_workspace_size, record, size, where=where)
            workspace = _uncleared("char[]", size[0])  # one for each thread
            arguments = (record, request, workspace, size[0], output, room, where)
            self._call(lib.eens_decode, *arguments, where=where)
            if self._drops_pages and self._mapping is not None:
                self._mapping.madvise(mmap.MADV_DONTNEED)

        copies = info.copies if member < 0 else 1
        workers = max(1, min(threads, info.block_count, elements * copies // _WORTH_A_THREAD))
        parts = workers
        if self._drops_pages:  # every block is read whole, and has about a byte for each code
            parts = max(workers, min(info.block_count, elements * info.copies // _FEW_BYTES))
        cuts = [info.block_count * i // parts for i in range(parts + 1)]
        if workers == 1:
            for begin, end in pairwise(cuts):
                decode(begin, end)
            return
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(decode, cuts[:-1], cuts[1:]))

    def _check_section(self, number: int) -> None:
        where = ffi.new("eens_where *", (-1, -1, number))
        self._call(lib.eens_section_check, self._sections + number, where=where)

    def _load_tensor(self, number: int) -> TensorInfo:
        record = self._records + number
        self._call(lib.eens_tensor_at, number, record)
        return TensorInfo.of_record(record, self._name(record))

    def _load_section(self, number: int) -> SectionInfo:
        section = self._sections + number
        self._call(lib.eens_section_at, number, section)
        return SectionInfo(_text(section.type, 4), section.size, bool(section.critical))

    def _name(self, record: Any) -> str:
        buffer = ffi.new("char[]", lib.EENS_MAX_NAME + 1)
        self._call(lib.eens_tensor_name, record, buffer, len(buffer))
        return _text(buffer, record.name_size)

    def _call(self, function: Callable[..., int], *arguments: Any, where: Any = None) -> None:
        """Call the C library; a refusal becomes an exception that says where."""
        memory = self._memory  # keeps the buffer alive until the call returns
        if memory is None:
            raise EdgeensError("the container is closed; open it again")
        # Reading behind the end of a mapped file would end the process.
        if self._mapping is not None and self._mapping.size() < len(memory):
            raise FormatError(
                int(lib.EENS_ERR_TRUNCATED),
                f"{self._path}: the file was cut off while it was open: open a whole one",
            )
        status = function(self._file, *arguments)
        if status != lib.EENS_OK:
            raise self._refusal(status, *self._places(status, where))

    def _places(self, status: int, where: Any) -> list[str]:
        """An eens_where in words."""
        if where is None:
            return []
        places = []
        if where.tensor >= 0:
            record = ffi.new("eens_tensor *")
            lib.eens_tensor_at(self._file, where.tensor, record)  # filled in even if refused
            named = status != lib.EENS_ERR_NAME
            places.append(f"tensor {self._name(record)!r}" if named else f"tensor {where.tensor}")
        if where.block >= 0:
            places.append(f"block {where.block}")
        if where.section >= 0:
            section = ffi.new("eens_section *", {"index": 0xFFFFFFFF})
            lib.eens_section_at(self._file, where.section, section)
            was_read = section.index == where.section  # not if its header lies behind the file
            name = f" {_text(section.type, 4)!r}" if was_read else ""
            places.append(f"section {where.section}{name}")
        return places

    def _refusal(self, status: int, *places: str) -> FormatError:
        """The library's sentence, then where."""
        sentence = ffi.string(lib.eens_strerror(status)).decode()
        where = ", ".join((*places, *([f"in {self._path}"] if self._path else [])))
        return FormatError(status, f"{sentence}: {where}" if where else sentence)


def _text(characters: Any, size: int) -> str:
    return bytes(ffi.buffer(characters, size)).decode("utf-8", "replace")


def _decoded_bytes(info: TensorInfo) -> int:
    return info.copies * math.prod(info.shape) * np.dtype(NUMPY_DTYPES[info.dtype]).itemsize


def _check_threads(threads: int) -> None:
    if threads < 1:
        raise DataError(f"threads must be at least 1, but is {threads}")


def _check_output(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray):
        given = type(out).__name__
    elif out.shape != shape or out.dtype != dtype:
        given = f"of shape {out.shape} and dtype {out.dtype}"
    elif not out.flags.c_contiguous:
        given = "not C-contiguous"
    elif not out.flags.writeable:
        given = "read-only"
    elif not out.flags.aligned:
        given = "not aligned for its type"
    else:
        return
    raise DataError(
        f"out must be a writable C-contiguous array of shape {shape} and dtype {dtype}, but is "
        f"{given}"
    )
