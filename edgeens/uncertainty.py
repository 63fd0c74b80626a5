"""What an ensemble says about one batch: the mean, and how sure and how united its members are.

Last stage of the pipeline: the sessions hand over the members' outputs and get a `Prediction`.
All entropies are in nats. Sums over members and classes are accumulated in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeens.arrays import Array, checked_array, checked_probabilities, real_array
from edgeens.errors import DataError

Floats = NDArray[np.float64]
ABSTAIN = -1  # what `Prediction.decide` gives in place of a class

# Values that are taken at once rather than member by member: a small model runs in tens of
# microseconds, and every call of NumPy takes one. Float64 copies of more must fit a small device.
_FEW = 1 << 12
_LEAST = np.finfo(np.float64).tiny  # in place of 0, whose logarithm there is not
Task = Literal["classification", "multilabel", "regression"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """The outputs of K members for one batch, and what follows from them.

    `mean` and `variance` are float32 for float16 and float32 members and float64 for float64
    members; the other figures are float64. What has no meaning for a task is None.

    Attributes:
        task: "classification", "multilabel" or "regression"; it fixes the meaning of the rest.
        mean: (batch, ..., C) mean probabilities, the class axis where it is in the members; for
            regression (batch, ...) the mean output.
        members: (K, batch, ...) each member's probabilities or regression outputs: the array that
            was given, not a copy.
        predictive_entropy: entropy of the mean: all of the uncertainty.
        expected_entropy: mean of the members' entropies: what each member is unsure of by itself.
        mutual_information: predictive less expected entropy, at least 0: what the members are
            unsure of only together. It and the two entropies are (batch, ...), without the class
            axis, for classification; (batch, ..., C), label by label, for multilabel; None for
            regression.
        disagreement: the fraction of member pairs whose decisions differ, 0 for one member; shaped
            like the entropies. The decision is the argmax, or p >= 0.5 for each label.
        variance: (batch, ...) variance between the members (divided by K); only for regression.
        members_used: (batch,) how many members ran for each row; None where all ran for all. With
            early exit the other figures are over those, and `members` is NaN for the rest.
        class_axis: the class axis of `mean`, for classification; else None.
        abstention: the score above which `decide` abstains, if the file says.
        outputs: further outputs of the graph by name, each (K, batch, ...).
    """

    task: Task
    mean: Array
    members: Array
    predictive_entropy: Floats | None = None
    expected_entropy: Floats | None = None
    mutual_information: Floats | None = None
    disagreement: Floats | None = None
    variance: Array | None = None
    members_used: NDArray[np.intp] | None = None
    class_axis: int | None = None
    abstention: float | None = None
    outputs: dict[str, Array] = field(default_factory=dict)

    def decide(self, threshold: float | None = None) -> NDArray[np.intp]:
        """The most probable class of each row, or -1 where the ensemble abstains; (batch, ...).

        It abstains where 1 - (greatest mean probability) is above *threshold*; None: the file's,
        which `edgeens calibrate --target-risk` chose.

        Raises DataError if this is no classification, or there is no threshold.
        """
        if self.class_axis is None:
            raise DataError(f"only a classifier decides for a class; the task is {self.task}")
        limit = self.abstention if threshold is None else threshold
        if limit is None:
            raise DataError(
                "the file has no threshold to abstain by: give one, or calibrate the file with "
                "`edgeens calibrate --target-risk`"
            )
        doubt = 1.0 - self.mean.max(axis=self.class_axis).astype(np.float64)
        return np.where(doubt > limit, ABSTAIN, self.mean.argmax(axis=self.class_axis))


def summarize(probabilities: ArrayLike, *, axis: int = -1) -> Prediction:
    """The prediction of a classifier, or of a segmentation network, from members' probabilities.

    `probabilities` is (K, batch, ..., C) with the classes on `axis`; (K, batch, C, H, W) has
    axis=2. Raises DataError for fewer than 3 axes, a class axis that is the members' or the batch
    axis, NaN, values outside 0..1 and sums other than 1.
    """
    return _summary(*_class_probabilities(probabilities, axis))


def summarize_logits(logits: ArrayLike, *, axis: int = -1) -> Prediction:
    """`summarize` of the softmax over `axis` of members' logits (K, batch, ..., C).

    Raises DataError as `softmax` does, for fewer than 3 axes, and for a class axis that is the
    members' or the batch axis.
    """
    array = real_array(logits, "logits")
    position = _class_position(array, axis, "logits")
    return _summary(_softmax(array, position), position)


def _summary(members: Array, axis: int) -> Prediction:
    """The prediction from checked probabilities (K, batch, ...) with the classes on *axis*."""
    mean = np.add.reduce(members, dtype=np.float64) / len(members)
    if members.size <= _FEW:
        entropies = entropy(np.concatenate([members, mean[np.newaxis]]), axis=axis)
        predictive, of_members = entropies[-1], entropies[:-1]
    else:
        predictive = entropy(mean, axis=axis - 1)
        of_members = np.stack([entropy(member, axis=axis - 1) for member in members])
    expected = np.add.reduce(of_members) / len(members)
    return Prediction(
        task="classification",
        mean=mean.astype(_result_type(members)),
        members=members,
        predictive_entropy=predictive,
        expected_entropy=expected,
        mutual_information=np.maximum(predictive - expected, 0.0),
        disagreement=differing_pairs(members.argmax(axis=axis)),
        class_axis=axis - 1,
    )


def summarize_multilabel(probabilities: ArrayLike) -> Prediction:
    """The prediction of independent yes/no labels from members' probabilities (K, batch, ..., C).

    Every figure is given label by label, with shape (batch, ..., C). Raises DataError for fewer
    than 3 axes, NaN and values outside 0..1.
    """
    axes = ("members", "batch", "...", "labels")
    members = checked_probabilities(probabilities, axes, class_axis=None)
    mean = members.mean(axis=0, dtype=np.float64)
    predictive = binary_entropy(mean)
    expected = np.mean([binary_entropy(member) for member in members], axis=0)
    return Prediction(
        task="multilabel",
        mean=mean.astype(_result_type(members)),
        members=members,
        predictive_entropy=predictive,
        expected_entropy=expected,
        mutual_information=np.maximum(predictive - expected, 0.0),
        disagreement=differing_pairs(members >= 0.5),
    )


def summarize_regression(outputs: ArrayLike) -> Prediction:
    """The prediction of a regression network from members' outputs (K, batch, ...).

    Raises DataError for fewer than 2 axes and for NaN and infinite values.
    """
    members = checked_array(outputs, "outputs", ("members", "batch", "..."))
    return Prediction(
        task="regression",
        mean=members.mean(axis=0, dtype=np.float64).astype(_result_type(members)),
        members=members,
        variance=members.var(axis=0, dtype=np.float64).astype(_result_type(members)),
    )


def variation_ratio(probabilities: ArrayLike, *, axis: int = -1) -> Floats:
    """The share of members whose decision is not the most frequent one (Freeman, 1965).

    `probabilities` is (K, batch, ..., C) with the classes on `axis`; the result is (batch, ...), in
    0..1-1/K. Raises DataError as `summarize` does.
    """
    members, axis = _class_probabilities(probabilities, axis)
    votes = members.argmax(axis=axis)
    most = np.max([(votes == vote).sum(axis=0) for vote in votes], axis=0)
    return np.asarray(1.0 - most / len(votes), dtype=np.float64)


def differing_pairs(decisions: Array) -> Floats:
    """The fraction of the K(K-1)/2 member pairs whose decisions differ; 0 for one member.

    `decisions` is (K, ...), of any type that compares; the result is (...).
    """
    members = len(decisions)
    if members * decisions.size <= _FEW:  # every pair twice, once in either order
        differing = (decisions[:, np.newaxis] != decisions).sum(axis=(0, 1)) // 2
    else:
        differing = np.zeros(decisions.shape[1:], dtype=np.int64)
        for step in range(1, members):
            differing += (decisions[step:] != decisions[:-step]).sum(axis=0)
    return np.asarray(differing / max(members * (members - 1) // 2, 1), dtype=np.float64)


def entropy(probabilities: Array, *, axis: int = -1) -> Floats:
    """Entropy over `axis`, in nats, at least 0; a probability of 0 adds nothing."""
    total: Floats = np.add.reduce(_p_log_p(probabilities), axis=axis)
    return np.maximum(0.0 - total, 0.0)


def binary_entropy(probabilities: Array) -> Floats:
    """Entropy of each yes/no label by itself, in nats, 0..ln 2; shaped like `probabilities`."""
    p = probabilities.astype(np.float64)
    other = np.maximum(1.0 - p, 0.0)  # rounding may have lifted p over 1
    return np.maximum(0.0 - _p_log_p(p) - _p_log_p(other), 0.0)


def softmax(logits: ArrayLike, *, axis: int = -1) -> Array:
    """Probabilities over `axis`; float32 for float16 and float32 logits, else float64.

    A logit of -inf is a class that is ruled out. Raises DataError for NaN, for +inf, and where
    every class is ruled out.
    """
    return _softmax(real_array(logits, "logits"), axis)


def _softmax(array: Array, axis: int) -> Array:
    exponentials = np.exp(_shifted(array, axis))
    exponentials /= np.add.reduce(exponentials, axis=axis, keepdims=True)
    return exponentials.astype(_result_type(array), copy=False)


def log_softmax(logits: ArrayLike, *, axis: int = -1) -> Floats:
    """Natural logarithms of `softmax`, in float64; raises DataError as `softmax` does."""
    shifted = _shifted(real_array(logits, "logits"), axis)
    total: Floats = np.exp(shifted).sum(axis=axis, keepdims=True)
    return shifted - np.log(total)


def sigmoid(logits: ArrayLike) -> Array:
    """1 / (1 + exp(-logit)); float32 for float16 and float32 logits, else float64.

    Raises DataError for NaN.
    """
    array = real_array(logits, "logits")
    if np.isnan(array).any():
        raise DataError("logits hold NaN; look at the model or the data that made them")
    wide = array.astype(np.float64)
    # exp of a number that is never positive cannot overflow, and keeps small results exact.
    small = np.exp(-np.abs(wide))
    return np.asarray(np.where(wide >= 0.0, 1.0, small) / (1.0 + small), _result_type(array))


def _class_probabilities(probabilities: ArrayLike, axis: int) -> tuple[Array, int]:
    """Checked probabilities (K, batch, ...) and their class axis, counted from the front."""
    array = checked_array(probabilities, "probabilities", ("members", "batch", "...", "classes"))
    position = _class_position(array, axis, "probabilities")
    return checked_probabilities(array, ("...",), class_axis=position), position


def _class_position(array: Array, axis: int, name: str) -> int:
    """The class axis of (K, batch, ...), counted from the front."""
    position = axis + array.ndim if axis < 0 else axis
    if not 2 <= position < array.ndim:
        raise DataError(
            f"axis {axis} cannot count the classes of {name} of shape {array.shape}: axis 0 "
            f"counts the members, axis 1 the batch, and the last axis is {array.ndim - 1}"
        )
    return position


def _shifted(logits: Array, axis: int) -> Floats:
    """float64 logits less their greatest over `axis`, so that exp cannot overflow."""
    greatest: Array = np.maximum.reduce(logits, axis=axis, keepdims=True)
    # The maximum is NaN, +inf or -inf in just the cases that have no softmax.
    if not np.isfinite(greatest).all():
        raise DataError(
            "logits hold NaN or infinite values where a softmax needs a finite greatest logit; "
            "look at the model or the data that made them"
        )
    shifted: Floats = np.subtract(logits, greatest, dtype=np.float64)
    return shifted


def _p_log_p(probabilities: Array) -> Floats:
    """p * log(p) in float64, 0 where p is 0; no p is below 0."""
    logarithms = np.log(np.maximum(probabilities, _LEAST, dtype=np.float64))
    return np.asarray(probabilities * logarithms, dtype=np.float64)


def _result_type(array: Array) -> np.dtype[Any]:
    """float32 for float16 and float32, float64 for float64."""
    return np.result_type(np.float32, array.dtype)
