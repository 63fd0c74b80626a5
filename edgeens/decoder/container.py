"""An open container: its tensors, sections and metadata.

Over decoder.library, which calls C.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import os
from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.decoder.blocks import Array, check_threads, decode_blocks, output_array
from edgeens.decoder.library import OpenFile, ffi, lib, text
from edgeens.decoder.storage import File, Memory
from edgeens.errors import DataError
from edgeens.json_object import read_object
from edgeens.records import NUMPY_DTYPES, PROFILES, SectionInfo, TensorInfo


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

    def __init__(self, storage: File | Memory, *, limit: int | None = None) -> None:
        """Open what *storage* holds: see Container.open and Container.from_bytes."""
        if limit is not None and not 0 < limit < 1 << 64:
            raise DataError(f"limit must be a positive number of bytes, but is {limit}")
        self._file = OpenFile(storage, limit or 0)
        header = self._file.header
        self.members = int(header.member_count)
        self.profile = PROFILES[header.profile]
        self.minor = int(header.minor)
        self.file_bytes = int(header.size)
        self._records = ffi.new("eens_tensor[]", header.tensor_count)
        self.tensors = tuple(self._load_tensor(i) for i in range(header.tensor_count))
        self.names = tuple(info.name for info in self.tensors)
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self._sections = ffi.new("eens_section[]", header.section_count)
        loaded = [self._load_section(i) for i in range(header.section_count)]
        self.sections = {info.type: info for info in loaded}
        self._workspaces: dict[int, int] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, limit: int | None = None) -> Container:
        """Open a file and check its structure; no tensor is decoded yet.

        The file is read piece by piece where its bytes are needed, so it takes no memory and has
        to stay as it is. Another file under its name changes nothing.

        Args:
            path: the file.
            limit: the largest decoded tensor, in bytes over all copies, that the caller is ready
                for.

        Raises:
            FormatError: it is not a container, is damaged, or holds a larger tensor. Later calls
                raise it also if the file has been cut off since.
            OSError: as the operating system reports it; later calls raise it also if the storage
                fails.
        """
        return cls(File(path), limit=limit)

    @classmethod
    def from_bytes(cls, data: Any, *, limit: int | None = None) -> Container:
        """The same for a file in memory: bytes or another buffer, which is kept and not copied."""
        return cls(Memory(data), limit=limit)

    def close(self) -> None:
        """Let go of the file; what other threads are decoding finishes first."""
        self._file.close()

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
        self._file.call(lib.eens_scales, self._records + info.index, 0, info.scale_count, buffer)
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
            OSError: the storage failed.
        """
        info = self.tensor(name)
        if member is not None and not 0 <= member < self.members:
            raise DataError(f"member must lie in 0..{self.members - 1}, but is {member}")
        check_threads(threads)
        out = output_array(info, as_, member, out)
        self._decode(info, member, as_, out, threads)
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
        self._file.call(lib.eens_section_read, self._sections + number, 0, buffer, len(payload))
        return bytes(payload)

    @property
    def workspace_bytes(self) -> int:
        """Working memory that a thread of the C decoder needs for the largest tensor of the file.

        For a file in memory, in this build; a file read through a callback also needs room for the
        largest part of a block.
        """
        needs = (self._file.workspace_in_memory(self._records + i.index) for i in self.tensors)
        return max(needs, default=0)

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
            raise self._file.refusal(lib.EENS_ERR_SECTION, where) from error

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
        check_threads(threads)
        for number in range(len(self.sections)):
            self._check_section(number)
        digests = self._digests()
        _ = self.metadata, self.calibration
        sizes = [_decoded_bytes(info) for info in self.tensors]
        done = 0
        for info, size in zip(self.tensors, sizes, strict=True):
            if digests is None:
                self._decode(info, None, "values", None, threads)
            elif self._digest(info, threads) != digests[32 * info.index : 32 * info.index + 32]:
                raise self._file.refusal(lib.EENS_ERR_DIGEST, f"tensor {info.name!r}")
            done += size
            if progress is not None:
                progress(done, sum(sizes))

    def _digests(self) -> bytes | None:
        """The section DGST (SPEC, "DGST")."""
        if "DGST" not in self.sections:
            return None
        digests = self.section("DGST")
        if len(digests) != 32 * len(self.tensors):
            fault = "'DGST' does not fit the number of tensors"
            raise self._file.refusal(lib.EENS_ERR_SECTION, fault)
        return digests

    def _digest(self, info: TensorInfo, threads: int) -> bytes:
        """SHA-256 of a tensor's codes, or of its exact values in little-endian."""
        content = self.decode(info.name, as_="int8" if info.bits else "values", threads=threads)
        little = content.astype(content.dtype.newbyteorder("<"), copy=False)
        return hashlib.sha256(little.reshape(-1).view(np.uint8).data).digest()

    def _decode(
        self, info: TensorInfo, member: int | None, as_: str, out: Array | None, threads: int
    ) -> None:
        record = self._records + info.index
        if info.index not in self._workspaces:  # a file's blocks are looked through for it
            size, where = ffi.new("size_t *"), ffi.new("eens_where *", (info.index, -1, -1))
            self._file.call(lib.eens_workspace_size, record, size, where=where)
            self._workspaces[info.index] = size[0]
        workspace = self._workspaces[info.index]
        decode_blocks(
            self._file, record, info, member=member, as_=as_, out=out, workspace=workspace,
            threads=threads,
        )  # fmt: skip

    def _check_section(self, number: int) -> None:
        where = ffi.new("eens_where *", (-1, -1, number))
        self._file.call(lib.eens_section_check, self._sections + number, where=where)

    def _load_tensor(self, number: int) -> TensorInfo:
        record = self._records + number
        self._file.call(lib.eens_tensor_at, number, record)
        return TensorInfo.of_record(record, self._file.name(record))

    def _load_section(self, number: int) -> SectionInfo:
        section = self._sections + number
        self._file.call(lib.eens_section_at, number, section)
        return SectionInfo(text(section.type, 4), section.size, bool(section.critical))


def _decoded_bytes(info: TensorInfo) -> int:
    return info.copies * math.prod(info.shape) * np.dtype(NUMPY_DTYPES[info.dtype]).itemsize
