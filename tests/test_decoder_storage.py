"""A file is read piece by piece: the same as in memory, and never the end of the process."""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from edgeens._native import ffi, lib

from edgeens.coded import CodedEnsemble, CodedTensor, Grid
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from edgeens.errors import EdgeensError, FormatError

ROOT = Path(__file__).parents[1]
VECTORS = ROOT / "tests" / "vectors"
REFUSED = json.loads((VECTORS / "refused" / "refused.json").read_text())
RNG = np.random.default_rng(3)
CODES = RNG.integers(-100, 101, (3, 70, 900)).astype(np.int8)

# Decodes a file again and again while another thread cuts it off, and restores it. Prints how many
# calls gave the right answer, and how many the error. A system may show a reader zeros where it is
# just cutting: then the error is the checksum's.
CUTTING = """
import os, random, sys, threading
import numpy as np
from edgeens.decoder import Container
from edgeens.errors import FormatError

path, rounds = sys.argv[1], int(sys.argv[2])
data = open(path, "rb").read()
expected = Container.from_bytes(data).decode("w", as_="int8")
draw, stop = random.Random(0), threading.Event()

def cut():
    descriptor = os.open(path, os.O_RDWR)
    while not stop.is_set():
        os.ftruncate(descriptor, draw.randrange(len(data)))
        os.pwrite(descriptor, data, 0)

right = refused = 0
errors = "the file was cut off while it was open", "checksum mismatch in a block"
with Container.open(path) as container:
    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        while right + refused < rounds or not (right and refused):
            try:
                assert np.array_equal(container.decode("w", as_="int8"), expected)
                right += 1
            except FormatError as error:
                assert path in str(error) and any(said in str(error) for said in errors), error
                refused += errors[0] in str(error)
    finally:
        stop.set()
        cutter.join()
print(right, refused)
"""


def saved(path: Path) -> Path:
    tensor = CodedTensor("w", "float32", CODES, Grid(8, np.ones(1, np.float32)))
    path.write_bytes(serialise(CodedEnsemble(3, (tensor,), block_codes=4096)))
    return path


@pytest.mark.parametrize("coder", ["fixed", "entropy"])
def test_a_file_that_is_cut_off_during_a_call_never_ends_the_process(tmp_path, coder):
    wide = np.round(RNG.normal(0, 9, (3, 400, 900))).astype(np.int8)
    grid = Grid(8, np.ones(1, np.float32))
    tensor = CodedTensor("w", "float32", wide, grid, "plain", coder=coder)
    path = tmp_path / "cut.eens"
    path.write_bytes(serialise(CodedEnsemble(3, (tensor,))))
    command = [sys.executable, "-c", CUTTING, str(path), "300"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert all(int(count) > 0 for count in done.stdout.split()), done.stdout


def test_a_file_cut_off_at_any_byte_gives_the_right_answer_or_the_error(tmp_path):
    whole = saved(tmp_path / "whole.eens")
    data = whole.read_bytes()
    path = tmp_path / "cut.eens"
    right = []
    for size in (*range(0, len(data), 997), *range(len(data) - 900, len(data) + 1, 100)):
        path.write_bytes(data)
        with Container.open(path) as container:
            os.truncate(path, size)
            try:
                right.append(np.array_equal(container.decode("w", member=0, as_="int8"), CODES[0]))
            except FormatError as error:
                found = re.search(r"cut off while it was open, byte (\d+) is not there", str(error))
                assert found is not None
                assert size <= int(found[1]) < len(data)
    assert all(right)
    assert len(right) > 2  # what other members have of the last block is not looked at


def test_a_file_that_is_replaced_is_decoded_to_its_end(tmp_path):
    path = saved(tmp_path / "old.eens")
    with Container.open(path) as container:
        (tmp_path / "new.eens").write_bytes(b"something else")
        os.replace(tmp_path / "new.eens", path)
        np.testing.assert_array_equal(container.decode("w", as_="int8"), CODES)


def test_storage_that_fails_is_the_operating_systems_error(tmp_path):
    path = saved(tmp_path / "card.eens")
    with Container.open(path) as container:
        unreadable = os.open("/proc/self/mem", os.O_RDONLY)  # nothing is mapped at low addresses
        os.dup2(unreadable, container._file._storage._reader.descriptor)
        os.close(unreadable)
        with pytest.raises(OSError, match=re.escape(str(path))) as failure:
            container.decode("w")
        assert failure.value.errno == errno.EIO


def test_reads_of_any_place_and_size_give_the_bytes_of_the_file(tmp_path):
    """Short reads come from what was read around the last one, the head from memory."""
    data = RNG.bytes(5000)
    path = tmp_path / "bytes"
    path.write_bytes(data)
    head = ffi.from_buffer("uint8_t[]", data[:100])
    with open(path, "rb") as file:
        reader = ffi.new("eens_reader *", {"descriptor": file.fileno(), "head": head})
        reader.head_size = len(head)
        at = 0
        for _ in range(20_000):
            size = int(RNG.choice([0, 1, 4, 8, 60, 127, 128, 129, 600, 4000]))
            near = RNG.random() < 0.8
            at = min(at + int(RNG.integers(0, 60)), 5200) if near else int(RNG.integers(0, 5200))
            buffer = ffi.new("uint8_t[]", size + 1)
            buffer[size] = 77
            failed = lib.eens_reader_read(reader, at, buffer, size)
            assert buffer[size] == 77
            assert failed == (size != 0 and at + size > len(data))
            if failed:
                assert (reader.error, reader.end) == (0, max(at, len(data)))
            elif at + size <= len(data):
                assert bytes(ffi.buffer(buffer, size)) == data[at : at + size]


def descriptors() -> set[str]:
    return {os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
            if os.path.lexists(f"/proc/self/fd/{name}")}  # fmt: skip


def test_a_closed_or_forgotten_container_keeps_no_file_open(tmp_path):
    path = saved(tmp_path / "file.eens")
    container = Container.open(path)
    assert str(path) in descriptors()
    container.close()
    assert str(path) not in descriptors()
    with pytest.raises(EdgeensError, match="the container is closed"):
        _ = container.workspace_bytes
    forgotten = Container.open(path)
    assert str(path) in descriptors()
    del forgotten
    gc.collect()
    assert str(path) not in descriptors()


def test_a_refused_file_is_not_kept_open(tmp_path):
    path = tmp_path / "bad.eens"
    path.write_bytes(b"no container")
    with pytest.raises(FormatError):
        Container.open(path)
    gc.collect()
    assert str(path) not in descriptors()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_long_head_is_kept_and_checked_like_a_short_one(tmp_path, damaged):
    scale = RNG.uniform(1, 2, 70 * 900).astype(np.float32)
    tensor = CodedTensor("w", "float32", CODES.reshape(3, -1), Grid(8, scale, channel_axis=0))
    data = bytearray(serialise(CodedEnsemble(3, (tensor,))))
    path = tmp_path / "head.eens"
    if damaged:
        data[200_000] ^= 1  # a scale
    path.write_bytes(data)
    if damaged:
        with pytest.raises(FormatError) as refusal:
            Container.open(path)
        with pytest.raises(FormatError) as expected:
            Container.from_bytes(bytes(data))
        assert str(refusal.value) == f"{expected.value}: in {path}"
        return
    with Container.open(path) as container:
        os.truncate(path, 0)
        np.testing.assert_array_equal(container.scales("w"), scale)  # without the file


@pytest.mark.parametrize("path", sorted((VECTORS / "good").glob("*.eens")), ids=lambda p: p.stem)
def test_a_good_vector_decodes_from_a_file_as_from_memory(path):
    with Container.open(path) as read, Container.from_bytes(path.read_bytes()) as held:
        assert read.tensors == held.tensors
        assert read.sections == held.sections
        assert read.workspace_bytes == held.workspace_bytes
        read.verify()
        for info in held.tensors:
            for member in (None, held.members - 1):
                wanted = held.decode(info.name, member=member)
                assert read.decode(info.name, member=member).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_vector_is_refused_from_a_file_as_from_memory(name):
    path = VECTORS / "refused" / name
    limit = REFUSED[name].get("limit")
    with pytest.raises(FormatError) as held:
        Container.from_bytes(path.read_bytes(), limit=limit).verify()
    with pytest.raises(FormatError) as read:
        Container.open(path, limit=limit).verify()
    assert read.value.status == held.value.status
    assert str(read.value).removesuffix(f"in {path}").rstrip(", :") == str(held.value)
