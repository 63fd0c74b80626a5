"""Generated ensembles, for the tests of the writer and of both decoders."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from edgeens.coded import CodedEnsemble, CodedTensor, Draw, Grid, Section
from edgeens.container.layout import CODED_DTYPES, DTYPES

NAMES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x2FFF, exclude_characters="\x7f"),
    min_size=1,
    max_size=12,
)
SCALES = st.floats(
    min_value=2.0**-126, max_value=2.0**119, width=32, allow_nan=False, allow_infinity=False
)
SHAPES = st.one_of(
    st.just(()),
    st.lists(st.integers(0, 4), min_size=1, max_size=8).map(tuple),
    st.tuples(st.integers(1, 120)),
    st.tuples(st.integers(1, 9), st.integers(1, 30)),
)


@st.composite
def coded_ensembles(draw, *, max_members: int = 64, max_tensors: int = 4) -> CodedEnsemble:
    """Any ensemble that a file can hold, of small tensors in small blocks."""
    members = draw(st.one_of(st.integers(1, min(5, max_members)), st.integers(1, max_members)))
    names = draw(st.lists(NAMES, unique=True, max_size=max_tensors))
    tensors = tuple(draw(coded_tensors(name, members)) for name in names)
    profile = draw(st.sampled_from(["desktop", "mcu"]))
    return CodedEnsemble(
        members=members,
        tensors=tensors,
        sections=draw(sections()),
        profile=profile,
        block_codes=draw(st.one_of(st.none(), st.integers(1, 400))),
    )


@st.composite
def coded_tensors(draw, name: str, members: int) -> CodedTensor:
    """A tensor of any method that suits *members*."""
    methods = ["exact", "raw", "plain", "drawn"] + ["shared"] * (2 if 2 <= members <= 16 else 0)
    methods += ["joint"] * (members > 1)
    method = draw(st.sampled_from(methods))
    shape = draw(SHAPES)
    empty = 0 in shape
    if method == "joint" and empty:
        method = "plain"
    coders = ["fixed"] * (method != "joint") + ["entropy"] * (not empty)
    coder = draw(st.sampled_from(coders)) if method in ("plain", "drawn", "joint") else "fixed"
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if method == "exact":
        dtype = draw(st.sampled_from(sorted(DTYPES)))
        copies = draw(st.sampled_from([1, members]))
        return CodedTensor(name, dtype, exact_values(dtype, (copies, *shape), seed))
    bits = 8 if method in ("raw", "shared") else draw(st.integers(2, 8))
    grid = draw(grids(bits, shape, zero=method == "drawn"))
    dtype = draw(st.sampled_from(sorted(CODED_DTYPES)))
    if method == "drawn":
        levels = draw(st.integers(1, 127))
        codes = some_codes(draw(st.integers(0, 3)), (1, *shape), -levels, levels, seed)
        key = Draw(draw(st.integers(0, 2**64 - 1)), levels)
        return CodedTensor(name, dtype, codes, grid, "drawn", draw=key, coder=coder)
    if method == "shared":
        digits = draw(st.sampled_from(["balanced", "planes"]))
        codes = shared_codes(draw(st.integers(0, 5)), (members, *shape), digits, seed)
        return CodedTensor(name, dtype, codes, grid, "shared", digits)
    copies = members if method == "joint" else draw(st.sampled_from([1, members]))
    low, high = -grid.largest - 1, grid.largest
    codes = some_codes(draw(st.integers(0, 3)), (copies, *shape), low, high, seed)
    predictor = draw(st.sampled_from(["first", "mean", "haar"])) if method == "joint" else "none"
    return CodedTensor(name, dtype, codes, grid, method, coder=coder, predictor=predictor)


def some_codes(
    kind: int, shape: tuple[int, ...], low: int, high: int, seed: np.random.Generator
) -> np.ndarray:
    """Codes in low..high: any, a few, all equal, or nearly equal in all copies."""
    codes = seed.integers(low, high, shape, np.int8, endpoint=True)
    if kind == 1:
        return np.clip(codes % 3 - 1, low, high).astype(np.int8)
    if kind == 2:
        return np.full(shape, codes.reshape(-1)[0] if codes.size else 0, np.int8)
    if kind == 3:
        return np.clip(codes[:1] + seed.integers(-1, 2, shape), low, high).astype(np.int8)
    return codes


@st.composite
def grids(draw, bits: int, shape: tuple[int, ...], *, zero: bool) -> Grid:
    """A grid with one scale, or one for each channel of an axis."""
    axis = draw(st.sampled_from([None, *range(len(shape))]))
    channels = 1 if axis is None or shape[axis] == 0 else draw(st.sampled_from([1, shape[axis]]))
    scale = draw(st.lists(SCALES, min_size=channels, max_size=channels))
    zero_point = 0 if zero else draw(st.sampled_from([0, 0, -128, 127, 3]))
    return Grid(bits, np.array(scale, np.float32), axis, zero_point)


def exact_values(dtype: str, shape: tuple[int, ...], seed: np.random.Generator) -> np.ndarray:
    """Any bytes that are values of *dtype*: NaN, infinities and denormals too."""
    info = DTYPES[dtype]
    if dtype == "bool":
        return seed.integers(0, 2, shape).astype(bool)
    count = int(np.prod(shape)) * info.size
    return np.frombuffer(seed.bytes(count), info.numpy).reshape(shape)


def shared_codes(
    kind: int, shape: tuple[int, ...], digits: str, seed: np.random.Generator
) -> np.ndarray:
    """Codes whose members agree in different ways, so that every level and pattern turns up."""
    low = -127 if digits == "balanced" else -128
    codes = seed.integers(low, 127, shape, np.int8, endpoint=True)
    if kind == 0:
        return codes
    together = np.broadcast_to(codes[:1], shape)
    near = np.where(seed.random(shape) < 0.5, together, codes)
    if kind == 1:
        return np.ascontiguousarray(near)
    if kind == 2:  # absent deeper digits
        coarse = near // 17 * 17 if digits == "balanced" else (near >> 4 << 4) + 8
        return np.clip(coarse, low, 127).astype(np.int8)
    if kind == 3:
        coarse = near // 85 * 85 if digits == "balanced" else (near >> 6 << 6) + 32
        return np.clip(coarse, low, 127).astype(np.int8)
    if kind == 4:
        return np.zeros(shape, np.int8)
    # stretches of each kind, one behind the other
    flat = np.empty((shape[0], codes[0].size), np.int8)
    parts = [shared_codes(each, shape, digits, seed).reshape(flat.shape) for each in range(5)]
    order = seed.integers(0, 5, flat.shape[1] // 3 + 1).repeat(3)[: flat.shape[1]]
    for each, part in enumerate(parts):
        flat[:, order == each] = part[:, order == each]
    return flat.reshape(shape)


@st.composite
def sections(draw) -> tuple[Section, ...]:
    """META, graphs, and sections that no reader knows."""
    chosen = draw(st.lists(st.sampled_from(["META", "SKLF", "SKLC", "X1Y2"]), unique=True))
    payload = {"META": b'{"edgeens.task":"classification"}', "SKLF": b"\x08\x07", "SKLC": b""}
    return tuple(
        Section(type_, payload.get(type_, b"\0\xff"), type_ != "X1Y2" and draw(st.booleans()))
        for type_ in chosen
    )
