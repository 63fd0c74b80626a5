"""Judging a file, and the members it was made from, on labelled data.

Last stage of the pipeline: from members' outputs to one row of metrics a model. Nothing is fitted
or chosen here, so the data may be the test set. Several files side by side: compare.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens import ood
from edgeens.data import Inputs, Labelled, load_labelled
from edgeens.early_exit import EarlyExit
from edgeens.judge import Row, judge, judge_mean, members_rows
from edgeens.onnx.session import Session
from edgeens.outputs import Meter, Step, file_outputs, row_count, session_outputs
from edgeens.tables import counted

PathLike = str | os.PathLike[str]
Array = NDArray[Any]


def evaluate(
    path: PathLike,
    data: PathLike,
    members: Sequence[PathLike] = (),
    *,
    threads: int = 1,
    progress: Step | None = None,
) -> list[Row]:
    """One row of metrics for the container, and two for the float members if their files are given.

    The data runs some rows at a time, which is right for models that treat rows alone, as nearly
    all do.

    Args:
        path: the container.
        data: .npz with x (or the inputs by name), y and, if wanted, x_ood.
        members: ONNX files that the container was made from: judged as an ensemble, and as single
            models (the mean of the members' figures).
        threads: of the session of the container.
        progress: called with (what is being run, rows done, rows in all), a row of each member
            counting as one.

    Returns:
        Rows with "model" and the metrics of the task; a metric that has no meaning for a row (such
        as mutual information of one member) is None.

    Raises:
        DataError: data and model do not fit each other.
        FormatError, OSError, MissingPackageError: as from Session.
    """
    labelled = load_labelled(data)
    with Session(path, threads=threads) as session:
        return _judge_all(session, labelled, members, progress)


def _judge_all(
    session: Session, labelled: Labelled, members: Sequence[PathLike], progress: Step | None
) -> list[Row]:
    rows: list[Row] = []
    meter = Meter(progress, _row_count(labelled) * (len(members) + session.members))
    if members:
        label = counted(len(members), "float member")
        ran = meter.of(label)
        inside, outside = _outputs(
            labelled, lambda x: file_outputs(members, x, output=session.output, ran=ran)
        )
        rows.append({"model": label, **_judge(session, inside, labelled.y, outside)})
        rows.append(_one_member(session, inside, labelled.y, outside))
    label = f"{counted(session.members, 'member')} from the file"
    ran = meter.of(label)
    inside, outside = _outputs(labelled, lambda x: session_outputs(session, x, ran=ran))
    rows.append({"model": label, **_judge(session, inside, labelled.y, outside)})
    if session.early_exit is not None:
        rows.append(_early(session, session.early_exit, inside, labelled.y))
    return rows


def _row_count(labelled: Labelled) -> int:
    outside = 0 if labelled.x_ood is None else row_count(labelled.x_ood)
    return row_count(labelled.x) + outside


def _outputs(labelled: Labelled, run: Callable[[Inputs], Array]) -> tuple[Array, Array | None]:
    """The members' outputs (K, rows, ...) inside and, if there is such data, outside."""
    return run(labelled.x), None if labelled.x_ood is None else run(labelled.x_ood)


def _early(session: Session, rule: EarlyExit, inside: Array, y: Array) -> Row:
    """The file's early exit, from the outputs that all members have given already."""
    prediction = session.summarise_early({session.output: inside}, rule)
    assert prediction.members_used is not None
    used = float(prediction.members_used.mean())
    row: Row = {"model": f"early exit, {used:.2f} members used"}
    return row | judge_mean(session, prediction, y.reshape(-1))


def _one_member(session: Session, inside: Array, y: Array, outside: Array | None) -> Row:
    """The mean of each member's own figures."""
    count = len(inside)
    singles = [
        _judge(session, inside[k : k + 1], y, None if outside is None else outside[k : k + 1])
        for k in range(count)
    ]
    means: Row = {"model": f"one float member (mean of {count})"}
    for name in singles[0]:
        values = [single[name] for single in singles]
        numbers = [value for value in values if isinstance(value, float)]
        means[name] = float(np.mean(numbers)) if numbers else None
    return means


def _judge(session: Session, inside: Array, y: Array, outside: Array | None) -> Row:
    """The metrics of the session's task, and how well the outside is told apart."""
    row = judge(session, inside, y)
    if outside is not None and session.task == "classification":
        row.update(_judge_outside(session, inside, outside))
    return row


def _judge_outside(session: Session, inside: Array, outside: Array) -> Row:
    """How well scores tell the two apart: AUROC, the outside being the positive class."""
    predictions = (session.summarise({session.output: raw}) for raw in (inside, outside))
    low, high = (ood.ood_scores(members_rows(p.members, session.class_axis)) for p in predictions)
    row: Row = {"AUROC 1-max p": ood.auroc(low["1 - max p"], high["1 - max p"]), "AUROC MI": None}
    if "mutual information" in low:
        row["AUROC MI"] = ood.auroc(low["mutual information"], high["mutual information"])
    return row
