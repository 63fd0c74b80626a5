"""Blurs of pictures of 0 to 1, and the filters that other corruptions use; see corruptions."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeens.datasets.corruption_draws import Draws, Floats

Array = NDArray[np.float64]


def defocus_blur(x: Floats, draws: Draws, radius: float, softness: float) -> Floats:
    """Out of focus: a disk of this radius, its edge softened by a normal kernel of three pixels."""
    reach = int(radius) + 1
    place = np.arange(-reach, reach + 1)
    disk = (place[:, None] ** 2 + place**2 <= radius**2).astype(np.float64)
    soft = np.exp(-(np.arange(-1, 2) ** 2) / (2 * softness**2))
    for axis in (0, 1):
        disk = np.apply_along_axis(np.convolve, axis, disk, soft, "same")
    kernel = disk / disk.sum()
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="reflect")
    rows, columns = x.shape[2:]
    total = np.zeros_like(x)
    for down, right in np.argwhere(kernel > 0):
        part = padded[:, :, down : down + rows, right : right + columns]
        total += np.float32(kernel[down, right]) * part
    return total


def glass_blur(x: Floats, draws: Draws, deviation: float, times: int) -> Floats:
    """Behind frosted glass: pixels jump, between two light normal blurs.

    Each pixel takes the value of itself or of one of its three neighbours above and left, *times*
    over; two rows and columns there stay. The paper speaks of pixels that trade places. The
    published pictures were made by this, which is milder.
    """
    mixed = gaussian_filter(x, deviation)
    rows, columns = (np.arange(2, size) for size in x.shape[2:])
    every = np.arange(len(x))[:, None, None]
    for _ in range(times):
        steps = draws.integers(0, 2, (2, len(rows), len(columns)))
        from_rows, from_columns = rows[:, None] - steps[:, 0], columns - steps[:, 1]
        moved = np.moveaxis(mixed, 1, -1)[every, from_rows, from_columns]
        mixed[:, :, 2:, 2:] = np.moveaxis(moved, -1, 1)
    return gaussian_filter(mixed, deviation)


def motion_blur(x: Floats, draws: Draws, radius: int, deviation: float) -> Floats:
    """A moving camera, within 45 degrees of sideways."""
    return smear(x, np.pi / 4 * (2 * draws.uniform() - 1), radius=radius, deviation=deviation)


def smear(x: Floats, angles: Floats, *, radius: int, deviation: float) -> Floats:
    """Each picture averaged along a line from each pixel on, nearer pixels counting more.

    The weights are half a normal curve over 2 *radius* + 1 steps of a pixel, as ImageMagick's
    motion blur has them; beyond the edge the edge goes on.
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2.0 * deviation**2))
    weights = weights[weights > 1e-6 * weights[0]]
    weights /= weights.sum()
    rows, columns = (np.arange(size) for size in x.shape[2:])
    every = np.arange(len(x))[:, None, None]
    moved = np.moveaxis(x, 1, -1)
    total = np.zeros_like(moved)
    for step, weight in enumerate(weights):
        down = np.rint(step * np.sin(angles)).astype(np.intp)
        right = np.rint(step * np.cos(angles)).astype(np.intp)
        row = np.clip(rows + down[:, None], 0, rows[-1])[:, :, None]
        column = np.clip(columns + right[:, None], 0, columns[-1])[:, None, :]
        total += np.float32(weight) * moved[every, row, column]
    return np.moveaxis(total, -1, 1)


def zoom_blur(x: Floats, draws: Draws, furthest: float) -> Floats:
    """A camera that moves closer: the mean of copies enlarged by up to 1 + *furthest*."""
    total = x.copy()
    factors = 1.0 + np.arange(round(100 * furthest) + 1) / 100
    for factor in factors:
        total += enlarged(x, float(factor))
    return total / np.float32(len(factors) + 1)


def enlarged(x: Floats, factor: float) -> Floats:
    """The middle of pictures, enlarged to the whole, with linear interpolation."""
    rows, columns = (_enlarging(size, factor) for size in x.shape[2:])
    return np.asarray(rows @ x @ columns.T, np.float32)


def _enlarging(size: int, factor: float) -> Floats:
    """The matrix (size, size) that enlarges one axis."""
    kept = int(np.ceil(size / factor))
    wide = max(round(kept * factor), 2)
    first = (np.arange(size) + (wide - size) // 2) * (kept - 1) / (wide - 1)
    place = np.clip(first, 0, kept - 1) + (size - kept) // 2
    return np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(size))).astype(np.float32)


def gaussian_filter(
    x: Floats, deviation: float, *, reach: float = 4.0, edge: Literal["edge", "symmetric"] = "edge"
) -> Floats:
    """A normal blur of the last two axes, cut off at *reach* deviations; *edge* is np.pad's."""
    radius = int(reach * deviation + 0.5)
    if radius == 0:
        return x.copy()
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    weights /= weights.sum()
    for axis in (-2, -1):
        size = x.shape[axis]
        width = [(0, 0)] * x.ndim
        width[axis] = (radius, radius)
        padded = np.moveaxis(np.pad(x, width, mode=edge), axis, 0)
        total = np.zeros_like(padded[:size])
        for shift, weight in enumerate(weights):
            total += np.float32(weight) * padded[shift : shift + size]
        x = np.moveaxis(total, 0, axis)
    return np.ascontiguousarray(x)
