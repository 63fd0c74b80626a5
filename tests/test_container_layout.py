"""The tables of container.layout are those of docs/SPEC.md and of the C header."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from edgeens._native import lib

from edgeens.container import layout
from edgeens.container.layout import HEADER, RECORD, Header, TensorRecord

SPEC = (Path(__file__).parents[1] / "docs" / "SPEC.md").read_text()


WIDTHS = {
    "8 bytes": 8,
    "u8": 1,
    "u16": 2,
    "i16": 2,
    "u32": 4,
    "u64": 8,
    "u32 x 8": 32,
    "4 bytes": 4,
}


def section(number):
    """One numbered part of the specification, up to the next heading."""
    return re.split(r"^#+ ", SPEC.split(f"# S{number} ")[1], flags=re.MULTILINE)[0]


def fields(text):
    """(offset, width, name) of the rows of a table of fields."""
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| (\w+) \|", text, re.MULTILINE)
    return [(int(offset), WIDTHS[width], name) for offset, width, name in rows]


@pytest.mark.parametrize(
    ("number", "layout_", "names"),
    [("3", HEADER, Header._fields), ("4", RECORD, TensorRecord._fields)],
)
def test_fields_stand_where_the_specification_has_them(number, layout_, names):
    table = fields(section(number))
    assert [re.sub(r"_\d+$", "", name) for name in names] == [name for *_, name in table]
    assert sum(width for _, width, _ in table) == layout_.size
    # A field's offset is what is packed before it.
    codes = re.findall(r"8s|8I|[A-Za-z]", layout_.format.replace("8B", "B" * 8))
    offsets = [struct.calcsize("<" + "".join(codes[:i])) for i in range(len(codes))]
    assert offsets == [offset for offset, *_ in table]
    assert [struct.calcsize("<" + code) for code in codes] == [width for _, width, _ in table]


def test_dtypes_are_those_of_the_specification_and_of_c():
    rows = re.findall(r"(\d+) (\w+) \((\d)\)", section("4.2"))
    assert {(int(number), name, int(size)) for number, name, size in rows} == {
        (dtype.number, name, dtype.size) for name, dtype in layout.DTYPES.items()
    }
    for name, dtype in layout.DTYPES.items():
        assert getattr(lib, f"EENS_{name.upper()}") == dtype.number
        assert np.dtype(dtype.numpy).itemsize == dtype.size


def test_methods_are_those_of_the_specification_and_of_c():
    rows = re.findall(r"^\| (\d) \| (\w+) \|", section("4.3"), re.MULTILINE)
    assert {name: int(number) for number, name in rows} == layout.METHODS
    for name, number in layout.METHODS.items():
        assert getattr(lib, f"EENS_{name.upper()}") == number
    assert (
        (lib.EENS_BALANCED, lib.EENS_PLANES)
        == (1, 2)
        == (
            layout.DIGITS["balanced"],
            layout.DIGITS["planes"],
        )
    )


@pytest.mark.parametrize(
    ("members", "bits"), [(2, 1), (3, 3), (4, 4), (5, 7), (8, 16), (9, 20), (16, 48)]
)
def test_patterns_are_as_wide_as_specified(members, bits):
    assert layout.pattern_bits(members) == bits


@pytest.mark.parametrize(("levels", "bits"), [(1, 2), (2, 3), (3, 3), (7, 4), (8, 5), (127, 8)])
def test_parents_are_as_wide_as_specified(levels, bits):
    assert layout.parent_bits(levels) == bits
