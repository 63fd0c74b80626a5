"""Everything that a comparison measures of one model, from its members' raw outputs.

Between outputs, which runs the members, and compare, which goes over the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens import calibration, diversity, metrics, ood, selective
from edgeens.judge import Row, class_logits, judge, mean_rows, members_rows
from edgeens.onnx.session import Session
from edgeens.uncertainty import softmax

Array = NDArray[Any]

AS_STORED = "as in the file"
ONE_MEMBER = "one member (mean)"
EARLY_EXIT = "early exit of the file"
MEMBERS_SCALED = "T on each member's logits"
MEAN_SCALED = "T on the mean logits"

COVERAGES = tuple(k / 100 for k in range(1, 101))  # of `Judged.risk_curve`
_PAIRED_ROWS = 2000  # that members are compared on, pair by pair; enough for a share of 1 %
_ENSEMBLE = ("ENC (logits)", "ambiguity", "disagreement", "variance")
_RISKS = ("risk", "AURC", "coverage")


@dataclass(frozen=True)
class Judged:
    """What was measured of one file, or of float members; plain values, ready for JSON.

    Attributes:
        method: that the file is a seed of.
        file: its path.
        members: K.
        predictions: the figures of each way to predict: as the file says (with its temperature, if
            it has one), one member, the file's early exit, and with temperatures that were fitted
            on held-out data.
        ensemble: how the members differ, and what they cost.
        risks: wrong decisions at less than full coverage.
        outside: by data set and score, how well inputs from elsewhere are told apart.
        verdict: on collapse, in words; None if the task is no classification.
        reliability: of AS_STORED and of the scaled predictions, bins of equal width: inputs, mean
            confidence and accuracy (None for an empty bin).
        risk_curve: the risk at COVERAGES.
        pairs: (K, K) share of inputs on which two members choose different classes.
        shift: figures by corruption and severity.
    """

    method: str
    file: str
    members: int
    predictions: dict[str, Row]
    ensemble: Row
    risks: Row = field(default_factory=dict)
    outside: dict[str, dict[str, Row]] = field(default_factory=dict)
    verdict: str | None = None
    reliability: dict[str, list[list[float | None]]] = field(default_factory=dict)
    risk_curve: list[float] = field(default_factory=list)
    pairs: list[list[float]] = field(default_factory=list)
    shift: dict[str, dict[int, Row]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Outputs:
    """The raw outputs (K, rows, ...) of one model on all data.

    Attributes:
        inside: on the data that judges.
        y: its labels.
        outside: on other data, by name.
        held_out: on the data that temperatures are fitted on, with its labels.
    """

    inside: Array
    y: Array
    outside: Mapping[str, Array]
    held_out: tuple[Array, Array] | None = None


def judge_model(session: Session, outputs: Outputs, *, method: str, file: str) -> Judged:
    """All figures but those of weights, bytes and shift.

    Args:
        session: of the file; knows what the outputs mean.
        outputs: of the file, or of the float members it was made from.
        method, file: as in Judged.

    Raises:
        DataError: outputs and labels do not fit each other, or no temperature can be fitted.
    """
    row = judge(session, outputs.inside, outputs.y)
    members = len(outputs.inside)
    ensemble: Row = {"members": float(members)}
    ensemble |= {name: row.pop(name) for name in list(row) if name in _ENSEMBLE}
    risks = {name: row.pop(name) for name in list(row) if name.startswith(_RISKS)}
    if session.task != "classification":
        return Judged(method, file, members, {AS_STORED: row}, ensemble)
    labels = outputs.y.reshape(-1)
    inside = _probabilities(session, outputs.inside)
    mean = inside.mean(axis=0)
    scaled = _scaled(session, outputs)
    stored: Row = {"T": session.temperature} if session.output_kind == "logits" else {}
    predictions = {AS_STORED: stored | calibrated(mean, labels)}
    if members > 1:
        predictions[ONE_MEMBER] = stored | _average([calibrated(p, labels) for p in inside])
        ensemble |= _differences(inside)
    if session.early_exit is not None:
        predictions[EARLY_EXIT] = _early(session, outputs.inside, labels)
    for name, (temperature, p) in scaled.items():
        predictions[name] = {"T": temperature, **calibrated(p, labels)}
    judged = {AS_STORED: mean} | {name: p for name, (_, p) in scaled.items()}
    curve = selective.risk_curve(mean, labels)
    places = np.ceil(np.array(COVERAGES) * len(curve) - 1e-9).astype(np.intp).clip(1) - 1
    return Judged(
        method,
        file,
        members,
        predictions,
        ensemble,
        risks=risks,
        outside={
            name: _told_apart(session, outputs.inside, raw) for name, raw in outputs.outside.items()
        },
        verdict=diversity.collapse_verdict(inside[:, :_PAIRED_ROWS]),
        reliability={name: _bins(p, labels) for name, p in judged.items()},
        risk_curve=curve[places].tolist(),
        pairs=diversity.pairwise_disagreement(inside).tolist(),
    )


def shifted(session: Session, raw: Array, y: Array) -> Row:
    """The figures of a classifier on corrupted data, as the file predicts."""
    inside = _probabilities(session, raw)
    row = calibrated(inside.mean(axis=0), y.reshape(-1))
    kept: Row = {name: row[name] for name in ("accuracy", "NLL", "Brier", "ECE")}
    if len(inside) > 1:
        kept["disagreement"] = metrics.disagreement(inside)
    return kept


def calibrated(mean: Array, labels: Array) -> dict[str, float]:
    """How good mean probabilities (rows, C) are, and how far they can be believed."""
    return {
        "accuracy": metrics.accuracy(mean, labels),
        "NLL": metrics.nll(mean, labels),
        "Brier": metrics.brier(mean, labels),
        "ECE": calibration.ece(mean, labels),
        "adaptive ECE": calibration.adaptive_ece(mean, labels),
    }


def _probabilities(session: Session, raw: Array) -> Array:
    """What each member says with the file's temperature: float64 (K, rows, C)."""
    members = session.summarise({session.output: raw}).members
    return members_rows(members, session.class_axis).astype(np.float64)


def _scaled(session: Session, outputs: Outputs) -> dict[str, tuple[float, Array]]:
    """Temperatures fitted on the held-out data, and the mean probabilities (rows, C) with them.

    Logarithms of probabilities are logits: a softmax gives the same for both.
    """
    if outputs.held_out is None:
        return {}
    raw, y = outputs.held_out
    held, labels = class_logits(session, raw), y.reshape(-1)
    logits = class_logits(session, outputs.inside).astype(np.float64)
    found = {}
    if len(held) > 1:
        temperature = calibration.fit_temperature(held, labels, pooled=False)
        found[MEMBERS_SCALED] = (temperature, softmax(logits / temperature).mean(axis=0))
    temperature = calibration.fit_temperature(held, labels, pooled=True)
    found[MEAN_SCALED] = (temperature, softmax(logits.mean(axis=0) / temperature))
    return found


def _early(session: Session, inside: Array, labels: Array) -> Row:
    """The file's early exit, from the outputs that all members have given already."""
    assert session.early_exit is not None
    prediction = session.summarise_early({session.output: inside}, session.early_exit)
    assert prediction.members_used is not None
    used = float(prediction.members_used.mean())
    mean = mean_rows(prediction.mean, session.class_axis)
    row: Row = {"members run": used, **calibrated(mean, labels)}
    return row


def _average(rows: list[dict[str, float]]) -> Row:
    means: Row = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return means


def _differences(inside: Array) -> Row:
    """How far the members' probabilities (K, rows, C) lie apart."""
    return {
        "variance of p": metrics.probability_variance(inside),
        "JS divergence": diversity.mean_jensen_shannon(inside[:, :_PAIRED_ROWS]),
    }


def _told_apart(session: Session, inside: Array, outside: Array) -> dict[str, Row]:
    """For each score: AUROC, AUPR and FPR at 95 % TPR, the outside being the positive class."""
    low, high = (_scores(session, raw) for raw in (inside, outside))
    return {
        name: {
            "AUROC": ood.auroc(low[name], high[name]),
            "AUPR": ood.aupr(low[name], high[name]),
            "FPR95": ood.fpr_at_tpr(low[name], high[name]),
        }
        for name in low
    }


def _scores(session: Session, raw: Array) -> dict[str, NDArray[np.float64]]:
    if session.output_kind != "logits":
        return ood.ood_scores(members_rows(raw, session.class_axis))
    logits = class_logits(session, raw).astype(np.float64) / session.temperature
    return ood.ood_scores(logits, from_logits=True)


def _bins(mean: Array, labels: Array) -> list[list[float | None]]:
    table = calibration.reliability_table(mean, labels)
    return [
        [int(n), float(c), float(a)] if n else [0, None, None]
        for n, c, a in zip(table.count, table.confidence, table.accuracy, strict=True)
    ]
