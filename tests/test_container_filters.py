"""Filters: whatever a filter foretells, the codes come back; smooth rows shrink, others stay."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeens.coded import CodedEnsemble, CodedTensor, Grid
from edgeens.container import entropy, fitting, tables
from edgeens.container.blocks import block_positions
from edgeens.container.choice import choose_method, coded_size
from edgeens.container.filters import Filter, fit_filter
from edgeens.container.reference import read_container
from edgeens.container.writer import serialise
from edgeens.decoder import Container

ONE = np.ones(1, np.float32)


def tensor(codes, **options):
    options = {"method": "plain", "coder": "entropy", **options}
    return CodedTensor("w", "float32", codes, Grid(8, ONE), **options)


def pictures(shape, side, seed=0, noise=3.0):
    """Rows that are pictures of *side* columns, smoothed along both axes, and noise."""
    rng = np.random.default_rng(seed)
    start = rng.normal(0, 60, (*shape[:-1], shape[-1] // side, side))
    for axis in (-1, -2):
        start = start + np.roll(start, 1, axis) + np.roll(start, -1, axis)
    codes = start.reshape(shape) / 4 + rng.normal(0, noise, shape)
    return np.clip(np.rint(codes), -127, 127).astype(np.int8)


def gauss(shape, width=20.0, seed=0):
    noise = np.random.default_rng(seed).normal(0, width, shape)
    return np.clip(np.rint(noise), -127, 127).astype(np.int8)


@st.composite
def filters(draw, elements):
    """Any filter of rows that the elements make up."""
    columns = draw(st.sampled_from([n for n in range(2, elements + 1) if elements % n == 0]))
    lags = draw(st.sets(st.integers(1, columns - 1), min_size=1, max_size=4))
    sets = draw(st.sampled_from([1, 8]))
    weights = draw(
        st.lists(st.integers(-128, 127), min_size=sets * len(lags), max_size=sets * len(lags))
    )
    of_columns = np.random.default_rng(columns).integers(0, sets, columns).astype(np.uint8)
    return Filter(
        columns, tuple(sorted(lags)), np.array(weights, np.int8).reshape(sets, -1), of_columns
    )


def coded_with(each, streams, **_):
    """A coding with these filters, whether they serve or not."""
    coding, _ = fitting._fit_tables(streams.residuals(each), 1000, 1 << 20)
    return replace(coding, filters=each)


@pytest.mark.parametrize("profile", ["desktop", "mcu"])
@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    rows=st.integers(1, 50),
    width=st.integers(2, 40),
    block_codes=st.sampled_from([None, 90, 1000, 4096]),
    joint=st.booleans(),
)
def test_any_filter_is_undone(profile, tmp_path_factory, data, rows, width, block_codes, joint):
    codes = np.random.default_rng(rows).integers(-128, 128, (2, rows, width)).astype(np.int8)
    each = tuple(data.draw(filters(rows * width)) for _ in range(1 + joint))
    options = {"method": "joint", "predictor": "first"} if joint else {}
    coded = CodedEnsemble(2, (tensor(codes, **options),), profile=profile, block_codes=block_codes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "fit_coding", partial(coded_with, each))
        file = serialise(coded)
    path = tmp_path_factory.mktemp("filters") / "any.eens"
    path.write_bytes(file)
    with Container.open(path) as container:
        assert container.tensors[0].coder == "filtered"
        assert np.array_equal(container.decode("w", as_="int8"), codes)
        assert np.array_equal(container.decode("w", member=1, as_="int8"), codes[1])
    if rows * width < 300:  # slow on purpose
        assert np.array_equal(read_container(file).decode_codes(0), codes)


@pytest.mark.parametrize("lags", [(1,), (2, 3), (1, 2, 15, 16), (1, 7, 28, 29), (63,), (1, 100)])
@pytest.mark.parametrize("columns", [80, 101, 128, 193])
def test_rows_taken_together_come_back(monkeypatch, columns, lags):
    """Sixteen or 32 at a time, by how many are left and how far the filter reaches."""
    rng = np.random.default_rng(columns)
    lags = tuple(lag for lag in lags if lag < columns)
    for rows, sets in ((15, 8), (17, 8), (32, 1), (49, 8), (70, 1)):
        codes = rng.integers(-128, 128, (2, rows, columns)).astype(np.int8)
        weights = rng.integers(-128, 128, (sets, len(lags))).astype(np.int8)
        of_columns = rng.integers(0, sets, columns).astype(np.uint8)
        each = (Filter(columns, lags, weights, of_columns),)

        def coded_so(streams, each=each, **_):
            return replace(fitting._without_classes(streams.residuals(each)), filters=each)

        monkeypatch.setattr(tables, "fit_coding", coded_so)
        data = serialise(CodedEnsemble(2, (tensor(codes),), block_codes=1 << 17))
        assert np.array_equal(Container.from_bytes(data).decode("w", as_="int8"), codes)


def test_pictures_take_far_fewer_bytes_and_noise_none():
    codes = pictures((4, 64, 784), 28)
    filtered = coded_size(tensor(codes), 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_fit_filters", lambda streams: ())
        assert filtered < 0.9 * coded_size(tensor(codes), 4)
    file = serialise(CodedEnsemble(4, (tensor(gauss((4, 64, 784))),)))
    (noise,) = read_container(file).tensors
    assert noise.tables.filters == ()


def test_the_lags_are_those_of_the_pictures():
    fitted = fit_filter(pictures((2, 64 * 28 * 28), 28).reshape(2, -1), 28 * 28)
    assert fitted is not None
    assert {1, 28} <= set(fitted.lags)


def test_neighbours_below_each_other_are_found():
    codes = pictures((2, 32, 784), 28).transpose(0, 2, 1)
    streams = entropy.entropy_streams(
        tensor(np.ascontiguousarray(codes)), 2, profile="desktop", block_codes=None
    )
    (fitted,) = fitting.fit_coding(streams).filters
    assert fitted.columns == 784 * 32
    assert {32, 28 * 32} <= set(fitted.lags)


def test_each_column_has_the_weights_that_serve_it():
    codes = pictures((4, 64, 784), 28)
    codes[..., :280] = gauss((4, 64, 280), 3.0)  # like pixels that are never lit
    fitted = fit_filter(codes.reshape(4, -1), 784)
    assert fitted is not None
    largest = np.abs(fitted.weights).max(axis=1)[fitted.of_columns]
    assert np.mean(largest[:280]) < 0.4 * np.mean(largest[280:])


@pytest.mark.parametrize(
    "codes", [np.zeros((2, 3, 9), np.int8), np.ones((1, 1, 2), np.int8), gauss((1, 2, 2))]
)
def test_little_or_nothing_to_foretell_is_no_trouble(codes):
    fit_filter(codes.reshape(len(codes), -1), codes.shape[-1])
    file = serialise(CodedEnsemble(len(codes), (tensor(codes),)))
    assert np.array_equal(read_container(file).decode_codes(0), codes)


def test_the_automatic_choice_filters_pictures():
    chosen = choose_method(tensor(pictures((2, 32, 784), 28), coder="fixed"), 2)
    assert chosen.coder == "entropy"
    file = serialise(CodedEnsemble(2, (chosen,)))
    (stored,) = read_container(file).tensors
    assert len(stored.tables.filters) == 1


@pytest.mark.parametrize(
    ("shape", "lanes", "joint"),
    [
        ((128, 784), 25088, 25088),
        ((512, 4608), 147456, 36864),
        ((500, 5000), 80000, 40000),
        ((4, 150000), 16384, 16384),
    ],
)
def test_blocks_hold_whole_rows_if_they_can(shape, lanes, joint):
    each = tensor(np.zeros((4, *shape), np.int8))
    assert block_positions(each, 4, profile="desktop", block_codes=None) == lanes
    each = replace(each, method="joint", predictor="mean")
    assert block_positions(each, 4, profile="desktop", block_codes=None) == joint
