"""Weather over pictures of 0 to 1; see corruptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeens.datasets.corruption_blurs import enlarged, smear
from edgeens.datasets.corruption_draws import Draws, Floats
from edgeens.errors import DataError, MissingPackageError

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green, blue (ITU-R BT.601)
_FROST_STEP = 5  # frost is taken at a fifth of its size


def snow(
    x: Floats,
    draws: Draws,
    level: float,
    spread: float,
    zoom: float,
    threshold: float,
    radius: int,
    deviation: float,
    kept: float,
) -> Floats:
    """Falling snow: bright specks, enlarged and smeared downwards, over a whitened picture."""
    specks = level + spread * draws.normal((1, *x.shape[2:]))
    specks = enlarged(np.asarray(specks, np.float32), zoom)
    specks = np.clip(np.where(specks < threshold, 0.0, specks), 0.0, 1.0).astype(np.float32)
    angles = -np.pi / 2 + np.pi / 4 * (2 * draws.uniform() - 1)
    layer = smear(specks, angles, radius=radius, deviation=deviation)
    whitened = np.maximum(x, 1.5 * _grey(x) + 0.5)
    both = layer + layer[:, :, ::-1, ::-1]
    return np.asarray(kept * x + (1 - kept) * whitened + both, np.float32)


def _grey(x: Floats) -> Floats:
    """Brightness as one channel."""
    if x.shape[1] == 1:
        return x
    return np.asarray(np.einsum("nchw,c->nhw", x, _GREY)[:, None], np.float32)


def frost_over(
    x: Floats, draws: Draws, kept: float, added: float, pictures: list[Floats]
) -> Floats:
    """Ice on the lens: a random piece of one of the pictures of `load_frost`, added."""
    _, _, height, width = x.shape
    changed = np.float32(kept) * x
    which, down, right = draws.uniform((3,)).T
    for place in range(len(x)):
        ice = pictures[int(which[place] * len(pictures))]
        row = int(down[place] * (ice.shape[1] - height + 1))
        column = int(right[place] * (ice.shape[2] - width + 1))
        piece = ice[:, row : row + height, column : column + width]
        changed[place] += np.float32(added) * piece
    return changed


def load_frost(folder: Path | None, shape: tuple[int, ...]) -> list[Floats]:
    """The pictures (channels, rows, columns) of frost in a folder, at a fifth of their size.

    *shape* is (channels, rows, columns) of what they are laid over.

    Raises:
        DataError: there are none, or one is too small.
        MissingPackageError: Pillow is not installed.
    """
    source = "the authors' are in ImageNet-C/create_c of https://github.com/hendrycks/robustness"
    if folder is None:
        raise DataError(f"frost needs a folder with pictures of frost; {source}")
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingPackageError(
            "frost needs Pillow; install the extra edgeens[report]"
        ) from error
    paths = sorted(path for path in folder.glob("*") if path.suffix in (".png", ".jpg", ".jpeg"))
    if not paths:
        raise DataError(f"{folder} holds no pictures of frost (.png, .jpg); {source}")
    pictures = []
    for path in paths:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("L" if shape[0] == 1 else "RGB"), np.float32) / 255
        channels: NDArray[np.float32] = np.moveaxis(np.atleast_3d(pixels), -1, 0)
        middle = _FROST_STEP // 2
        small = channels[:, middle::_FROST_STEP, middle::_FROST_STEP]
        if small.shape[1] < shape[1] or small.shape[2] < shape[2]:
            raise DataError(
                f"{path} is too small for pictures of {shape[1]} x {shape[2]}: it must be "
                f"{_FROST_STEP} times as large"
            )
        pictures.append(small)
    return pictures


def fog(x: Floats, draws: Draws, amount: float, decay: float) -> Floats:
    """Clouds of random height; the larger *decay*, the smoother."""
    height, width = x.shape[2:]
    side = 1 << (max(height, width, 2) - 1).bit_length()
    clouds = _clouds(2 * draws.uniform((side, side)).astype(np.float64) - 1, decay)
    greatest = x.max(axis=(1, 2, 3), keepdims=True)
    thick = np.float32(amount) * clouds[:, None, :height, :width].astype(np.float32)
    return np.asarray((x + thick) * greatest / (greatest + np.float32(amount)), np.float32)


def _clouds(noise: NDArray[np.float64], decay: float) -> NDArray[np.float64]:
    """Heights of 0 to 1 by the diamond-square algorithm, on a torus.

    From coarse to fine, each new point is the mean of its four neighbours plus its noise (n, side,
    side) of -1 to 1 times a height, which falls by decay^2 from one level to the next.
    """
    heights = np.zeros_like(noise)
    step, height = noise.shape[1], 1.0
    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        centres = (pairs + np.roll(pairs, -1, axis=2)) / 4
        centres += height * noise[:, half::step, half::step]
        heights[:, half::step, half::step] = centres
        for axis, place in ((2, np.s_[:, ::step, half::step]), (1, np.s_[:, half::step, ::step])):
            ends = corners + np.roll(corners, -1, axis=axis)
            sides = centres + np.roll(centres, 1, axis=3 - axis)
            heights[place] = (ends + sides) / 4 + height * noise[place]
        step, height = half, height / decay**2
    heights -= heights.min(axis=(1, 2), keepdims=True)
    return np.asarray(heights / heights.max(axis=(1, 2), keepdims=True))


def brightness(x: Floats, draws: Draws, added: float) -> Floats:
    """Lighter: *added* to the value (greatest channel), hue and saturation as they were."""
    value = x.max(axis=1, keepdims=True)
    lighter = np.minimum(value + np.float32(added), 1.0)
    scaled = x * (lighter / np.where(value > 0, value, 1.0))
    return np.asarray(np.where(value > 0, scaled, lighter), np.float32)
