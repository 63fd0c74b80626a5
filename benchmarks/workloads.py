"""What the benchmarks of speed work on: layers of members, coded in every method and coder.

First stage of the speed benchmarks: benchmarks.decode times how long the files take to decode,
benchmarks.instructions counts the instructions of it on another processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import e, pi
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import CodedEnsemble, CodedTensor, Grid
from edgeens.container import fitting
from edgeens.container.choice import choose_methods
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from edgeens.ensemble import Ensemble, MemberTensor
from edgeens.quantize.rounding import draw_members
from edgeens.quantize.sharing import share_bits
from edgeens.quantize.tensors import quantize_ensemble

MEMBERS = 4
MANY_MEMBERS = 16
LAYER = (512, 512, 3, 3)  # the largest of VGG11
SMALL_LAYER = (64, 512, 3, 3)  # a part of it, for counts; a weight's share of the rest is below 0.1
FIXED_BITS = (8, 5, 4, 2)
ENTROPIES = (1.5, 2.5, 3.5, 4.5, 5.5, 6.5)  # of a code, in bits
CLASSES_ENTROPY = 4.5

Shape = tuple[int, ...]
Codes = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Workload:
    """One way to store a layer of MEMBERS members.

    Attributes:
        label: for people; unique.
        coded: one tensor, "w".
        data: the file.
        entropy: of Gaussian codes, in bits; else None.
        has_peers: whether the same codes go through the peers.
    """

    label: str
    coded: CodedEnsemble
    data: bytes
    entropy: float | None = None
    has_peers: bool = False


def workloads(shape: Shape = LAYER) -> Iterator[Workload]:
    """Every method and coder once, the coders entropy and split at several entropies.

    Where a file has coder split, the same without it stands before it.
    """
    eight = quantize_ensemble(gaussian(MEMBERS, shape))
    for bits in FIXED_BITS:
        coded = eight if bits == 8 else quantize_ensemble(gaussian(MEMBERS, shape), bits=bits)
        yield Workload(f"fixed, {bits} bits", coded, serialise(coded))
    for entropy in ENTROPIES:
        coded = on_one_grid(gaussian_codes(entropy, shape))
        coded = choose_methods(coded, method="plain", coder="entropy")
        yield from _of_coders(f"{{}}, {entropy} bits", coded, entropy)
    codes = gaussian_codes(CLASSES_ENTROPY, shape, uneven=True)
    classes = choose_methods(on_one_grid(codes), method="plain", coder="entropy")
    yield from _of_coders("{}, classes of rows", classes)
    smooth = choose_methods(on_one_grid(smooth_codes(shape)), method="plain", coder="entropy")
    yield from _of_coders("{}, smooth rows", smooth)
    balanced = share_bits(eight, lambda4=0.5, lambda8=0.5)
    yield Workload("shared, balanced digits", balanced, serialise(balanced))
    planes = share_bits(eight, digits="planes")
    yield Workload("shared, bit planes", planes, serialise(planes))
    joint = choose_methods(quantize_ensemble(close(shape)))
    yield from _of_coders("joint, close members, {}", joint)
    drawn = draw_members(gaussian(1, shape), members=MEMBERS, bits=4)
    yield Workload("drawn, 4 INT4 members", drawn, serialise(drawn))
    coded = choose_methods(drawn, coder="entropy")
    yield from _of_coders("drawn, 4 INT4 members, {}", coded)


def counted_workloads(shape: Shape) -> Iterator[Workload]:
    """Those, and what a parent costs where many members share it."""
    yield from workloads(shape)
    drawn = draw_members(gaussian(1, shape), members=MANY_MEMBERS, bits=4)
    yield Workload(f"drawn, {MANY_MEMBERS} INT4 members", drawn, serialise(drawn))


def _of_coders(
    label: str, coded: CodedEnsemble, entropy: float | None = None
) -> Iterator[Workload]:
    """The layer without low bits beside the codewords, and as the encoder stores it if it has some.

    Args:
        label: with a place for the coder of the file.
        coded: with coder "entropy".
        entropy: as in Workload; then the first has peers.
    """
    with patch.object(fitting, "_LOW_BITS", ()):
        whole = serialise(coded)
    yield Workload(label.format(_coder(whole)), coded, whole, entropy, entropy is not None)
    data = serialise(coded)
    if _coder(data) == "split":
        yield Workload(label.format("split"), coded, data, entropy)


def _coder(data: bytes) -> str:
    with Container.from_bytes(data) as container:
        return container.tensors[0].coder


def gaussian(members: int, shape: Shape = LAYER) -> Ensemble:
    """A layer of independent Gaussian weights, the hardest case for any coder."""
    values = np.random.default_rng(0).normal(0, 0.02, (members, *shape)).astype(np.float32)
    return Ensemble(members, (MemberTensor("w", values, "float32", 0, quantise=True),))


def close(shape: Shape) -> Ensemble:
    """Members that differ little, like fine-tunes of one parent."""
    rng = np.random.default_rng(0)
    parent = rng.normal(0, 0.02, shape).astype(np.float32)
    values = parent + rng.normal(0, 0.001, (MEMBERS, *shape)).astype(np.float32)
    return Ensemble(MEMBERS, (MemberTensor("w", values, "float32", 0, quantise=True),))


def gaussian_codes(entropy: float, shape: Shape, *, uneven: bool = False) -> Codes:
    """Codes of Gaussian weights on a grid so fine that a code has about *entropy* bits.

    A Gaussian of s steps has log2(s sqrt(2 pi e)) bits a code, nearly: that of the density of the
    codes, whose variance rounding makes larger by 1/12.

    Args:
        entropy: at most 6.5, where the largest code comes close to 127.
        shape: of one member's layer.
        uneven: rows and columns differ in size by factors of up to 4 each.

    Returns:
        Shape (MEMBERS, *shape).
    """
    rng = np.random.default_rng(0)
    steps = rng.normal(0, (4**entropy / (2 * pi * e) - 1 / 12) ** 0.5, (MEMBERS, *shape))
    if uneven:
        rows = 2 ** rng.uniform(-1, 1, shape[0])
        columns = 2 ** rng.uniform(-1, 1, int(np.prod(shape[1:])))
        steps *= (rows[:, None] * columns).reshape(shape)
    return np.clip(np.rint(steps), -127, 127).astype(np.int8)


def smooth_codes(shape: Shape) -> Codes:
    """Codes of weights that resemble their neighbours in a row, like those of a layer on pixels.

    Returns:
        Shape (MEMBERS, *shape).
    """
    steps = np.random.default_rng(0).normal(0, 5, (MEMBERS, shape[0], int(np.prod(shape[1:]))))
    for _ in range(2):
        steps[:, :, 1:] += steps[:, :, :-1].copy()
    return np.clip(np.rint(steps), -127, 127).astype(np.int8).reshape(MEMBERS, *shape)


def on_one_grid(codes: Codes) -> CodedEnsemble:
    """Members of one layer that have these codes, shape (K, ...), in fields as wide as needed."""
    bits = max(2, 1 + int(np.abs(codes.astype(np.int16)).max()).bit_length())
    grid = Grid(bits, np.array([0.02 / 32], np.float32), channel_axis=0)
    return CodedEnsemble(len(codes), (CodedTensor("w", "float32", codes, grid, "plain"),))
