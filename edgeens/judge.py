"""The figures of one model on labelled data, from its members' raw outputs and the task.

Between outputs, which runs the members, and evaluate and compare, which set models side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens import calibration, metrics, selective
from edgeens.errors import DataError
from edgeens.onnx.session import Session
from edgeens.uncertainty import ABSTAIN, Prediction

Array = NDArray[Any]
Row = dict[str, float | str | None]

COVERAGES = (0.95, 0.9, 0.8, 0.5)  # at 1 the risk is 1 - accuracy


def judge(session: Session, raw: Array, y: Array) -> Row:
    """The metrics of the session's task.

    Args:
        session: of the file; knows what the output means, and the file's temperature.
        raw: the members' outputs (K, rows, ...), of the file or of the models it was made from.
        y: class numbers, 0/1 labels or targets, by row.

    Returns:
        Figures by name; None where one has no meaning, such as the disagreement of one member.
    """
    prediction = session.summarise({session.output: raw})
    if prediction.task == "regression":
        return _judge_regression(prediction, y)
    if prediction.task == "multilabel":
        return _judge_labels(prediction, y)
    return _judge_classes(session, prediction, raw, y)


def class_logits(session: Session, raw: Array) -> Array:
    """A classifier's outputs as logits (K, rows, C), whatever they hold and wherever C is."""
    logits = raw if session.output_kind == "logits" else _log(raw)
    return members_rows(logits, session.class_axis)


def _judge_classes(session: Session, prediction: Prediction, raw: Array, y: Array) -> Row:
    labels = y.reshape(-1)
    logits = class_logits(session, raw)
    several = logits.shape[0] > 1
    return judge_mean(session, prediction, labels) | {
        "ENC (logits)": metrics.enc_logits(logits) if several else None,
        "ambiguity": metrics.ambiguity(logits, labels) if several else None,
        "disagreement": _mean(prediction.disagreement) if several else None,
    }


def judge_mean(session: Session, prediction: Prediction, labels: Array) -> Row:
    """The metrics of mean probabilities, the risks at less than full coverage among them."""
    mean = mean_rows(prediction.mean, session.class_axis)
    row: Row = {
        "accuracy": metrics.accuracy(mean, labels),
        "NLL": metrics.nll(mean, labels),
        "Brier": metrics.brier(mean, labels),
        "ECE": calibration.ece(mean, labels),
    }
    for coverage in COVERAGES:
        row[f"risk at {100 * coverage:.0f} %"] = selective.risk_at(mean, labels, coverage=coverage)
    row["AURC"] = selective.aurc(mean, labels)
    if prediction.abstention is not None:
        decided = prediction.decide().reshape(-1)
        kept = decided != ABSTAIN
        row["coverage by file"] = float(kept.mean())
        row["risk by file"] = float((decided != labels)[kept].mean()) if kept.any() else None
    return row


def _judge_labels(prediction: Prediction, y: Array) -> Row:
    return {
        "accuracy": metrics.multilabel_accuracy(prediction.mean, y),
        "NLL": metrics.multilabel_nll(prediction.mean, y),
        "disagreement": _mean(prediction.disagreement),
    }


def _judge_regression(prediction: Prediction, y: Array) -> Row:
    if prediction.mean.size != y.size:
        raise DataError(
            f"the model predicts shape {prediction.mean.shape}, but y has shape {y.shape}"
        )
    targets = y.reshape(prediction.mean.shape)
    return {
        "RMSE": metrics.rmse(prediction.mean, targets),
        "variance": _mean(prediction.variance),
    }


def _mean(values: Array | None) -> float | None:
    return None if values is None else float(np.mean(values))


def mean_rows(mean: Array, axis: int) -> Array:
    """(batch, ..., C) with the classes on *axis* -> (rows, C)."""
    moved = np.moveaxis(mean, axis, -1)
    return moved.reshape(-1, moved.shape[-1])


def members_rows(outputs: Array, axis: int) -> Array:
    """(K, batch, ..., C) with the classes on *axis* of a member's output -> (K, rows, C)."""
    moved = np.moveaxis(outputs, axis + 1 if axis > 0 else axis, -1)
    return moved.reshape(moved.shape[0], -1, moved.shape[-1])


def _log(probabilities: Array) -> Array:
    """Logits that give these probabilities back."""
    return np.log(np.maximum(probabilities, metrics.PROBABILITY_FLOOR))
