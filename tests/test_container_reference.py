"""What the reference decoder gives, and what it refuses to give."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from edgeens.coded import CodedEnsemble, CodedTensor, Grid, Section
from edgeens.container.layout import Status
from edgeens.container.reference import read_container
from edgeens.container.writer import serialise
from edgeens.errors import FormatError
from tests.damage import Draft
from tests.vector_faults import base
from tests.vector_records import BALANCED, DRAWN, EXACT, FLAGS, PLAIN

VECTORS = Path(__file__).parent / "vectors"


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


TIES = [1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-11, 1 + 3 * 2.0**-11]


@pytest.mark.parametrize("scale_", [3e-7, 0.1, 700.123, 2.0**-126, 1e36, *TIES])
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
    container = read_container(VECTORS / "refused" / "shared_entropy.eens")
    with pytest.raises(FormatError, match=r"^this decoder was built without the method or coder"):
        container.decode_codes(BALANCED)
    good = read_container(base().build())
    for index in (FLAGS, PLAIN, DRAWN):
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
