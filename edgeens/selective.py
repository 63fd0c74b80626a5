"""Deciding or abstaining: risk against coverage, and the threshold for a target risk.

Last stage of the pipeline, beside calibration. The score of doubt is 1 - (greatest mean
probability); rows are covered, that is decided, in the order of it. The risk is the share of wrong
classes among the rows covered. All functions raise DataError for arrays whose shapes do not match,
NaN, and labels out of range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeens.arrays import checked_labels, checked_probabilities
from edgeens.errors import DataError

Floats = NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Abstention:
    """A threshold and what it gives on the validation data.

    Attributes:
        threshold: abstain where the doubt is above it.
        coverage: share of the rows decided.
        risk: share of these that is wrong.
        bound: upper confidence bound of the risk, of CONFIDENCE.
    """

    threshold: float
    coverage: float
    risk: float
    bound: float


def risk_curve(probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """The risk when the surest 1, 2, ..., n rows are decided, (n,).

    `probabilities` is (batch, C), for an ensemble the mean of the members'. Rows of equal doubt
    share their errors, so the order of the rows never matters.
    """
    doubt, wrong = _doubt(probabilities, labels)
    _, place, times = np.unique(doubt, return_inverse=True, return_counts=True)
    shared = (np.bincount(place, wrong) / times)[place]
    covered = np.arange(1, len(doubt) + 1)
    return np.asarray(np.cumsum(shared[np.argsort(doubt, kind="stable")]) / covered)


def aurc(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Area under risk and coverage: the mean of `risk_curve` (Geifman et al., 2019), in 0..1."""
    return float(risk_curve(probabilities, labels).mean())


def risk_at(probabilities: ArrayLike, labels: ArrayLike, *, coverage: float) -> float:
    """The risk when this share of the rows, rounded up to a row, is decided."""
    curve = risk_curve(probabilities, labels)
    return float(curve[max(math.ceil(coverage * len(curve) - 1e-9), 1) - 1])


def fit_abstention(
    probabilities: ArrayLike, labels: ArrayLike, *, target_risk: float
) -> Abstention | None:
    """The threshold that decides most rows with the risk's bound at most the target.

    Selection with guaranteed risk (Geifman and El-Yaniv, 2017, Algorithm 1): a binary search over
    the n doubts, each of its steps with a Clopper-Pearson bound at 1 - (1 - CONFIDENCE) / steps, so
    that the bound holds for the threshold chosen. It holds for new rows that come from where
    the validation rows came from, and for nothing else. None if no threshold keeps the target.

    Args:
        probabilities: (batch, C), for an ensemble the mean of the members'; held out.
        labels: (batch,).
        target_risk: above 0, below 1.
    """
    if not 0.0 < target_risk < 1.0:
        raise DataError(f"a target risk lies between 0 and 1, not at {target_risk}")
    doubt, wrong = _doubt(probabilities, labels)
    order = np.argsort(doubt, kind="stable")
    doubt, errors = doubt[order], np.cumsum(wrong[order])
    rows = len(doubt)
    steps = rows.bit_length()  # of a binary search over 0 to rows
    low, high, best = 0, rows, None
    while low < high:
        middle = (low + high + 1) // 2
        threshold = float(doubt[middle - 1])
        covered = int(np.searchsorted(doubt, threshold, side="right"))
        count = round(float(errors[covered - 1]))
        bound = binomial_bound(count, covered, confidence=1.0 - (1.0 - CONFIDENCE) / steps)
        if bound <= target_risk:
            low = max(middle, covered)
            best = Abstention(threshold, covered / rows, count / covered, bound)
        else:
            high = middle - 1
    return best


def binomial_bound(successes: int, trials: int, *, confidence: float) -> float:
    """Upper bound of a probability, of that confidence, one-sided (Clopper and Pearson, 1934)."""
    if successes >= trials:
        return 1.0
    counts = np.arange(successes + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    ways = logs[trials] - logs[counts] - logs[trials - counts]
    low, high = successes / trials, 1.0
    for _ in range(60):
        p = (low + high) / 2.0
        chance = np.exp(ways + counts * np.log(p) + (trials - counts) * np.log1p(-p)).sum()
        low, high = (p, high) if chance > 1.0 - confidence else (low, p)
    return high


def _doubt(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    """Each row's doubt, and 1 where its class is wrong, else 0."""
    given = checked_probabilities(probabilities, ("batch", "classes"), class_axis=1)
    classes = checked_labels(labels, batch=given.shape[0], classes=given.shape[1])
    wrong = given.argmax(axis=1) != classes
    return 1.0 - given.max(axis=1).astype(np.float64), wrong.astype(np.float64)
