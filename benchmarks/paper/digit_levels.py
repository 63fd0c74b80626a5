"""Digits of every level down to 32 bits, and Algorithm 1 on them as Table II counts it.

For benchmarks.paper.analysis alone: the format ends at 8 bits, and its digits are in
edgeens.quantize. Positions are columns, members rows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Range = Literal["one", "own"]
Statistic = Literal["pairs", "gaps"]

LEVELS = ("eps4", "eps8", "eps16", "eps32")
# Bits that a level stands for in the paper's count, and its step in steps of 32 bits: each level
# has 2**bits + 1 steps to the next, which is odd, so integers have no ties.
WIDTHS = {"eps4": 2, "eps8": 4, "eps16": 8, "eps32": 16}
_STEPS = {"eps4": 17 * 257 * 65537, "eps8": 257 * 65537, "eps16": 65537, "eps32": 1}
_BASE_STEP = 5 * _STEPS["eps4"]
_BITS = 32
_SORTED = 1 << 14  # columns at a time: what sorting copies stays in the cache


class Digits(NamedTuple):
    """One tensor in the decomposed view (Eq. 5).

    Attributes:
        step: of 32 bits, shape (1, 1) or, with ranges of their own, (K, 1).
        base: the digit of 2 bits, int64 (K, N).
        levels: the residual digits by level, int64 (K, N) each.
    """

    step: Floats
    base: Integers
    levels: dict[str, Integers]

    def residuals(self, level: str) -> Floats:
        """What Algorithm 1 compares: the digits of *level*, each times its member's step, in the
        largest such step. With one range these are the digits themselves, so ties stay ties."""
        residuals: Floats = self.levels[level] * (self.step / self.step.max())
        return residuals

    def weights(self, residuals: dict[str, Floats]) -> Floats:
        """The weights of these *residuals*; those of other levels above the deepest of them are
        as they were, and those below are dropped."""
        unit = self.step.max()
        total = self.base * (self.step * _BASE_STEP)
        deepest = max(LEVELS.index(level) for level in residuals)
        for level in LEVELS[: deepest + 1]:
            taken = residuals[level] if level in residuals else self.residuals(level)
            total = total + taken * (unit * _STEPS[level])
        return total


def decompose(weights: NDArray[np.float32], ranges: Range) -> Digits:
    """Eq. 5 on integers, symmetric around 0.

    Args:
        weights: (K, N).
        ranges: "one", the largest |w| of all members, or each member's "own".
    """
    magnitude = np.abs(weights.astype(np.float64))
    largest = (
        magnitude.max(axis=1, keepdims=True) if ranges == "own" else magnitude.max(keepdims=True)
    )
    step = np.where(largest == 0, 1.0, largest) / (127 * _STEPS["eps8"])
    whole = np.rint(weights / step).astype(np.int64)
    levels: dict[str, Integers] = {}
    steps = {"base": _BASE_STEP, **_STEPS}
    for (_, coarse), (name, fine) in reversed(list(pairwise(steps.items()))):
        # From the deepest level up: what is left of *whole* counts steps of this one.
        ratio = coarse // fine
        rounded = np.rint(whole / ratio).astype(np.int64)
        levels[name] = whole - rounded * ratio
        whole = rounded
    return Digits(step, whole, {name: levels[name] for name in LEVELS})


def pair_distances(values: Floats) -> Floats:
    """|x_i - x_j| of all pairs of members, (K (K - 1) / 2, N)."""
    first, second = np.triu_indices(len(values), k=1)
    return np.abs(values[first] - values[second])


def sorted_gaps(values: Floats) -> Floats:
    """The K - 1 gaps between members in ascending order, (K - 1, N)."""
    return np.diff(np.sort(values, axis=0), axis=0)


def fit_lambda(values: Floats, statistic: Statistic) -> float:
    """One Lambda for the tensor: the median of its distances, at all positions together."""
    distances = pair_distances(values) if statistic == "pairs" else sorted_gaps(values)
    return float(np.median(distances))


def share(values: Floats, threshold: float) -> tuple[Floats, float]:
    """Algorithm 1: runs cut where a gap is greater than *threshold* get their mean.

    Args:
        values: (K, N); the mean is left as it is, not rounded to a digit.
        threshold: Lambda, in the unit of *values*.

    Returns:
        The shared values, (K, N), and the level's saving (K - clusters) / K, mean over positions.
    """
    shared = np.empty_like(values)
    clusters = 0
    for start in range(0, values.shape[1], _SORTED):
        part = values[:, start : start + _SORTED]
        order = np.argsort(part, axis=0, kind="stable")
        ordered = np.take_along_axis(part, order, axis=0)
        cuts = np.diff(ordered, axis=0) > threshold
        run = np.concatenate([np.zeros_like(order[:1]), np.cumsum(cuts, axis=0)])
        count = part.shape[1]
        label = (run * count + np.arange(count)).ravel()
        sizes = np.bincount(label)
        sums = np.bincount(label, weights=ordered.ravel())
        means = (sums[label] / sizes[label]).reshape(part.shape)
        np.put_along_axis(shared[:, start : start + _SORTED], order, means, axis=0)
        clusters += int(run[-1].sum()) + count
    return shared, 1 - clusters / values.size


def total_saving(savings: dict[str, float]) -> float:
    """Of 32 bits: the levels below the deepest one in *savings*, and each level's own saving."""
    deepest = max(LEVELS.index(level) for level in savings)
    dropped = sum(WIDTHS[level] for level in LEVELS[deepest + 1 :])
    return (dropped + sum(WIDTHS[level] * saved for level, saved in savings.items())) / _BITS
