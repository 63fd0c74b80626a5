"""The order of the checks (S12): of several faults the first is reported."""

from __future__ import annotations

import struct

import pytest

from edgeens.container.layout import Status
from edgeens.container.reference import read_container
from edgeens.errors import FormatError
from tests.damage import SectionDraft
from tests.vector_faults import base
from tests.vector_records import BALANCED, DRAWN, FLAGS, PLAIN


def lie(tensor, **values):
    return lambda draft: draft.tensors[tensor].lies.update(values)


def header(**values):
    return lambda draft: draft.lies.update(values)


def scale(value):
    return lambda draft: setattr(draft.tensors[BALANCED], "scales", struct.pack("<f", value))


def tail(draft):
    draft.tail = b"\0"


def critical(draft):
    draft.sections.append(SectionDraft(b"NEW1", b"", 1))


def typeless(draft):
    draft.sections.append(SectionDraft(b"new1", b""))


def pool(draft):
    draft.tables = b"a"


# One fault for each step of "Opening", in the order of S12.
STEPS = [
    ("MAGIC", header(magic=b"notmagic")),
    ("BYTE_ORDER", header(byte_order=1)),
    ("VERSION", header(major=2)),
    ("TRUNCATED", header(file_size=10**9)),
    ("HEADER", header(reserved_60=1)),
    ("HEAD_CHECKSUM", header(head_crc=1)),
    ("TABLE", pool),
    ("NAME", lie(BALANCED, name_offset=1)),
    ("RECORD", lie(BALANCED, dtype=99)),
    ("SCALE", scale(0.0)),
    ("INDEX", lie(BALANCED, data_offset=1)),
    ("NAME", lie(DRAWN, name_offset=1)),
    ("RECORD", lie(DRAWN, parent_levels=0)),
    ("SCALE", lie(DRAWN, scale_index=0)),
    ("INDEX", lie(DRAWN, first_block=0)),
    ("NAME", lie(PLAIN, name_size=5)),
    ("SECTION", typeless),
]  # fmt: skip


@pytest.mark.parametrize("first", range(len(STEPS)), ids=lambda i: f"{i}-{STEPS[i][0]}")
def test_the_first_fault_in_the_order_of_the_checks_is_reported(first):
    status, _ = STEPS[first]
    for second in range(first, len(STEPS)):
        draft = base()
        STEPS[second][1](draft)
        STEPS[first][1](draft)
        with pytest.raises(FormatError, match=Status[status].sentence) as raised:
            read_container(draft.build())
        assert raised.value.status == Status[status]


@pytest.mark.parametrize(
    ("edits", "status"),
    [
        ([lie(PLAIN, name_size=5), critical], "NAME"),
        ([critical, typeless], "CRITICAL"),
        ([typeless, critical], "SECTION"),
        ([critical, tail], "CRITICAL"),
        ([tail], "SECTION"),
    ],
)
def test_sections_are_checked_in_order_and_last(edits, status):
    draft = base()
    for edit in edits:
        edit(draft)
    with pytest.raises(FormatError, match=Status[status].sentence):
        read_container(draft.build())


def test_the_limit_is_checked_tensor_by_tensor_and_may_just_be_reached():
    draft = base()
    data = draft.build()
    sizes = [record.copies * record.elements for record in read_container(data).records]
    assert max(4 * sizes[i] for i in (BALANCED, DRAWN, PLAIN)) == 168
    assert sizes[FLAGS] == 15
    assert len(read_container(data, limit=168).tensors) == 6
    with pytest.raises(FormatError, match="tensor 0 takes 168 bytes, the limit is 167"):
        read_container(data, limit=167)
    lie(BALANCED, data_offset=1)(draft)
    with pytest.raises(FormatError, match=Status.INDEX.sentence):
        read_container(draft.build(), limit=167)
    draft = base()
    lie(DRAWN, dtype=99)(draft)
    with pytest.raises(FormatError, match=Status.LIMIT.sentence):
        read_container(draft.build(), limit=167)


def test_verifying_checks_all_sections_before_any_payload_and_any_tensor():
    draft = base()
    draft.sections[0].payload = b"["
    draft.tensors[PLAIN].crcs[0] = 1
    with pytest.raises(FormatError, match=r"^a section is malformed: META is not JSON"):
        read_container(draft.build()).verify()
    draft.sections[1].crc = 1
    with pytest.raises(FormatError, match=r"^checksum mismatch in a section: DGST"):
        read_container(draft.build()).verify()


def test_lanes_are_checked_in_order_and_only_those_asked_for():
    draft = base()
    block = bytearray(draft.tensors[PLAIN].blocks[0])
    block[-1] ^= 1
    draft.tensors[PLAIN].blocks[0] = bytes(block)
    container = read_container(draft.build())
    assert container.decode_codes(PLAIN, 1).shape == (2, 7)
    with pytest.raises(FormatError, match=r"^checksum mismatch in a block: 'weight', block 0"):
        container.decode_codes(PLAIN, 2)
    assert container.decode_codes(PLAIN, 2, range(1, 2)).shape == (4,)
