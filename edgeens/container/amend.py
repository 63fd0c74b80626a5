"""A finished file with another last section (SPEC S11.3): the weights are copied as they are.

After container.writer: a calibration is fitted with the very file that a device will run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from edgeens.atomic import replacing
from edgeens.container.checksum import crc32c
from edgeens.container.layout import (
    HEAD_CRC_OFFSET,
    HEADER,
    MAX_SECTIONS,
    SECTION_HEADER,
    Header,
)
from edgeens.container.writer import section_bytes
from edgeens.errors import MembersError


def with_last_section(
    data: bytes, sections: Mapping[str, int], type_: str, payload: bytes
) -> list[bytes | memoryview]:
    """The file *data*, cut anywhere, with the section *type_* replaced or added, at its end.

    Args:
        data: a file that has been opened without a refusal.
        sections: the size of each section's payload by its type, in the order of the file.
        type_: of the section; not critical.
        payload: of it.

    Raises:
        MembersError: the file is full of sections, or an old section *type_* is signed.
    """
    kinds = list(sections)
    if type_ in sections and "SIGN" in kinds[kinds.index(type_) :]:
        raise MembersError(
            f"the section {type_} stands before the signature, so it cannot be replaced without "
            "breaking it; start from a file without it"
        )
    header = Header(*HEADER.unpack_from(data))
    view = memoryview(data)
    place = len(data) - sum(SECTION_HEADER.size + size for size in sections.values())
    body = [view[header.head_size : place]]
    for kind, size in sections.items():
        end = place + SECTION_HEADER.size + size
        if kind != type_:
            body.append(view[place:end])
        place = end
    count = len([kind for kind in kinds if kind != type_]) + 1
    if count > MAX_SECTIONS:
        raise MembersError(f"the file has {MAX_SECTIONS} sections already, and may have no more")
    last = section_bytes(type_, payload)
    size = header.head_size + sum(map(len, body)) + len(last)
    header = header._replace(section_count=count, file_size=size, head_crc=0)
    head = bytearray(HEADER.pack(*header) + data[HEADER.size : header.head_size])
    head[HEAD_CRC_OFFSET : HEAD_CRC_OFFSET + 4] = crc32c(head).to_bytes(4, "little")
    return [bytes(head), *body, last]


def write_with_last_section(
    data: bytes,
    sections: Mapping[str, int],
    type_: str,
    payload: bytes,
    path: str | os.PathLike[str],
) -> None:
    """Write what `with_last_section` gives as a file that is either complete or absent.

    Raises:
        MembersError: as there.
        OSError: as the operating system reports it.
    """
    pieces = with_last_section(data, sections, type_, payload)
    with replacing(path) as file:
        for piece in pieces:
            file.write(piece)
