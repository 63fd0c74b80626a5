"""Grids: the scale that all members of a tensor share, and the way to codes and back.

First step of quantize, between an Ensemble's floats and everything that works on int8 codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import Grid
from edgeens.errors import MembersError

Floats = NDArray[Any]
Codes = NDArray[np.int8]
Clip = Literal["minmax", "mse"]

# Elements that one step works on: its few float64 temporaries stay below 50 MB.
_CHUNK = 1 << 20
# A file's scales (S4.4) are normal float32, for devices that flush denormals to zero, and below
# 2**120, so that no code times its scale overflows.
_SMALLEST_SCALE = 2.0**-126
_SCALE_LIMIT = 2.0**120

# The clips that "mse" tries, in 1024ths of the largest weight: 1 down to 1/32 in steps of 3 to 6
# percent, which leave the error within 3 percent of the best clip's.
_UNIT = 1024
_FRACTIONS = np.array([(k << 5) >> e for e in range(5) for k in range(32, 16, -1)] + [32], np.int64)
# Bins of |w| / beta, by the width of a code: a step of the grid is 4 bins at the tightest clip
# and 129 at the widest.
_BINS = {bits: 1 << (bits + 6) for bits in range(2, 9)}
# Bins that are counted at once over the channels of a group: 8 MB of int64.
_BINS_AT_ONCE = 1 << 20


def fit_grid(
    values: Floats,
    *,
    bits: int = 8,
    channel_axis: int | None = None,
    per_channel: bool = False,
    clip: Clip = "minmax",
    name: str = "",
) -> Grid:
    """Fit one symmetric grid to a tensor of all members (Bits-Ensemble Eq. 1, scale beta / q).

    The same values give the same bytes on every machine: the largest weight is exact, and "mse"
    decides on integer counts.

    Args:
        values: floats, shape (copies, *shape), all members together: a scale belongs to the
            tensor or to an output channel, never to a member.
        bits: width of a code, 2 to 8; q = 2**(bits-1) - 1.
        channel_axis: axis of *shape* that counts output channels, kept in the grid either way.
        per_channel: one scale for each output channel, if the tensor has that axis.
        clip: beta is the largest weight ("minmax"), or the fraction of it, among 81 from 1 to
            1/32, with the least squared error on a histogram of all weights ("mse").
        name: of the tensor, for messages.

    Raises:
        MembersError: a weight is NaN, infinite, or too large for a float32 scale; or *bits* or
            *channel_axis* is out of range.
    """
    if not 2 <= bits <= 8:
        raise MembersError(f"tensor {name!r}: a grid has 2 to 8 bits, not {bits}")
    if channel_axis is not None and not 0 <= channel_axis < values.ndim - 1:
        raise MembersError(
            f"tensor {name!r}: channel axis {channel_axis} does not exist in a member's shape "
            f"{values.shape[1:]}; give an axis from 0 to {values.ndim - 2}, or None"
        )
    if values.size == 0:
        return Grid(bits, np.ones(1, np.float32), channel_axis)
    view = _by_channel(values, channel_axis if per_channel else None)
    beta = _largest(view)
    if not np.isfinite(beta).all():
        check_finite(values, name=name)
    clipped = beta if clip == "minmax" else beta * (_best_fractions(view, beta, bits) / _UNIT)
    scale = clipped / ((1 << (bits - 1)) - 1)
    return Grid(bits, _storable_scale(scale, used=beta > 0, name=name), channel_axis)


def step_grid(
    values: Floats,
    *,
    step: float,
    channel_axis: int | None = None,
    per_channel: bool = False,
    name: str = "",
) -> Grid:
    """A symmetric grid of a given step that clips no weight, and the fewest bits that do.

    What an entropy coder wants: it pays for the step, hardly for the range.

    Args:
        values: floats, shape (copies, *shape), all members together.
        step: in units of the root mean square of the tensor's (or the channel's) weights; where
            8 bits do not reach the largest weight, the step is as fine as they allow, and at most
            the largest weight itself.
        channel_axis, per_channel, name: as in fit_grid.

    Raises:
        MembersError: as fit_grid.
    """
    finest = fit_grid(values, channel_axis=channel_axis, per_channel=per_channel, name=name)
    if values.size == 0:
        return finest
    lowest = finest.scale.astype(np.float64)
    view = _by_channel(values, channel_axis if per_channel else None)
    mean = np.sqrt(_mean_squares(view))
    scale = _storable_scale(np.clip(step * mean, lowest, 127 * lowest), used=mean > 0, name=name)
    largest = float(np.max(127 * lowest / scale * (mean > 0)))
    levels = max(1, int(np.ceil(largest * (1 - 1e-6))))  # less what rounding to float32 added
    return Grid(levels.bit_length() + 1, scale, channel_axis)


def quantize(values: Floats, grid: Grid) -> Codes:
    """Codes of *values* on *grid*: clamp(round(w / scale) + zero_point, -q, q).

    In float64 against the float32 scale, half to even.

    Args:
        values: finite floats, shape (copies, *shape).
        grid: as fit_grid made it, for this shape.

    Returns:
        int8, shape (copies, *shape).
    """
    codes = np.empty(values.shape, np.int8)
    axis = grid.channel_axis if grid.scale.size > 1 else None
    view, out = _by_channel(values, axis), _by_channel(codes, axis)
    scale = grid.scale.astype(np.float64).reshape(1, -1, 1)
    for lead, channels, trail in _pieces(view.shape):
        one = scale[:, channels] if scale.size > 1 else scale
        ratio = view[lead, channels, trail] / one
        np.rint(ratio, out=ratio)
        ratio += grid.zero_point
        np.clip(ratio, -grid.largest, grid.largest, out=ratio)
        out[lead, channels, trail] = ratio
    return codes


def dequantize(codes: Codes, grid: Grid) -> NDArray[np.float32]:
    """The float32 values of int8 *codes* (copies, *shape): scale * float32(code - zero_point).

    One correctly rounded multiply, so that every decoder gets the same bits.
    """
    values = codes.astype(np.float32)
    if grid.zero_point:
        values -= np.float32(grid.zero_point)  # exact: both are small integers
    values *= grid.broadcast_scale(codes.ndim - 1)
    return values


def check_finite(values: Floats, *, name: str) -> None:
    """Refuse NaN and infinite weights: no grid can hold them.

    Args:
        values: floats, shape (copies, *shape).
        name: of the tensor, for the message.

    Raises:
        MembersError: some weight is not finite; names the tensor and counts them by member.
    """
    bad = []
    for member, tensor in enumerate(values):
        flat = tensor.reshape(-1)
        finite = sum(
            int(np.count_nonzero(np.isfinite(flat[start : start + _CHUNK])))
            for start in range(0, flat.size, _CHUNK)
        )
        if finite < flat.size:
            bad.append(f"{flat.size - finite} of {flat.size} in member {member}")
    if bad:
        raise MembersError(
            f"tensor {name!r} has weights that are NaN or infinite ({', '.join(bad)}); repair "
            "those members, or exclude the tensor from quantisation to keep it exactly"
        )


def _by_channel(values: NDArray[Any], axis: int | None) -> NDArray[Any]:
    """(lead, channels, trail) view: the channel axis in the middle, or one channel for all."""
    values = np.ascontiguousarray(values)
    if axis is None:
        copies = values.shape[0]
        return values.reshape(copies, 1, values.size // copies if copies else 0)
    lead = int(np.prod(values.shape[: axis + 1], dtype=np.int64))
    trail = int(np.prod(values.shape[axis + 2 :], dtype=np.int64))
    return values.reshape(lead, values.shape[axis + 1], trail)


def _pieces(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice, slice]]:
    """Cut a (lead, channels, trail) shape into slices of at most _CHUNK elements each."""
    lead, channels, trail = shape
    step_trail = max(1, min(trail, _CHUNK))
    step_channels = max(1, min(channels, _CHUNK // step_trail))
    step_lead = max(1, min(lead, _CHUNK // (step_trail * step_channels)))
    for i in range(0, lead, step_lead):
        for j in range(0, channels, step_channels):
            for k in range(0, trail, step_trail):
                yield (
                    slice(i, min(i + step_lead, lead)),
                    slice(j, min(j + step_channels, channels)),
                    slice(k, min(k + step_trail, trail)),
                )


def _largest(view: Floats) -> NDArray[np.float64]:
    """Largest |w| of each channel, float64, shape (channels,); NaN or inf if a weight is."""
    with np.errstate(invalid="ignore"):
        top = view.max(axis=(0, 2)).astype(np.float64)
        bottom = view.min(axis=(0, 2)).astype(np.float64)
    largest: NDArray[np.float64] = np.maximum(top, -bottom)
    return largest


def _mean_squares(view: Floats) -> NDArray[np.float64]:
    """Mean of w**2 of each channel, float64, shape (channels,)."""
    sums = np.zeros(view.shape[1])
    for lead, channels, trail in _pieces(view.shape):
        piece = view[lead, channels, trail].astype(np.float64)
        sums[channels] += np.einsum("ijk,ijk->j", piece, piece)
    mean: NDArray[np.float64] = sums / (view.shape[0] * view.shape[2])
    return mean


def _storable_scale(
    scale: NDArray[np.float64], *, used: NDArray[np.bool_], name: str
) -> NDArray[np.float32]:
    """Round scales to float32: 1 where nothing is *used*, at least the smallest normal."""
    scale = np.where(used, np.maximum(scale, _SMALLEST_SCALE), 1.0)
    with np.errstate(over="ignore"):
        rounded = scale.astype(np.float32)
    if (rounded >= _SCALE_LIMIT).any():
        raise MembersError(
            f"tensor {name!r} has weights so large that a code needs a scale of "
            f"{scale.max():.3g}, and a file holds scales below 2**120; rescale the members, or "
            "exclude the tensor from quantisation to keep it exactly"
        )
    return rounded


def _best_fractions(view: Floats, beta: NDArray[np.float64], bits: int) -> NDArray[np.int64]:
    """For each channel the clip, in 1024ths of beta, with the least squared error."""
    channels = view.shape[1]
    best = np.empty(channels, np.int64)
    step = _BINS_AT_ONCE // _BINS[bits]
    for start in range(0, channels, step):
        group = slice(start, min(start + step, channels))
        counts = _histogram(view[:, group], beta[group], _BINS[bits])
        best[group] = _FRACTIONS[np.argmax(_error_saved(counts, bits), axis=1)]
    return best


def _histogram(view: Floats, beta: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Counts of |w| / beta in equal bins on [0, 1], int64, shape (channels, bins)."""
    divisor = np.where(beta > 0, beta, 1.0).reshape(1, -1, 1)
    counts = np.zeros((beta.size, bins), np.int64)
    for lead, channels, trail in _pieces(view.shape):
        ratio = np.abs(view[lead, channels, trail]) / divisor[:, channels]
        ratio *= bins
        index = ratio.astype(np.intp)  # below 2**20, and what bincount takes everywhere
        np.minimum(index, bins - 1, out=index)
        rows = index.shape[1]
        index += bins * np.arange(rows).reshape(1, -1, 1)
        counted = np.bincount(index.reshape(-1), minlength=rows * bins)
        counts[channels] += counted.reshape(rows, bins)
    return counts


def _error_saved(counts: NDArray[np.int64], bits: int) -> NDArray[np.float64]:
    """Sum of w**2 less the squared error, for each clip; shape (channels, clips).

    Sum over codes v of (w - s v)**2 = sum w**2 - sum over v >= 1 of [2 s T1(v) - (2v - 1) s**2
    T0(v)], where T0 counts the weights at or above the border (v - 1/2) s and T1 adds them up.
    So a clip costs one look-up a code, not a pass over the weights. Weights stand at the middles
    of their bins, so that T0 and T1 are integers and depend on no order of summation.
    """
    bins = counts.shape[1]
    levels = (1 << (bits - 1)) - 1
    tail_count = _tails(counts)
    tail_sum = _tails(counts * (2 * np.arange(bins) + 1))  # in half bins
    step = _FRACTIONS * (2.0 * bins / (_UNIT * levels))  # s, in half bins
    saved = np.zeros((counts.shape[0], _FRACTIONS.size))
    for v in range(1, levels + 1):
        border = ((2 * v - 1) * bins * _FRACTIONS + _UNIT * levels) // (2 * _UNIT * levels)
        saved += 2.0 * step * tail_sum[:, border]
        saved -= (2 * v - 1) * step * step * tail_count[:, border]
    return saved


def _tails(bins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of each row from a bin to the end; shape (rows, bins + 1), the last one zero."""
    tails = np.zeros((bins.shape[0], bins.shape[1] + 1), np.int64)
    np.cumsum(bins[:, ::-1], axis=1, out=tails[:, -2::-1])
    return tails
