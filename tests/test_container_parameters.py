"""Digits, patterns, levels and draws: what a block is made of before it is packed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeens.coded import CodedTensor, Draw, Grid
from edgeens.container import host, metadata, parameters, patterns
from edgeens.container.choice import coded_size
from edgeens.container.drawn import draw_words, drawn_codes
from edgeens.container.layout import pattern_bits
from edgeens.container.reference_blocks import word
from edgeens.quantize import digits as quantize_digits
from edgeens.quantize import rounding


@pytest.mark.parametrize("kind", ["balanced", "planes"])
def test_the_digits_of_every_code_make_the_code_and_are_those_of_quantize(kind):
    least, weights = (-127, (85, 17, 1)) if kind == "balanced" else (-128, (64, 16, 1))
    codes = np.arange(least, 128).astype(np.int8)
    parts = [table[codes.view(np.uint8)] for table in parameters.digit_tables(kind)]
    whole = sum(w * part.astype(int) for w, part in zip(weights, parts, strict=True))
    assert np.array_equal(whole, codes)
    split = getattr(quantize_digits, f"split_{kind}")
    assert all(np.array_equal(a, b) for a, b in zip(parts, split(codes), strict=True))


@pytest.mark.parametrize(("length", "count"), [(1, 1), (2, 2), (3, 5), (4, 15), (5, 52), (6, 203)])
def test_there_are_as_many_growth_strings_as_partitions(length, count):
    strings = patterns.growth_strings(length)
    assert len(set(strings)) == len(strings) == count
    assert strings == sorted(strings)


@pytest.mark.parametrize("members", range(2, 17))
def test_patterns_say_which_members_share(members):
    codes = np.random.default_rng(members).integers(0, 5, (members, 1300), np.int8)
    strings, counts, digits = host.clusters(codes)
    same = codes[:, None] == codes[None]
    assert np.array_equal(strings[:, None] == strings[None], same)
    assert np.array_equal(strings.max(axis=0) + 1, counts)
    assert (strings[0] == 0).all()
    for member in range(1, members):
        assert (strings[member] <= strings[:member].max(axis=0) + 1).all()
    opened = np.split(digits, np.cumsum(counts)[:-1])
    for string, position, of_clusters in zip(strings.T, codes.T, opened, strict=True):
        assert of_clusters[string].tolist() == position.tolist()
    fields = patterns.pattern_fields(strings)
    assert int(fields.max()) < 1 << pattern_bits(members)
    unique = {field: column.tobytes() for field, column in zip(fields, strings.T, strict=True)}
    assert all(unique[f] == column.tobytes() for f, column in zip(fields, strings.T, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 16),
    st.sampled_from(["balanced", "planes"]),
    st.lists(st.lists(st.sampled_from([8, 9, 10, 12, 14, 15]), min_size=6, max_size=6), min_size=1),
)
def test_no_other_choice_of_levels_is_cheaper(members, kind, rows):
    costs = metadata.level_costs(members, kind)
    allowed = np.array(rows, np.uint8)
    chosen = metadata.choose_levels(allowed, costs)
    for mask, levels in zip(allowed.tolist(), chosen.tolist(), strict=True):
        assert all(bits >> level & 1 for bits, level in zip(mask, levels, strict=True))
        choices = itertools.product(*([i for i in range(4) if bits >> i & 1] for bits in mask))
        assert cost(levels, costs) == min(cost(choice, costs) for choice in choices)


def cost(levels, costs):
    changes = sum(a != b for a, b in itertools.pairwise(levels))
    return sum(int(costs[level]) for level in levels) + metadata.RUN_BITS * changes


def test_zeros_cost_nothing_but_their_run():
    grid = Grid(8, np.ones(1, np.float32))
    codes = np.zeros((4, 4096), np.int8)
    zeros = CodedTensor("w", "float32", codes, grid, "shared", "balanced")
    assert coded_size(zeros, 4) == 8 + 2 + 2 + 4


def test_drawn_members_are_those_of_quantize_and_of_the_reference():
    parent = np.random.default_rng(1).integers(-100, 101, 300).astype(np.int8)
    key = 0xFEDCBA9876543210
    drawn = drawn_codes(parent, members=5, bits=5, levels=100, key=key, tensor=3)
    for member, codes in enumerate(drawn):
        same = rounding.drawn_codes(parent, bits=5, draw=Draw(key, 100), tensor=3, member=member)
        assert np.array_equal(codes, same)
        words = draw_words(key, 3, np.arange(300), member)
        assert words.tolist() == [word(key, 3, e, member) for e in range(300)]
