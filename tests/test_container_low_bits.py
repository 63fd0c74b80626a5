"""Low bits beside the codewords: only where that costs next to nothing, and all comes back."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeens.coded import CodedEnsemble, CodedTensor, Draw, Grid
from edgeens.container import fitting
from edgeens.container.drawn import drawn_codes
from edgeens.container.entropy import entropy_blocks, entropy_streams
from edgeens.container.fitting import fit_coding
from edgeens.container.footprint import footprint
from edgeens.container.low_bits import LowBits, low_bits_body, split_codes
from edgeens.container.reference import read_container
from edgeens.container.sizes import measure
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from edgeens.show import inspection

SHAPE = (128, 150)
SCALE = np.full(1, 0.25, np.float32)


def tensor(codes, **options):
    options = {"method": "plain", "coder": "entropy", **options}
    return CodedTensor("w", "float32", codes, Grid(8, SCALE), **options)


def gauss(shape, width=20.0, seed=0):
    noise = np.random.default_rng(seed).normal(0, width, shape)
    return np.clip(np.rint(noise), -127, 127).astype(np.int8)


def rows_apart():
    """A third of the rows zeros, a third narrow, others in each member: with classes of rows."""
    codes = gauss((2, *SHAPE), 45)
    for member, of_member in enumerate(codes):
        of_member[member::3] = 0
        of_member[member + 1 :: 3] //= 3
    return codes


def smooth():
    """Rows whose neighbours are alike: with a filter."""
    steps = np.random.default_rng(1).normal(0, 16, (2, *SHAPE))
    codes = np.zeros(steps.shape)
    for column in range(1, SHAPE[1]):
        codes[..., column] = 0.95 * codes[..., column - 1] + steps[..., column]
    return np.clip(np.rint(codes), -127, 127).astype(np.int8)


def near(seed=3):
    """Members that differ a little: joint, whose second set has no use for low bits."""
    codes = gauss((1, *SHAPE)).astype(int) + gauss((3, *SHAPE), 1.4, seed)
    return np.clip(codes, -127, 127).astype(np.int8)


JOINT = {"method": "joint", "predictor": "first"}
DRAWN = {"method": "drawn", "draw": Draw(11, 127)}
# Members, tensor, whether it has filters, whether it has classes.
TENSORS = {
    "plain": (2, tensor(gauss((2, *SHAPE))), False, False),
    "rows": (2, tensor(rows_apart()), False, True),
    "filtered": (2, tensor(smooth()), True, False),
    "drawn": (3, tensor(gauss((1, 256, 150)), **DRAWN), False, False),
    "joint": (3, tensor(near(), **JOINT), False, False),
    "joint_filtered": (
        2,
        tensor(np.clip(smooth() + gauss((2, *SHAPE), 4), -127, 127).astype(np.int8), **JOINT),
        True,
        False,
    ),
}


def streams_of(members, each, block_codes=None, profile="desktop"):
    return entropy_streams(each, members, profile=profile, block_codes=block_codes)


@pytest.mark.parametrize("width", range(7))
def test_a_number_is_what_is_above_and_its_field(width):
    codes = np.arange(-128, 128).astype(np.int8)
    high, low = split_codes(codes, np.array([width], np.uint8), 100)
    assert high.tolist() == [int(code) // 2**width for code in codes]
    assert low.width == width
    assert low.counts.tolist() == ([100, 100, 56] if width else [0, 0, 0])
    expected = [int(code) % 2**width for code in codes] if width else []
    assert low.fields.tolist() == expected
    assert (high.dtype, low.fields.dtype) == (np.int8, np.uint8)


def test_only_positions_with_low_bits_have_fields_in_blocks_that_cut_rows():
    codes = np.array([5, -3, 0, -6, 7, 1, 2, -128, 127, 9], np.int8)
    widths = np.array([2, 2, 2, 0, 0, 0, 0, 0, 0, 2], np.uint8)
    high, low = split_codes(codes, widths, 4)
    assert high.tolist() == [1, -1, 0, -6, 7, 1, 2, -128, 127, 2]
    assert low.fields.tolist() == [1, 1, 0, 1]
    assert low.counts.tolist() == [3, 0, 1]
    assert low.sizes().tolist() == [1, 0, 1]
    assert low.packed() == [bytes([1 | 1 << 2]), b"", bytes([1])]


def test_the_example_of_the_specification():
    high, low = split_codes(np.array([5, -3, 0, -6], np.int8), np.array([2], np.uint8), 4)
    assert high.tolist() == [1, -1, 0, -2]
    assert low.packed() == [bytes([133])]


@settings(max_examples=60)
@given(
    st.integers(1, 6),
    st.lists(st.integers(0, 40), min_size=1, max_size=5),
    st.integers(0, 2**32 - 1),
)
def test_low_bits_take_the_whole_bytes_of_their_blocks(width, counts, seed):
    fields = np.random.default_rng(seed).integers(0, 1 << width, sum(counts)).astype(np.uint8)
    low = LowBits(fields, np.array(counts, np.intp), width)
    rest = fields.tolist()
    expected = []
    for count in counts:
        bits = sum(rest.pop(0) << width * place for place in range(count))
        expected.append(bits.to_bytes((count * width + 7) // 8, "little"))
    assert low.packed() == expected
    assert low.sizes().tolist() == [len(each) for each in expected]


def test_no_low_bits_are_no_bytes_of_any_block():
    low = LowBits(np.zeros(0, np.uint8), np.zeros(3, np.intp), 0)
    assert low.packed() == [b"", b"", b""]
    assert low.sizes().tolist() == [0, 0, 0]


def test_the_table_has_a_byte_for_each_prefix_code():
    assert low_bits_body(((3, 0), (0, 2))) == (4, bytes([3, 0, 0, 2]))


@pytest.mark.parametrize("block_codes", [None, 5000])
@pytest.mark.parametrize("name", TENSORS)
def test_the_sizes_of_split_blocks_are_foretold(name, block_codes):
    members, each, _, _ = TENSORS[name]
    streams = streams_of(members, each, block_codes)
    coding = fit_coding(streams)
    assert coding.coder == "split"
    blocks = entropy_blocks(streams, coding)
    assert sum(len(piece) for piece in blocks.pieces) == blocks.sizes.sum()
    entries = 8 * len(blocks.sizes)
    assert streams.block_bytes(coding) == blocks.sizes.sum() + entries


def test_classes_above_the_last_prefix_code_have_its_low_bits():
    streams = streams_of(2, TENSORS["rows"][1])
    coding = fit_coding(streams)
    last = len(coding.sets[0]) - 1
    assert last < 7
    of_rows = coding.classes.of_rows
    above = replace(coding.classes, of_rows=np.where(of_rows == last, 7, of_rows).astype(np.uint8))
    pieces = [bytes(each) for each in entropy_blocks(streams, coding).pieces]
    same = entropy_blocks(streams, replace(coding, classes=above))
    assert [bytes(each) for each in same.pieces] == pieces


@pytest.mark.parametrize("block_codes", [None, 5000])
@pytest.mark.parametrize("name", TENSORS)
def test_split_files_come_back_from_both_decoders(tmp_path, name, block_codes):
    members, each, filtered, has_classes = TENSORS[name]
    file = serialise(CodedEnsemble(members, (each,), block_codes=block_codes))
    codes = each.codes
    if each.draw:
        drawn = drawn_codes(
            codes.reshape(-1), members=members, bits=8, levels=127, key=11, tensor=0
        )
        codes = np.stack(list(drawn)).reshape(members, *codes.shape[1:])
    reference = read_container(file)
    reference.verify()
    assert reference.header.minor == 3
    (stored,) = reference.tensors
    assert bool(stored.tables.filters) == filtered
    assert bool(len(stored.tables.columns)) == has_classes
    assert np.array_equal(reference.decode_codes(0), codes)
    assert np.array_equal(reference.decode_codes(0, 1), codes[1])
    values = codes * SCALE
    path = tmp_path / "split.eens"
    path.write_bytes(file)
    with Container.open(path) as by_callback:
        for container in (Container.from_bytes(file), by_callback):
            container.verify()
            assert container.tensors[0].coder == "split"
            for as_, expected in (
                ("int8", codes),
                ("int16", codes.astype(np.int16)),
                ("float32", values),
                ("float16", values.astype(np.float16)),
            ):
                for threads in (1, 3):
                    whole = container.decode("w", as_=as_, threads=threads)
                    assert whole.dtype == expected.dtype
                    assert np.array_equal(whole, expected)
                    one = container.decode("w", as_=as_, member=1, threads=threads)
                    assert np.array_equal(one, expected[1])


def test_the_inspection_names_the_coder():
    file = serialise(CodedEnsemble(2, (TENSORS["plain"][1],)))
    container = Container.from_bytes(file)
    shown = inspection(measure(file), container.workspace_bytes, footprint(file))
    assert re.search(r"\bw +128x150 +plain +split +8\b", shown)
    assert "(EENS_SMALL) cannot decode this file" in shown


def low_bits_of(codes, members=2, profile="desktop", **options):
    return fit_coding(streams_of(members, tensor(codes, **options), profile=profile)).low_bits


def test_wide_codes_have_more_low_bits():
    widths = [low_bits_of(gauss((2, *SHAPE), width)) for width in (2, 6, 12, 25)]
    assert widths == [(), (), ((2,),), ((3,),)]


def bits_of(streams, coding):
    """Of all codewords and low bits, and of the prefix codes."""
    packed = sum(
        8 * int(stream.measure(words).sum()) + 8 * int(low_bits.sizes().sum())
        for stream, words, low_bits in streams.prepared(coding)
    )
    return packed + 8 * sum(len(code.body()[1]) for codes in coding.sets for code in codes)


@pytest.mark.parametrize("width", [3, 5, 6, 7, 9, 10, 13, 18, 19, 20, 22, 40])
def test_low_bits_are_the_most_that_cost_a_quarter_of_a_percent(monkeypatch, width):
    streams = streams_of(2, tensor(gauss((2, *SHAPE), width)))
    coding = fit_coding(streams)
    sizes = {}
    for chosen in (0, 2, 3):  # one bit gains nothing
        monkeypatch.setattr(fitting, "_LOW_BITS", (chosen,))
        monkeypatch.setattr(fitting, "_LOW_BITS_COST", 2.0)
        sizes[chosen] = bits_of(streams, fit_coding(streams))
    most = max(bits for bits, size in sizes.items() if size <= 1.0025 * sizes[0])
    assert coding.low_bits == (((most,),) if most else ())
    assert bits_of(streams, coding) == sizes[most]


def test_only_large_tensors_of_the_desktop_are_split():
    codes = gauss((2, 128, 128))
    assert codes.size == 1 << 15
    assert low_bits_of(codes) == ((3,),)
    assert low_bits_of(codes, profile="mcu") == ()
    assert low_bits_of(codes[:, :, :-1]) == ()


def test_classes_of_columns_are_not_split():
    codes = gauss((2, *SHAPE), 40)
    codes[..., ::3] //= 8
    streams = streams_of(2, tensor(codes))
    coding = fit_coding(streams)
    _, widths = fitting._split_set(streams, coding, 0)
    assert any(widths)  # what they cost is no reason
    assert coding.classes.of_columns.any()
    assert (coding.coder, coding.low_bits) == ("entropy", ())


def test_rows_of_zeros_have_no_low_bits():
    coding = fit_coding(streams_of(2, tensor(rows_apart())))
    (codes,), (widths,) = coding.sets, coding.low_bits
    zeros = coding.classes.of_rows[0][0]
    assert (codes[zeros].low, codes[zeros].values, widths[zeros]) == (0, 1, 0)
    assert set(widths) == {0, max(widths)}
    assert max(widths) > 0


def test_each_set_of_joint_has_low_bits_of_its_own():
    assert low_bits_of(near(), 3, **JOINT) == ((3,), (0,))


def test_groups_of_codes_are_not_split():
    # Six values alone take 8/3 bits, the lowest bit in the codeword or beside it; in groups less.
    codes = np.random.default_rng(0).integers(0, 6, (2, *SHAPE)).astype(np.int8)
    coding = fit_coding(streams_of(2, tensor(codes)))
    assert coding.sets[0][0].group > 1
    assert coding.low_bits == ()


def test_low_bits_come_behind_no_filter_and_before_all_others():
    coding = fit_coding(streams_of(2, tensor(smooth())))
    assert [kind for kind, _ in coding.bodies()] == [4, 3, 1]
    assert replace(coding, low_bits=()).coder == "filtered"
    assert replace(coding, low_bits=(), filters=()).coder == "entropy"
