"""Code streams in the C decoder: as many codes as it makes its larger tables for."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from edgeens.coded import CodedEnsemble, CodedTensor, Grid
from edgeens.container.choice import choose_methods
from edgeens.container.layout import ceil8
from edgeens.container.reference import read_container
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from tests.damage import Draft, resealed
from tests.test_two_decoders_damage import outcome_of_c, outcome_of_reference

GOOD = Path(__file__).parent / "vectors" / "good"
MEMBERS = 3


def gauss(width, *, columns=None):
    """Codes of 3 members; *columns*: octaves that their width differs by along rows and columns."""
    rng = np.random.default_rng(round(100 * width))
    size = np.full((1, 1, 1), width)
    if columns is not None:
        size = width * 2 ** rng.uniform(-columns, columns, (MEMBERS, 180, 1))
        size = size * 2 ** rng.uniform(-columns, columns, (1, 1, 251))
    noise = rng.normal(0, 1, (MEMBERS, 180, 251)) * size
    return np.clip(np.rint(noise), -128, 127).astype(np.int8)


def stored(codes, **options):
    grid = Grid(8, np.ones(1, np.float32))
    tensor = CodedTensor("w", "float32", codes, grid, "plain")
    coded = CodedEnsemble(MEMBERS, (tensor,), **options)
    return serialise(choose_methods(coded, method="plain", coder="entropy"))


@pytest.mark.parametrize("columns", [None, 1], ids=["one table", "classes"])
@pytest.mark.parametrize("width", [0.3, 0.8, 2, 5, 12, 28, 50])
def test_codes_of_every_width_come_back(width, columns):
    codes = gauss(width, columns=columns)
    container = Container.from_bytes(stored(codes))
    assert (container.decode("w") == codes).all()
    for member in range(MEMBERS):
        assert (container.decode("w", member=member) == codes[member]).all()


@pytest.mark.parametrize("block_codes", [1025 * MEMBERS, 1060 * MEMBERS, 5000 * MEMBERS])
@pytest.mark.parametrize("width", [0.8, 12, 50])
def test_parts_of_every_length_come_back(width, block_codes):
    """The last part is shorter than the others, by up to 47 codes."""
    codes = gauss(width)
    data = stored(codes, block_codes=block_codes)
    assert (Container.from_bytes(data).decode("w") == codes).all()


def rows_of_sizes(sizes, shape):
    """Codes of 3 members, whose rows have these widths in turn, in no order that repeats."""
    rng = np.random.default_rng(len(sizes))
    width = rng.choice(sizes, (MEMBERS, shape[0], 1))
    noise = rng.normal(0, 1, (MEMBERS, *shape)) * width
    return np.clip(np.rint(noise), -128, 127).astype(np.int8)


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ([6, 20], (180, 251)),
        ([0.5, 2], (180, 251)),
        ([0, 0.5, 12, 25], (180, 251)),
        ([1, 6, 15, 50], (180, 257)),
        ([0.4, 20], (110, 110)),  # too few codes for larger tables
        ([3, 30], (9, 4700)),
        ([3, 30], (700, 64)),
    ],
)
def test_codes_of_rows_of_different_sizes_come_back(sizes, shape):
    codes = rows_of_sizes(sizes, shape)
    data = stored(codes)
    tables = read_container(data).tensors[0].tables
    assert tables is not None
    assert tables.columns
    assert not any(tables.columns)  # several codes a look-up
    assert len(tables.first) > 1
    container = Container.from_bytes(data)
    assert (container.decode("w") == codes).all()
    for member in range(MEMBERS):
        assert (container.decode("w", member=member) == codes[member]).all()


@pytest.mark.parametrize("block_codes", [1025 * MEMBERS, 1060 * MEMBERS, 5000 * MEMBERS])
@pytest.mark.parametrize("sizes", [[0.5, 2], [6, 20], [0, 0.5, 12, 25]])
def test_parts_that_begin_and_end_within_rows_come_back(sizes, block_codes):
    codes = rows_of_sizes(sizes, (180, 251))
    data = stored(codes, block_codes=block_codes)
    assert (Container.from_bytes(data).decode("w") == codes).all()


def test_classes_of_rows_above_the_last_table_name_the_last():
    data = (GOOD / "entropy_rows.eens").read_bytes()
    columns, rows = 150, 2 * 220
    head = struct.pack("<II", columns, rows // 2) + bytes(ceil8(3 * columns))
    first = data.index(head) + len(head)
    body = int.from_bytes(data[first : first + ceil8(3 * rows)], "little")
    classes = [body >> 3 * row & 7 for row in range(rows)]
    assert set(classes) == {0, 1}
    above = sum((7 if each else 0) << 3 * row for row, each in enumerate(classes))
    edited = data[:first] + above.to_bytes(ceil8(3 * rows), "little")
    edited = resealed(edited + data[len(edited) :], data)
    decoded = Container.from_bytes(edited).decode("rows")
    assert np.array_equal(decoded, Container.from_bytes(data).decode("rows"))


@pytest.mark.parametrize("name", ["entropy_many", "entropy_rows"])
@pytest.mark.parametrize("seed", range(6))
def test_damaged_streams_under_right_checksums_give_both_decoders_the_same(name, seed):
    data = (GOOD / f"{name}.eens").read_bytes()
    draft = Draft.take_apart(data)
    low = draft.header.head_size
    high = low + sum(len(block) for tensor in draft.tensors for block in tensor.blocks)
    rng = np.random.default_rng(seed)
    damaged = bytearray(data)
    damaged[rng.integers(low, high)] ^= 1 << rng.integers(8)
    damaged = resealed(bytes(damaged), data)
    assert damaged != data
    assert outcome_of_c(damaged) == outcome_of_reference(damaged)
