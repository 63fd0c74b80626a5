"""What the members' outputs mean, and the prediction that follows from them.

Between onnx.session, whose members made the outputs, and uncertainty. The file says what they mean
(SPEC S11), or the caller does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgeens.early_exit import EarlyExit, Rows, predict_early
from edgeens.errors import DataError
from edgeens.onnx.elements import Array
from edgeens.uncertainty import (
    Prediction,
    sigmoid,
    summarize,
    summarize_logits,
    summarize_multilabel,
    summarize_regression,
)

TASKS = ("classification", "multilabel", "regression")


@dataclass(frozen=True)
class Interpretation:
    """What one output of the graph means.

    Attributes:
        task: "classification", "multilabel" or "regression"; None: nobody said.
        output: its name.
        logits: whether it holds logits; else probabilities.
        class_axis: the batch axis being 0; negative from the end.
        temperature: what logits are divided by.
        early_exit: the file's rule, if it has one.
        abstention: the score above which a prediction abstains, if the file has one.
    """

    task: str | None
    output: str
    logits: bool
    class_axis: int
    temperature: float
    early_exit: EarlyExit | None
    abstention: float | None

    @classmethod
    def of_file(
        cls,
        metadata: Mapping[str, Any],
        *,
        outputs: Sequence[str],
        members: int,
        task: str | None,
        class_axis: int | None,
    ) -> Interpretation:
        """As the file's *metadata* says for a graph with these *outputs* and for K *members*.

        *task* and *class_axis* go before what the file says. Raises DataError for what cannot be.
        """
        task = task or metadata.get("edgeens.task")
        output: str = metadata.get("edgeens.output", outputs[0])
        axis = metadata.get("edgeens.class_axis", -1) if class_axis is None else class_axis
        temperature = metadata.get("edgeens.temperature", 1.0)
        if task is not None and task not in TASKS:
            raise DataError(f"the task {task!r} is not one of {', '.join(TASKS)}")
        if output not in outputs:
            raise DataError(
                f"the file speaks of the output {output!r}, but the graph has {', '.join(outputs)}"
            )
        number = isinstance(temperature, (int, float)) and np.isfinite(temperature)
        if not number or temperature <= 0:
            raise DataError(f"the temperature {temperature!r} is not a positive number")
        if not isinstance(axis, int) or axis == 0:
            raise DataError(f"class axis {axis!r} is not an axis behind the batch axis 0")
        rule = metadata.get("edgeens.early_exit")
        return cls(
            task=task,
            output=output,
            logits=metadata.get("edgeens.output_kind", "logits") == "logits",
            class_axis=axis,
            temperature=float(temperature),
            early_exit=None if rule is None else EarlyExit.of_file(rule, members=members),
            abstention=_abstention(metadata.get("edgeens.abstention")),
        )

    def predict(self, outputs: Mapping[str, Array]) -> Prediction:
        """The prediction from all members' raw outputs by name, each (K, batch, ...).

        Raises DataError if the task is not known, or the outputs are not what it needs.
        """
        if self.task is None:
            raise DataError(
                "the file does not say what its output means: give the session a task, one of "
                f"{', '.join(TASKS)}"
            )
        prediction = self._summary(outputs[self.output])
        others = {name: array for name, array in outputs.items() if name != self.output}
        if not others and self.abstention is None:
            return prediction
        return replace(prediction, outputs=others, abstention=self.abstention)

    def predict_early(
        self, rule: EarlyExit, run: Callable[[int, Rows], Array], *, rows: int, members: int
    ) -> Prediction:
        """The prediction of members that run by *rule*; see `early_exit.predict_early`.

        Raises DataError if the rule is not for K *members*, or the task is no classification.
        """
        rule.check(members)
        if self.task != "classification":
            raise DataError(f"early exit is for classification, but the task is {self.task}")
        prediction = predict_early(rule, run, rows=rows, logits=self.logits)
        return replace(prediction, abstention=self.abstention)

    def _summary(self, raw: Array) -> Prediction:
        """The prediction from the members' outputs, (K, batch, ...)."""
        if self.task == "regression":
            return summarize_regression(raw)
        if self.logits and self.temperature != 1:
            raw = raw / self.temperature
        if self.task == "multilabel":
            return summarize_multilabel(sigmoid(raw) if self.logits else raw)
        # Axis 0 counts the members.
        axis = self.class_axis + 1 if self.class_axis > 0 else self.class_axis
        return summarize_logits(raw, axis=axis) if self.logits else summarize(raw, axis=axis)


def _abstention(found: Any) -> float | None:
    if found is None:
        return None
    threshold = found.get("threshold") if isinstance(found, dict) else None
    if not isinstance(threshold, (int, float)):
        raise DataError(
            f"the file's edgeens.abstention is {found!r}, which has no threshold; calibrate "
            "the file again"
        )
    return float(threshold)
