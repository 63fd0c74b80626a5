"""Labelled pictures, as every reader of this room returns them and as training takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled pictures.

    Attributes:
        x: uint8 (n, channels, rows, columns), as in the files.
        y: int64 (n,), class numbers.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.int64]

    def part(self, start: int, stop: int) -> Images:
        """The pictures from *start* to before *stop*."""
        return Images(self.x[start:stop], self.y[start:stop])

    def floats(self) -> NDArray[np.float32]:
        """The pictures as models take them: float32, the shape of *x*, 0 to 1."""
        return self.x.astype(np.float32) / np.float32(255)
