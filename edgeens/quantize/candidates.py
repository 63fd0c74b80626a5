"""The ways to code one tensor that a search may choose from: steps of its grid, coarse to fine.

Under quantize.budget. Each way has its codes, its bytes and the error that it makes in the layer's
output, or where the layer's inputs are not known, in the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgeens.coded import CodedTensor, Grid
from edgeens.ensemble import Array, LayerInputs, MemberTensor
from edgeens.quantize.feedback import FeedbackRounder
from edgeens.quantize.grid import dequantize, fit_grid, quantize, step_grid
from edgeens.quantize.tensors import float_values

GridKind = Literal["tensor", "channel"]
SizeOf = Callable[[CodedTensor], int]

# In units of the root mean square: from where an entropy coder spends about half a bit on a weight,
# a quarter of a bit each up to about 3.5; then half a bit, for the few small tensors that need it.
_STEPS = tuple(2.0 ** (q / 4) for q in (*range(10, -6, -1), *range(-6, -22, -2)))


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to code a tensor.

    Attributes:
        coded: codes of all members on a grid.
        bytes: of its blocks, tables and scales.
        error: squared error of the layer's outputs on the calibration inputs (or of the weights),
            summed over members.
    """

    coded: CodedTensor
    bytes: int
    error: float

    @property
    def grid(self) -> Grid:
        """The grid of the codes."""
        assert self.coded.grid is not None
        return self.coded.grid

    @property
    def kind(self) -> GridKind:
        """One scale a tensor or a channel."""
        return "channel" if self.grid.scale.size > 1 else "tensor"

    @property
    def bits_per_weight(self) -> float:
        """Bytes by weights."""
        return 8 * self.bytes / max(self.coded.codes.size, 1)


def tensor_candidates(
    tensor: MemberTensor,
    inputs: LayerInputs | None,
    *,
    size_of: SizeOf,
    kinds: Sequence[GridKind] = ("tensor", "channel"),
    fixed_widths: bool = False,
) -> list[Candidate]:
    """The ways to code *tensor* of which none is both larger and worse, the finest first.

    With an entropy coder a way is a step, on the kind of grid that is better at a step of one root
    mean square, and no weight is clipped: that would save range, which costs nothing, and lose
    large weights. With fields of fixed width it is a width, a kind of grid and a clip ("minmax" or
    "mse").

    Args:
        tensor: of all members; its floats are finite.
        inputs: of the layer: error feedback then rounds, else rounding to nearest.
        size_of: bytes that a coded tensor takes in a file, but for its scales.
        kinds: of grid to try.
        fixed_widths: whether codes are stored in fields of one width.

    Returns:
        Candidates with falling bytes and rising error; at least one.

    Raises:
        MembersError, DataError: as quantize_ensemble.
    """
    values = float_values(tensor)
    rounder = FeedbackRounder(values, inputs) if inputs is not None else None
    if tensor.channel_axis is None:
        kinds = ["tensor"]

    def candidate(grid: Grid) -> Candidate:
        codes = rounder.codes(grid) if rounder else quantize(values, grid)
        coded = CodedTensor(tensor.name, tensor.dtype, codes, grid, "plain")
        decoded = dequantize(codes, grid)
        error = rounder.output_error(decoded) if rounder else _weight_error(values, decoded)
        return Candidate(coded, size_of(coded) + grid.scale.nbytes, error)

    def at_step(kind: GridKind, step: float) -> Candidate:
        return candidate(_grid(tensor, values, kind, step))

    if fixed_widths:
        return _undominated(map(candidate, _widths(tensor, values, kinds)))
    kind = kinds[0]
    if len(kinds) > 1:
        kind = min(kinds, key=lambda kind: _cost(at_step(kind, 1.0)))
    return _undominated(at_step(kind, step) for step in _STEPS)


def _cost(candidate: Candidate) -> float:
    """Bytes at equal error: half the error costs half a bit a weight (with a fine step)."""
    bits = 0.5 * np.log2(max(candidate.error, 1e-300)) * candidate.coded.codes.size
    return float(candidate.bytes + bits / 8)


def _grid(tensor: MemberTensor, values: Array, kind: GridKind, step: float) -> Grid:
    return step_grid(
        values,
        step=step,
        channel_axis=tensor.channel_axis,
        per_channel=kind == "channel",
        name=tensor.name,
    )


def _widths(tensor: MemberTensor, values: Array, kinds: Sequence[GridKind]) -> Iterator[Grid]:
    for kind in kinds:
        for bits in range(2, 9):
            for clip in ("minmax", "mse"):
                yield fit_grid(
                    values,
                    bits=bits,
                    channel_axis=tensor.channel_axis,
                    per_channel=kind == "channel",
                    clip=clip,
                    name=tensor.name,
                )


def _weight_error(values: Array, decoded: Array) -> float:
    return float(np.square(values.astype(np.float64) - decoded).sum())


def _undominated(found: Iterable[Candidate]) -> list[Candidate]:
    """By falling bytes, those with less error than all smaller ones."""
    kept: list[Candidate] = []
    for each in sorted(found, key=lambda each: (each.bytes, each.error)):
        if not kept or each.error < kept[-1].error:
            kept.append(each)
    return kept[::-1]
