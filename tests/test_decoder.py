"""Container, the C decoder in Python: what it gives back, and how it refuses."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from edgeens._native import ffi, lib

from edgeens.coded import CodedEnsemble, CodedTensor, Draw, Grid, Section
from edgeens.container.checksum import crc32c
from edgeens.container.writer import serialise
from edgeens.decoder import Container, blocks
from edgeens.errors import DataError, EdgeensError, FormatError
from tests.damage import Draft

SPEC = Path(__file__).parents[1] / "docs" / "SPEC.md"
MEMBERS = 3
RNG = np.random.default_rng(20)


def grid(bits: int, *, channels: int = 1, axis: int | None = None, zero_point: int = 0) -> Grid:
    scale = RNG.uniform(1e-4, 1e-2, channels).astype(np.float32)
    return Grid(bits=bits, scale=scale, channel_axis=axis, zero_point=zero_point)


def codes(bits: int, *shape: int) -> np.ndarray:
    half = 1 << (bits - 1)
    return RNG.integers(1 - half, half, shape).astype(np.int8)


def near(*shape: int) -> np.ndarray:
    """Codes of members that are close to each other."""
    base = RNG.integers(-120, 121, (1, *shape))
    return (base + RNG.integers(-2, 3, (MEMBERS, *shape))).astype(np.int8)


CODED = (
    CodedTensor("plain.5", "float32", codes(5, MEMBERS, 7, 50), grid(5), "plain"),
    CodedTensor(
        "plain.first", "float32", codes(4, MEMBERS, 6, 90), grid(4, channels=6, axis=0), "plain"
    ),
    CodedTensor(
        "plain.middle", "double", codes(3, 1, 5, 6, 7), grid(3, channels=6, axis=1), "plain"
    ),
    CodedTensor(
        "plain.last", "bfloat16", codes(8, MEMBERS, 9, 70), grid(8, channels=70, axis=1), "plain"
    ),
    CodedTensor("raw", "float16", codes(8, MEMBERS, 11, 13), grid(8, zero_point=-3)),
    CodedTensor(
        "shared.balanced",
        "float32",
        near(40, 11),
        grid(8, channels=40, axis=0),
        "shared",
        "balanced",
    ),
    CodedTensor("shared.planes", "float16", near(300), grid(8), "shared", "planes"),
)
DRAWN = CodedTensor(
    "drawn", "float32", codes(8, 1, 17, 31), grid(4), "drawn", draw=Draw(key=5, parent_levels=127)
)
EXACT = (
    CodedTensor("exact.bool", "bool", RNG.integers(0, 2, (MEMBERS, 5)).astype(np.bool_)),
    CodedTensor("exact.double", "double", RNG.normal(size=(1, 3, 4))),
    CodedTensor("exact.empty", "int64", np.zeros((MEMBERS, 0, 4), np.int64)),
    CodedTensor("exact.scalar", "float32", RNG.normal(size=MEMBERS).astype(np.float32)),
)
META = Section("META", b'{"edgeens.task": "classification"}')
SMALL_BLOCKS = 200  # codes in a block: every tensor of some size has several blocks


def ensemble(*sections: Section) -> CodedEnsemble:
    tensors = (*CODED, DRAWN, *EXACT)
    return CodedEnsemble(MEMBERS, tensors, sections, block_codes=SMALL_BLOCKS)


FILE = serialise(ensemble(META))


@pytest.fixture(params=["memory", "file"])
def container(request, tmp_path):
    (tmp_path / "f.eens").write_bytes(FILE)
    in_file = request.param == "file"
    with Container.open(tmp_path / "f.eens") if in_file else Container.from_bytes(FILE) as opened:
        yield opened


def products(tensor: CodedTensor) -> np.ndarray:
    """scale * (code - zero_point) in float32, as the specification rounds it."""
    assert tensor.grid is not None
    steps = tensor.codes.astype(np.int32) - tensor.grid.zero_point
    return tensor.grid.broadcast_scale(len(tensor.shape)) * steps.astype(np.float32)


def of_dtype(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":
        return values.astype(ml_dtypes.bfloat16).view(np.uint16)
    return values.astype({"float32": "f4", "float16": "f2", "double": "f8"}[dtype])


@pytest.mark.parametrize("tensor", CODED, ids=lambda tensor: tensor.name)
def test_codes_and_values_come_back_to_the_last_bit(container, tensor):
    product = products(tensor)
    wanted = {
        "int8": tensor.codes,
        "int16": tensor.codes.astype(np.int16),
        "float32": product,
        "float16": product.astype(np.float16),
        "values": of_dtype(product, tensor.dtype),
    }
    for as_, array in wanted.items():
        decoded = container.decode(tensor.name, as_=as_)
        assert decoded.dtype == array.dtype
        np.testing.assert_array_equal(decoded, array)


@pytest.mark.parametrize("tensor", EXACT, ids=lambda tensor: tensor.name)
def test_exact_values_come_back_as_they_are(container, tensor):
    decoded = container.decode(tensor.name)
    assert decoded.dtype == tensor.codes.dtype
    np.testing.assert_array_equal(decoded, tensor.codes)


def test_float16_is_rounded_like_numpy_rounds_it_over_the_whole_range():
    scale = np.geomspace(1e-10, 1e3, 257).astype(np.float32)
    all_codes = np.tile(np.arange(-128, 128, dtype=np.int8), (257, 1))[None]
    tensor = CodedTensor("w", "float32", all_codes, Grid(8, scale, channel_axis=0), "plain")
    opened = Container.from_bytes(serialise(CodedEnsemble(1, (tensor,))))
    with np.errstate(over="ignore"):
        wanted = products(tensor).astype(np.float16)
    assert np.isinf(wanted).any()
    assert ((wanted != 0) & (np.abs(wanted) < np.finfo(np.float16).tiny)).any()
    np.testing.assert_array_equal(opened.decode("w", as_="float16"), wanted)


@pytest.mark.parametrize("as_", ["values", "int8"])
def test_a_member_alone_is_its_row_of_all(container, as_):
    for info in container.tensors:
        if info.bits == 0 and as_ != "values":
            continue
        together = container.decode(info.name, as_=as_)
        assert together.shape == (info.copies, *info.shape)
        for member in range(MEMBERS):
            row = together[member if info.copies > 1 else 0]
            np.testing.assert_array_equal(container.decode(info.name, member=member, as_=as_), row)


def test_members_drawn_from_a_parent_differ_and_stay_on_their_grid(container):
    drawn = container.decode("drawn", as_="int8")
    parent = DRAWN.codes.astype(np.float64) * 7 / 127
    assert np.abs(drawn - parent).max() < 1
    assert (drawn[0] != drawn[1]).any()


@pytest.mark.parametrize("threads", [2, 3, 50])
def test_threads_give_the_same_bytes(container, monkeypatch, threads):
    started = []

    class CountingExecutor(ThreadPoolExecutor):
        def __init__(self, workers):
            started.append(workers)
            super().__init__(workers)

    alone = {name: container.decode(name) for name in container.names}
    monkeypatch.setattr(blocks, "_WORTH_A_THREAD", 1)
    monkeypatch.setattr(blocks, "ThreadPoolExecutor", CountingExecutor)
    for name, values in alone.items():
        np.testing.assert_array_equal(container.decode(name, threads=threads), values)
    assert max(started) == min(threads, max(info.block_count for info in container.tensors))


def test_a_small_tensor_starts_no_thread(container, monkeypatch):
    monkeypatch.setattr(blocks, "ThreadPoolExecutor", None)
    assert container.decode("plain.5", threads=8).shape == (MEMBERS, 7, 50)


def test_several_threads_may_decode_at_once(container):
    alone = {name: container.decode(name) for name in container.names}
    with ThreadPoolExecutor(4) as pool:
        jobs = [(name, pool.submit(container.decode, name)) for name in container.names * 5]
    for name, job in jobs:
        np.testing.assert_array_equal(job.result(), alone[name])


def test_out_is_filled_where_it_lies(container):
    out = np.zeros((MEMBERS, 7, 50), np.float32)
    assert container.decode("plain.5", out=out) is out
    np.testing.assert_array_equal(out, container.decode("plain.5"))
    row = np.zeros((2, 7, 50), np.float32)
    container.decode("plain.5", member=1, out=row[1])
    np.testing.assert_array_equal(row, [np.zeros_like(out[1]), out[1]])


@pytest.mark.parametrize("as_", ["float32", "float16", "int8", "int16"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_buffer_of_the_caller_is_filled_in_every_format(container, monkeypatch, as_, threads):
    """A part of a larger buffer, as a runtime that plans its memory hands out; no byte beside."""
    monkeypatch.setattr(blocks, "_WORTH_A_THREAD", 1)
    for info in container.tensors:
        if info.bits == 0:
            continue
        expected = container.decode(info.name, as_=as_)
        for member in (None, 1):
            wanted = expected if member is None else expected[member % info.copies]
            arena = np.full(wanted.nbytes + 32, 0xA5, np.uint8)
            out = arena[16:-16].view(as_).reshape(wanted.shape)
            given = container.decode(info.name, member=member, as_=as_, out=out, threads=threads)
            assert given is out
            np.testing.assert_array_equal(out, wanted)
            assert (arena[:16] == 0xA5).all()
            assert (arena[-16:] == 0xA5).all()


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread_is_refused(container, threads):
    wanted = f"^threads must be at least 1, but is {threads}$"
    with pytest.raises(DataError, match=wanted):
        container.decode("plain.5", threads=threads)
    with pytest.raises(DataError, match=wanted):
        container.verify(threads=threads)


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "given"),
    [
        (np.zeros((7, 50), np.float32), "of shape (7, 50) and dtype float32"),
        (np.zeros((3, 7, 50)), "of shape (3, 7, 50) and dtype float64"),
        (np.zeros((3, 50, 7), np.float32).swapaxes(1, 2), "not C-contiguous"),
        (read_only(np.zeros((3, 7, 50), np.float32)), "read-only"),
        (
            np.zeros(4 * 1050 + 1, np.uint8)[1:].view(np.float32).reshape(3, 7, 50),
            "not aligned for its type",
        ),
        ([0.0], "list"),
    ],
)
def test_an_output_that_does_not_fit_is_refused_in_words(container, out, given):
    wanted = (
        "out must be a writable C-contiguous array of shape (3, 7, 50) and dtype float32, but is "
    )
    with pytest.raises(DataError, match=f"^{re.escape(wanted + given)}$"):
        container.decode("plain.5", out=out)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "plain.6"}, r"has no tensor 'plain.6'; close names: 'plain.5', 'plain.last'"),
        ({"name": "zzzz"}, r"the container has no tensor 'zzzz'$"),
        ({"name": "plain.5", "as_": "int4"}, r"as_ must be one of values, int8, .* but is 'int4'"),
        ({"name": "plain.5", "member": 3}, r"member must lie in 0..2, but is 3"),
        ({"name": "plain.5", "member": -1}, r"member must lie in 0..2, but is -1"),
        (
            {"name": "exact.double", "as_": "float32"},
            r"'exact.double' holds exact double values, which decode only as 'values', not 'float3",
        ),
    ],
)
def test_an_argument_that_does_not_fit_is_refused_in_words(container, arguments, text):
    with pytest.raises(DataError, match=text):
        container.decode(**arguments)


def test_a_record_says_what_was_written(container):
    info = container.tensor("drawn")
    assert (info.method, info.bits, info.parent_levels, info.key) == ("drawn", 4, 127, 5)
    assert (info.copies, info.shape, info.dtype) == (MEMBERS, (17, 31), "float32")
    info = container.tensor("plain.last")
    assert (info.channel_axis, info.scale_count, info.dtype) == (1, 70, "bfloat16")
    info = container.tensor("raw")
    assert (info.channel_axis, info.scale_count, info.zero_point) == (None, 1, -3)
    assert container.tensor("shared.planes").digits == "planes"
    assert container.names == tuple(sorted(info.name for info in container.tensors))
    assert [info.index for info in container.tensors] == list(range(len(container.names)))
    assert (container.members, container.profile, container.minor) == (MEMBERS, "desktop", 0)
    assert container.file_bytes == len(FILE)


def test_scales_are_those_of_the_grid(container):
    for tensor in CODED:
        np.testing.assert_array_equal(container.scales(tensor.name), tensor.grid.scale)
    assert container.scales("exact.double").shape == (0,)


def test_sections_come_back(container):
    assert list(container.sections) == ["META", "DGST"]
    assert container.sections["META"].size == len(META.payload)
    assert not container.sections["META"].critical
    assert container.section("META") == META.payload
    assert container.metadata == {"edgeens.task": "classification"}
    with pytest.raises(DataError, match=r"has no section 'SKLF'; it has META, DGST$"):
        container.section("SKLF")


def test_a_file_without_metadata_has_none_in_it():
    assert Container.from_bytes(serialise(ensemble())).metadata == {}


@pytest.mark.parametrize("payload", [b"[]", b"", b'{"a": NaN}', b"\xff\xfe{}", b"[" * 100_000])
def test_metadata_that_is_no_json_object_is_refused(payload):
    draft = Draft.take_apart(FILE)
    draft.sections[0].payload = payload
    opened = Container.from_bytes(draft.build())
    for read in (lambda: opened.metadata, opened.verify):
        with pytest.raises(FormatError, match=r"^a section is malformed: 'META' is no"):
            read()


def test_a_good_file_is_verified_and_progress_reaches_its_total(container, tmp_path):
    steps = []
    container.verify(progress=lambda done, total: steps.append((done, total)), threads=2)
    decoded = sum(container.decode(name).nbytes for name in container.names)
    assert len(steps) == len(container.tensors)
    assert steps[-1] == (decoded, decoded)
    assert steps == sorted(steps)


def damaged(offset: int) -> bytes:
    return FILE[:offset] + bytes([FILE[offset] ^ 1]) + FILE[offset + 1 :]


def test_a_fault_says_where_it_is(tmp_path):
    meta = FILE.rindex(META.payload)
    cases = {
        0: "^not an edgeens container: in ",
        70: "^checksum mismatch in the head: in ",
        meta - 40: "^checksum mismatch in a block: tensor 'shared.planes', block 4, in ",
        meta: "^checksum mismatch in a section: section 0 'META', in ",
    }
    for offset, text in cases.items():
        path = tmp_path / "damaged.eens"
        path.write_bytes(damaged(offset))
        with pytest.raises(FormatError, match=text + re.escape(str(path)) + "$"):
            Container.open(path).verify()


def test_every_tensor_behind_a_fault_can_still_be_decoded(container):
    opened = Container.from_bytes(damaged(FILE.rindex(META.payload) - 40))
    for name in container.names:
        if name != "shared.planes":
            np.testing.assert_array_equal(opened.decode(name), container.decode(name))


def test_a_wrong_digest_is_found():
    draft = Draft.take_apart(FILE)
    digests = bytearray(draft.sections[1].payload)
    digests[32 * 2] ^= 1
    draft.sections[1].payload = bytes(digests)
    opened = Container.from_bytes(draft.build())
    name = opened.tensors[2].name
    sentence = "^the decoded tensor does not have the digest that the file states: "
    with pytest.raises(FormatError, match=f"{sentence}tensor '{name}'$") as refusal:
        opened.verify()
    assert refusal.value.status == lib.EENS_ERR_DIGEST


def test_a_tensor_above_the_limit_is_refused_and_one_at_the_limit_is_not():
    with Container.from_bytes(FILE) as opened:
        largest = max(opened.tensors, key=lambda info: opened.decode(info.name).nbytes)
        limit = opened.decode(largest.name).nbytes
    assert Container.from_bytes(FILE, limit=limit).members == MEMBERS
    text = f"^a tensor is larger than the limit the caller set: tensor '{largest.name}'$"
    with pytest.raises(FormatError, match=text):
        Container.from_bytes(FILE, limit=limit - 1)
    with pytest.raises(DataError, match=r"^limit must be a positive number of bytes, but is 0$"):
        Container.from_bytes(FILE, limit=0)


def test_a_file_is_opened_where_it_lies(tmp_path):
    path = tmp_path / "ensemble.eens"
    path.write_bytes(FILE)
    for name in (path, str(path), bytes(path)):
        with Container.open(name) as opened:
            np.testing.assert_array_equal(opened.decode("raw", as_="int8"), CODED[4].codes)
    with pytest.raises(FileNotFoundError):
        Container.open(tmp_path / "none.eens")


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.eens"
    path.touch()
    with pytest.raises(FormatError, match=r"^the file is shorter than it says: in ") as refusal:
        Container.open(path)
    assert refusal.value.status == lib.EENS_ERR_TRUNCATED


def test_a_closed_container_says_so_and_lets_go_of_its_buffer():
    data = bytearray(FILE)
    opened = Container.from_bytes(data)
    with pytest.raises(BufferError):
        data.append(0)
    opened.close()
    data.append(0)
    for call in (
        lambda: opened.decode("raw"),
        lambda: opened.scales("raw"),
        lambda: opened.section("META"),
        lambda: opened.metadata,
        opened.verify,
    ):
        with pytest.raises(EdgeensError, match=r"^the container is closed; open it again$"):
            call()
    opened.close()


def test_the_buffer_lives_as_long_as_the_container():
    opened = Container.from_bytes(bytes(bytearray(FILE)))  # nobody else holds these bytes
    filler = [bytes(len(FILE)) for _ in range(50)]
    opened.verify()
    assert len(filler) == 50


def test_every_status_has_its_number_and_sentence_in_the_specification():
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \| (.+) \|$", SPEC.read_text("utf-8"), re.M)
    assert [int(number) for number, _, _ in rows] == list(range(26))
    for number, name, sentence in rows:
        constant = "EENS_OK" if name == "OK" else f"EENS_ERR_{name}"
        assert getattr(lib, constant) == int(number)
        assert ffi.string(lib.eens_strerror(int(number))).decode() == sentence
    assert ffi.string(lib.eens_strerror(26)) == b"unknown status"


def test_the_checksum_of_the_specification_comes_out_of_c():
    assert lib.eens_crc32c(0, b"123456789", 9) == 0xE3069283
    data = bytes(range(256)) * 1024  # above the size at which the machine's instruction is used
    assert lib.eens_crc32c(0, data, len(data)) == crc32c(data)


@pytest.mark.parametrize("bits", range(2, 8))
@pytest.mark.parametrize("past", [-1, 0], ids=["below", "above"])
def test_an_entropy_code_out_of_range_is_refused_at_every_position(bits, past):
    """The check takes eight codes at a time, so every place in a word and behind the last one."""
    half = 1 << bits - 1
    inside, outside = (-half, -half - 1) if past else (half - 1, half)
    for count in (7, 8, 21):
        for position in range(count):
            for code in (inside, outside):
                codes = np.zeros((1, count), np.int8)
                codes[0, position] = code
                wide = CodedTensor(
                    "w", "float32", codes, Grid(8, np.ones(1, np.float32)), "plain", coder="entropy"
                )
                with Container.from_bytes(serialise(CodedEnsemble(1, (wide,)))) as container:
                    container._records[0].bits = bits
                    if code == inside:
                        assert container.decode("w", as_="int8")[0, position] == code
                        continue
                    with pytest.raises(FormatError, match=r"^a block's content is malformed"):
                        container.decode("w", as_="int8")
