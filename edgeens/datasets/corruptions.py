"""Corrupted pictures: the fifteen corruptions and five severities of CIFAR-10-C, by our own code.

Between pixels, which finds the pictures in a model's input, and shift. After Hendrycks and
Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations" (2019),
with the severities of their CIFAR-10-C. Those are for pictures of about 32 x 32: lengths are in
pixels, but for elastic, where they are shares of a side. Not the published files' pixels: other
random numbers, other libraries (docs/EVALUATION.md tells the differences).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from edgeens.datasets.corruption_blurs import defocus_blur, glass_blur, motion_blur, zoom_blur
from edgeens.datasets.corruption_digital import (
    contrast,
    elastic_transform,
    jpeg_compression,
    pixelate,
)
from edgeens.datasets.corruption_draws import Draws
from edgeens.datasets.corruption_noise import gaussian_noise, impulse_noise, shot_noise
from edgeens.datasets.corruption_weather import brightness, fog, frost_over, load_frost, snow
from edgeens.errors import DataError

Floats = NDArray[np.float32]

SEVERITIES: Final = (1, 2, 3, 4, 5)
_AT_A_TIME = 500  # pictures; bounds the memory for floats


@dataclass(frozen=True)
class Corruption:
    """One corruption.

    Attributes:
        apply: (pictures of 0 to 1, draws, *numbers) to pictures, float32 (n, channels, rows,
            columns); what leaves 0..1 is cut off after.
        severities: the numbers, from the mildest.
    """

    apply: Callable[..., Floats]
    severities: tuple[tuple[Any, ...], ...]


CORRUPTIONS: Final = {
    "gaussian_noise": Corruption(gaussian_noise, ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,))),
    "shot_noise": Corruption(shot_noise, ((500,), (250,), (100,), (75,), (50,))),
    "impulse_noise": Corruption(impulse_noise, ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,))),
    "defocus_blur": Corruption(
        defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
    ),
    "glass_blur": Corruption(glass_blur, ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))),
    "motion_blur": Corruption(motion_blur, ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))),
    "zoom_blur": Corruption(zoom_blur, ((0.06,), (0.11,), (0.15,), (0.2,), (0.25,))),
    "snow": Corruption(
        snow,
        (
            (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
            (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
        ),
    ),
    "frost": Corruption(
        frost_over, ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))
    ),
    "fog": Corruption(fog, ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))),
    "brightness": Corruption(brightness, ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,))),
    "contrast": Corruption(contrast, ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,))),
    "elastic_transform": Corruption(
        elastic_transform,
        (
            (0.0, 0.0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ),
    ),
    "pixelate": Corruption(pixelate, ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,))),
    "jpeg_compression": Corruption(jpeg_compression, ((80,), (65,), (58,), (50,), (40,))),
}


def corrupt(
    images: NDArray[np.uint8],
    name: str,
    *,
    severity: int,
    seed: int = 0,
    frost: Path | None = None,
) -> NDArray[np.uint8]:
    """Corrupted copies of pictures.

    A picture's randomness follows from the seed, the corruption, the severity and its place in
    *images*, whatever the others are, and stays the same with the same release of NumPy.

    Args:
        images: (n, channels, rows, columns), 1 or 3 channels.
        name: a key of CORRUPTIONS.
        severity: 1 to 5.
        seed: at least 0.
        frost: folder with pictures of frost (.png, .jpg), for "frost" alone; five times as large as
            *images* or larger.

    Raises:
        DataError: there is no such corruption or severity, the pictures have another form, or there
            are no pictures of frost.
        MissingPackageError: "frost" and "jpeg_compression" need Pillow, which is not installed.
    """
    if name not in CORRUPTIONS:
        raise DataError(f"{name!r} is no corruption; there are {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise DataError(f"the severity of {name} is 1 to 5, not {severity}")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            "pictures to corrupt are uint8 (n, channels, rows, columns) with 1 or 3 channels, not "
            f"{images.dtype} {images.shape}"
        )
    chosen = CORRUPTIONS[name]
    numbers: tuple[Any, ...] = chosen.severities[severity - 1]
    if name == "frost":
        numbers = (*numbers, load_frost(frost, images.shape[1:]))
    changed = np.empty_like(images)
    for start in range(0, len(images), _AT_A_TIME):
        part = images[start : start + _AT_A_TIME]
        places = range(start, start + len(part))
        draws = Draws([(seed, crc32(name.encode()), severity, place) for place in places])
        floats = chosen.apply(part.astype(np.float32) / np.float32(255), draws, *numbers)
        changed[start : start + len(part)] = np.rint(255.0 * np.clip(floats, 0.0, 1.0))
    return changed
