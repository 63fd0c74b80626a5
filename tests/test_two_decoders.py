"""The C decoder and the reference decoder agree: on codes, on values, and on every refusal."""

from __future__ import annotations

import numpy as np
import pytest
from edgeens._native import ffi, lib
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeens.coded import CodedEnsemble, CodedTensor, Draw, Grid, Section
from edgeens.container.layout import Status
from edgeens.container.reference import read_container
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from edgeens.errors import FormatError
from tests.damage import resealed
from tests.strategies import coded_ensembles

EASY = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def verdict(decoder, data):
    """The refusal's status, or everything that the file decodes to."""
    try:
        opened = decoder(data)
        opened.verify()
        return content(opened)
    except FormatError as error:
        return Status(error.status).name


def content(opened):
    if isinstance(opened, Container):
        return [
            (info.name, opened.decode(info.name, as_="int8" if info.bits else "values").tobytes())
            for info in opened.tensors
        ]
    names = enumerate(opened.names)
    return [(name, opened.decode_codes(number).tobytes()) for number, name in names]


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@EASY
@given(coded_ensembles(), st.data())
def test_generated_files_decode_to_the_same_bits(coded, data):
    file = serialise(coded)
    fast, slow = Container.from_bytes(file), read_container(file)
    fast.verify()
    slow.verify()
    stored = sorted(coded.tensors, key=lambda tensor: tensor.name.encode())
    assert fast.names == slow.names == tuple(tensor.name for tensor in stored)
    for number, tensor in enumerate(stored):
        member = data.draw(st.integers(0, coded.members - 1))
        with np.errstate(over="ignore"):
            values = slow.values(number)
        assert same_bits(fast.decode(tensor.name), values)
        assert same_bits(fast.decode(tensor.name, threads=2), values)
        one = values[member if len(values) > 1 else 0]
        assert same_bits(fast.decode(tensor.name, member=member), one)
        if tensor.grid is None:
            continue
        codes = slow.decode_codes(number)
        assert same_bits(fast.decode(tensor.name, as_="int8"), codes)
        assert same_bits(fast.decode(tensor.name, as_="int16"), codes.astype(np.int16))
        if tensor.draw is None:
            assert same_bits(codes, np.ascontiguousarray(tensor.codes))


@EASY
@given(coded_ensembles(max_members=6, max_tensors=3), st.data())
def test_damaged_files_get_the_same_verdict(coded, data):
    """With checksums left wrong, and with checksums made right again."""
    good = serialise(coded)
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(good) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    for file in (bytes(damaged), resealed(bytes(damaged), good)):
        assert verdict(Container.from_bytes, file) == verdict(read_container, file)


@EASY
@given(coded_ensembles(max_members=4, max_tensors=2), st.data())
def test_cut_lengthened_and_swapped_files_get_the_same_verdict(coded, data):
    good = serialise(coded)
    a, b, c = sorted(data.draw(st.lists(st.integers(0, len(good)), min_size=3, max_size=3)))
    for file in (good[:a], good + good[a:b], good[:a] + good[b:c] + good[a:b] + good[c:]):
        assert verdict(Container.from_bytes, file) == verdict(read_container, file)


@pytest.fixture(scope="module")
def small_file():
    """Every method, two sections and the digests, in well under a kilobyte."""
    rng = np.random.default_rng(0)
    scale = np.array([0.5], np.float32)
    codes = rng.integers(-7, 8, (2, 5), np.int8)
    tensors = (
        CodedTensor("a", "float32", rng.normal(size=(2, 2)).astype("<f4")),
        CodedTensor("b", "float32", codes, Grid(4, scale), "plain"),
        CodedTensor("c", "float32", codes, Grid(8, scale), "shared", "balanced"),
        CodedTensor("d", "float16", codes[:1], Grid(4, scale), "drawn", draw=Draw(1, 7)),
    )
    return serialise(CodedEnsemble(2, tensors, (Section("META", b"{}"),)))


def test_every_flipped_bit_of_a_small_file_is_refused_by_both(small_file):
    Container.from_bytes(small_file).verify()
    assert len(small_file) < 1000
    for bit in range(8 * len(small_file)):
        flipped = bytearray(small_file)
        flipped[bit // 8] ^= 1 << bit % 8
        fast = verdict(Container.from_bytes, bytes(flipped))
        assert isinstance(fast, str), f"bit {bit} may flip unseen"
        assert fast == verdict(read_container, bytes(flipped)), f"bit {bit}"


def test_every_truncation_of_a_small_file_is_refused_by_both(small_file):
    for size in range(len(small_file)):
        fast = verdict(Container.from_bytes, small_file[:size])
        assert fast == verdict(read_container, small_file[:size])
        assert fast in ("TRUNCATED", "MAGIC")


def decode_blocks(data, number, first, count, member, dtype, form):
    """A range of blocks through the C interface: status and output."""
    file, tensor = ffi.new("eens_file *"), ffi.new("eens_tensor *")
    memory = ffi.from_buffer(data)
    assert lib.eens_open(memory, len(data), 0, file, ffi.NULL) == lib.EENS_OK
    assert lib.eens_tensor_at(file, number, tensor) == lib.EENS_OK
    request = ffi.new("eens_request *")
    request.first_block, request.block_count = first, count
    request.member = -1 if member is None else member
    request.format = form
    size = ffi.new("size_t *")
    status = lib.eens_output_size(file, tensor, request, size)
    assert status == lib.EENS_OK
    output = np.empty(size[0] // np.dtype(dtype).itemsize, dtype)
    buffer = ffi.from_buffer(output, require_writable=True)
    needed = ffi.new("size_t *")
    assert lib.eens_workspace_size(file, tensor, needed) == lib.EENS_OK
    workspace = ffi.new("uint8_t[]", needed[0])
    status = lib.eens_decode(
        file, tensor, request, workspace, needed[0], buffer, output.nbytes, ffi.NULL
    )
    return status, output


@EASY
@given(coded_ensembles(max_tensors=2), st.data())
def test_both_decode_a_range_of_blocks_to_the_same(coded, data):
    written = serialise(coded)
    reference = read_container(written)
    for index, record in enumerate(reference.records):
        first = data.draw(st.integers(0, record.block_count))
        last = data.draw(st.integers(first, record.block_count))
        member = data.draw(st.one_of(st.none(), st.integers(0, coded.members - 1)))
        expected = reference.decode_codes(index, member, range(first, last))
        form = lib.EENS_AS_INT8 if record.bits else lib.EENS_AS_VALUES
        status, decoded = decode_blocks(
            written, index, first, last - first, member, expected.dtype, form
        )
        assert status == lib.EENS_OK
        assert decoded.tobytes() == expected.tobytes()
