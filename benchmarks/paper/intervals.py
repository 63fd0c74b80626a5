"""Means over seeds with 95 % intervals, as all tables and pictures of this folder show them."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev

# Student's t, 0.975, by degrees of freedom: so the tables need no SciPy.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)


def half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval of the mean (Student's t); None for a single value."""
    if len(values) < 2:
        return None
    quantile = _T[min(len(values) - 1, len(_T)) - 1]
    return quantile * stdev(values) / sqrt(len(values))


def cell(values: Sequence[float], digits: int, *, factor: float = 1.0) -> str:
    """Mean and interval of *values* times *factor*, as "93.4 ± 0.2"."""
    width = half_width(values)
    mean = f"{factor * fmean(values):.{digits}f}"
    return mean if width is None else f"{mean} ± {factor * width:.{digits}f}"
