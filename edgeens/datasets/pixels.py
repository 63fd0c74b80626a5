"""The pictures inside a model's input, and back: what corruption needs of a data file.

Between data and datasets.corruptions: a network takes floats in some layout and normalisation, and
corruptions are defined on pixels of 0 to 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.errors import DataError

Array = NDArray[Any]

_CHANNELS = (1, 3)


@dataclass(frozen=True, eq=False)
class Pixels:
    """How a model's input x holds pictures: x = (pixel / 255 - mean) / std.

    Attributes:
        shape: of the input, without the rows.
        last: whether the channels come last.
        picture: (channels, rows, columns).
        mean, std: one number, or one a channel.
        dtype: of the input.
    """

    shape: tuple[int, ...]
    last: bool
    picture: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(
        cls, x: Array, *, mean: Sequence[float] = (0.0,), std: Sequence[float] = (1.0,)
    ) -> Pixels:
        """Find the layout: (n, C, H, W), (n, H, W, C), (n, H, W) or flat, with 1 or 3 channels.

        Flat rows are square pictures, channel by channel.

        Raises:
            DataError: there is no such layout, or mean and std do not fit it.
        """
        shape = x.shape[1:]
        last = False
        if len(shape) == 1:
            picture = _square(shape[0])
        elif len(shape) == 2:
            picture = (1, *shape)
        elif len(shape) == 3 and shape[0] in _CHANNELS:
            picture = shape
        elif len(shape) == 3 and shape[2] in _CHANNELS:
            picture, last = (shape[2], *shape[:2]), True
        else:
            picture = None
        if picture is None:
            raise DataError(
                f"inputs of shape {shape} hold no pictures that can be corrupted: that takes "
                "(C, H, W), (H, W, C), (H, W) or flat squares, with 1 or 3 channels C"
            )
        for name, numbers in (("mean", mean), ("std", std)):
            if len(numbers) not in (1, picture[0]):
                raise DataError(
                    f"the pixels' {name} is 1 number or {picture[0]}, not {len(numbers)}"
                )
        if not all(number > 0 for number in std):
            raise DataError(f"the pixels' std is above 0, not {min(std)}")
        return cls(shape, last, picture, tuple(mean), tuple(std), x.dtype)

    def images(self, x: Array) -> NDArray[np.uint8]:
        """The pictures (n, channels, rows, columns) in *x*, rounded to whole pixels.

        Raises:
            DataError: a value lies outside of what pixels of 0 to 255 give.
        """
        moved = np.moveaxis(x, -1, 1) if self.last else x.reshape(len(x), *self.picture)
        pixels = 255.0 * (moved.astype(np.float64) * self._of(self.std) + self._of(self.mean))
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= -0.5 and high <= 255.5):
            raise DataError(
                f"the inputs give pixels of {low:.4g} to {high:.4g}, not of 0 to 255: say how they "
                "were normalised with --pixel-mean and --pixel-std, x = (pixel / 255 - mean) / std"
            )
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

    def inputs(self, images: NDArray[np.uint8]) -> Array:
        """*images* (n, channels, rows, columns) as the model takes them."""
        scaled = (images / 255.0 - self._of(self.mean)) / self._of(self.std)
        moved = np.moveaxis(scaled, 1, -1) if self.last else scaled
        return np.ascontiguousarray(moved.reshape(len(images), *self.shape), self.dtype)

    def _of(self, numbers: Sequence[float]) -> Array:
        return np.asarray(numbers, np.float64).reshape(-1, 1, 1)


def _square(size: int) -> tuple[int, int, int] | None:
    """The square picture of so many values; no number is both a square and three squares."""
    for channels in _CHANNELS:
        side = isqrt(size // channels)
        if side and side * side * channels == size:
            return (channels, side, side)
    return None
