"""What the refused vectors fear: one fault each, in a file that is right in everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from edgeens.coded import CodedEnsemble, Section
from edgeens.container.layout import Status
from edgeens.container.writer import serialise
from tests.damage import Draft
from tests.vector_blocks import block_faults, growth_fault
from tests.vector_edits import BLOCKS, NAMES, SCALES, SECTIONS, TABLES, VERIFIED
from tests.vector_ensembles import drawn, exact, mixed, plain, shared
from tests.vector_entropy_faults import faults as entropy_faults
from tests.vector_filtered import faults as filter_faults
from tests.vector_records import DRAWN, HEADERS, PLAIN, RECORDS
from tests.vector_split_faults import faults as split_faults


@dataclass(frozen=True)
class Fault:
    """A refused file.

    Attributes:
        name: of the file.
        status: with which it is refused.
        detail: what is wrong, in words.
        data: the file.
        at: "open" if opening refuses it, "verify" if only verifying does.
        limit: the limit to open with, in bytes a tensor; None for none.
    """

    name: str
    status: Status
    detail: str
    data: bytes
    at: str = "open"
    limit: int | None = None

    def entry(self) -> dict[str, Any]:
        """What refused.json says."""
        entry: dict[str, Any] = {"status": self.status.name, "detail": self.detail, "at": self.at}
        return entry if self.limit is None else {**entry, "limit": self.limit}


def base() -> Draft:
    """Three members; tensors balanced, drawn, exact, flags, planes, weight (plain)."""
    tensors = (
        shared("balanced", mixed("fault", 3, 14, "balanced"), "balanced"),
        drawn("drawn", 3, 7, (9,)),
        exact("exact", "float32", (1, 2)),
        exact("flags", "bool", (3, 5)),
        shared("planes", mixed("fault", 3, 14, "planes"), "planes"),
        plain("weight", 5, (3, 2, 7), scales=(0.5, 0.25), axis=0),
    )
    coded = CodedEnsemble(3, tensors, (Section("META", b"{}"),), block_codes=30)
    return Draft.take_apart(serialise(coded))


def damaged(edit: Callable[[Draft], Any], keep: Iterable[int] | None = None) -> bytes:
    """The base with a fault; then only the tensors *keep*, so that a vector stays small."""
    draft = base()
    edit(draft)
    if keep is not None:
        draft.keep(keep)
    return draft.build()


def faults(files: dict[str, bytes]) -> Iterator[Fault]:
    """Every refused file; *files* are good ones by name."""
    yield from _raw_faults(damaged(lambda draft: None, [PLAIN]))
    for name, lies, detail in HEADERS:
        data = damaged(lambda d, lies=lies: d.lies.update(lies), [PLAIN])
        yield Fault(name, Status.HEADER, detail, data)
    for name, tensor, lies, status, detail in RECORDS:
        alone = [tensor] if status is Status.RECORD else None
        data = damaged(lambda d, i=tensor, lies=lies: d.tensors[i].lies.update(lies), alone)
        yield Fault(name, status, detail, data)
    for name, status, detail, edit in TABLES:
        yield Fault(name, status, detail, damaged(edit, [PLAIN]))
    for name, status, detail, edit in [*NAMES, *SCALES, *BLOCKS, *SECTIONS]:
        yield Fault(name, status, detail, damaged(edit))
    for name, status, detail, edit in VERIFIED:
        yield Fault(name, status, detail, damaged(edit), at="verify")
    late = damaged(lambda d: d.tensors[PLAIN].lies.update(name_offset=1, name_size=5), [PLAIN])
    yield Fault("name_late", Status.NAME, "a byte before the only name", late)
    yield Fault("first_block_twin", Status.INDEX, "equal blocks, named twice", damaged(_twins))
    detail = "14 weights of 3 members in float32 are 168 bytes"
    data = damaged(lambda draft: None, [PLAIN])
    yield Fault("limit", Status.LIMIT, detail, data, limit=167)
    detail = "9 weights of 3 drawn members in float32 are 108 bytes"
    data = damaged(lambda draft: None, [DRAWN])
    yield Fault("limit_drawn", Status.LIMIT, detail, data, limit=107)
    yield Fault(
        "shared_17_members",
        Status.RECORD,
        "shared takes 16 members at most",
        _seventeen(files["many_members"]),
    )
    for name, status, detail, edit, tensor in block_faults():
        yield Fault(name, status, detail, damaged(edit, [tensor]), at="verify")
    detail = "a cluster that comes too early in a pattern of five members"
    data = growth_fault(files["shared_05"])
    yield Fault("pattern_growth", Status.BLOCK_CONTENT, detail, data, at="verify")
    for name, status, detail, data, at in (*entropy_faults(), *filter_faults(), *split_faults()):
        yield Fault(name, status, detail, data, at)


def _twins(draft: Draft) -> None:
    """Two tensors of the same blocks, so that the second one's could be the first one's."""
    first = draft.tensors[PLAIN]
    draft.tensors = [first, replace(first, name=b"weight too", lies={"first_block": 0})]
    draft.sections = []


def _seventeen(data: bytes) -> bytes:
    draft = Draft.take_apart(data)
    draft.keep([1])
    draft.sections = []
    draft.lies["member_count"] = 17
    draft.tensors[0].lies.update(method=2, digits=1, bits=8, copies=17)
    return draft.build()


def _raw_faults(good: bytes) -> Iterator[Fault]:
    """Faults in the bytes themselves, before any checksum counts."""

    def put(offset: int, *data: int) -> bytes:
        return good[:offset] + bytes(data) + good[offset + len(data) :]

    lf = good.replace(b"\r\n", b"\n", 1)
    crc = [byte ^ 0x80 for byte in good[16:20]]
    for name, status, detail, data in (
        ("empty", Status.TRUNCATED, "no bytes at all", b""),
        ("magic", Status.MAGIC, "the first byte is not 8A", put(0, 0x0A)),
        ("magic_newline", Status.MAGIC, "a transfer as text made CR LF a LF", lf),
        ("magic_short", Status.MAGIC, "a short file of another kind", b"\x8aEEP"),
        ("magic_only", Status.TRUNCATED, "the magic and nothing more", good[:8]),
        ("magic_part", Status.TRUNCATED, "the first bytes of the magic", good[:3]),
        ("header_cut", Status.TRUNCATED, "63 bytes of the header", good[:63]),
        ("byte_order", Status.BYTE_ORDER, "a big-endian writer", put(12, 10, 11, 12, 13)),
        ("major_2", Status.VERSION, "a newer major version", put(8, 2, 0)),
        ("major_0", Status.VERSION, "major version 0", put(8, 0, 0)),
        ("major_high", Status.VERSION, "the high byte of the major version", put(9, 1)),
        ("cut_last", Status.TRUNCATED, "the last byte is missing", good[:-1]),
        ("cut_half", Status.TRUNCATED, "half of it is missing", good[: len(good) // 2]),
        ("one_more", Status.TRAILING, "a byte behind the end", good + b"\0"),
        ("head_crc", Status.HEAD_CHECKSUM, "the head's CRC itself", put(16, *crc)),
        ("head_minor", Status.HEAD_CHECKSUM, "a flipped bit in minor", put(10, 1)),
        ("head_dims", Status.HEAD_CHECKSUM, "a flipped bit in a record", put(64 + 16, 3)),
    ):
        yield Fault(name, status, detail, data)
