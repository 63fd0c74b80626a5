"""What cannot be written is refused, in words that say what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeens.coded import CodedEnsemble, CodedTensor, Draw, Grid, Section
from edgeens.container import writer
from edgeens.container.reference import read_container
from edgeens.container.writer import serialise
from edgeens.errors import MembersError

ONE = np.ones(1, np.float32)


def tensor(name="w", codes=None, bits=8, method="plain", **options):
    codes = np.zeros((2, 3), np.int8) if codes is None else codes
    return CodedTensor(name, "float32", codes, Grid(bits, ONE), method, **options)


def grid(**options):
    return replace(tensor(), grid=Grid(**{"bits": 8, "scale": ONE, **options}))


def codes(*values, **options):
    return tensor(codes=np.array([values, values], np.int8), **options)


def drawn(**options):
    settings_ = {"key": 1, "parent_levels": 7, **options}
    return tensor(codes=np.zeros((1, 3), np.int8), bits=4, method="drawn", draw=Draw(**settings_))


FLOATS = np.zeros((2, 3), np.float32)
FEW = np.zeros((1, 3), np.int8)

REFUSED_TENSORS = [
    (tensor(""), "a tensor name has 1 to 1024 bytes of UTF-8, but '' has 0"),
    (tensor("é" * 513), "a tensor name has 1 to 1024 bytes"),
    (tensor("a\n"), r"the tensor name 'a\\n' holds a control character; rename it"),
    (tensor("a\x1f"), r"the tensor name 'a\\x1f' holds a control character"),
    (tensor("a\x7f"), r"the tensor name 'a\\x7f' holds a control character"),
    (tensor("\ud800"), r"the tensor name '\\ud800' is not Unicode text"),
    (replace(tensor(), dtype="int4"), "tensor 'w': the dtype 'int4' is not one of float32"),
    (replace(tensor(), codes=np.int8(3)), "tensor 'w': the codes have no axis for the copies"),
    (tensor(codes=np.zeros((3, 1), np.int8)), "it holds 3 copies, where plain takes 1 or 2"),
    (replace(drawn(), codes=np.zeros((2, 3), np.int8)), "it holds 2 copies, where drawn takes 1$"),
    (tensor(codes=np.zeros((1,) * 10, np.int8)), "it has 9 dimensions, but a file takes at most 8"),
    (tensor(codes=np.zeros((2, 2**16, 2**15, 0), np.int8)), "has more than 2147483647 elements"),
    (tensor(codes=np.zeros((2, 0, 2**31), np.int8)), "has more than 2147483647 elements"),
    (CodedTensor("w", "float32", FLOATS, method="plain"), "are kept exactly, which plain cannot"),
    (CodedTensor("w", "float16", FLOATS), "float16 values come as NumPy float16, not float32"),
    (CodedTensor("w", "bool", FLOATS.astype(np.uint8)), "bool values come as NumPy bool"),
    (replace(tensor(), dtype="int8"), "values of dtype int8 cannot lie on a grid; keep them"),
    (grid(bits=1), "a code has 2 to 8 bits, not 1"),
    (grid(bits=9), "a code has 2 to 8 bits, not 9"),
    (grid(zero_point=128), "the zero point 128 is outside -128..127"),
    (grid(zero_point=-129), "the zero point -129 is outside -128..127"),
    (grid(channel_axis=1), "the channel axis 1 is outside its 1 dimensions"),
    (grid(channel_axis=-1), "the channel axis -1 is outside its 1 dimensions"),
    (grid(scale=np.ones(2, np.float32)), r"its scale is float32 of shape \(1,\), not float32 of"),
    (grid(scale=np.ones(2, np.float32), channel_axis=0), r"of shape \(1,\) or \(3,\), not float32"),
    (
        replace(tensor(codes=np.zeros((2, 0), np.int8)), grid=Grid(8, np.ones(0, np.float32), 0)),
        r"of shape \(1,\), not float32 of shape \(0,\)",
    ),
    (grid(scale=np.ones(1)), r"not float64 of shape \(1,\)"),
    (grid(scale=ONE * 0), "the scale 0.0 is not a positive normal float32 below"),
    (grid(scale=-ONE), "the scale -1.0 is not a positive normal float32"),
    (grid(scale=ONE * np.float32("nan")), "the scale nan is not a positive normal float32"),
    (grid(scale=ONE * np.float32("inf")), "the scale inf is not a positive normal float32"),
    (grid(scale=ONE * np.float32(2**-127)), "is not a positive normal float32"),
    (grid(scale=ONE * np.float32(2**120)), "is not a positive normal float32 below"),
    (tensor(method="zip"), "the method 'zip' is not raw, plain, shared, joint or drawn"),
    (tensor(draw=Draw(1, 7)), "a draw belongs to the method drawn, and to no other"),
    (replace(drawn(), draw=None), "a draw belongs to the method drawn"),
    (tensor(digits="planes"), "digits belong to the method shared, and to no other"),
    (tensor(method="shared"), "digits belong to the method shared"),
    (tensor(method="shared", digits="odd"), "digits are balanced or planes, not 'odd'"),
    (tensor(method="raw", bits=4), "raw codes have 8 bits, not 4; use the method plain"),
    (tensor(method="shared", digits="planes", bits=4), "shared codes have 8 bits, not 4"),
    (
        tensor(codes=np.zeros((1, 3), np.int8), method="shared", digits="planes"),
        "shared takes every copy of 2 to 16 members, but there are 1 copies of 2 members",
    ),
    (drawn(parent_levels=128), "a draw has 1 to 127 parent levels and a key of 64 bits"),
    (drawn(parent_levels=0), "a draw has 1 to 127 parent levels"),
    (drawn(key=1 << 64), "a draw has 1 to 127 parent levels and a key of 64 bits"),
    (drawn(key=-1), "a draw has 1 to 127 parent levels and a key of 64 bits"),
    (
        tensor(codes=np.zeros((2, 0), np.int8), coder="entropy"),
        "it has no elements, so there is nothing for the coder entropy; use fixed",
    ),
    (tensor(method="joint", predictor="mean"), "the method joint needs the coder entropy"),
    (
        tensor(codes=FEW, method="joint", coder="entropy", predictor="mean"),
        "joint takes every copy of 2 members or more, but there are 1 copies of 2 members",
    ),
    (
        tensor(method="joint", coder="entropy", predictor="odd"),
        "the predictor 'odd' is not none, first, mean or haar",
    ),
    (replace(drawn(), grid=Grid(4, ONE, zero_point=1)), "have the zero point 0, not 1"),
    (replace(tensor(), codes=FLOATS), "codes come as NumPy int8, not float32"),
    (codes(-9, 3, bits=4), r"its codes lie in -9\.\.3, outside -8\.\.7"),
    (codes(1, 8, bits=4), r"its codes lie in 1\.\.8, outside -8\.\.7"),
    (codes(-128, 0, method="shared", digits="balanced"), r"outside -127\.\.127"),
    (replace(drawn(), codes=np.full((1, 3), 8, np.int8)), r"lie in 8\.\.8, outside -7\.\.7"),
]


@pytest.mark.parametrize(("each", "text"), REFUSED_TENSORS)
def test_a_tensor_that_breaks_a_rule_is_refused_in_words(each, text):
    with pytest.raises(MembersError, match=text):
        serialise(CodedEnsemble(2, (each,)))


@pytest.mark.parametrize(
    ("coded", "text"),
    [
        (CodedEnsemble(0, ()), "an ensemble has 1 to 64 members, but this one has 0"),
        (CodedEnsemble(65, ()), "an ensemble has 1 to 64 members, but this one has 65"),
        (CodedEnsemble(1, (), profile="tiny"), "profile is desktop or mcu, not 'tiny'"),
        (CodedEnsemble(1, (), block_codes=0), "block_codes is 1 to 1048576 in the profile desktop"),
        (CodedEnsemble(1, (), (), "mcu", 4097), "block_codes is 1 to 4096 in the profile mcu, not"),
        (CodedEnsemble(2, (tensor(), tensor())), "two tensors have the name 'w'; rename one"),
        (
            CodedEnsemble(17, (replace(
                tensor(codes=np.zeros((17, 1), np.int8), method="shared", digits="planes")),)),
            "but there are 17 copies of 17 members; use the method plain",
        ),
    ],
)  # fmt: skip
def test_an_ensemble_that_breaks_a_rule_is_refused_in_words(coded, text):
    with pytest.raises(MembersError, match=text):
        serialise(coded)


def test_more_tensors_than_a_file_holds_are_refused():
    many = CodedEnsemble(2, (tensor(),) * 65536)
    with pytest.raises(MembersError, match="at most 65535 tensors, but these are 65536"):
        serialise(many)


def test_more_blocks_than_a_file_holds_are_refused(monkeypatch):
    monkeypatch.setattr(writer, "MAX_BLOCKS", 2)
    coded = CodedEnsemble(2, (tensor(),), block_codes=2)
    with pytest.raises(MembersError, match="at most 2 blocks, but these are 3; split the ensemble"):
        serialise(coded)


def test_a_tensor_above_four_gibibytes_is_refused(monkeypatch):
    monkeypatch.setattr(writer, "_MAX_TENSOR_BYTES", 13)
    with pytest.raises(MembersError, match="tensor 'w': its blocks take 14 bytes, but a tensor's"):
        serialise(CodedEnsemble(2, (tensor(),)))


@pytest.mark.parametrize(
    ("sections", "text"),
    [
        ([Section("DGST", b"")], r"the section DGST comes twice \(the writer itself adds DGST\)"),
        ([Section("META", b"{}"), Section("META", b"{}")], "the section META comes twice"),
        ([Section("Meta", b"")], "a section's type is four capital letters or digits, not 'Meta'"),
        ([Section("ABC", b"")], "four capital letters or digits, not 'ABC'"),
        ([Section("ÄBCD", b"")], "four capital letters or digits, not 'ÄBCD'"),
        ([Section("AB C", b"")], "four capital letters or digits, not 'AB C'"),
        ([Section("NEW1", b"", True)], "the section NEW1 cannot be critical: readers of version"),
        ([Section("SIGN", b"", True)], "the section SIGN cannot be critical"),
        (
            [Section("SIGN", b""), Section("SKLF", b"", True)],
            "the section SKLF cannot be critical",
        ),
        ([Section("META", b"\xff")], "the section META is not a JSON object in UTF-8"),
        ([Section("META", b'{"a":Infinity}')], "the section META is not a JSON object in UTF-8"),
        ([Section("META", b"3")], "the section META is not a JSON object"),
        ([Section("CALI", b"{")], "the section CALI is not a JSON object in UTF-8"),
        ([Section("CALI", b"{}", True)], "the section CALI cannot be critical"),
        ([Section(f"A{i:03}", b"") for i in range(64)], "at most 63 sections beside the digests"),
    ],
)
def test_a_section_that_breaks_a_rule_is_refused_in_words(sections, text):
    with pytest.raises(MembersError, match=text):
        serialise(CodedEnsemble(1, (), tuple(sections)))


def test_digits_alone_are_a_legal_section_type():
    assert read_container(serialise(CodedEnsemble(1, (), (Section("1234", b"x"),)))).section("1234")
