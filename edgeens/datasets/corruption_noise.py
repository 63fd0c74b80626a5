"""Noise on pictures of 0 to 1; see corruptions."""

from __future__ import annotations

import numpy as np

from edgeens.datasets.corruption_draws import Draws, Floats


def gaussian_noise(x: Floats, draws: Draws, deviation: float) -> Floats:
    """Noise of low light: normal, the same everywhere."""
    return x + np.float32(deviation) * draws.normal(x.shape[1:])


def shot_noise(x: Floats, draws: Draws, photons: float) -> Floats:
    """Noise of counting: so many photons on average where a picture is white."""
    return draws.poisson(x * np.float32(photons)) / np.float32(photons)


def impulse_noise(x: Floats, draws: Draws, share: float) -> Floats:
    """Salt and pepper: this share of the values becomes 0 or 1."""
    drawn = draws.uniform(x.shape[1:])
    salted = np.where(drawn < share / 2, np.float32(0), x)
    return np.where(drawn > 1 - share / 2, np.float32(1), salted)
