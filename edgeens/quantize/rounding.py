"""Members drawn from one pretrained model by stochastic rounding (LPE-BSR; SPEC S9).

From an Ensemble of one member to a CodedEnsemble of K: either the parent and a key, from which the
decoder draws the members, or the K drawn members themselves. Both give the same codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import CodedEnsemble, CodedTensor, Draw, Grid
from edgeens.ensemble import Ensemble
from edgeens.errors import MembersError
from edgeens.quantize.grid import fit_grid
from edgeens.quantize.tensors import exact_tensor, float_values

PARENT_LEVELS = 127
_GOLDEN = 0x9E3779B9
_WORD_MASK = 0xFFFFFFFF
_CHUNK = 1 << 18  # positions drawn at a time, so that the intermediate words stay in cache

UInts = NDArray[np.uint32]


def draw_members(
    ensemble: Ensemble,
    *,
    members: int,
    bits: int,
    key: int = 0,
    per_channel: bool = True,
    store_members: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> CodedEnsemble:
    """Quantise one model so that *members* low-precision members can be drawn from it.

    Each weight becomes `floor(w/s) + Bernoulli(frac(w/s))` in every member, independently, with
    s = max|w| / (2^(bits-1) - 1) per output channel or per tensor (LPE-BSR paper, "stochastic
    rounding"; METHODS: low precision ensembling).

    Args:
        ensemble: one member (ensemble.members == 1).
        members: K, 1 to 64.
        bits: width of a drawn code, 2 to 8.
        key: 64-bit number that names the draws; the same key gives the same members everywhere.
        per_channel: one scale an output channel instead of one a tensor.
        store_members: write the K drawn members (method "plain") instead of parent and key.
        progress: called with (tensor name, tensors done, tensors in all).

    Raises:
        MembersError: more than one member given, a number out of range, or NaN or infinite weights.
    """
    _check(ensemble, members=members, bits=bits, key=key)
    tensors = sorted(ensemble.tensors, key=lambda tensor: tensor.name.encode())
    coded = []
    for number, tensor in enumerate(tensors):
        if progress is not None:
            progress(tensor.name, number, len(tensors))
        if not tensor.quantise:
            coded.append(exact_tensor(tensor))
            continue
        values = float_values(tensor)
        grid = fit_grid(
            values,
            bits=bits,
            channel_axis=tensor.channel_axis,
            per_channel=per_channel,
            clip="minmax",
            name=tensor.name,
        )
        parent = _parent_codes(values, grid)
        drawn = CodedTensor(
            name=tensor.name,
            dtype=tensor.dtype,
            codes=parent,
            grid=grid,
            method="drawn",
            draw=Draw(key=key, parent_levels=PARENT_LEVELS),
        )
        coded.append(_stored(drawn, number, members) if store_members else drawn)
    return CodedEnsemble(members=members, tensors=tuple(coded))


def drawn_codes(
    parent: NDArray[np.int8], *, bits: int, draw: Draw, tensor: int, member: int
) -> NDArray[np.int8]:
    """The codes of one drawn member (SPEC S9, "Member codes").

    Args:
        parent: int8, any shape, values in -Q..Q.
        bits: width of a member's code.
        draw: the key and Q.
        tensor: the tensor's number in the file (its place among the names, sorted by bytes).
        member: m, from 0.

    Returns:
        int8, the shape of *parent*, values in -q..q.
    """
    q, levels = (1 << (bits - 1)) - 1, draw.parent_levels
    thresholds = np.arange(-levels, levels + 1, dtype=np.int32) * q
    floors = np.floor_divide(thresholds, levels).astype(np.int8)
    rests = (thresholds - floors.astype(np.int32) * levels).astype(np.uint32)
    flat = parent.reshape(-1)
    codes = np.empty(flat.size, np.int8)
    for start in range(0, flat.size, _CHUNK):
        row = flat[start : start + _CHUNK].astype(np.int32) + levels
        words = draw_words(draw.key, tensor=tensor, member=member, start=start, count=row.size)
        u = (words * np.uint32(levels)) >> np.uint32(16)
        codes[start : start + row.size] = floors[row] + (u < rests[row])
    return codes.reshape(parent.shape)


def draw_words(key: int, *, tensor: int, member: int, start: int, count: int) -> UInts:
    """16-bit words of (key, tensor, e, member) for e = start .. start + count - 1 (SPEC S9)."""
    a = _mix(key & _WORD_MASK)
    a = _mix(a ^ (key >> 32))
    a = _mix(a ^ tensor)
    s = _mix((a + _GOLDEN * ((member >> 1) + 1)) & _WORD_MASK)
    multiplier = _mix(s ^ 0x85EBCA6B) | 1
    x = np.arange(start, start + count, dtype=np.uint32) * np.uint32(multiplier) + np.uint32(s)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x >> np.uint32(16) if member & 1 else x & np.uint32(0xFFFF)


def _mix(x: int) -> int:
    x ^= x >> 16
    x = x * 0x7FEB352D & _WORD_MASK
    x ^= x >> 15
    x = x * 0x846CA68B & _WORD_MASK
    return x ^ x >> 16


def _parent_codes(values: NDArray[np.floating], grid: Grid) -> NDArray[np.int8]:
    """Codes on the parent's grid, whose step is scale * q / Q, rounded half to even."""
    step = grid.broadcast_scale(values.ndim - 1).astype(np.float64) * grid.largest / PARENT_LEVELS
    codes = np.rint(values / step)
    return np.clip(codes, -PARENT_LEVELS, PARENT_LEVELS).astype(np.int8)


def _stored(drawn: CodedTensor, number: int, members: int) -> CodedTensor:
    """The same members as codes of their own."""
    assert drawn.grid is not None
    assert drawn.draw is not None
    codes = np.empty((members, *drawn.shape), np.int8)
    for member in range(members):
        codes[member] = drawn_codes(
            drawn.codes[0], bits=drawn.grid.bits, draw=drawn.draw, tensor=number, member=member
        )
    return replace(drawn, codes=codes, method="plain", draw=None)


def _check(ensemble: Ensemble, *, members: int, bits: int, key: int) -> None:
    if ensemble.members != 1:
        raise MembersError(
            f"members are drawn from one model, but {ensemble.members} were given: "
            "give a single model, or leave out --draw"
        )
    if not 1 <= members <= 64:
        raise MembersError(f"cannot draw {members} members: 1 to 64 are possible")
    if not 2 <= bits <= 8:
        raise MembersError(f"cannot draw codes of {bits} bits: 2 to 8 are possible")
    if not 0 <= key < 1 << 64:
        raise MembersError(f"the key {key} is not a number of 64 bits (0 to 2^64 - 1)")
