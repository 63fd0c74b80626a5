"""Running fewer members where the answer is settled: the rule, and predictions that follow it.

Between the members' outputs, whoever computes them, and a `Prediction`. The rule is SPEC S11.3's;
exit_curve fits it, onnx.session runs members by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.arrays import Array
from edgeens.errors import DataError
from edgeens.uncertainty import Prediction, entropy, softmax, summarize

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_FIGURES = ("predictive_entropy", "expected_entropy", "mutual_information", "disagreement")


@dataclass(frozen=True)
class EarlyExit:
    """When to stop: after k members with mean p, where (1/k - 1/K) * entropy(p) <= threshold.

    What K - k more members can still change falls as 1/k - 1/K, the variance of a mean of k members
    less that of all, and is the greater the less sure the mean is.

    Attributes:
        order: the K members' numbers, in the order in which they run.
        temperatures: K of them; the k-th divides the logits of all k members that have run. Fewer
            members are surer than they should be, so theirs is higher.
        threshold: in nats, at least 0.
    """

    order: tuple[int, ...]
    temperatures: tuple[float, ...]
    threshold: float

    def __post_init__(self) -> None:
        """Raise DataError for what is no rule."""
        members = len(self.order)
        if sorted(self.order) != list(range(members)) or not members:
            raise DataError(
                f"the order {list(self.order)} of an early exit does not name each member once"
            )
        if len(self.temperatures) != members or not all(map(_positive, self.temperatures)):
            raise DataError(
                f"an early exit of {members} members has {members} positive temperatures, not "
                f"{list(self.temperatures)}"
            )
        if self.threshold != 0 and not _positive(self.threshold):
            raise DataError(f"the threshold {self.threshold!r} of an early exit is not 0 or above")

    @classmethod
    def of_file(cls, found: Any, *, members: int) -> EarlyExit:
        """From a file's key edgeens.early_exit (SPEC S11.3).

        Raises DataError if that is no rule for so many members.
        """
        try:
            order, temperatures = tuple(found["order"]), tuple(found["temperatures"])
            rule = cls(order, temperatures, found["threshold"])
        except (TypeError, KeyError) as error:
            raise DataError(
                "the file's edgeens.early_exit lacks order, temperatures or threshold; calibrate "
                "the file again"
            ) from error
        rule.check(members)
        return rule

    def check(self, members: int) -> None:
        """Raise DataError unless the rule is for so many members."""
        if len(self.order) != members:
            raise DataError(
                f"the early exit is a rule for {len(self.order)} members, but there are {members}"
            )


def exit_scores(mean: Array, *, run: int, members: int) -> Floats:
    """What the rule compares with its threshold, in nats, (batch,).

    *mean* (batch, C) is the mean probabilities after *run* of *members* members.
    """
    return (1.0 / run - 1.0 / members) * entropy(mean)


def predict_early(
    rule: EarlyExit, run: Callable[[int, Rows], Array], *, rows: int, logits: bool
) -> Prediction:
    """The prediction of members that run until each row is settled.

    Args:
        rule: for these members.
        run: gives a member's outputs (n, C), by its number, for n rows of the batch, by theirs.
        rows: in the batch.
        logits: whether outputs are logits; probabilities are taken as they are.

    Returns:
        `members_used` (rows,) says how many members ran, and every figure is over those. In
        `members` (K, rows, C) those that did not run are NaN.

    Raises:
        DataError: the outputs are not (rows, C) of classes.
    """
    waiting: Rows = np.arange(rows)
    outputs: list[Array] = []  # of the members that have run, for the rows that wait
    parts: list[tuple[Rows, Prediction]] = []
    for count, member in enumerate(rule.order, start=1):
        outputs.append(_checked(run(member, waiting), len(waiting)))
        stacked = np.stack(outputs)
        if logits:
            stacked = softmax(stacked / rule.temperatures[count - 1])
        mean = stacked.mean(axis=0, dtype=np.float64)
        settled = exit_scores(mean, run=count, members=len(rule.order)) <= rule.threshold
        if count == len(rule.order):
            settled[:] = True
        if settled.any():
            parts.append((waiting[settled], summarize(stacked[:, settled])))
        waiting = waiting[~settled]
        if not len(waiting):
            break
        outputs = [each[~settled] for each in outputs]
    return _joined(rule, parts, rows)


def _joined(rule: EarlyExit, parts: list[tuple[Rows, Prediction]], rows: int) -> Prediction:
    """One prediction out of those of rows that ran equally many members."""
    first = parts[0][1]
    classes = first.mean.shape[1]
    members = np.full((len(rule.order), rows, classes), np.nan, first.members.dtype)
    mean = np.empty((rows, classes), first.mean.dtype)
    used = np.empty(rows, np.intp)
    figures: dict[str, Any] = {name: np.empty(rows) for name in _FIGURES}
    for places, part in parts:
        count = len(part.members)
        used[places] = count
        mean[places] = part.mean
        for member, probabilities in zip(rule.order, part.members, strict=False):
            members[member, places] = probabilities
        for name, values in figures.items():
            values[places] = getattr(part, name)
    return Prediction(
        task="classification",
        mean=mean,
        members=members,
        members_used=used,
        class_axis=1,
        **figures,
    )


def _checked(outputs: Array, rows: int) -> Array:
    if outputs.ndim != 2 or len(outputs) != rows:
        raise DataError(
            "early exit is for outputs of shape (rows, classes), one class a row, but a member "
            f"gives shape {outputs.shape} for {rows} rows"
        )
    return outputs


def _positive(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0
