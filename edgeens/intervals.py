"""A figure over several seeds: its mean, and how far the mean may be off.

Between the figures of single files (compare) and the tables that people read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: over the seeds.
        half: half the width of Student's t-interval, of CONFIDENCE; None for a single seed.
        seeds: how many there were.
    """

    mean: float
    half: float | None
    seeds: int


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of at least one value, and its t-interval if there are more.

    The interval speaks of other seeds on the same data, not of other data.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Estimate(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    quantile = t_quantile(0.5 + CONFIDENCE / 2.0, count - 1)
    return Estimate(mean, quantile * math.sqrt(variance / count), count)


def t_quantile(probability: float, degrees: int) -> float:
    """Student's t: the value that is exceeded with 1 - *probability*, which is 0.5 to 1.

    Bisection on the angle atan(t / sqrt(degrees)), 0 to pi/2, within 1e-15.
    """
    low, high = 0.0, math.pi / 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if _within(middle, degrees) < 2.0 * probability - 1.0:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(degrees)


def _within(angle: float, degrees: int) -> float:
    """The chance of |t| <= tan(angle) * sqrt(degrees) (Abramowitz and Stegun, 26.7.3, 26.7.4)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2 == 1
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(3 if odd else 2, degrees + 1, 2):
        total += term
        term *= cosine * cosine * (k - 1) / k
    return 2.0 / math.pi * (angle + sine * total) if odd else sine * total
