"""The reference decoder says what docs/SPEC.md says, in its order."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from edgeens._native import ffi, lib

from edgeens.coded import CodedEnsemble, CodedTensor, Grid, Section
from edgeens.container import layout
from edgeens.container.layout import HEADER, RECORD, Header, Status, TensorRecord
from edgeens.container.reference import read_container
from edgeens.container.writer import serialise
from edgeens.errors import FormatError
from tests.damage import Draft, SectionDraft
from tests.vector_faults import base
from tests.vector_records import BALANCED, DRAWN, EXACT, FLAGS, PLAIN

ROOT = Path(__file__).parents[1]
SPEC = (ROOT / "docs" / "SPEC.md").read_text()
C_HEADER = (ROOT / "native" / "include" / "edgeens.h").read_text()
VECTORS = Path(__file__).parent / "vectors"

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
    """One numbered part of the specification."""
    return re.split(r"^#+ ", SPEC.split(f"# S{number} ")[1], flags=re.MULTILINE)[0]


def fields(text):
    """(offset, width, name) of the rows of a table of fields."""
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| (\w+) \|", text, re.MULTILINE)
    return [(int(offset), WIDTHS[width], name) for offset, width, name in rows]


# The tables


@pytest.mark.parametrize(
    ("number", "layout_", "names"),
    [("3", HEADER, Header._fields), ("4", RECORD, TensorRecord._fields)],
)
def test_fields_stand_where_the_specification_has_them(number, layout_, names):
    table = fields(section(number))
    assert [re.sub(r"_\d+$", "", name) for name in names] == [name for *_, name in table]
    assert sum(width for _, width, _ in table) == layout_.size
    # A field's offset is what is packed before it.
    codes = []
    for count, letter in re.findall(r"(\d*)([A-Za-z])", layout_.format):
        one_field = count + letter in ("8s", "8I")  # the magic, the dims
        codes += [count + letter] if one_field else [letter] * int(count or 1)
    offsets = [struct.calcsize("<" + "".join(codes[:i])) for i in range(len(codes))]
    assert offsets == [offset for offset, *_ in table]
    assert [struct.calcsize("<" + code) for code in codes] == [width for _, width, _ in table]


def test_statuses_are_those_of_the_specification_and_of_c():
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+) \|$", section("12"), re.MULTILINE)
    assert [(int(number), name, text) for number, name, text in rows] == [
        (int(status), status.name, status.sentence) for status in Status
    ]
    enum = dict(re.findall(r"\bEENS_(?:ERR_)?(\w+) = (\d+)", C_HEADER.split("eens_status;")[0]))
    assert {name: int(number) for name, number in enum.items()} == {s.name: s for s in Status}
    for status in Status:
        assert ffi.string(lib.eens_strerror(status)).decode() == status.sentence


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


# The order of the checks


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


# Results


def test_a_range_of_blocks_is_that_part_of_the_whole():
    container = read_container(VECTORS / "good" / "blocks.eens")
    for index, record in enumerate(container.records):
        whole = container.decode_codes(index).reshape(record.copies, -1)
        step = record.block_positions
        for first, last in [(0, 1), (1, 3), (record.block_count - 1, record.block_count), (2, 2)]:
            part = container.decode_codes(index, None, range(first, last))
            assert np.array_equal(part, whole[:, first * step : last * step])
            alone = container.decode_codes(index, 3, range(first, last))
            assert np.array_equal(alone, whole[3, first * step : last * step])


def test_a_member_of_a_tensor_that_all_share_is_the_one_copy():
    container = read_container(base().build())
    assert container.records[EXACT].copies == 1
    assert np.array_equal(
        container.decode_codes(EXACT, 2).view("u4"), container.decode_codes(EXACT)[0].view("u4")
    )


@pytest.mark.parametrize("scale_", [3e-7, 0.1, 700.123, 2.0**-126, 1e36])
@pytest.mark.parametrize("dtype", ["float32", "float16", "double", "bfloat16"])
def test_values_are_the_exact_products_rounded_as_specified(dtype, scale_):
    codes = np.arange(-128, 128).astype(np.int8)[None]
    grid = Grid(8, np.array([scale_], np.float32), None, 5)
    tensor = CodedTensor("w", dtype, codes, grid, "plain")
    values = read_container(serialise(CodedEnsemble(1, (tensor,)))).values(0)[0]
    if dtype == "bfloat16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    for code, value in zip(codes[0].tolist(), values.tolist(), strict=True):
        exact = Fraction(float(np.float32(scale_))) * (code - 5)
        single = nearest(exact, 24, -149)
        expected = single
        if dtype == "float16":
            expected = nearest(single, 11, -24) if abs(single) < 65520 else None
        if dtype == "bfloat16":
            expected = nearest(single, 8, -133)
        if expected is None:
            assert value == float("inf") * (1 if exact > 0 else -1)
        else:
            assert Fraction(value) == expected


def nearest(number, precision, least):
    """*number* to *precision* bits, none of them below 2**least, ties to even."""
    if number == 0:
        return Fraction(0)
    exponent = 0
    while abs(number) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(number) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - precision + 1, least)
    return round(number / unit) * unit  # round() of a Fraction takes ties to even


def test_what_stands_behind_a_reserved_tensor_is_decoded():
    container = read_container(VECTORS / "refused" / "drawn_entropy.eens")
    with pytest.raises(FormatError, match=r"^this decoder was built without the method or coder"):
        container.decode_codes(DRAWN)
    good = read_container(base().build())
    for index in (BALANCED, FLAGS, PLAIN):
        assert np.array_equal(container.decode_codes(index), good.decode_codes(index))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((6,), "there are 6 tensors, not 6"),
        ((-1,), "there are 6 tensors, not -1"),
        ((0, 3), "member 3 of 3"),
        ((0, -1), "member -1 of 3"),
        ((0, 0, range(1, 3)), r"range\(1, 3\) of 2 blocks"),
        ((0, 0, range(2, 0, -1)), r"range\(2, 0, -1\) of 2 blocks"),
    ],
)
def test_an_argument_out_of_range_is_refused_in_words(arguments, text):
    with pytest.raises(FormatError, match=f"^the call is wrong.*: {text}") as raised:
        read_container(base().build()).decode_codes(*arguments)
    assert raised.value.status == Status.ARGUMENT


def test_a_section_is_found_by_its_type():
    container = read_container(serialise(CodedEnsemble(1, (), (Section("ABCD", b"x"),))))
    assert [each.type for each in container.sections] == ["ABCD", "DGST"]
    assert container.section("ABCD") == b"x"
    with pytest.raises(FormatError, match=r"^there is no such tensor or section: META"):
        container.section("META")


def test_a_file_taken_apart_and_put_together_is_the_same():
    for path in (VECTORS / "good").glob("*.eens"):
        data = path.read_bytes()
        assert Draft.take_apart(data).build() == data
