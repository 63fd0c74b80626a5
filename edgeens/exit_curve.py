"""Fitting an early exit: members used against loss, on validation data.

Between the members' outputs on validation data and the rule that a file holds (early_exit). Test
data has no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeens.arrays import Array, checked_array, checked_labels
from edgeens.calibration import fit_temperature
from edgeens.early_exit import EarlyExit, exit_scores
from edgeens.errors import DataError
from edgeens.metrics import PROBABILITY_FLOOR
from edgeens.uncertainty import softmax

Floats = NDArray[np.float64]
Labels = NDArray[np.intp]

POINTS = 64  # thresholds that are tried
CONFIDENCE = 0.95
_Z = 1.6449  # the normal quantile of CONFIDENCE, one-sided


@dataclass(frozen=True)
class ExitPoint:
    """One threshold and what it does on the validation data.

    Attributes:
        threshold: in nats.
        mean_members: members used, on average over the rows.
        nll_loss: NLL above that of all members, relative to it.
        standard_error: of nll_loss.
        bound: upper confidence bound of nll_loss, one-sided, of CONFIDENCE.
    """

    threshold: float
    mean_members: float
    nll_loss: float
    standard_error: float
    bound: float


@dataclass(frozen=True)
class ExitCurve:
    """What can be saved, and at what loss.

    Attributes:
        rule: the order and the temperatures, with a threshold that stops almost nothing.
        points: from the strictest threshold.
        nll: of all members.
        rows: of validation data.
    """

    rule: EarlyExit
    points: tuple[ExitPoint, ...]
    nll: float
    rows: int

    def at(self, point: ExitPoint) -> EarlyExit:
        """The rule of a point."""
        return replace(self.rule, threshold=point.threshold)


def fit_exit_curve(outputs: ArrayLike, labels: ArrayLike, *, logits: bool) -> ExitCurve:
    """Order, temperatures and the trade-off, from validation data.

    The order is greedy: the member with the least NLL, then whichever leaves the least NLL of the
    mean. The temperatures are `calibration.fit_temperature`'s for the first 1, 2, ... members. The
    points are measured by two-fold cross-fitting: order and temperatures come from the other half
    of the rows. (Fitted on the rows that judge them, bounds of 95 % held in 80 to 90 % of trials.)

    Args:
        outputs: (K, batch, C) of all members, K at least 2.
        labels: (batch,).
        logits: whether outputs are logits; for probabilities every temperature is 1.

    Raises:
        DataError: there is one member, or the arrays do not fit each other.
    """
    given = checked_array(outputs, "outputs", ("members", "batch", "classes"))
    classes = checked_labels(labels, batch=given.shape[1], classes=given.shape[2])
    if len(given) < 2:
        raise DataError("an early exit needs at least 2 members, but there is 1")
    rows = np.arange(len(classes))
    judged = []
    for half in (rows % 2 == 0, rows % 2 == 1):
        fitted = _Fitted.of(given[:, ~half], classes[~half], logits)
        judged.append(fitted.judge(given[:, half], classes[half]))
    scores = np.concatenate([each[0] for each in judged], axis=1)
    losses = np.concatenate([each[1] for each in judged], axis=1)
    thresholds = np.unique(np.quantile(scores, np.linspace(0.0, 1.0, POINTS)))
    whole = _Fitted.of(given, classes, logits)
    rule = EarlyExit(whole.order, whole.temperatures, float(thresholds[0]))
    points = tuple(_point(float(threshold), scores, losses) for threshold in thresholds)
    return ExitCurve(rule, points, float(losses[-1].mean()), len(classes))


@dataclass(frozen=True)
class _Fitted:
    """Order and temperatures from some of the rows."""

    order: tuple[int, ...]
    temperatures: tuple[float, ...]
    logits: bool

    @classmethod
    def of(cls, outputs: Array, classes: Labels, logits: bool) -> _Fitted:
        if not logits:
            return cls(_greedy(outputs, classes), (1.0,) * len(outputs), logits)
        whole = fit_temperature(outputs, classes, pooled=False)
        order = _greedy(softmax(outputs / whole), classes)
        ordered = outputs[list(order)]
        first = [fit_temperature(ordered[:k], classes, pooled=False) for k in range(1, len(order))]
        return cls(order, (*first, whole), logits)

    def judge(self, outputs: Array, classes: Labels) -> tuple[Floats, Floats]:
        """Of other rows: scores (K-1, batch) and losses (K, batch), by the members that ran."""
        ordered = outputs[list(self.order)]
        means = np.stack(
            [
                _probabilities(ordered[:k], self.logits, temperature).mean(axis=0, dtype=np.float64)
                for k, temperature in enumerate(self.temperatures, start=1)
            ]
        )
        members = len(means)
        scores = [exit_scores(means[k - 1], run=k, members=members) for k in range(1, members)]
        return np.stack(scores), _losses(means, classes)


def choose_point(curve: ExitCurve, *, max_nll_loss: float) -> ExitPoint | None:
    """The point that saves most with its bound, and every stricter point's, within the limit.

    Thresholds are tested from the strictest on, and testing ends at the first that fails, so that
    one level of confidence covers them all (fixed-sequence testing, as in Angelopoulos et al.,
    "Learn then Test", 2021). None if not even the strictest keeps within *max_nll_loss*, or nothing
    is saved.
    """
    chosen = None
    for point in curve.points:
        if point.bound > max_nll_loss:
            break
        chosen = point
    return None if chosen is None or chosen.mean_members == len(curve.rule.order) else chosen


def _greedy(probabilities: Array, classes: Labels) -> tuple[int, ...]:
    """Members in the order in which each leaves the least NLL of the mean so far."""
    left = list(range(len(probabilities)))
    order: list[int] = []
    total = np.zeros(probabilities.shape[1:])
    while left:
        means = [(total + probabilities[k]) / (len(order) + 1) for k in left]
        nll = [float(_losses(mean, classes).mean()) for mean in means]
        order.append(left.pop(int(np.argmin(nll))))
        total += probabilities[order[-1]]
    return tuple(order)


def _probabilities(outputs: Array, logits: bool, temperature: float) -> Array:
    return softmax(outputs / temperature) if logits else outputs


def _losses(means: Floats, classes: Labels) -> Floats:
    """NLL of each row; *means* is (..., batch, C)."""
    chosen = means[..., np.arange(len(classes)), classes]
    return np.asarray(-np.log(np.maximum(chosen, PROBABILITY_FLOOR)))


def _point(threshold: float, scores: Floats, losses: Floats) -> ExitPoint:
    """What *threshold* does; scores (K-1, batch), losses (K, batch)."""
    stops = np.concatenate([scores <= threshold, np.ones((1, scores.shape[1]), np.bool_)])
    last = stops.argmax(axis=0)  # the first stage that stops, from 0
    rows = np.arange(scores.shape[1])
    whole = losses[-1]
    difference = losses[last, rows] - whole
    base = max(float(whole.mean()), 1e-300)
    loss = float(difference.mean()) / base
    # The error of a ratio of means: that of difference - loss * whole, by the base.
    error = float(np.std(difference - loss * whole, ddof=1)) / (base * len(rows) ** 0.5)
    return ExitPoint(threshold, float(last.mean()) + 1.0, loss, error, loss + _Z * error)
