"""What a model's output means, read from the operator that makes it (SPEC S11.1).

Fourth step of onnx.members: the metadata with which a session turns outputs into a Prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeens.errors import MembersError
from edgeens.onnx.graph import Place, Walk

TASKS = ("classification", "multilabel", "regression")

# These neither make nor move a class axis, so what makes their first input may be asked instead.
_PASSING = {
    *("Identity", "Cast", "Add", "Sub", "Mul", "Div", "BatchNormalization", "Dropout", "Relu"),
    *("LeakyRelu", "Clip", "Resize", "Upsample", "Pad", "Slice", "Concat"),
}
_BOUNDED = {"Tanh", "Relu", "Softplus", "HardSigmoid", "Clip"}  # no logits come out of these

Shape = tuple[int | None, ...]


def describe_output(
    walk: Walk,
    shapes: dict[str, Shape | None],
    *,
    task: str | None = None,
    class_axis: int | None = None,
    output: str | None = None,
) -> dict[str, Any]:
    """Metadata for the output that the model is asked for.

    Softmax gives classification with probabilities, LogSoftmax classification with logits (log
    probabilities are logits), Sigmoid multilabel with probabilities; any other operator gives
    classification with logits if the class axis is longer than 1, else regression. Regression with
    several columns looks like classification: it has to be said. What is not known is left out.

    Args:
        walk: of the model.
        shapes: of the floating-point outputs by name, in order; None for an unknown shape or dim.
        task, class_axis, output: what the caller knows better.

    Raises:
        MembersError: a task, an output or an axis that does not exist.
    """
    name = _checked_output(walk, shapes, output)
    if task is not None and task not in TASKS:
        raise MembersError(f"the task {task!r} is not one of {', '.join(TASKS)}")
    if name is None:
        return {} if task is None else {"edgeens.task": task}
    shape = shapes[name]
    found, kind, axis = _detected(walk, name, shape)
    if class_axis is not None:
        axis = _checked_axis(class_axis, shape, name)
    chosen = found if task is None else task
    if chosen is None:
        return {"edgeens.output": name}
    metadata: dict[str, Any] = {"edgeens.task": chosen, "edgeens.output": name}
    if chosen != "regression":
        metadata["edgeens.output_kind"] = kind
    if chosen == "classification":
        metadata["edgeens.class_axis"] = axis
    return metadata


def _detected(walk: Walk, name: str, shape: Shape | None) -> tuple[str | None, str, int]:
    """Task (None: cannot be told), kind of output and class axis, by the operator that makes it."""
    place = _maker(walk, name)
    while place is not None and place.operator in ("Identity", "Cast"):
        place = _before(walk, place)
    operator = place.operator if place is not None else ""
    if operator in ("Softmax", "LogSoftmax"):
        kind = "probabilities" if operator == "Softmax" else "logits"
        return "classification", kind, _softmax_axis(walk, place)
    if operator == "Sigmoid":
        return "multilabel", "probabilities", -1
    axis = 1 if _from_convolution(walk, place) and (shape is None or len(shape) > 2) else -1
    if operator in _BOUNDED or (shape is not None and len(shape) < 2):
        return "regression", "logits", axis
    classes = None if shape is None else shape[axis]
    if classes is None:
        return None, "logits", axis
    return "regression" if classes == 1 else "classification", "logits", axis


def _softmax_axis(walk: Walk, place: Place | None) -> int:
    assert place is not None
    assert place.node is not None
    versions = [item.version for item in walk.model.opset_import if item.domain in ("", "ai.onnx")]
    default = -1 if max(versions, default=1) >= 13 else 1
    return next((int(item.i) for item in place.node.attribute if item.name == "axis"), default)


def _from_convolution(walk: Walk, place: Place | None) -> bool:
    """Whether the axes are (batch, channels, ...): a convolution made them, and nothing moved."""
    while place is not None and place.operator in _PASSING:
        place = _before(walk, place)
    return place is not None and place.operator in ("Conv", "ConvTranspose")


def _maker(walk: Walk, name: str) -> Place | None:
    outputs = walk.places[-1]
    index = [value.name for value in outputs.graph.output].index(name)
    source = outputs.sources[index]
    return walk.producers[source] if isinstance(source, int) else None


def _before(walk: Walk, place: Place) -> Place | None:
    """The place that makes the first input which is not a constant."""
    source = next((item for item in place.sources if isinstance(item, int)), None)
    return None if source is None else walk.producers[source]


def _checked_output(walk: Walk, shapes: dict[str, Shape | None], output: str | None) -> str | None:
    """The output asked for, or the first floating-point output, or None if there is none."""
    if output is None:
        return next(iter(shapes), None)
    if output not in shapes:
        listed: Sequence[str] = [value.name for value in walk.model.graph.output]
        what = "is not a floating-point tensor" if output in listed else "does not exist"
        raise MembersError(f"the output {output!r} {what}; the model has {', '.join(listed)}")
    return output


def _checked_axis(axis: int, shape: Shape | None, name: str) -> int:
    if axis == 0 or (shape is not None and not -len(shape) < axis < len(shape)):
        raise MembersError(
            f"class axis {axis} does not exist in the output {name!r} of shape {shape}, or is its "
            "batch axis"
        )
    return axis
