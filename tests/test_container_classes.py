"""Classes of rows and columns: found where they are, and worth their table."""

from __future__ import annotations

import numpy as np
import pytest

from edgeens.coded import CodedEnsemble, CodedTensor, Grid
from edgeens.container.classes import (
    Classes,
    _distinct,
    _levels,
    classes_size,
    column_counts,
    fit_classes,
)
from edgeens.container.entropy import entropy_streams
from edgeens.container.fitting import fit_coding
from edgeens.container.reference import read_container
from edgeens.container.writer import serialise

ONE = np.ones(1, np.float32)


def sized(copies, rows, columns, *, seed=0, row_octaves=2.0, column_octaves=4.0):
    """Codes whose magnitude depends on row and column."""
    noise = np.random.default_rng(seed)
    of_rows = 2 ** (row_octaves * noise.random((copies, rows, 1)))
    of_columns = 2 ** (column_octaves * noise.random((1, 1, columns)))
    codes = np.rint(noise.normal(0, 1, (copies, rows, columns)) * of_rows * of_columns)
    return np.clip(codes, -128, 127).astype(np.int8)


def entropy_bits(codes, tables=None):
    """Order-0 entropy, of each table's codes alone."""
    tables = np.zeros(codes.shape, int) if tables is None else tables
    total = 0.0
    for table in np.unique(tables):
        _, counts = np.unique(codes[tables == table], return_counts=True)
        total -= (counts * np.log2(counts / counts.sum())).sum()
    return total


def tables_of(classes, shape, tables):
    return np.minimum(classes.of_rows[:, :, None] + classes.of_columns, tables - 1).reshape(shape)


@pytest.mark.parametrize("tables", [2, 4, 8])
@pytest.mark.parametrize("joint", [False, True])
def test_classes_save_bits_where_magnitudes_differ(tables, joint):
    codes = sized(3, 60, 80).reshape(3, -1)
    classes = fit_classes(codes, 80, tables=tables, joint=joint)
    assert classes.of_rows.shape == (3, 60)
    assert classes.of_columns.shape == (80,)
    assert max(classes.of_rows.max(), classes.of_columns.max()) <= 7
    of_table = tables_of(classes, codes.shape, tables)
    if joint:
        of_table[1:] += tables
    saved = {2: 0.24, 4: 0.43, 8: 0.53}[tables] * codes.size
    assert entropy_bits(codes, of_table) < entropy_bits(codes) - saved


def test_more_tables_never_cost_more_bits():
    codes = sized(2, 90, 70, seed=3).reshape(2, -1)
    bits = [
        entropy_bits(
            codes, tables_of(fit_classes(codes, 70, tables=n, joint=False), codes.shape, n)
        )
        for n in (2, 4, 8)
    ]
    assert bits == sorted(bits, reverse=True)


def test_dead_columns_get_a_class_in_which_they_cost_nothing():
    codes = sized(4, 40, 120, row_octaves=0)
    codes[:, :, ::3] = 0
    tensor = CodedTensor("w", "float32", codes, Grid(8, ONE), "plain", coder="entropy")
    container = read_container(serialise(CodedEnsemble(4, (tensor,))))
    tables = container.tensors[0].tables
    assert tables is not None
    dead, alive = set(tables.columns[::3]), set(tables.columns) - set(tables.columns[::3])
    assert len(dead) == 1
    assert alive
    assert tables.code_at(0, 0, first=True).values == 1
    assert np.array_equal(container.decode_codes(0), codes)


def test_even_codes_get_no_classes():
    codes = np.random.default_rng(0).integers(-128, 128, (4, 80, 100)).astype(np.int8)
    tensor = CodedTensor("w", "float32", codes, Grid(8, ONE), "plain", coder="entropy")
    assert read_container(serialise(CodedEnsemble(4, (tensor,)))).records[0].table_count == 1


@pytest.mark.parametrize(
    ("profile", "joint", "count"),
    [("desktop", False, 9), ("mcu", False, 3), ("desktop", True, 17), ("mcu", True, 2)],
)
def test_a_microcontroller_never_holds_more_than_two_prefix_codes(profile, joint, count):
    codes = sized(2, 200, 150, seed=5)
    options = {"method": "joint", "predictor": "mean"} if joint else {"method": "plain"}
    tensor = CodedTensor("w", "float32", codes, Grid(8, ONE), coder="entropy", **options)
    container = read_container(serialise(CodedEnsemble(2, (tensor,), profile=profile)))
    assert container.records[0].table_count == count
    assert np.array_equal(
        container.decode_codes(0, None, range(1)),
        codes.reshape(2, -1)[:, : container.records[0].block_positions],
    )


def stored_tables(codes, profile="desktop"):
    """Number of prefix codes, and the columns' classes, of these codes."""
    tensor = CodedTensor("w", "float32", codes, Grid(8, ONE), "plain", coder="entropy")
    coded = CodedEnsemble(len(codes), (tensor,), profile=profile)
    tables = read_container(serialise(coded)).tensors[0].tables
    assert tables is not None
    return len(tables.first), tables.columns


@pytest.mark.parametrize(
    ("octaves", "profile", "shape", "count"),
    [
        (1.5, "desktop", (120, 110), 1),
        (4.0, "desktop", (120, 110), 8),
        (1.5, "mcu", (120, 110), 2),  # takes one code a look-up anyhow
        (1.5, "desktop", (90, 110), 2),  # too few codes for the tables that take several
    ],
)
def test_columns_that_save_little_are_left_out_where_that_is_faster(octaves, profile, shape, count):
    codes = sized(3, *shape, row_octaves=0, column_octaves=octaves)
    found, columns = stored_tables(3 * codes if octaves < 2 else codes, profile)
    assert (found, any(columns)) == (count, count > 1)


def test_classes_of_rows_alone_come_before_those_of_columns():
    codes = sized(3, 120, 110, column_octaves=0)
    codes = np.clip(3 * codes.astype(int), -128, 127).astype(np.int8)
    count, columns = stored_tables(codes)
    assert count in (2, 4)
    assert columns
    assert not any(columns)


def test_columns_are_the_last_axis_or_all_axes_but_the_first():
    assert column_counts((64, 32, 3, 3)) == (3, 288)
    assert column_counts((10, 20)) == (20,)
    assert column_counts((10, 1)) == column_counts((10,)) == column_counts(()) == ()


def test_the_body_is_as_large_as_foretold():
    classes = Classes(np.arange(7, dtype=np.uint8), np.full((3, 5), 7, np.uint8))
    kind, body = classes.body()
    assert kind == 2
    assert len(body) == classes_size(7, 15) == 8 + 3 + 6
    assert body[:8] == bytes([7, 0, 0, 0, 5, 0, 0, 0])
    assert int.from_bytes(body[8:11], "little") == sum(i << 3 * i for i in range(7))
    assert int.from_bytes(body[11:], "little") == (1 << 45) - 1


@pytest.mark.parametrize("rows", [1, 30, 40, 4000])
def test_levels_are_the_exact_eighths_of_octaves_however_many_rows_there_are(rows):
    sums = np.arange(rows) % 9  # totals up to 35
    totals = (4 * sums + 3).tolist()
    assert _levels(sums, 3).tolist() == [(total**8).bit_length() for total in totals]


def test_distinct_levels_and_their_places_are_those_of_a_sort():
    levels = np.array([[7, 3, 1 << 20], [3, 3, (1 << 20) + 5]])
    distinct, places = _distinct(levels)
    expected, inverse = np.unique(levels, return_inverse=True)
    assert distinct.tolist() == expected.tolist()
    assert places.tolist() == inverse.reshape(levels.shape).tolist()
    assert places.dtype == np.uint8


@pytest.mark.parametrize("axis", [1, 2])
def test_rows_and_columns_of_zeros_take_no_bits(axis):
    codes = np.random.default_rng(0).integers(-20, 21, (2, 64, 80)).astype(np.int8)
    codes[:, 5, 7] = 0
    dead = codes.copy()
    dead[(slice(None),) * axis + (slice(1, None, 3),)] = 0
    coded = _size(dead)
    alive = _size(np.delete(codes, np.s_[1::3], axis))
    assert coded < alive + 150  # classes and a table; a bit a code would be 420


def _size(codes):
    tensor = CodedTensor("w", "float32", codes, Grid(8, ONE), "plain", coder="entropy")
    streams = entropy_streams(tensor, 2, profile="desktop", block_codes=None)
    coding = fit_coding(streams)
    return coding.table_bytes + streams.block_bytes(coding)
