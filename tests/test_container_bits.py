"""Checksums and bit streams: vectorised, and the same as one step at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeens.container.bits import pack, pack_ragged
from edgeens.container.checksum import crc32c, crc32c_each, crc32c_rows
from edgeens.container.reference_opening import crc32c as crc32c_by_byte


def test_the_checksum_of_the_specification_comes_out():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"1234", b"", b"56789") == 0xE3069283
    assert crc32c(b"") == 0


@given(st.lists(st.binary(max_size=70), min_size=1, max_size=9))
def test_checksums_of_many_buffers_are_those_of_each_byte_by_byte(buffers):
    assert crc32c_each(buffers).tolist() == [crc32c_by_byte(buffer) for buffer in buffers]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 4095, 65531, 65532, 65533, 140_001])
def test_checksums_of_rows_are_right_at_every_length(size):
    rows = np.frombuffer(np.random.default_rng(size).bytes(3 * size), np.uint8).reshape(3, size)
    expected = [crc32c_by_byte(row.tobytes()) for row in rows]
    assert crc32c_rows(rows).tolist() == expected
    assert crc32c_each([row.tobytes() for row in rows]).tolist() == expected


@given(st.integers(1, 57), st.lists(st.integers(0, 2**57 - 1), max_size=20))
def test_fields_fill_a_stream_from_the_least_significant_bit(width, values):
    values = [value & (1 << width) - 1 for value in values]
    whole = sum(value << width * place for place, value in enumerate(values))
    expected = whole.to_bytes((len(values) * width + 7) // 8, "little")
    assert pack(np.array(values, np.uint64), width).tobytes() == expected


@given(st.integers(1, 12), st.lists(st.lists(st.integers(0, 4095), max_size=12), max_size=8))
def test_streams_of_different_lengths_are_packed_each_for_itself(width, streams):
    streams = [[value & (1 << width) - 1 for value in stream] for stream in streams]
    fields = np.array([value for stream in streams for value in stream], np.uint16)
    counts = np.array([len(stream) for stream in streams], np.intp)
    expected = [pack(np.array(stream, np.uint16), width).tobytes() for stream in streams]
    assert [part.tobytes() for part in pack_ragged(fields, counts, width)] == expected
