"""The reference decoder: bytes of a container -> codes and values, slowly, as docs/SPEC.md says.

At the end of the pipeline, beside the fast C decoder: tests compare the two, refusals included.
reference_opening, reference_records and reference_blocks do the work; here the results become
arrays, and a whole file is verified.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.container.layout import (
    DIGEST_SIZE,
    DTYPE_NAMES,
    DTYPES,
    Header,
    Status,
    TensorRecord,
)
from edgeens.container.reference_bits import refuse
from edgeens.container.reference_blocks import Copies, decode_block, require_supported
from edgeens.container.reference_opening import StoredSection, crc32c, open_container
from edgeens.container.reference_records import StoredTensor

Array = NDArray[Any]

_MAX_DEPTH = 64  # (S11.1)


def read_container(
    source: bytes | str | os.PathLike[str], *, limit: int | None = None
) -> ReferenceContainer:
    """Open a container, checking all that is structural (S12, "Opening").

    Args:
        source: the bytes of a file, or its path.
        limit: the largest decoded size of a tensor to accept, in bytes; None for any.

    Raises:
        FormatError: the file is refused; its status and text say why.
        OSError: the file cannot be read.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    return ReferenceContainer(data, limit)


class ReferenceContainer:
    """An open container.

    Attributes:
        header: its fields (S3).
        tensors: record, name, scales and blocks of each tensor, in the order of the file.
        sections: type, payload and CRC of each section, in the order of the file.
    """

    def __init__(self, data: bytes, limit: int | None) -> None:
        """Open; see read_container."""
        opened = open_container(data, limit)
        self._data = data
        self.header: Header = opened.header
        self.tensors: tuple[StoredTensor, ...] = opened.tensors
        self.sections: tuple[StoredSection, ...] = opened.sections

    @property
    def records(self) -> tuple[TensorRecord, ...]:
        """The tensor records (S4)."""
        return tuple(tensor.record for tensor in self.tensors)

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors' names, sorted by their bytes."""
        return tuple(tensor.name for tensor in self.tensors)

    def section(self, type_: str) -> bytes:
        """The payload of the section *type_*. Raises FormatError (NOT_FOUND)."""
        for section in self.sections:
            if section.type == type_:
                return section.payload
        refuse(Status.NOT_FOUND, type_)

    def decode_codes(
        self, index: int, member: int | None = None, blocks: range | None = None
    ) -> Array:
        """Codes of a tensor as int8; without a grid its exact values.

        Args:
            index: the tensor's number in the file.
            member: 0 to K-1, or None for all copies.
            blocks: a range of the tensor's blocks, or None for all.

        Returns:
            Shape (copies, *shape), or *shape* with *member*; with *blocks* the shape is flat:
            (copies, positions) or (positions,). bfloat16 values are uint16 bit patterns.

        Raises:
            FormatError: UNSUPPORTED, BLOCK_CHECKSUM or BLOCK_CONTENT; ARGUMENT for a wrong range.
        """
        if not 0 <= index < len(self.tensors):
            refuse(Status.ARGUMENT, f"there are {len(self.tensors)} tensors, not {index}")
        tensor = self.tensors[index]
        record = tensor.record
        if member is not None and not 0 <= member < self.header.member_count:
            refuse(Status.ARGUMENT, f"member {member} of {self.header.member_count}")
        wanted = range(record.block_count) if blocks is None else blocks
        if not 0 <= wanted.start <= wanted.stop <= record.block_count or wanted.step != 1:
            refuse(Status.ARGUMENT, f"{wanted} of {record.block_count} blocks")
        require_supported(record)
        profile = self.header.profile
        decoded = (
            decode_block(self._data, tensor, index, block, member, profile=profile)
            for block in wanted
        )
        copies = record.copies if member is None else 1
        flat = self._join(decoded, copies, record)
        shape = record.shape if blocks is None else (-1,)
        return flat.reshape(shape if member is not None else (copies, *shape))

    def _join(self, blocks: Iterable[Copies], copies: int, record: TensorRecord) -> Array:
        """Blocks of lists or bytes as one array, shape (copies, positions)."""
        dtype = np.dtype(DTYPES[DTYPE_NAMES[record.dtype]].numpy)
        parts: list[Array] = [np.zeros((copies, 0), np.int8 if record.bits else dtype)]
        for block in blocks:
            rows = [
                np.frombuffer(copy, dtype) if isinstance(copy, bytes) else np.array(copy, np.int8)
                for copy in block
            ]
            parts.append(np.array(rows))
        return np.concatenate(parts, axis=1)

    def values(self, index: int, member: int | None = None) -> Array:
        """Values of a tensor in its own dtype (S4.4); arguments and result as for decode_codes."""
        codes = self.decode_codes(index, member)
        tensor = self.tensors[index]
        record = tensor.record
        if record.bits == 0:
            return codes
        scale = np.array(tensor.scales, np.float32)
        if len(scale) > 1:
            axis = record.channel_axis
            inner = math.prod(record.shape[axis + 1 :])
            positions = np.arange(record.elements)
            scale = scale[positions // inner % record.dims[axis]].reshape(record.shape)
        steps = codes.astype(np.int32) - record.zero_point
        return _rounded(scale * steps.astype(np.float32), DTYPE_NAMES[record.dtype])

    def verify(self) -> None:
        """Check the whole file (S12, "Verifying"). Raises FormatError."""
        for section in self.sections:
            if crc32c(section.checked) != section.crc:
                refuse(Status.SECTION_CHECKSUM, section.type)
        payloads = {section.type: section.payload for section in self.sections}
        digests = payloads.get("DGST")
        if digests is not None and len(digests) != DIGEST_SIZE * len(self.tensors):
            refuse(Status.SECTION, f"DGST holds {len(digests)} bytes")
        for type_ in ("META", "CALI"):
            if type_ in payloads:
                _check_object(type_, payloads[type_])
        for index, tensor in enumerate(self.tensors):
            content = self.decode_codes(index)
            if digests is None:
                continue
            digest = hashlib.sha256(content.tobytes()).digest()
            if digest != digests[DIGEST_SIZE * index : DIGEST_SIZE * (index + 1)]:
                refuse(Status.DIGEST, repr(tensor.name))


def _rounded(values: NDArray[np.float32], dtype: str) -> Array:
    """float32 values in another dtype: rounded once, to nearest, ties to even (S4.4)."""
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):  # beyond the largest float16: infinity
            return values.astype(DTYPES[dtype].numpy)
    bits = values.view(np.uint32)
    half = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return (bits + half >> np.uint32(16)).astype("<u2")


def _check_object(type_: str, payload: bytes) -> None:
    """META and CALI are each one JSON object in UTF-8 (S11)."""
    try:
        text = payload.decode("utf-8")
        if _deepest(text) > _MAX_DEPTH:
            refuse(Status.SECTION, f"{type_} is nested deeper than {_MAX_DEPTH}")
        # As floats, for Python does not make integers of any size.
        found = json.loads(text, parse_constant=_no_json, parse_int=float)
    except ValueError as error:
        refuse(Status.SECTION, f"{type_} is not JSON: {error}")
    if not isinstance(found, dict):
        refuse(Status.SECTION, f"{type_} is not a JSON object")


def _deepest(text: str) -> int:
    """The largest number of objects and arrays that are open in a JSON text (S11.1)."""
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
