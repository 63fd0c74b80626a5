"""The writer: every file it makes is one that the reference decoder reads back, bit for bit."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeens.coded import CodedEnsemble, CodedTensor, Draw, Grid
from edgeens.container import blocks
from edgeens.container.choice import choose_method, coded_size
from edgeens.container.drawn import drawn_codes
from edgeens.container.layout import BLOCK_LIMITS, DTYPES
from edgeens.container.reference import read_container
from edgeens.container.writer import serialise, write_container
from edgeens.errors import MembersError
from tests.strategies import coded_ensembles, shared_codes

ONE = np.ones(1, np.float32)


def tensor(name="w", codes=None, bits=8, method="plain", **options):
    codes = np.zeros((2, 3), np.int8) if codes is None else codes
    return CodedTensor(name, "float32", codes, Grid(bits, ONE), method, **options)


@settings(max_examples=150, deadline=None)
@given(coded_ensembles())
def test_what_is_written_is_what_is_read(coded):
    container = read_container(serialise(coded))
    container.verify()
    assert container.header.member_count == coded.members
    names = sorted((each.name for each in coded.tensors), key=str.encode)
    assert list(container.names) == names
    for each in coded.tensors:
        index = container.names.index(each.name)
        record = container.records[index]
        assert record.shape == each.shape
        if each.draw is not None:
            drawn = drawn_codes(
                each.codes.reshape(-1),
                members=coded.members,
                bits=each.grid.bits,
                levels=each.draw.parent_levels,
                key=each.draw.key,
                tensor=index,
            )
            expected = np.stack(list(drawn)).reshape(coded.members, *each.shape)
        else:
            expected = each.codes
        decoded = container.decode_codes(index)
        assert decoded.shape == expected.shape
        assert decoded.tobytes() == np.ascontiguousarray(expected).tobytes()
    for section in coded.sections:
        assert container.section(section.type) == section.payload


@settings(max_examples=60, deadline=None)
@given(coded_ensembles(), st.randoms())
def test_the_bytes_depend_neither_on_order_nor_on_threads(coded, random):
    shuffled = list(coded.tensors)
    random.shuffle(shuffled)
    assert serialise(replace(coded, tensors=tuple(shuffled)), threads=3) == serialise(coded)


@settings(max_examples=60, deadline=None)
@given(coded_ensembles())
def test_blocks_keep_to_the_limits_asked_for(coded):
    for record in read_container(serialise(coded)).records:
        size = next(d.size for d in DTYPES.values() if d.number == record.dtype)
        weight = record.copies * (1 if record.bits else size)
        limit = min(coded.block_codes or 1 << 20, BLOCK_LIMITS[coded.profile])
        assert record.block_positions == 1 or record.block_positions * weight <= limit


@pytest.mark.parametrize(
    ("copies", "dtype", "profile", "positions"),
    [
        (1, None, "desktop", 16384),
        (4, None, "desktop", 4096),
        (16, None, "desktop", 1024),
        (64, None, "desktop", 1024),
        (4, None, "mcu", 1024),
        (64, None, "mcu", 64),
        (4, "float32", "desktop", 1024),
        (64, "double", "desktop", 128),
        (64, "double", "mcu", 8),
    ],
)
def test_blocks_have_the_profiles_size(copies, dtype, profile, positions):
    if dtype is None:
        each = tensor(codes=np.zeros((copies, 20000), np.int8))
    else:
        each = CodedTensor("w", dtype, np.zeros((copies, 20000), DTYPES[dtype].numpy))
    options = {"profile": profile, "block_codes": None}
    assert blocks.block_positions(each, copies, **options) == positions
    alone = replace(each, codes=each.codes[:, :5])
    assert blocks.block_positions(alone, copies, **options) == min(positions, 5)


def test_a_shared_block_never_has_more_runs_than_its_count_holds():
    codes = np.random.default_rng(0).integers(-127, 128, (8, 140_000)).astype(np.int8)
    codes[:, ::2] = 0
    each = tensor(codes=codes, method="shared", digits="balanced")
    data = serialise(CodedEnsemble(8, (each,), block_codes=1 << 20))
    assert read_container(data).records[0].block_positions == 1 << 14


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 6),
    st.integers(0, 5),
    st.sampled_from(["balanced", "planes"]),
    st.integers(0, 900),
    st.sampled_from([None, 77, 400]),
)
def test_the_size_foretold_is_the_size_written(members, kind, digits, elements, block_codes):
    codes = shared_codes(kind, (members, elements), digits, np.random.default_rng(kind))
    options = {"profile": "mcu", "block_codes": block_codes}
    candidates = [
        tensor(codes=codes),
        tensor(codes=codes >> 3, bits=5),
        tensor(codes=codes, method="shared", digits=digits),
        CodedTensor("w", "float16", codes.astype(np.float16)),
        tensor(codes=codes[:1] >> 4, bits=4, method="drawn", draw=Draw(1, 8)),
    ]
    for each in candidates:
        written = blocks.encode_blocks(each, members, **options)
        size = int(written.sizes.sum()) + 8 * len(written.sizes)
        assert coded_size(each, members, **options) == size


@pytest.mark.parametrize(
    ("kind", "digits", "chosen"),
    [(0, "balanced", "none"), (4, "balanced", "balanced"), (1, "planes", "planes")],
)
def test_the_smallest_method_of_the_coder_fixed_is_chosen(kind, digits, chosen):
    codes = shared_codes(kind, (4, 3000), digits, np.random.default_rng(0))
    picked = choose_method(tensor(codes=codes, method="raw"), 4, coder="fixed")
    assert picked.digits == chosen
    assert picked.method == ("plain" if chosen == "none" else "shared")
    sizes = [coded_size(tensor(codes=codes), 4)]
    for each in ("balanced", "planes"):
        sizes.append(coded_size(tensor(codes=codes, method="shared", digits=each), 4))
    assert coded_size(picked, 4) == min(sizes)


def test_planes_are_chosen_where_balanced_digits_do_not_reach():
    codes = np.full((4, 3000), -128, np.int8)
    assert choose_method(tensor(codes=codes), 4, coder="fixed").digits == "planes"


def test_equal_sizes_leave_a_tensor_plain():
    assert choose_method(tensor(codes=np.zeros((2, 0), np.int8), method="raw"), 2).method == "plain"


@pytest.mark.parametrize("members", [1, 17])
def test_what_cannot_be_shared_stays_plain(members):
    assert choose_method(tensor(codes=np.zeros((members, 99), np.int8)), members).method == "plain"


def test_exact_and_drawn_tensors_keep_their_method():
    exact = CodedTensor("e", "float32", np.zeros((2, 9), np.float32))
    drawn = tensor(codes=np.zeros((1, 9), np.int8), bits=4, method="drawn", draw=Draw(1, 7))
    assert choose_method(exact, 2) is exact
    for coder in ("fixed", "entropy"):
        chosen = choose_method(drawn, 2, coder=coder)
        assert (chosen.method, chosen.draw, chosen.coder) == ("drawn", drawn.draw, coder)


def test_an_older_file_is_replaced(tmp_path):
    path = tmp_path / "a.eens"
    path.write_bytes(b"old")
    coded = CodedEnsemble(2, (tensor(),))
    write_container(coded, path)
    assert path.read_bytes() == serialise(coded)
    assert os.listdir(tmp_path) == ["a.eens"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch, error, step):
    path = tmp_path / "a.eens"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)) as raised:
        write_container(CodedEnsemble(2, (tensor(),)), path)
    assert raised.value is error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.eens"]


def test_a_refused_ensemble_creates_no_file(tmp_path):
    with pytest.raises(MembersError):
        write_container(CodedEnsemble(0, ()), tmp_path / "a.eens")
    assert os.listdir(tmp_path) == []
