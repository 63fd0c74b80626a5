"""What can be fitted once a file is made: temperature, early exit, abstention (SPEC S11.3).

After encoder, on the very file that a device will run, and on validation data: not on the data that
members were trained on, and never on test data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgeens
from edgeens import metrics
from edgeens.calibration import fit_temperature
from edgeens.container.amend import write_with_last_section
from edgeens.data import load_labelled
from edgeens.decoder import Container
from edgeens.early_exit import EarlyExit
from edgeens.errors import DataError
from edgeens.exit_curve import CONFIDENCE, ExitCurve, ExitPoint, choose_point, fit_exit_curve
from edgeens.exit_picture import save_exit_curve
from edgeens.onnx.session import Session
from edgeens.selective import Abstention, fit_abstention
from edgeens.tables import counted
from edgeens.uncertainty import softmax

PathLike = str | os.PathLike[str]
Step = Callable[[str, int, int], None]

LEAST_ROWS = 2  # a half to fit on and a half to judge on
_BATCH = 256  # rows that run at a time


@dataclass(frozen=True)
class Calibration:
    """What was fitted, and how it does on the validation data.

    Attributes:
        rows: of validation data.
        temperature: of the members' logits, whose probabilities are then averaged; None where the
            output holds probabilities.
        nll_before, nll: of the mean prediction, before and with the temperature.
        curve: members used against loss; None for one member.
        point: what was chosen on it; None if nothing is saved within the limit.
        max_nll_loss: that limit.
        abstention: None if it was not asked for, or no threshold keeps the target.
        target_risk: None if it was not asked for.
        written: the curve's files.
    """

    rows: int
    temperature: float | None
    nll_before: float
    nll: float
    curve: ExitCurve | None
    point: ExitPoint | None
    max_nll_loss: float
    abstention: Abstention | None = None
    target_risk: float | None = None
    written: tuple[Path, ...] = ()

    @property
    def rule(self) -> EarlyExit | None:
        """The early exit chosen."""
        return None if self.curve is None or self.point is None else self.curve.at(self.point)

    def section(self) -> bytes:
        """The payload of CALI."""
        found: dict[str, Any] = {}
        if self.temperature is not None:
            found["edgeens.temperature"] = self.temperature
        if self.rule is not None:
            found["edgeens.early_exit"] = asdict(self.rule)
        if self.abstention is not None:
            found["edgeens.abstention"] = {"threshold": self.abstention.threshold}
        found["edgeens.calibration"] = {
            "generator": f"edgeens {edgeens.__version__}",
            "rows": self.rows,
            "nll": self.nll,
            "confidence": CONFIDENCE,
            "max_nll_loss": self.max_nll_loss,
            "early_exit": None if self.point is None else asdict(self.point),
            "target_risk": self.target_risk,
            "abstention": None if self.abstention is None else asdict(self.abstention),
        }
        return json.dumps(found).encode()


def calibrate(
    path: PathLike,
    data: PathLike,
    output: PathLike | None = None,
    *,
    max_nll_loss: float = 0.005,
    target_risk: float | None = None,
    threads: int = 1,
    progress: Step | None = None,
) -> Calibration:
    """Fit a classifier's file on validation data, and write what was found into the file.

    An older calibration of the file is replaced as a whole. Beside the file come *.exit.json and,
    where matplotlib is installed, *.exit.png: members used against loss.

    Args:
        path: the container.
        data: .npz with x (or the inputs by name) and y, held out from training and testing.
        output: the file to write; None: *path* itself, replaced in one step.
        max_nll_loss: of an early exit, relative to the NLL of all members, at least 0; its upper
            confidence bound keeps within it.
        target_risk: share of wrong decisions to allow where the ensemble does not abstain.
        threads: of the session.
        progress: called with (what is done, steps done, steps in all).

    Raises:
        DataError: data and model do not fit each other, the model is no classifier with one class a
            row, or no temperature can be found.
        MembersError: the file has no room for the section, or an old one is signed.
        FormatError, OSError, MissingPackageError: as from Session.
    """
    if not max_nll_loss >= 0:
        raise DataError(f"a loss to allow is at least 0, not {max_nll_loss}")
    step = progress or (lambda label, done, total: None)
    labelled = load_labelled(data)
    with Session(path, threads=threads) as session:
        if session.task != "classification":
            raise DataError(
                f"only classifiers can be calibrated; the file's task is {session.task}"
            )
        step("running the members", 0, 2)
        outputs = session.predict_members(labelled.x, batch=_BATCH)[session.output]
        logits, before = session.output_kind == "logits", session.temperature
    if outputs.shape[1] < LEAST_ROWS:
        raise DataError(
            f"{data} holds {counted(outputs.shape[1], 'row')}: calibration needs at least "
            f"{LEAST_ROWS}, and hundreds to say much"
        )
    if outputs.ndim != 3:
        raise DataError(
            "only classifiers with one class a row, outputs (rows, classes), can be calibrated; "
            f"the members' outputs have shape {outputs.shape[1:]}"
        )
    step("fitting", 1, 2)
    found = _fit(outputs, labelled.y, logits=logits, before=before, max_nll_loss=max_nll_loss)
    if target_risk is not None:
        mean = _mean(outputs, found.temperature)
        kept = fit_abstention(mean, labelled.y, target_risk=target_risk)
        found = replace(found, target_risk=target_risk, abstention=kept)
    target = Path(path if output is None else output)
    _write(found, path, target)
    if found.curve is not None:
        found = replace(found, written=tuple(save_exit_curve(found.curve, found.point, target)))
    return found


def _fit(
    outputs: NDArray[Any],
    labels: NDArray[Any],
    *,
    logits: bool,
    before: float,
    max_nll_loss: float,
) -> Calibration:
    """Temperature and early exit."""
    temperature = curve = point = None
    if len(outputs) > 1:
        curve = fit_exit_curve(outputs, labels, logits=logits)
        point = choose_point(curve, max_nll_loss=max_nll_loss)
        temperature = curve.rule.temperatures[-1] if logits else None
    elif logits:
        temperature = fit_temperature(outputs, labels, pooled=False)
    return Calibration(
        rows=len(labels),
        temperature=temperature,
        nll_before=metrics.nll(_mean(outputs, before if logits else None), labels),
        nll=metrics.nll(_mean(outputs, temperature), labels),
        curve=curve,
        point=point,
        max_nll_loss=max_nll_loss,
    )


def _mean(outputs: NDArray[Any], temperature: float | None) -> NDArray[Any]:
    """Mean probabilities, in the precision of a session's prediction: thresholds are compared."""
    members = outputs if temperature is None else softmax(outputs / temperature)
    return np.asarray(members.mean(axis=0, dtype=np.float64), members.dtype)


def _write(found: Calibration, source: PathLike, target: Path) -> None:
    data = Path(source).read_bytes()
    with Container.from_bytes(data) as container:
        sizes = {info.type: info.size for info in container.sections.values()}
    write_with_last_section(data, sizes, "CALI", found.section(), target)
