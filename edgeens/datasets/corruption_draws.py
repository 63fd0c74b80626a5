"""Random numbers for a batch of pictures, each picture having a stream of its own.

Before the corruptions, so that they work on whole batches and yet treat a picture the same in any.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Draws:
    """A generator a picture; every method gives (pictures, *shape)."""

    def __init__(self, keys: Sequence[Sequence[int]]) -> None:
        """*keys* holds what each picture's numbers follow from."""
        self._streams = [np.random.default_rng(list(key)) for key in keys]

    def normal(self, shape: tuple[int, ...]) -> Floats:
        """Standard normal numbers."""
        return np.stack([s.standard_normal(shape, np.float32) for s in self._streams])

    def uniform(self, shape: tuple[int, ...] = ()) -> Floats:
        """Numbers from 0 to below 1."""
        return np.stack([np.asarray(s.random(shape, np.float32)) for s in self._streams])

    def integers(self, low: int, high: int, shape: tuple[int, ...] = ()) -> NDArray[np.int64]:
        """Whole numbers from *low* to below *high*."""
        return np.stack([np.asarray(s.integers(low, high, shape)) for s in self._streams])

    def poisson(self, means: Floats) -> Floats:
        """Counts with these means (pictures, *shape)."""
        drawn = [s.poisson(mean) for s, mean in zip(self._streams, means, strict=True)]
        return np.stack(drawn).astype(np.float32)
