"""The columns of Bits-Ensemble's Table II, and members with shared levels.

Between benchmarks.paper.digit_levels, which shares one level of one tensor, and
benchmarks.paper.analysis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.paper.analysis_members import MATRICES, Members
from benchmarks.paper.digit_levels import Digits, Range, Statistic, decompose, fit_lambda, share


@dataclass(frozen=True)
class Scheme:
    """A column of Table II.

    Attributes:
        name: as printed.
        levels: that are shared; deeper ones are dropped.
        statistic: of distances, whose median is Lambda; None: two Lambdas by grid search.
        ranges: of the grids.
        published: saved bits in total and at the level, in %.
    """

    name: str
    levels: tuple[str, ...]
    statistic: Statistic | None
    ranges: Range
    published: tuple[float, float]


SCHEMES = (
    Scheme("eps32", ("eps32",), "pairs", "one", (46.7, 93.3)),
    Scheme("eps16", ("eps16",), "pairs", "one", (73.4, 93.5)),
    Scheme("eps8", ("eps8",), "pairs", "one", (86.7, 93.3)),
    Scheme("eps4", ("eps4",), "pairs", "one", (93.3, 93.3)),
    Scheme("eps4*", ("eps4",), "gaps", "own", (90.4, 47.5)),
    Scheme("eps4 & eps8", ("eps4", "eps8"), None, "one", (90.1, 79.2)),
)


def lambdas_of(scheme: Scheme, chosen: list[float] | None) -> dict[str, float | Statistic]:
    if scheme.statistic is not None:
        return dict.fromkeys(scheme.levels, scheme.statistic)
    assert chosen is not None
    return dict(zip(scheme.levels, chosen, strict=True))


def decomposed_members(members: Members, ranges: Range) -> dict[str, Digits]:
    return {
        name: decompose(members[name].reshape(len(members[name]), -1), ranges) for name in MATRICES
    }


def shared_members(
    members: Members, digits: dict[str, Digits], lambdas: dict[str, Any]
) -> tuple[Members, dict[str, float]]:
    """Members with levels shared, each at its Lambda or at the median of a statistic; and the
    saving by level. One Lambda a matrix; biases stay as they are."""
    shared = dict(members)
    savings: dict[str, list[float]] = {level: [] for level in lambdas}
    for name, decomposed in digits.items():
        residuals = {}
        for level, wanted in lambdas.items():
            before = decomposed.residuals(level)
            alone = len(before) == 1
            fitted = isinstance(wanted, str) and not alone
            threshold = fit_lambda(before, wanted) if fitted else 0.0 if alone else wanted
            residuals[level], saved = share(before, threshold)
            savings[level].append(saved * before.shape[1])
        weights = decomposed.weights(residuals)
        shared[name] = weights.astype(np.float32).reshape(members[name].shape)
    positions = sum(int(members[name][0].size) for name in digits)
    return shared, {level: sum(saved) / positions for level, saved in savings.items()}
