"""Prefix codes: optimal within their limit, canonical, and written as the format says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeens.container.layout import Status
from edgeens.container.prefix import PrefixCode, code_lengths, codewords, fit_code, packed_lengths
from edgeens.container.reference_tables import StoredCode, open_tables
from edgeens.errors import FormatError
from tests.vector_entropy_faults import THREE, base, code, pool
from tests.vector_entropy_faults import lengths as length_fields

COUNTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=300).map(np.array)


def fewest_bits(counts, limit):
    """By trying every complete code of symbols that occur."""
    used = [int(count) for count in counts if count]
    return min(
        sum(count * length for count, length in zip(used, lengths, strict=True))
        for lengths in product(range(1, limit + 1), repeat=len(used))
        if sum(2.0**-length for length in lengths) == 1
    )


@given(st.lists(st.integers(0, 60), min_size=2, max_size=6), st.integers(3, 5))
def test_no_code_within_the_limit_has_fewer_bits(counts, limit):
    counts = np.array(counts)
    lengths = code_lengths(counts, limit)
    assert lengths.max() <= limit
    if (counts > 0).sum() > 1:
        assert int((counts * lengths).sum()) == fewest_bits(counts, limit)


@given(COUNTS, st.sampled_from([11, 12]))
def test_every_code_is_complete_and_has_all_symbols_that_occur(counts, limit):
    lengths = code_lengths(counts, limit)
    assert lengths.max() <= limit
    assert (lengths[counts > 0] > 0).all() or len(counts) == 1
    assert sum(2.0 ** -int(length) for length in lengths if length) == (len(counts) > 1)


def test_a_limit_that_counts_like_fibonaccis_exceed_is_kept():
    counts = np.array([1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610])
    assert code_lengths(counts, 32).max() == 14
    assert code_lengths(counts, 12).max() == 12


@pytest.mark.parametrize("counts", [[0, 0], [0, 7], [7, 0], [5, 0, 0, 0]])
def test_one_symbol_of_many_gets_a_bit_and_a_partner(counts):
    lengths = code_lengths(np.array(counts), 12)
    assert sorted(lengths.tolist(), reverse=True) == [1, 1] + [0] * (len(counts) - 2)
    assert lengths[int(np.argmax(counts))] == 1


def test_the_codewords_are_those_of_rfc_1951():
    """Its example, section 3.2.2: ABCDEFGH with lengths 3, 3, 3, 3, 3, 2, 4, 4."""
    words = codewords(np.array([3, 3, 3, 3, 3, 2, 4, 4], np.uint8))
    assert (words >> 16).tolist() == [3, 3, 3, 3, 3, 2, 4, 4]
    first_bit_first = [f"{word & 0xFFFF:0{word >> 16}b}"[::-1] for word in words.tolist()]
    assert first_bit_first == ["010", "011", "100", "101", "110", "00", "1110", "1111"]


def opened(body, profile=0):
    """The table as the reference decoder reads it."""
    header = base().header._replace(table_count=1, profile=profile, minor=1)
    return open_tables(pool([(1, body)]), header)[0]


@given(COUNTS.filter(lambda counts: len(counts) <= 256), st.data())
def test_the_reference_decoder_reads_the_same_codewords(counts, data):
    low = data.draw(st.integers(-128, 128 - len(counts)))
    fitted = fit_code(counts, group=1, low=low, values=len(counts), profile="desktop")
    _, body = fitted.body()
    stored = opened(body)
    assert isinstance(stored, StoredCode)
    assert (stored.group, stored.low, stored.values) == (1, low, len(counts))
    words = fitted.words().tolist()
    for (length, codeword), symbol in stored.symbols.items():
        assert words[symbol] >> 16 == length == fitted.lengths[symbol]
        reversed_ = int(f"{codeword:0{length}b}"[::-1], 2) if length else 0
        assert words[symbol] & 0xFFFF == reversed_
    if len(counts) > 1:
        assert len(stored.symbols) == int((fitted.lengths > 0).sum())


def test_a_table_of_one_value_is_four_bytes():
    assert fit_code(np.array([9]), group=3, low=-7, values=1, profile="mcu").body() == (
        1,
        bytes((3, 0xF9, 0, 0)),
    )


def test_steps_of_one_bit_take_two_bits_and_others_six():
    assert packed_lengths(np.array([1, 2, 2, 1], np.uint8)) == bytes([0b10_00_01_01])
    assert packed_lengths(np.array([4, 1], np.uint8)) == length_fields(4, 1)
    assert packed_lengths(np.array([4, 3], np.uint8)) == length_fields(4, None)


def test_the_last_bit_is_used_only_where_it_saves_something():
    steep = np.array([1 << max(0, 13 - i) for i in range(14)])
    flat = np.r_[np.full(200, 1000), np.full(56, 1)]
    assert fit_code(steep, group=1, low=0, values=14, profile="desktop").lengths.max() == 11
    assert fit_code(flat, group=1, low=-128, values=256, profile="desktop").lengths.max() == 12
    assert fit_code(flat, group=1, low=-128, values=256, profile="mcu").lengths.max() == 11


def test_bits_are_counted_or_known_to_be_missing():
    three = PrefixCode(1, -1, 3, np.array([2, 1, 2], np.uint8))
    assert three.bits(np.array([1, 10, 3])) == 18
    assert PrefixCode(1, 0, 3, np.array([1, 0, 1], np.uint8)).bits(np.array([1, 1, 1])) is None
    assert PrefixCode(1, 0, 1, np.array([0], np.uint8)).bits(np.array([9])) == 0


def test_the_default_table_of_the_vectors_is_read():
    stored = opened(THREE)
    assert stored.symbols == {(1, 0): 1, (2, 2): 0, (2, 3): 2}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (code(length_fields(2, 1, 3)), "the codewords are not complete"),
        (code(length_fields(2, 1, 1)), "the codewords are not complete"),
        (code(length_fields(0, 0, 0)), "the codewords are not complete"),
        (code(length_fields(1, 2, 13)), "a codeword of 13 bits"),
        (code(length_fields(None, 1, 1)), "a codeword of -1 bits"),
        (THREE[:-1], "a bit stream ends early"),
        (THREE + b"\0", "a bit stream ends late"),
        (code(b"\0", group=0), "group 0"),
        (code(bytes(300), 2, 0, 33), "1089 symbols"),
    ],
)
def test_a_malformed_table_is_refused_in_words(body, text):
    with pytest.raises(FormatError, match=f"^{Status.TABLE.sentence}: .*{text}"):
        opened(body)
