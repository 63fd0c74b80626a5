"""Whether a classifier's confidence can be believed, and the temperature that mends it.

Last stage of the pipeline, beside metrics. All functions raise DataError for arrays whose shapes do
not match, NaN, and labels out of range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeens.arrays import checked_array, checked_labels, checked_probabilities
from edgeens.errors import DataError
from edgeens.uncertainty import log_softmax

Floats = NDArray[np.float64]

_COARSE_LOG_TEMPERATURES = np.linspace(np.log(1e-3), np.log(1e3), 25)


@dataclass(frozen=True, eq=False)
class ReliabilityTable:
    """The bins of a reliability diagram, from low to high confidence.

    Attributes:
        count: (bins,) inputs in each bin.
        confidence: (bins,) mean confidence of those inputs; NaN where there are none.
        accuracy: (bins,) share of them that is classified rightly; NaN where there are none.
    """

    count: NDArray[np.intp]
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """Mean over the inputs of their bin's |accuracy - confidence| (Bits-Ensemble, Eq. 6)."""
        filled = self.count > 0
        gaps = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float((self.count[filled] * gaps).sum() / self.count.sum())


def reliability_table(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15
) -> ReliabilityTable:
    """Inputs by confidence (their greatest probability) in `bins` bins of equal width.

    Bins are (low, high], so that a confidence of 1 is in the last one; the first also holds its
    lower end, 0. `probabilities` is (batch, C), of the whole set at once: the figures of parts do
    not average to the whole's.
    """
    confidence, correct = _confidence(probabilities, labels, bins)
    inner_edges = np.arange(1, bins) / bins
    return _table(np.searchsorted(inner_edges, confidence, side="left"), confidence, correct, bins)


def ece(probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15) -> float:
    """Expected calibration error (Bits-Ensemble, Eq. 6) over the bins of `reliability_table`."""
    return reliability_table(probabilities, labels, bins=bins).error


def adaptive_ece(probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15) -> float:
    """Expected calibration error over bins that hold equally many inputs, give or take one.

    `probabilities` is (batch, C). Inputs of equal confidence share their accuracy, so the order of
    the inputs never matters.
    """
    confidence, correct = _confidence(probabilities, labels, bins)
    _, place, times = np.unique(confidence, return_inverse=True, return_counts=True)
    shared = (np.bincount(place, correct) / times)[place]
    order = np.argsort(confidence)
    rank_bin = np.arange(len(order)) * bins // len(order)
    return _table(rank_bin, confidence[order], shared[order], bins).error


def fit_temperature(logits: ArrayLike, labels: ArrayLike, *, pooled: bool) -> float:
    """The T > 0 of least NLL, where every logit is divided by T (Guo et al., 2017).

    `logits` is (K, batch, C) and `labels` (batch,), held out from training and testing. With
    `pooled`, the prediction is the softmax of the members' mean logits / T; otherwise the mean of
    the members' softmax(logits / T). The two temperatures differ.

    Raises DataError also when the NLL has no minimum in 0.001..1000, as when every input is
    classified rightly.
    """
    given = checked_array(logits, "logits", ("members", "batch", "classes")).astype(np.float64)
    classes = checked_labels(labels, batch=given.shape[1], classes=given.shape[2])
    if pooled:
        given = given.mean(axis=0, keepdims=True)
    rows = np.arange(len(classes))

    def loss(log_temperature: float) -> float:
        chosen = log_softmax(given / np.exp(log_temperature))[:, rows, classes]
        # log of the mean of exp, without underflow where every member is sure of another class.
        return -float(np.logaddexp.reduce(chosen, axis=0).mean())

    losses = [loss(log_temperature) for log_temperature in _COARSE_LOG_TEMPERATURES]
    best = int(np.argmin(losses))
    if not 0 < best < len(losses) - 1:
        raise DataError(
            "these logits and labels determine no temperature: the loss still falls at "
            f"{np.exp(_COARSE_LOG_TEMPERATURES[best]):.6g}; use more held-out inputs, of which "
            "the model gets most right and some wrong"
        )
    low, high = _COARSE_LOG_TEMPERATURES[[best - 1, best + 1]]
    return float(np.exp(_golden_section(loss, float(low), float(high))))


def _confidence(probabilities: ArrayLike, labels: ArrayLike, bins: int) -> tuple[Floats, Floats]:
    """Each input's greatest probability, and 1 where its class is the label, else 0."""
    if bins < 1:
        raise DataError(f"bins must be at least 1, not {bins}")
    given = checked_probabilities(probabilities, ("batch", "classes"), class_axis=1)
    classes = checked_labels(labels, batch=given.shape[0], classes=given.shape[1])
    correct = given.argmax(axis=1) == classes
    return given.max(axis=1).astype(np.float64), correct.astype(np.float64)


def _table(
    bin_of: NDArray[np.intp], confidence: Floats, correct: Floats, bins: int
) -> ReliabilityTable:
    """Counts and means by bin."""
    count = np.bincount(bin_of, minlength=bins)
    present = np.where(count > 0, count, np.nan)
    return ReliabilityTable(
        count=count,
        confidence=np.bincount(bin_of, confidence, minlength=bins) / present,
        accuracy=np.bincount(bin_of, correct, minlength=bins) / present,
    )


def _golden_section(function: Callable[[float], float], low: float, high: float) -> float:
    """Where `function` is least in low..high, within 1e-6, if it has one minimum there."""
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > 1e-6:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2.0
