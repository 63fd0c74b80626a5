"""What uncertainty.summarize computes, as nodes of a graph (onnx.one_graph).

Opset 13 or newer: ReduceSum and Unsqueeze take their axes as inputs there, and of the Reduce
operators only ReduceSum does so in all of them, so it is the only one used. Entropies in nats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgeens.errors import DataError
from edgeens.onnx.graph import Proto
from edgeens.onnx.package import onnx

_SMALLEST = np.float32(np.finfo(np.float32).tiny)  # p log p is 0 in float32 below


class _Nodes:
    """Nodes and constants behind the members, each result under a name of its own."""

    def __init__(self, graph: Proto) -> None:
        self.graph = graph

    def constant(self, name: str, values: Any) -> str:
        full = f"edgeens.constant/{name}"
        self.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values), full))
        return full

    def add(self, operator: str, inputs: Sequence[str], output: str, **options: Any) -> str:
        self.graph.node.append(onnx.helper.make_node(operator, list(inputs), [output], **options))
        return output


def judge(model: Proto, members: int, metadata: Mapping[str, Any]) -> None:
    """Replace the members' outputs by what an ensemble says, after the file's task.

    Outputs other than the task's stay, as `member_k/NAME`.

    Raises DataError if the file does not say its task.
    """
    task = metadata.get("edgeens.task")
    if task not in ("classification", "multilabel", "regression"):
        raise DataError(
            "the file does not say what its output means (edgeens.task), so there is nothing to "
            "summarise: export the members one by one"
        )
    graph = model.graph
    per_member = len(graph.output) // members
    named = metadata.get("edgeens.output")
    first = [value.name.partition("/")[2] for value in graph.output[:per_member]]
    if named is not None and named not in first:
        raise DataError(f"the graph has no output {named!r}, of which the file speaks")
    position = first.index(named) if named is not None else 0
    chosen = [graph.output[k * per_member + position] for k in range(members)]
    names = [value.name for value in chosen]
    rank = len(chosen[0].type.tensor_type.shape.dim)
    rest = [value for value in graph.output if value.name not in names]
    del graph.output[:]
    nodes = _Nodes(graph)
    stacked = _stacked(nodes, names)
    if task == "regression":
        _regression(nodes, stacked, members, rank)
    else:
        probabilities = _probabilities(nodes, stacked, task, metadata, rank)
        _uncertainties(nodes, probabilities, members, task, metadata, rank)
    graph.output.extend(rest)


def _stacked(nodes: _Nodes, names: Sequence[str]) -> str:
    """The members' outputs as float32 (K, batch, ...)."""
    axis = nodes.constant("member axis", np.array([0], np.int64))
    parts = []
    for name in names:
        wide = nodes.add("Cast", [name], f"{name}/float32", to=int(onnx.TensorProto.FLOAT))
        parts.append(nodes.add("Unsqueeze", [wide, axis], f"{name}/unsqueezed"))
    return nodes.add("Concat", parts, "edgeens.outputs", axis=0)


def _class_axis(metadata: Mapping[str, Any], rank: int) -> int:
    """The axis of the classes in one member's output, counted from the front."""
    axis = int(metadata.get("edgeens.class_axis", -1))
    return axis if axis >= 0 else axis + rank


def _probabilities(
    nodes: _Nodes, stacked: str, task: str, metadata: Mapping[str, Any], rank: int
) -> str:
    """The output `member_probs`."""
    if metadata.get("edgeens.output_kind", "logits") != "logits":
        return nodes.add("Identity", [stacked], "member_probs")
    temperature = float(metadata.get("edgeens.temperature", 1.0))
    if temperature != 1:
        divisor = nodes.constant("temperature", np.float32(temperature))
        stacked = nodes.add("Div", [stacked, divisor], "edgeens.tempered")
    if task == "multilabel":
        return nodes.add("Sigmoid", [stacked], "member_probs")
    axis = _class_axis(metadata, rank) + 1
    return nodes.add("Softmax", [stacked], "member_probs", axis=axis)


def _mean(nodes: _Nodes, values: str, members: int, output: str) -> str:
    """Over the members, axis 0."""
    axis = nodes.constant(f"{output} axis", np.array([0], np.int64))
    total = nodes.add("ReduceSum", [values, axis], f"{output}/sum", keepdims=0)
    count = nodes.constant(f"{output} members", np.float32(members))
    return nodes.add("Div", [total, count], output)


def _entropy(nodes: _Nodes, probabilities: str, axis: int | None, output: str) -> str:
    """Of the classes on *axis*; None: of each yes/no label by itself."""
    terms = _minus_p_log_p(nodes, probabilities, f"{output}/yes")
    if axis is None:
        one = nodes.constant(f"{output} one", np.float32(1))
        other = nodes.add("Sub", [one, probabilities], f"{output}/complement")
        return nodes.add("Add", [terms, _minus_p_log_p(nodes, other, f"{output}/no")], output)
    axes = nodes.constant(f"{output} classes", np.array([axis], np.int64))
    return nodes.add("ReduceSum", [terms, axes], output, keepdims=0)


def _minus_p_log_p(nodes: _Nodes, probabilities: str, name: str) -> str:
    smallest = nodes.constant(f"{name} smallest", _SMALLEST)
    kept = nodes.add("Max", [probabilities, smallest], f"{name}/kept")
    logarithm = nodes.add("Log", [kept], f"{name}/log")
    product = nodes.add("Mul", [probabilities, logarithm], f"{name}/product")
    return nodes.add("Neg", [product], f"{name}/term")


def _uncertainties(
    nodes: _Nodes,
    probabilities: str,
    members: int,
    task: str,
    metadata: Mapping[str, Any],
    rank: int,
) -> None:
    axis = _class_axis(metadata, rank) if task == "classification" else None
    mean = _mean(nodes, probabilities, members, "mean_probs")
    total = _entropy(nodes, mean, axis, "predictive_entropy")
    inner = None if axis is None else axis + 1
    own = _entropy(nodes, probabilities, inner, "edgeens.member_entropy")
    expected = _mean(nodes, own, members, "edgeens.expected_entropy")
    gap = nodes.add("Sub", [total, expected], "edgeens.entropy_gap")
    nodes.add("Relu", [gap], "mutual_information")
    _disagreement(nodes, probabilities, members, inner)
    less = rank - 1 if task == "classification" else rank
    _declare(
        nodes.graph,
        mean_probs=rank,
        member_probs=rank + 1,
        predictive_entropy=less,
        mutual_information=less,
        disagreement=less,
    )


def _disagreement(nodes: _Nodes, probabilities: str, members: int, axis: int | None) -> None:
    """The fraction of member pairs whose decisions differ, from how many members chose what.

    With n members for a decision, n (n - 1) of the K (K - 1) ordered pairs agree on it.
    """
    if axis is None:
        half = nodes.constant("half", np.float32(0.5))
        chosen = nodes.add("GreaterOrEqual", [probabilities, half], "edgeens.chosen")
        yes = nodes.add("Cast", [chosen], "edgeens.yes", to=int(onnx.TensorProto.FLOAT))
        one = nodes.constant("one", np.float32(1))
        no = nodes.add("Sub", [one, yes], "edgeens.no")
        agreeing = [_agreeing(nodes, votes, None) for votes in (yes, no)]
        agree = nodes.add("Add", agreeing, "edgeens.agreeing")
    else:
        decided = nodes.add("ArgMax", [probabilities], "edgeens.decided", axis=axis, keepdims=0)
        shape = nodes.add("Shape", [probabilities], "edgeens.shape")
        place = nodes.constant("class place", np.array([axis], np.int64))
        classes = nodes.add("Gather", [shape, place], "edgeens.class_count", axis=0)
        values = nodes.constant("votes", np.array([0, 1], np.float32))
        votes = nodes.add("OneHot", [decided, classes, values], "edgeens.votes", axis=axis)
        agree = _agreeing(nodes, votes, axis - 1)
    pairs = nodes.constant("pairs", np.float32(max(members * (members - 1), 1)))
    share = nodes.add("Div", [agree, pairs], "edgeens.agreement")
    everything = nodes.constant("everything", np.float32(1 if members > 1 else 0))
    nodes.add("Sub", [everything, share], "disagreement")


def _agreeing(nodes: _Nodes, votes: str, classes: int | None) -> str:
    """Ordered pairs of members that agree: over the classes on that axis, if there is one."""
    axis = nodes.constant(f"{votes} members", np.array([0], np.int64))
    count = nodes.add("ReduceSum", [votes, axis], f"{votes}/count", keepdims=0)
    one = nodes.constant(f"{votes} one", np.float32(1))
    others = nodes.add("Sub", [count, one], f"{votes}/others")
    pairs = nodes.add("Mul", [count, others], f"{votes}/pairs")
    if classes is None:
        return pairs
    axes = nodes.constant(f"{votes} classes", np.array([classes], np.int64))
    return nodes.add("ReduceSum", [pairs, axes], f"{votes}/agreeing", keepdims=0)


def _regression(nodes: _Nodes, stacked: str, members: int, rank: int) -> None:
    mean = _mean(nodes, stacked, members, "mean")
    away = nodes.add("Sub", [stacked, mean], "edgeens.away")
    square = nodes.add("Mul", [away, away], "edgeens.square")
    _mean(nodes, square, members, "variance")
    nodes.add("Identity", [stacked], "members")
    _declare(nodes.graph, mean=rank, variance=rank, members=rank + 1)


def _declare(graph: Proto, **ranks: int) -> None:
    """Outputs of float32, as many axes as given, of any size."""
    for name, rank in ranks.items():
        graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * rank)
        )
