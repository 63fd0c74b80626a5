"""Code streams: what is coded comes back, in little more than the entropy of the codes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeens.coded import CodedEnsemble, CodedTensor, Draw, Grid
from edgeens.container import tables
from edgeens.container.choice import choose_method, choose_methods, coded_size
from edgeens.container.drawn import drawn_codes
from edgeens.container.entropy import Coding, entropy_streams
from edgeens.container.fitting import fit_coding
from edgeens.container.host import Stream
from edgeens.container.prefix import PrefixCode
from edgeens.container.reference import read_container
from edgeens.container.sizes import measure
from edgeens.container.writer import serialise
from tests.strategies import some_codes

ONE = np.ones(1, np.float32)


def tensor(codes, bits=8, method="plain", name="w", coder="entropy", **options):
    return CodedTensor(name, "float32", codes, Grid(bits, ONE), method, coder=coder, **options)


def gauss(shape, width, seed=0, bits=8):
    noise = np.random.default_rng(seed).normal(0, width, shape)
    return np.clip(np.rint(noise), -(1 << bits - 1), (1 << bits - 1) - 1).astype(np.int8)


def order0(codes):
    """Bits a code."""
    _, counts = np.unique(codes, return_counts=True)
    return float(-(counts / codes.size * np.log2(counts / codes.size)).sum())


@settings(max_examples=150)
@given(
    st.integers(1, 64),
    st.integers(2, 8),
    st.integers(0, 3),
    st.integers(1, 90),
    st.sampled_from(["desktop", "mcu"]),
    st.sampled_from(["plain", "first", "mean", "haar", "drawn"]),
    st.sampled_from([None, 64, 500]),
)
def test_what_is_coded_is_decoded(members, bits, kind, elements, profile, how, block_codes):
    q = (1 << bits - 1) - 1
    seed = np.random.default_rng(elements)
    if how == "drawn":
        codes = some_codes(kind, (1, elements), -q, q, seed)
        each = tensor(codes, bits, "drawn", draw=Draw(9, q))
        drawn = drawn_codes(codes[0], members=members, bits=bits, levels=q, key=9, tensor=0)
        expected = np.stack(list(drawn))
    else:
        expected = codes = some_codes(kind, (members, elements), -q - 1, q, seed)
        joint = members > 1 and how != "plain"
        each = tensor(codes, bits, **({"method": "joint", "predictor": how} if joint else {}))
    coded = CodedEnsemble(members, (each,), profile=profile, block_codes=block_codes)
    container = read_container(serialise(coded))
    container.verify()
    assert np.array_equal(container.decode_codes(0), expected)
    assert np.array_equal(container.decode_codes(0, members - 1), expected[-1])


@pytest.mark.parametrize("profile", ["desktop", "mcu"])
@pytest.mark.parametrize("length", [1023, 1024, 1025, 1063, 1064, 1103])
def test_parts_of_every_length_are_decoded(profile, length):
    for width in (0.2, 0.5, 1.5):
        codes = gauss((2, length), width, seed=length, bits=4)
        data = serialise(CodedEnsemble(2, (tensor(codes, 4),), profile=profile))
        assert np.array_equal(read_container(data).decode_codes(0), codes)


@pytest.mark.parametrize("group", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 11, 1024, 1030])
def test_each_group_packs_what_it_measured(group, length):
    codes = gauss((1, length), 1, bits=3)
    streams = entropy_streams(tensor(codes, 3), 1, profile="desktop", block_codes=None)
    low, values, counts = streams.counts(0, group)
    assert counts.sum() == sum(-(-part // group) for part in part_lengths(length))
    flat = PrefixCode(group, low, values, np.full(values**group, 0, np.uint8))
    coding = Coding(None, ((replace(flat, lengths=flat_lengths(values**group)),),))
    ((stream, words, _),) = streams.prepared(coding)
    sizes = stream.measure(words)
    packed = stream.pack(words, sizes)
    assert packed.size == sizes.sum() + (12 if length >= 1024 else 0)


def part_lengths(length):
    if length < 1024:
        return [length]
    quarter = 12 * -(-length // 48)
    return [quarter, quarter, quarter, length - 3 * quarter]


def flat_lengths(count):
    """A complete code whose lengths differ by one at most."""
    if count == 1:
        return np.zeros(1, np.uint8)
    width = count.bit_length() - 1
    lengths = np.full(count, width + 1, np.uint8)
    lengths[: (2 << width) - count] = width
    return lengths


@pytest.mark.parametrize("profile", ["desktop", "mcu"])
@pytest.mark.parametrize("width", [0.35, 0.4, 0.6, 1, 1.5, 2, 4, 8, 16])
def test_a_code_takes_little_more_than_its_entropy(profile, width):
    codes = gauss((4, 300, 200), width, seed=1)
    streams = entropy_streams(tensor(codes), 4, profile=profile, block_codes=None)
    coding = fit_coding(streams)
    parts = sum(
        int(stream.measure(words).sum()) + int(low_bits.sizes().sum())
        for stream, words, low_bits in streams.prepared(coding)
    )
    over = 0.06 if order0(codes) < 1.5 else 0.07 if profile == "mcu" else 0.05
    low_bits = 1.0025 if coding.low_bits else 1  # what these may cost
    assert order0(codes) <= 8 * parts / codes.size < low_bits * (order0(codes) + over)
    rest = coding.table_bytes + streams.block_bytes(coding) - parts
    assert 8 * rest / codes.size < (0.1 if profile == "mcu" else 0.02)


def test_one_value_takes_no_bits_at_all():
    codes = np.full((4, 100_000), -7, np.int8)
    assert coded_size(tensor(codes), 4) < 1000


def test_sizes_are_foretold_and_accounted_for_exactly():
    codes = gauss((3, 40, 70), 9)
    for each in (
        tensor(codes),
        tensor(codes, method="joint", predictor="mean"),
        tensor(codes[:1], method="drawn", draw=Draw(1, 127)),
    ):
        for profile in ("desktop", "mcu"):
            data = serialise(CodedEnsemble(3, (each,), profile=profile))
            (sizes,) = measure(data).tensors
            streams = entropy_streams(each, 3, profile=profile, block_codes=None)
            coding = fit_coding(streams)
            foretold = coded_size(each, 3, profile=profile)
            assert foretold == coding.table_bytes + streams.block_bytes(coding)
            assert sizes.file_bits == 8 * (foretold + 96 + 1 + 4)
            assert sizes.table_bits == 8 * (coding.table_bytes + 4)
            blocks = -(-codes[0].size // streams.positions)
            per_stream = 1 if profile == "mcu" else 4
            assert sizes.metadata_bits == 32 * blocks * len(streams.codes) * per_stream


def test_the_smallest_coder_and_method_is_chosen():
    wide = np.random.default_rng(0).integers(-128, 128, (4, 5000)).astype(np.int8)
    apart = gauss((4, 5000), 12)
    near = np.clip(gauss((1, 5000), 30) + gauss((4, 5000), 1, seed=2), -127, 127).astype(np.int8)
    for codes, method, coder in (
        (wide, "plain", "fixed"),
        (apart, "plain", "entropy"),
        (near, "joint", "entropy"),
    ):
        picked = choose_method(tensor(codes, coder="fixed"), 4)
        assert (picked.method, picked.coder) == (method, coder)
        others = [
            tensor(codes, coder="fixed"),
            tensor(codes, coder="fixed", method="shared", digits="balanced"),
            tensor(codes),
            *(tensor(codes, method="joint", predictor=p) for p in ("first", "mean", "haar")),
        ]
        if codes is wide:
            others.pop(1)
        assert coded_size(picked, 4) == min(coded_size(each, 4) for each in others)


@pytest.mark.parametrize("coder", ["fixed", "entropy"])
def test_a_coder_that_is_asked_for_is_kept(coder):
    codes = gauss((4, 3000), 12 if coder == "fixed" else 70)
    tensors = (
        tensor(codes, coder="fixed"),
        tensor(codes[:1], method="drawn", draw=Draw(1, 128 - 1), name="d"),
        CodedTensor("exact", "float32", np.zeros((1, 3), "<f4")),
        tensor(codes[:, :0], coder="fixed", name="empty"),
    )
    if coder == "entropy":
        codes[0, 0] = -127
    chosen = choose_methods(CodedEnsemble(4, tensors), coder=coder)
    assert [each.coder for each in chosen.tensors] == [coder, coder, "fixed", "fixed"]
    assert chosen.tensors[0].method in ("plain", "shared", "joint")
    plain = choose_methods(CodedEnsemble(4, tensors), coder=coder, method="plain")
    assert plain.tensors[0].method == "plain"


@pytest.mark.parametrize("width", [4, 10, 20])
def test_a_small_tensor_uses_the_tables_of_another(width):
    large = tensor(gauss((2, 60_000), width), name="large")
    small = [tensor(gauss((2, 90), width, seed=i), name=f"s{i}", coder="fixed") for i in range(5)]
    chosen = choose_methods(CodedEnsemble(2, (large, *small)))
    assert {each.coder for each in chosen.tensors} == {"entropy"}
    container = read_container(serialise(chosen))
    assert container.header.table_count == (1 if width == 4 else 2)  # with that of the low bits
    assert {record.first_table for record in container.records} == {0}
    for each in chosen.tensors:
        index = container.names.index(each.name)
        if each is not chosen.tensors[0]:
            assert np.array_equal(container.decode_codes(index), each.codes)


def test_small_tensors_of_equal_codes_share_their_tables():
    codes = gauss((2, 3000), 10)
    data = serialise(CodedEnsemble(2, tuple(tensor(codes, name=f"{i}") for i in range(3))))
    assert read_container(data).header.table_count == 1


def test_a_table_that_lacks_a_code_is_not_used():
    codes = gauss((2, 60_000), 3)
    outlier = gauss((2, 90), 3, seed=1)
    outlier[0, 0] = 100
    coded = CodedEnsemble(2, (tensor(codes, name="large"), tensor(outlier, name="small")))
    container = read_container(serialise(coded))
    assert container.header.table_count == 2
    assert np.array_equal(container.decode_codes(1), outlier)


def test_more_tensors_than_tables_share_one_pair(monkeypatch):
    monkeypatch.setattr(tables, "MAX_OWNERS", 3)
    plain = [tensor(gauss((2, 50 + i), 3 + i, seed=i), name=f"p{i:02}") for i in range(9)]
    joint = [
        tensor(gauss((2, 40), 5, seed=i), method="joint", predictor="first", name=f"q{i}")
        for i in range(4)
    ]
    coded = CodedEnsemble(2, (*plain, *joint))
    container = read_container(serialise(coded))
    container.verify()
    assert container.header.table_count <= 2 * 3 + 2
    for index, each in enumerate(coded.tensors):
        assert np.array_equal(container.decode_codes(index), each.codes)


def test_a_thousand_tensors_fit_into_the_table_pool():
    each = [tensor(gauss((1, 30 + i % 7), 1 + i % 40, seed=i), name=f"{i:04}") for i in range(1100)]
    container = read_container(serialise(CodedEnsemble(1, tuple(each))))
    assert container.header.table_count <= 1024
    for index in (0, 500, 1099):
        assert np.array_equal(container.decode_codes(index), each[index].codes)


def test_the_minor_version_says_whether_there_is_entropy():
    codes = gauss((2, 100), 3)
    for coder, minor in (("fixed", 0), ("entropy", 1)):
        coded = CodedEnsemble(2, (tensor(codes, coder=coder),))
        assert read_container(serialise(coded)).header.minor == minor


def test_a_lane_is_decoded_without_the_others():
    codes = gauss((3, 2000), 5)
    data = bytearray(serialise(CodedEnsemble(3, (tensor(codes),))))
    start, _, _ = read_container(bytes(data)).tensors[0].blocks[0]
    data[start + 3 * 8 + 20] ^= 1  # in the lane of member 0
    damaged = read_container(bytes(data))
    assert np.array_equal(damaged.decode_codes(0, 2), codes[2])


def test_the_kernels_take_rows_that_parts_cut():
    """Rows of 37 columns, parts of 12 x 22, against classes applied in NumPy."""
    codes = gauss((1, 29 * 37), 3)[0]
    rows = np.arange(29, dtype=np.uint8) % 3
    columns = np.arange(37, dtype=np.uint8) % 2
    stream = Stream(codes, 1050, "desktop", -20, 41, 1, rows, columns, 3)
    table = np.minimum(rows[:, None] + columns, 2).ravel()
    expected = np.zeros((3, 41), int)
    np.add.at(expected, (table, codes + 20), 1)
    assert np.array_equal(stream.count(), expected)
    words = np.arange(3 * 41, dtype=np.uint32).reshape(3, 41) % 12 + 1 << 16
    bits = words[table, codes + 20] >> 16
    cuts = [0, 264, 528, 792, 1050, codes.size]
    of_parts = [int(bits[a:b].sum()) for a, b in pairwise(cuts)]
    assert stream.measure(words).tolist() == [-(-each // 8) for each in of_parts]
