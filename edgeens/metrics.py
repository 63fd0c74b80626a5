"""How good an ensemble's predictions are, and how far its members' outputs lie apart.

Last stage of the pipeline, beside calibration, ood and diversity. Every figure is a mean over the
inputs, computed in float64; every function raises DataError for arrays whose shapes do not match,
NaN, and labels out of range. Measure on held-out data only, and never select on the test set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from edgeens.arrays import (
    Array,
    checked_array,
    checked_labels,
    checked_probabilities,
    checked_targets,
)
from edgeens.errors import DataError
from edgeens.uncertainty import differing_pairs, log_softmax

# The smallest normal float32: what a float32 softmax can still tell from 0. So a class that was
# given no chance costs 87.3 nats, not infinity.
PROBABILITY_FLOOR = float(np.finfo(np.float32).tiny)

_MEMBERS = ("members", "batch", "classes")


def accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Share of inputs whose most probable class, the first among equals, is the label, in 0..1.

    `probabilities` is (batch, C), for an ensemble the mean of the members'; `labels` is (batch,).
    """
    given, classes = _classified(probabilities, labels)
    return float((given.argmax(axis=1) == classes).mean())


def nll(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative log-likelihood of the labels, in nats; at most 87.3 (PROBABILITY_FLOOR).

    `probabilities` is (batch, C), for an ensemble the mean of the members'; `labels` is (batch,).
    """
    given, classes = _classified(probabilities, labels)
    chosen = given[np.arange(len(classes)), classes].astype(np.float64)
    return float(-np.log(np.maximum(chosen, PROBABILITY_FLOOR)).mean())


def brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean over inputs of the squared error summed over the classes (Brier, 1950), in 0..2.

    `probabilities` is (batch, C), for an ensemble the mean of the members'; `labels` is (batch,).
    """
    given, classes = _classified(probabilities, labels)
    error = given.astype(np.float64)
    error[np.arange(len(classes)), classes] -= 1.0
    return float((error**2).sum(axis=1).mean())


def multilabel_accuracy(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Share of all yes/no labels that p >= 0.5 decides as the targets do, in 0..1.

    `probabilities` and `targets` are (batch, C); the targets are 0 or 1.
    """
    given, truth = _multilabelled(probabilities, targets)
    return float(((given >= 0.5) == truth).mean())


def multilabel_nll(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Mean over inputs and labels of the binary negative log-likelihood, in nats; at most 87.3.

    `probabilities` and `targets` are (batch, C); the targets are 0 or 1.
    """
    given, truth = _multilabelled(probabilities, targets)
    chosen = np.where(truth, given, 1.0 - given.astype(np.float64))
    return float(-np.log(np.maximum(chosen, PROBABILITY_FLOOR)).mean())


def rmse(mean: ArrayLike, targets: ArrayLike) -> float:
    """Root of the mean squared error over all elements, in the targets' unit; shapes are equal."""
    given = checked_array(mean, "means", ("...",))
    truth = checked_targets(targets, given.shape)
    return float(np.sqrt(np.square(np.subtract(given, truth, dtype=np.float64)).mean()))


def gaussian_nll(mean: ArrayLike, variance: ArrayLike, targets: ArrayLike) -> float:
    """Mean over all elements of the negative log-density of normal(mean, variance), in nats.

    All three have one shape. The variance between the members alone leaves out the noise of the
    targets: add it. Raises DataError also for a variance that is not above 0.
    """
    given = checked_array(mean, "means", ("...",))
    spread = checked_array(variance, "variances", ("...",)).astype(np.float64)
    truth = checked_targets(targets, given.shape)
    if spread.shape != given.shape:
        raise DataError(
            f"variances must have the shape of the means, {given.shape}, but have {spread.shape}"
        )
    if spread.min() <= 0.0:
        raise DataError(
            f"variances must be above 0, but the least is {spread.min():.6g}; add the "
            "variance of the noise in the targets"
        )
    error = np.subtract(given, truth, dtype=np.float64)
    return float((0.5 * (np.log(2.0 * np.pi * spread) + error**2 / spread)).mean())


def enc_logits(logits: ArrayLike) -> float:
    """Expected negative correlation (Bits-Ensemble, Eq. 7) of logits (K, batch, C), at most 0.

    The deviations from the members' mean sum to 0, so Eq. 7 is -mean_k ||f_k - mean f||^2. It grows
    as (K-1)/K and with the scale of the logits, and damaged weights improve it: never judge by it
    alone.
    """
    given = checked_array(logits, "logits", _MEMBERS)
    return float(0.0 - given.var(axis=0, dtype=np.float64).sum(axis=-1).mean())


def probability_variance(probabilities: ArrayLike) -> float:
    """Unbiased variance over the members of probabilities (K, batch, C), averaged over the rest.

    Raises DataError also for a single member, which has no such variance.
    """
    given = checked_probabilities(probabilities, _MEMBERS, class_axis=2)
    if len(given) == 1:
        raise DataError("the unbiased variance of probabilities needs at least 2 members, not 1")
    return float(given.var(axis=0, dtype=np.float64, ddof=1).mean())


def ambiguity(logits: ArrayLike, labels: ArrayLike) -> float:
    """The members' mean NLL less the NLL of their mean logits, in nats, at least 0 (LPE-BSR's AMB).

    `logits` is (K, batch, C), `labels` (batch,). The ensemble is the mean of the *logits* here, not
    of the probabilities as in `nll`.
    """
    given = checked_array(logits, "logits", _MEMBERS).astype(np.float64)
    classes = checked_labels(labels, batch=given.shape[1], classes=given.shape[2])
    rows = np.arange(len(classes))
    members = -log_softmax(given)[:, rows, classes].mean()
    ensemble = -log_softmax(given.mean(axis=0))[rows, classes].mean()
    return max(float(members - ensemble), 0.0)


def disagreement(outputs: ArrayLike) -> float:
    """Share of the member pairs whose argmax differs, averaged over the inputs; 0 for one member.

    `outputs` is (K, batch, C), probabilities or logits.
    """
    given = checked_array(outputs, "outputs", _MEMBERS)
    return float(differing_pairs(given.argmax(axis=-1)).mean())


def _classified(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    """Checked probabilities (batch, C) and labels (batch,)."""
    given = checked_probabilities(probabilities, ("batch", "classes"), class_axis=1)
    return given, checked_labels(labels, batch=given.shape[0], classes=given.shape[1])


def _multilabelled(probabilities: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Checked probabilities (batch, C) of independent labels and the truth as booleans."""
    given = checked_probabilities(probabilities, ("batch", "labels"), class_axis=None)
    truth = checked_targets(targets, given.shape)
    if not np.isin(truth, (0.0, 1.0)).all():
        raise DataError("targets of independent labels must each be 0 or 1")
    return given, truth == 1.0
