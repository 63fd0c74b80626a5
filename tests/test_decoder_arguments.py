"""The C interface itself: a wrong call is refused with the right status, and touches nothing."""

from __future__ import annotations

import numpy as np
import pytest
from edgeens._native import ffi, lib

from edgeens.coded import CodedEnsemble, CodedTensor, Grid, Section
from edgeens.container.writer import serialise

CODES = np.arange(-15, 15, dtype=np.int8).reshape(2, 3, 5)
SCALE = np.array([0.5, 0.25, 0.125], np.float32)
FILE = serialise(
    CodedEnsemble(
        2,
        (
            CodedTensor("codes", "float32", CODES, Grid(5, SCALE, channel_axis=0), "plain"),
            CodedTensor("exact", "int32", np.arange(4, dtype=np.int32)[None]),
        ),
        (Section("META", b"{}"),),
        block_codes=8,
    )
)
ALL = lib.EENS_ALL_MEMBERS
BLOCKS = 4  # of "codes": 15 positions, 4 in a block


@pytest.fixture
def file():
    opened = ffi.new("eens_file *")
    buffer = ffi.from_buffer(FILE)
    assert lib.eens_open(buffer, len(buffer), 0, opened, ffi.NULL) == lib.EENS_OK
    yield opened
    del buffer


@pytest.fixture
def tensors(file):
    records = ffi.new("eens_tensor[2]")
    for i in range(2):
        assert lib.eens_tensor_at(file, i, records + i) == lib.EENS_OK
    assert records[0].block_count == BLOCKS
    return {"codes": records, "exact": records + 1}


def request(first=0, count=BLOCKS, member=ALL, form=lib.EENS_AS_FLOAT32, stride=0):
    return ffi.new("eens_request *", (first, count, member, form, stride))


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("codes", request(count=BLOCKS + 1)),
        ("codes", request(first=BLOCKS + 1, count=0)),
        ("codes", request(first=1, count=0xFFFFFFFF)),
        ("codes", request(member=2)),
        ("codes", request(member=-2)),
        ("codes", request(form=5)),
        ("codes", request(form=-1)),
        ("codes", request(stride=14)),
        ("codes", request(stride=1 << 60)),
        ("exact", request(count=1, form=lib.EENS_AS_FLOAT32)),
        ("exact", request(count=1, form=lib.EENS_AS_INT8)),
    ],
)
def test_a_request_that_no_tensor_can_fulfil_is_refused(file, tensors, name, asked):
    size = ffi.new("size_t *", 77)
    assert lib.eens_output_size(file, tensors[name], asked, size) == lib.EENS_ERR_ARGUMENT
    assert size[0] == 0
    output = np.full(64, 7, np.float32)
    where = ffi.new("eens_where *")
    status = lib.eens_decode(
        file, tensors[name], asked, ffi.NULL, 0, ffi.from_buffer(output), output.nbytes, where
    )
    assert status == lib.EENS_ERR_ARGUMENT
    assert (output == 7).all()


def test_an_output_one_byte_too_small_or_out_of_line_is_refused(file, tensors):
    output = np.full(31, 7, np.float32)
    begin = ffi.from_buffer(output)
    for skip, size, status in (
        (0, 119, lib.EENS_ERR_OUTPUT),
        (1, 121, lib.EENS_ERR_ARGUMENT),
        (2, 121, lib.EENS_ERR_ARGUMENT),
    ):
        arguments = (ffi.NULL, 0, begin + skip, size, ffi.NULL)
        assert lib.eens_decode(file, tensors["codes"], request(), *arguments) == status
        assert (output == 7).all()
    arguments = (ffi.NULL, 0, begin, 120, ffi.NULL)
    assert lib.eens_decode(file, tensors["codes"], request(), *arguments) == lib.EENS_OK
    assert output[30] == 7
    np.testing.assert_array_equal(output[:30].reshape(2, 3, 5), CODES * SCALE[None, :, None])


def test_no_blocks_are_no_output(file, tensors):
    size = ffi.new("size_t *", 77)
    nothing = request(first=BLOCKS, count=0)
    assert lib.eens_output_size(file, tensors["codes"], nothing, size) == lib.EENS_OK
    assert size[0] == 0


@pytest.mark.parametrize(
    ("first", "count", "form", "room", "status"),
    [
        (0, 15, lib.EENS_AS_VALUES, 60, lib.EENS_OK),
        (4, 11, lib.EENS_AS_FLOAT16, 22, lib.EENS_OK),
        (15, 0, lib.EENS_AS_FLOAT32, 0, lib.EENS_OK),
        (0, 15, lib.EENS_AS_VALUES, 59, lib.EENS_ERR_OUTPUT),
        (1, 15, lib.EENS_AS_VALUES, 60, lib.EENS_ERR_ARGUMENT),
        (16, 0, lib.EENS_AS_VALUES, 60, lib.EENS_ERR_ARGUMENT),
        (0, 15, lib.EENS_AS_INT8, 60, lib.EENS_ERR_ARGUMENT),
        (0, 15, lib.EENS_AS_INT16, 60, lib.EENS_ERR_ARGUMENT),
    ],
)
def test_codes_become_values_in_any_range(file, tensors, first, count, form, room, status):
    given = np.ascontiguousarray(CODES[1].reshape(-1))
    output = np.full(15, 7, np.float32)
    result = lib.eens_dequantize(
        file,
        tensors["codes"],
        ffi.from_buffer("int8_t[]", given),
        first,
        count,
        form,
        ffi.from_buffer(output),
        room,
    )
    assert result == status
    if status != lib.EENS_OK:
        assert (output == 7).all()
        return
    wanted = given[:count] * np.repeat(SCALE, 5)[first : first + count]
    if form == lib.EENS_AS_FLOAT16:
        np.testing.assert_array_equal(output.view(np.float16)[:count], wanted)
    else:
        np.testing.assert_array_equal(output[:count], wanted)


def test_exact_values_have_no_codes(file, tensors):
    code = ffi.new("int8_t *")
    output = ffi.new("float *")
    arguments = (code, 0, 1, lib.EENS_AS_VALUES, output, 4)
    assert lib.eens_dequantize(file, tensors["exact"], *arguments) == lib.EENS_ERR_ARGUMENT


def test_scales_outside_the_tensor_are_refused(file, tensors):
    scales = ffi.new("float[4]")
    assert lib.eens_scales(file, tensors["codes"], 1, 2, scales) == lib.EENS_OK
    assert list(scales) == [0.25, 0.125, 0, 0]
    for first, count in ((0, 4), (3, 1), (4, 0), (0xFFFFFFFF, 2)):
        status = lib.eens_scales(file, tensors["codes"], first, count, scales)
        assert status == lib.EENS_ERR_ARGUMENT


def test_names_are_found_by_all_of_their_bytes(file):
    found = ffi.new("eens_tensor *")
    for name, size, status in (
        (b"codes", 5, lib.EENS_OK),
        (b"exact", 5, lib.EENS_OK),
        (b"codes", 4, lib.EENS_ERR_NOT_FOUND),
        (b"codes\0", 6, lib.EENS_ERR_NOT_FOUND),
        (b"", 0, lib.EENS_ERR_NOT_FOUND),
        (b"zzz", 3, lib.EENS_ERR_NOT_FOUND),
    ):
        assert lib.eens_find(file, name, size, found) == status
    buffer = ffi.new("char[6]")
    assert lib.eens_tensor_name(file, found, buffer, 5) == lib.EENS_ERR_OUTPUT
    assert lib.eens_tensor_name(file, found, buffer, 6) == lib.EENS_OK
    assert lib.eens_tensor_at(file, 2, found) == lib.EENS_ERR_NOT_FOUND


def test_sections_are_read_within_their_payload_only(file):
    section = ffi.new("eens_section *")
    buffer = ffi.new("char[4]")
    assert lib.eens_section_find(file, b"META", section) == lib.EENS_OK
    assert lib.eens_section_read(file, section, 1, buffer, 1) == lib.EENS_OK
    assert ffi.string(buffer) == b"}"
    for offset, size in ((0, 3), (2, 1), (3, 0), ((1 << 64) - 1, 2)):
        status = lib.eens_section_read(file, section, offset, buffer, size)
        assert status == lib.EENS_ERR_ARGUMENT
    assert lib.eens_section_find(file, b"SKLF", section) == lib.EENS_ERR_NOT_FOUND
    assert lib.eens_section_at(file, 2, section) == lib.EENS_ERR_NOT_FOUND


def test_a_missing_argument_is_refused(file, tensors):
    none = ffi.NULL
    tensor = tensors["codes"]
    section = ffi.new("eens_section *")
    calls = (
        lib.eens_open(none, 1, 0, file, none),
        lib.eens_open(b"", 0, 0, none, none),
        lib.eens_open_reader(none, none, 64, 0, file, none),
        lib.eens_tensor_at(none, 0, tensor),
        lib.eens_tensor_at(file, 0, none),
        lib.eens_find(file, none, 0, tensor),
        lib.eens_tensor_name(file, tensor, none, 9),
        lib.eens_scales(file, tensor, 0, 1, none),
        lib.eens_workspace_size(file, tensor, none),
        lib.eens_output_size(file, tensor, none, ffi.new("size_t *")),
        lib.eens_decode(file, tensor, none, none, 0, none, 0, none),
        lib.eens_dequantize(file, tensor, none, 0, 1, 0, none, 4),
        lib.eens_section_at(file, 0, none),
        lib.eens_section_find(file, none, section),
        lib.eens_section_read(file, none, 0, none, 0),
        lib.eens_section_check(file, none),
    )
    assert calls == (lib.EENS_ERR_ARGUMENT,) * len(calls)
