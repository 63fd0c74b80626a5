"""Early exit on the trained ensembles: member runs saved, loss on test images, time saved.

After benchmarks.ensembles. Everything is fitted on validation images by `edgeens calibrate`, into a
file of 8-bit codes; test images only judge. Two points of each curve are told: what the command
chose (its 95 % bound of the loss is within the limit on validation images) and the first one that
saves half of the runs there.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ensembles import Recipe, member_paths
from edgeens.calibrate import calibrate
from edgeens.early_exit import EarlyExit
from edgeens.encoder import encode
from edgeens.exit_curve import ExitCurve, ExitPoint
from edgeens.metrics import PROBABILITY_FLOOR
from edgeens.onnx.session import Session

LIMIT = 0.005  # NLL above that of all members, relative to it
HALF = 0.49  # share of the members that may run where half is to be saved
BATCHES = (1, 256)  # rows of a timed prediction
ROUNDS = 9
_TIMED_ROWS = 256
_ROWS = 256  # that run at a time where nothing is timed

Row = dict[str, Any]
Floats = NDArray[np.float64]


def measure_early_exit(recipe: Recipe, folder: Path, *, rounds: int = ROUNDS) -> Row:
    """One ensemble: "title", "members", "nll" (of all, test images) and "curve", a point of each
    threshold: what calibration knew of it (see ExitPoint) and on test images "test_members" (used,
    mean), "test_loss" and "test_error" (NLL above that of all relative to it, its standard error).

    "chosen" (None if the command chose none) and "half" are points with "time": for each of BATCHES
    the time of a prediction relative to that by all members, one thread.
    """
    with np.load(folder / "test.npz") as data:
        x, y = data["x"], data["y"]
    with TemporaryDirectory() as work:
        path = Path(work) / "ours.eens"
        encode(member_paths(folder), path)
        found = calibrate(path, folder / "validation.npz", max_nll_loss=LIMIT)
        assert found.curve is not None, "there are several members"
        with Session(path) as session:
            outputs = session.predict_members(x, batch=_ROWS)
            whole = _losses(session.summarise(outputs).mean, y)
            points = [
                _judged(session, outputs, y, whole, found.curve, p) for p in found.curve.points
            ]
            few = HALF * session.members
            half = next(point for point in points if point["mean_members"] <= few)
            chosen = None
            if found.point is not None:
                chosen = points[found.curve.points.index(found.point)]
            for point in filter(None, (chosen, half)):
                rule = found.curve.at(found.curve.points[points.index(point)])
                point["time"] = _time(session, rule, x[:_TIMED_ROWS], rounds)
            return {
                "name": recipe.name,
                "title": recipe.title,
                "members": session.members,
                "nll": float(whole.mean()),
                "chosen": chosen,
                "half": half,
                "curve": points,
            }


def _judged(
    session: Session,
    outputs: dict[str, NDArray[Any]],
    labels: NDArray[Any],
    whole: Floats,
    curve: ExitCurve,
    point: ExitPoint,
) -> Row:
    """A point with its figures on test images; *whole* is the losses of all members."""
    prediction = session.summarise_early(outputs, curve.at(point))
    difference = _losses(prediction.mean, labels) - whole
    loss = float(difference.mean() / whole.mean())
    # The error of a ratio of means, as in exit_curve.
    error = float(np.std(difference - loss * whole, ddof=1) / (whole.mean() * len(whole) ** 0.5))
    used = prediction.members_used
    assert used is not None
    judged = {"test_members": float(used.mean()), "test_loss": loss, "test_error": error}
    return {**asdict(point), **judged}


def _losses(mean: NDArray[Any], labels: NDArray[Any]) -> Floats:
    """NLL of each row."""
    chosen = mean[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(-np.log(np.maximum(chosen, PROBABILITY_FLOOR)))


def _time(session: Session, rule: EarlyExit, x: NDArray[Any], rounds: int) -> dict[str, float]:
    """Processor seconds with the rule over those without, by rows of a prediction."""
    found = {}
    for batch in BATCHES:
        ratios = []
        for _ in range(rounds):
            begun = time.process_time()
            for start in range(0, len(x), batch):
                session.predict(x[start : start + batch])
            between = time.process_time()
            for start in range(0, len(x), batch):
                session.predict(x[start : start + batch], early_exit=rule)
            ratios.append((time.process_time() - between) / (between - begun))
        found[str(batch)] = median(ratios)
    return found
