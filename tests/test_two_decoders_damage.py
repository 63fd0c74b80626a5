"""Damage that reaches deep: files of every method with faults under right checksums.

Both decoders must open or refuse alike, verify alike, and give every single tensor the same status
or the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeens.container.layout import SECTION_HEADER, Status
from edgeens.container.reference import read_container
from edgeens.decoder import Container
from edgeens.errors import FormatError
from tests.damage import Draft, resealed
from tests.vector_faults import base
from tests.vector_split_faults import split_base

VECTORS = Path(__file__).parent / "vectors"
# Small files of every method, to be damaged.
FILES = [base().build(), split_base().build()] + [
    (VECTORS / "good" / f"{name}.eens").read_bytes()
    for name in (
        "walk",
        "shared_05",
        "shared_16",
        "drawn",
        "shapes",
        "sections",
        "tables",
        "one_member",
    )
]


def status_of(action):
    """OK, or the status of the refusal."""
    try:
        action()
    except FormatError as error:
        return Status(error.status)
    return Status.OK


def outcome_of_reference(data, limit=None):
    """Status of opening; if that is well, of verifying, and of each tensor or its bytes."""
    opened = status_of(lambda: read_container(data, limit=limit))
    if opened:
        return opened
    container = read_container(data, limit=limit)
    verified = status_of(container.verify)
    tensors = []
    for index in range(len(container.tensors)):
        status = status_of(lambda index=index: container.values(index))
        tensors.append(status or container.values(index).tobytes())
    return verified, tensors


def outcome_of_c(data, limit=None):
    """The same from the C decoder."""
    opened = status_of(lambda: Container.from_bytes(data, limit=limit))
    if opened:
        return opened
    container = Container.from_bytes(data, limit=limit)
    verified = status_of(container.verify)
    tensors = []
    for name in container.names:
        status = status_of(lambda name=name: container.decode(name))
        tensors.append(status or container.decode(name).tobytes())
    return verified, tensors


EDITS = st.lists(
    st.tuples(
        st.integers(0, 1 << 20),
        st.one_of(
            st.integers(0, 255).map(lambda mask: lambda byte: byte ^ mask),
            st.sampled_from([0, 1, 2, 3, 0x7F, 0x80, 0xFF]).map(lambda new: lambda byte: new),
            st.sampled_from([1, -1]).map(lambda step: lambda byte: (byte + step) % 256),
        ),
    ),
    min_size=1,
    max_size=3,
)


def edited(data, edits, low, high):
    """*data* with some bytes between *low* and *high* changed."""
    damaged = bytearray(data)
    for place, change in edits:
        where = low + place % (high - low)
        damaged[where] = change(damaged[where])
    return bytes(damaged)


@settings(max_examples=300)
@given(st.sampled_from(FILES), EDITS, st.booleans())
def test_overwritten_bytes_give_both_the_same_status_or_content(data, edits, seal):
    damaged = edited(data, edits, 0, len(data))
    if seal:
        damaged = resealed(damaged, data)
    assert outcome_of_c(damaged) == outcome_of_reference(damaged)


@settings(max_examples=400)
@given(st.sampled_from(FILES), EDITS)
def test_a_damaged_head_under_a_right_checksum_gives_both_the_same(data, edits):
    """The fields of the header behind the version, the records, names, scales and the index."""
    high = Draft.take_apart(data).header.head_size
    damaged = resealed(edited(data, edits, 20, high), data)
    assert outcome_of_c(damaged) == outcome_of_reference(damaged)


@settings(max_examples=400)
@given(st.sampled_from(FILES[:5]), EDITS)
def test_damaged_blocks_under_right_checksums_give_both_the_same(data, edits):
    draft = Draft.take_apart(data)
    low = draft.header.head_size
    high = low + sum(len(block) for tensor in draft.tensors for block in tensor.blocks)
    damaged = resealed(edited(data, edits, low, high), data)
    assert outcome_of_c(damaged) == outcome_of_reference(damaged)


@settings(max_examples=100)
@given(st.sampled_from(FILES), EDITS)
def test_damaged_sections_under_right_checksums_give_both_the_same(data, edits):
    sections = Draft.take_apart(data).sections
    size = sum(SECTION_HEADER.size + len(section.payload) for section in sections)
    damaged = resealed(edited(data, edits, len(data) - size, len(data)), data)
    assert outcome_of_c(damaged) == outcome_of_reference(damaged)


@settings(max_examples=100)
@given(st.sampled_from(FILES), st.data())
def test_swapped_parts_give_both_the_same(data, draws):
    size = draws.draw(st.sampled_from([1, 4, 8, 32, 96]))
    first = draws.draw(st.integers(0, len(data) - 2 * size))
    second = draws.draw(st.integers(first + size, len(data) - size))
    damaged = bytearray(data)
    damaged[first : first + size] = data[second : second + size]
    damaged[second : second + size] = data[first : first + size]
    damaged = bytes(damaged)
    if draws.draw(st.booleans()):
        damaged = resealed(damaged, data)
    assert outcome_of_c(damaged) == outcome_of_reference(damaged)


@settings(max_examples=60)
@given(st.sampled_from(FILES), st.integers(1, 2000))
def test_a_limit_stops_both_at_the_same_size(data, limit):
    assert outcome_of_c(data, limit) == outcome_of_reference(data, limit)


@pytest.mark.parametrize("data", FILES)
def test_the_files_to_be_damaged_are_good(data):
    assert outcome_of_c(data) == outcome_of_reference(data)
    assert outcome_of_c(data)[0] == Status.OK
