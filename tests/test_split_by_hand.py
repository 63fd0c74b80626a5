"""Coder split: whatever is put together by hand as S5.5 and S10.5 say, both decoders read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeens.coded import CodedEnsemble, Draw
from edgeens.container.filters import Filter
from edgeens.container.layout import MAX_SYMBOLS, PARTS_FROM
from edgeens.container.reference import read_container
from edgeens.decoder import Container
from tests.vector_ensembles import KEY
from tests.vector_entropy import entropy
from tests.vector_split_blocks import Split, split_file

EASY = settings(
    max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@st.composite
def filters(draw, elements: int) -> Filter:
    """Any filter of rows that the elements make up."""
    columns = draw(st.sampled_from([n for n in range(1, elements + 1) if elements % n == 0]))
    lags = draw(st.sets(st.integers(1, max(1, columns - 1)), min_size=1, max_size=4))
    sets = draw(st.sampled_from([1, 8]))
    seed = np.random.default_rng(draw(st.integers(0, 99)))
    weights = seed.integers(-128, 127, (sets, len(lags)), np.int8, endpoint=True)
    return Filter(columns, tuple(sorted(lags)), weights, seed.integers(0, sets, columns, np.uint8))


@st.composite
def splits(draw):
    """An ensemble of one tensor, and how it is written."""
    members = draw(st.integers(2, 3))
    rows, columns = draw(st.integers(1, 9)), draw(st.sampled_from([1, 7, 48, 173, 400]))
    method = draw(st.sampled_from(["plain", "drawn", "joint"]))
    copies = 1 if method == "drawn" else members
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    most = draw(st.sampled_from([2, 9, 40, 127]))
    codes = np.clip(seed.normal(0, most, (copies, rows, columns)), -most, most).astype(np.int8)
    sets = 2 if method == "joint" else 1
    tables = draw(st.integers(1, 8)) if draw(st.booleans()) else 0  # none: no classes
    low_bits = []
    for _ in range(sets):
        width = draw(st.integers(0, 6))
        each = st.sampled_from([0, width, width])
        low_bits.append(tuple(draw(each) for _ in range(max(1, tables))))
    of_rows = seed.integers(0, 8, (copies, rows), np.uint8) if tables else None
    filtered = draw(st.booleans())
    of_sets = tuple(draw(filters(rows * columns)) for _ in range(sets)) if filtered else ()
    groups = [1]
    if not (tables or filtered or method == "joint"):
        values = (2 * most >> low_bits[0][0]) + 2
        groups = [g for g in range(1, 5) if values**g <= MAX_SYMBOLS]
    split = Split(
        tuple(low_bits), of_sets, of_rows, draw(st.sampled_from(groups)), draw(st.booleans())
    )
    options = {"draw": Draw(KEY, 127)} if method == "drawn" else {}
    if method == "joint":
        options["predictor"] = draw(st.sampled_from(["first", "mean", "haar"]))
    tensor = entropy("w", codes, 8, method, **options)
    positions = draw(st.sampled_from([None, 11, 100, PARTS_FROM + 5]))
    block_codes = None if positions is None else members * positions
    return CodedEnsemble(members, (tensor,), block_codes=block_codes), split


def written(made) -> tuple[bytes, np.ndarray | None]:
    """The file, and its codes; None for drawn, whose members only the digest knows."""
    ensemble, split = made
    (tensor,) = ensemble.tensors
    if split.group > 1 and split.wrapped:
        split = Split(split.low_bits, group=split.group)  # numbers from 0 to 255 are too many
    codes = None if tensor.draw else tensor.codes
    return split_file(ensemble, {tensor.name: split}, []), codes


@EASY
@given(splits())
def test_the_reference_decoder_reads_what_is_split_by_hand(made):
    file, codes = written(made)
    container = read_container(file)
    container.verify()
    assert codes is None or np.array_equal(container.decode_codes(0), codes)


@EASY
@given(splits(), st.integers(0, 1))
def test_the_decoder_in_c_reads_what_is_split_by_hand(made, member):
    file, codes = written(made)
    container = Container.from_bytes(file)
    container.verify()
    whole = container.decode("w", as_="int8")
    assert codes is None or np.array_equal(whole, codes)
    assert np.array_equal(container.decode("w", as_="int8", member=member), whole[member])


@pytest.mark.parametrize("width", range(7))
def test_every_number_is_split_and_put_together(width):
    codes = np.arange(-128, 128).astype(np.int8)[None]
    ensemble = CodedEnsemble(1, (entropy("w", codes),))
    for wrapped in (False, True):
        file = split_file(ensemble, {"w": Split(((width,),), wrapped=wrapped)}, [])
        assert np.array_equal(read_container(file).decode_codes(0), codes)
