"""What software does to pictures of 0 to 1; see corruptions."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from edgeens.datasets.corruption_blurs import gaussian_filter
from edgeens.datasets.corruption_draws import Draws, Floats
from edgeens.errors import MissingPackageError


def contrast(x: Floats, draws: Draws, share: float) -> Floats:
    """This share of the contrast is left, in each channel around its mean."""
    mean = x.mean(axis=(2, 3), keepdims=True)
    return np.asarray((x - mean) * np.float32(share) + mean, np.float32)


def elastic_transform(
    x: Floats, draws: Draws, pull: float, deviation: float, tilt: float
) -> Floats:
    """Stretched: a random affine map, then a smooth random displacement.

    All lengths are shares of the shorter side: three points move by at most *tilt* each way, and
    every pixel by *pull* times noise of -1 to 1 that was blurred with *deviation*.
    """
    height, width = x.shape[2:]
    side = min(height, width)
    bent = _sample(x, *_affine(draws, height, width, side // 3, tilt * side))
    if not pull:
        return bent
    noise = 2 * draws.uniform((2, height, width)) - 1
    smooth = gaussian_filter(noise, deviation * side, reach=3.0, edge="symmetric")
    moves = np.float32(pull * side) * smooth
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return _sample(bent, rows + moves[:, 0], columns + moves[:, 1])


def _affine(
    draws: Draws, height: int, width: int, reach: int, tilt: float
) -> tuple[Floats, Floats]:
    """For every pixel of the map's output, where it comes from: rows and columns (n, h, w)."""
    middle = np.array([height // 2, width // 2])
    still = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = still + tilt * (2 * draws.uniform((3, 2)).astype(np.float64) - 1)
    # (row, column, 1) of the output times this (n, 3, 2) gives (row, column) of the input.
    back = np.linalg.solve(_with_ones(moved), np.broadcast_to(still, moved.shape).astype(float))
    places = np.moveaxis(np.mgrid[:height, :width], 0, -1)
    found = np.einsum("hwi,nij->nhwj", _with_ones(places), back).astype(np.float32)
    return found[..., 0], found[..., 1]


def _with_ones(points: NDArray[np.generic]) -> NDArray[np.float64]:
    ones = np.ones((*points.shape[:-1], 1))
    return np.concatenate([points, ones], axis=-1)


def _sample(x: Floats, rows: Floats, columns: Floats) -> Floats:
    """Pictures at these places (n, h, w), linear between pixels, mirrored at the edge pixels."""
    every = np.arange(len(x))[:, None, None]
    moved = np.moveaxis(x, 1, -1)
    total = np.zeros_like(moved)
    places = [_mirrored(rows, x.shape[2]), _mirrored(columns, x.shape[3])]
    low = [
        np.minimum(place.astype(np.intp), size - 2)
        for place, size in zip(places, x.shape[2:], strict=True)
    ]
    share = [place - first for place, first in zip(places, low, strict=True)]
    for down in (0, 1):
        for right in (0, 1):
            weight = (share[0] if down else 1 - share[0]) * (share[1] if right else 1 - share[1])
            total += weight[..., None] * moved[every, low[0] + down, low[1] + right]
    return np.moveaxis(total, -1, 1)


def _mirrored(places: Floats, size: int) -> Floats:
    """Places outside of 0..size-1 mirrored into it."""
    period = 2 * (size - 1)
    inside = np.mod(places, np.float32(period))
    return np.asarray(np.minimum(inside, np.float32(period) - inside), np.float32)


def pixelate(x: Floats, draws: Draws, share: float) -> Floats:
    """Scaled down to this share of the pixels a side, and up again, with box filters."""
    rows, columns = (_box(int(size * share), size) for size in x.shape[2:])
    small = np.rint(255 * (rows @ x @ columns.T)) / 255
    back_rows, back_columns = (_box(size, int(size * share)) for size in x.shape[2:])
    return np.asarray(back_rows @ small @ back_columns.T, np.float32)


def _box(to: int, size: int) -> Floats:
    """The matrix (to, size): each output pixel is the mean of those whose centres it covers."""
    ratio = max(size / to, 1.0)
    centre = (np.arange(to) + 0.5) * size / to
    distance = (np.arange(size) + 0.5 - centre[:, None]) / ratio
    covered = (distance > -0.5) & (distance <= 0.5)
    return np.asarray(covered / covered.sum(axis=1, keepdims=True), np.float32)


def jpeg_compression(x: Floats, draws: Draws, quality: int) -> Floats:
    """Written as JPEG of this quality and read back."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingPackageError(
            "jpeg_compression needs Pillow; install the extra edgeens[report]"
        ) from error
    changed = np.empty_like(x)
    for place, picture in enumerate(np.rint(255 * x).astype(np.uint8)):
        grey = len(picture) == 1
        file = io.BytesIO()
        Image.fromarray(picture[0] if grey else np.moveaxis(picture, 0, -1)).save(
            file, "JPEG", quality=quality
        )
        read = np.asarray(Image.open(file), np.float32) / 255
        changed[place] = read[None] if grey else np.moveaxis(read, -1, 0)
    return changed
