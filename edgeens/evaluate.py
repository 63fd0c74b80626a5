"""Judging a file, and the members it was made from, on labelled data.

Last stage of the pipeline: from members' outputs to one row of metrics a model. Nothing is fitted
or chosen here, so the data may be the test set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens import calibration, metrics, ood, selective
from edgeens.data import Inputs, load_labelled
from edgeens.early_exit import EarlyExit
from edgeens.errors import DataError
from edgeens.onnx.files import run_files
from edgeens.onnx.session import Session
from edgeens.uncertainty import ABSTAIN, Prediction

PathLike = str | os.PathLike[str]
Array = NDArray[Any]
Outputs = Mapping[str, Array]
Row = dict[str, float | str | None]
Step = Callable[[str, int, int], None]

COVERAGES = (0.95, 0.9, 0.8, 0.5)  # at 1 the risk is 1 - accuracy


def evaluate(
    path: PathLike,
    data: PathLike,
    members: Sequence[PathLike] = (),
    *,
    threads: int = 1,
    progress: Step | None = None,
) -> list[Row]:
    """One row of metrics for the container, and two for the float members if their files are given.

    Args:
        path: the container.
        data: .npz with x (or the inputs by name), y and, if wanted, x_ood.
        members: ONNX files that the container was made from: judged as an ensemble, and as single
            models (the mean of the members' figures).
        threads: of the session of the container.
        progress: called with (what is being run, steps done, steps in all).

    Returns:
        Rows with "model" and the metrics of the task; a metric that has no meaning for a row (such
        as mutual information of one member) is None.

    Raises:
        DataError: data and model do not fit each other.
        FormatError, OSError, MissingPackageError: as from Session.
    """
    labelled = load_labelled(data)
    step = progress or (lambda label, done, total: None)
    rows: list[Row] = []
    with Session(path, threads=threads) as session:
        runs: list[tuple[str, Callable[[Inputs], Outputs]]] = []
        if members:
            runs.append((f"{len(members)} float members", lambda x: run_files(members, x)))
        runs.append((f"{session.members} members from the file", session.predict_members))
        for done, (label, run) in enumerate(runs):
            step(label, done, len(runs))
            inside = run(labelled.x)
            outside = None if labelled.x_ood is None else run(labelled.x_ood)
            rows.append({"model": label, **_judge(session, inside, labelled.y, outside)})
            if members and done == 0:
                rows.append(_one_member(session, inside, labelled.y, outside))
        if session.early_exit is not None:
            rows.append(_early(session, session.early_exit, inside, labelled.y))
    return rows


def _early(session: Session, rule: EarlyExit, inside: Outputs, y: Array) -> Row:
    """The file's early exit, from the outputs that all members have given already."""
    prediction = session.summarise_early(inside, rule)
    assert prediction.members_used is not None
    used = float(prediction.members_used.mean())
    row: Row = {"model": f"early exit, {used:.2f} members used"}
    return row | _judge_mean(session, prediction, y.reshape(-1))


def _one_member(session: Session, inside: Outputs, y: Array, outside: Outputs | None) -> Row:
    """The mean of each member's own figures."""
    count = inside[session.output].shape[0]
    singles = [
        _judge(session, _only(inside, k), y, None if outside is None else _only(outside, k))
        for k in range(count)
    ]
    means: Row = {"model": f"one float member (mean of {count})"}
    for name in singles[0]:
        values = [single[name] for single in singles]
        numbers = [value for value in values if isinstance(value, float)]
        means[name] = float(np.mean(numbers)) if numbers else None
    return means


def _only(outputs: Outputs, member: int) -> dict[str, Array]:
    return {name: array[member : member + 1] for name, array in outputs.items()}


def _judge(session: Session, inside: Outputs, y: Array, outside: Outputs | None) -> Row:
    """The metrics of the session's task."""
    prediction = session.summarise(inside)
    if prediction.task == "regression":
        return _judge_regression(prediction, y)
    if prediction.task == "multilabel":
        return _judge_labels(prediction, y)
    row = _judge_classes(session, prediction, inside, y)
    if outside is not None:
        row.update(_judge_outside(session, prediction, session.summarise(outside)))
    return row


def _judge_classes(session: Session, prediction: Prediction, inside: Outputs, y: Array) -> Row:
    axis = session.class_axis
    labels = y.reshape(-1)
    raw = inside[session.output]
    logits = _members_rows(raw if session.output_kind == "logits" else _log(raw), axis)
    several = logits.shape[0] > 1
    return _judge_mean(session, prediction, labels) | {
        "ENC (logits)": metrics.enc_logits(logits) if several else None,
        "ambiguity": metrics.ambiguity(logits, labels) if several else None,
        "disagreement": _mean(prediction.disagreement) if several else None,
    }


def _judge_mean(session: Session, prediction: Prediction, labels: Array) -> Row:
    """The metrics of mean probabilities, the risks at less than full coverage among them."""
    mean = _rows_of_classes(prediction.mean, session.class_axis)
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


def _judge_outside(session: Session, inside: Prediction, outside: Prediction) -> Row:
    """How well scores tell the two apart: AUROC, the outside being the positive class."""
    axis = session.class_axis
    low, high = (ood.ood_scores(_members_rows(p.members, axis)) for p in (inside, outside))
    row: Row = {"AUROC 1-max p": ood.auroc(low["1 - max p"], high["1 - max p"]), "AUROC MI": None}
    if "mutual information" in low:
        row["AUROC MI"] = ood.auroc(low["mutual information"], high["mutual information"])
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


def _rows_of_classes(mean: Array, axis: int) -> Array:
    """(batch, ..., C) with the classes on *axis* -> (rows, C)."""
    moved = np.moveaxis(mean, axis, -1)
    return moved.reshape(-1, moved.shape[-1])


def _members_rows(outputs: Array, axis: int) -> Array:
    """(K, batch, ..., C) with the classes on *axis* of a member's output -> (K, rows, C)."""
    moved = np.moveaxis(outputs, axis + 1 if axis > 0 else axis, -1)
    return moved.reshape(moved.shape[0], -1, moved.shape[-1])


def _log(probabilities: Array) -> Array:
    """Logits that give these probabilities back."""
    return np.log(np.maximum(probabilities, metrics.PROBABILITY_FLOOR))
