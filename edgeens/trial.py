"""Members on some data, as floats and coded: how far predictions move, and what that costs.

Under smallest. Files are written in memory, decoded by the C decoder and run in ONNX Runtime, and
their mean prediction is judged beside that of the float members on the same data.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens import metrics
from edgeens.coded import CodedEnsemble
from edgeens.container.writer import serialise
from edgeens.data import Inputs, Labelled, load_unlabelled
from edgeens.decoder import Container
from edgeens.diversity import collapse_verdict
from edgeens.ensemble import Ensemble
from edgeens.onnx.session import Session
from edgeens.quantize.budget import Budget

Floats = NDArray[np.float64]

# Rows on which a tensor's effect is measured: it need only be told from other tensors'.
PROBE_ROWS = 1024
_BATCH = 256  # rows that run at a time


class Trial:
    """The members on some data: what they predict as floats, and when coded in some way."""

    def __init__(self, exact: CodedEnsemble, x: Inputs, y: Any | None, *, threads: int = 1) -> None:
        """Run the float members.

        Args:
            exact: the ensemble with every tensor kept exactly, and its sections.
            x: the model's input, or its inputs by name.
            y: class numbers, or 0/1 labels; None if nothing is known.
            threads: of the session.

        Raises:
            DataError: *x* or *y* does not fit the model.
        """
        self.exact, self._x, self._threads = exact, x, threads
        with Container.from_bytes(serialise(exact)) as container:
            session = Session(container, threads=threads)
        with session:
            outputs = session.predict_members(x, batch=_BATCH)
            prediction = session.summarise(outputs)
            self.task, self._axis = prediction.task, session.class_axis
        self.members = prediction.members
        self.mean: Floats = self._rows(prediction.mean)
        self._y = None if y is None else np.asarray(y)
        self.losses, self.right = self._judged(self.mean)

    def members_rows(self) -> Floats:
        """The float members' probabilities, (K, rows, C)."""
        return np.stack([self._rows(member) for member in self.members])

    def run(self, coded: CodedEnsemble) -> tuple[bytes, Floats]:
        """The file, and the mean prediction of its members, (rows, C)."""
        data = serialise(coded, threads=self._threads)
        with Container.from_bytes(data) as container:
            session = Session(container, threads=self._threads)
        with session:
            mean = session.predict(self._x, batch=_BATCH).mean
        return data, self._rows(mean)

    def distance(self, mean: Floats) -> float:
        """How far a mean prediction q lies from p, the float members': 2 sum (sqrt p - sqrt q)**2.

        Four times the squared Hellinger distance: for small changes the KL divergence, but never
        negative or infinite. For regression the mean squared difference, in units of the
        predictions' variance.
        """
        if self.task == "regression":
            return float(np.square(mean - self.mean).mean() / max(self.mean.var(), 1e-300))
        near = np.square(np.sqrt(mean) - np.sqrt(self.mean))
        if self.task == "multilabel":
            near += np.square(np.sqrt(1 - mean) - np.sqrt(1 - self.mean))
        return float(2 * near.sum(axis=-1).mean())

    def judge(self, mean: Floats, budget: Budget) -> dict[str, float | None]:
        """NLL, accuracy, and the change that the budget speaks of with its standard error."""
        losses, right = self._judged(mean)
        if losses is None or right is None or self.losses is None or self.right is None:
            return {}
        if budget.kind == "accuracy":
            difference, scale = self.right - right, 1.0
        else:
            difference, scale = losses - self.losses, max(float(self.losses.mean()), 1e-12)
        return {
            "nll": float(losses.mean()),
            "accuracy": float(right.mean()),
            "change": float(difference.mean()) / scale,
            "standard_error": float(difference.std()) / scale / max(len(difference), 1) ** 0.5,
        }

    def _judged(self, mean: Floats) -> tuple[Floats | None, Floats | None]:
        """NLL and correctness of each row; None where there are no labels or no classes."""
        if self._y is None or self.task == "regression":
            return None, None
        if self.task == "multilabel":
            metrics.multilabel_nll(mean, self._y)  # checks the labels
            chosen = np.where(self._y > 0, mean, 1 - mean)
            return _nll(chosen).mean(axis=1), ((mean >= 0.5) == (self._y > 0)).mean(axis=1)
        labels = self._y.reshape(-1)
        metrics.nll(mean, labels)  # likewise
        rows = np.arange(len(labels))
        return _nll(mean[rows, labels.astype(np.intp)]), (mean.argmax(axis=1) == labels) * 1.0

    def _rows(self, mean: NDArray[Any]) -> Floats:
        """(batch, ..., C) or (batch, C, ...) -> (rows, C), in float64."""
        if self.task == "classification":
            mean = np.moveaxis(mean, self._axis, -1)
        return mean.reshape(-1, mean.shape[-1]).astype(np.float64)


def load_probe(
    exact: CodedEnsemble,
    labelled: Labelled | None,
    calibration: str | os.PathLike[str] | None,
    *,
    threads: int = 1,
) -> Trial | None:
    """The members on some rows of the validation data, else of the calibration data, else None.

    Raises:
        DataError, OSError: as load_unlabelled and Trial.
    """
    if labelled is not None:
        return Trial(exact, _spread(labelled.x), None, threads=threads)
    if calibration is not None:
        return Trial(exact, _spread(load_unlabelled(calibration)), None, threads=threads)
    return None


def can_compare(ensemble: Ensemble) -> bool:
    """Whether `verdict` can say something of these members."""
    return ensemble.members > 1 and ensemble.metadata.get("edgeens.task") == "classification"


def verdict(trial: Trial) -> tuple[str, ...]:
    """A sentence on whether the members are several models or one; none for other tasks."""
    if trial.task != "classification" or trial.exact.members == 1:
        return ()
    return (collapse_verdict(trial.members_rows()),)


def _spread(x: Inputs) -> Inputs:
    """At most PROBE_ROWS rows of *x*, spread evenly; all where inputs differ in length."""
    if isinstance(x, dict):
        if len({array.shape[:1] for array in x.values()}) != 1:
            return x
        return {name: _some(array) for name, array in x.items()}
    return _some(x)


def _some(array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim == 0 or len(array) <= PROBE_ROWS:
        return array
    return array[np.arange(PROBE_ROWS) * len(array) // PROBE_ROWS]


def _nll(chosen: NDArray[Any]) -> Floats:
    """What each row's label costs, in nats."""
    return -np.log(np.maximum(chosen.astype(np.float64), metrics.PROBABILITY_FLOOR))
