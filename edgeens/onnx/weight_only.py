"""Members whose weights alone are quantised become float models that remember their codes.

Between onnx.members' reading and its walk. A DequantizeLinear of constants is a weight on a grid,
which is what a container holds: with the node gone, the codes are stored as they are, are coded
like all others, and the members run in every mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeens.ensemble import GivenCodes
from edgeens.onnx.elements import NAMES, NUMBERS, Array, tensor_values
from edgeens.onnx.graph import Proto, all_nodes
from edgeens.onnx.skeleton import is_quantised

_SCALES = (2.0**-126, 2.0**120)  # what a file holds: S4.4


@dataclass(frozen=True, eq=False)
class _Weight:
    """One DequantizeLinear of constants: its index in the graph, and what it gives out."""

    node: int
    values: Array
    codes: GivenCodes | None  # None for int32, which has no codes of 8 bits


def fold_weights(models: Sequence[Proto]) -> list[dict[str, GivenCodes]]:
    """Replace each DequantizeLinear of constants in *models* by its values; their codes by name.

    Only if nothing else in a model is quantised, because what ONNX Runtime makes of quantised
    activations depends on those nodes; and only if all members have their codes on the same grids,
    because a file has one grid a tensor. Else the models stay as they are, and nothing is returned
    for them.
    """
    found = [_weights(model.graph) for model in models]
    if not all(map(_nothing_else, models, found)) or not _same_grids(found):
        return [{} for _ in models]
    return [_folded(model.graph, weights) for model, weights in zip(models, found, strict=True)]


def _weights(graph: Proto) -> list[_Weight]:
    stored = {tensor.name: tensor for tensor in graph.initializer}
    weights = []
    for index, node in enumerate(graph.node):
        names = [name for name in node.input if name]
        if (
            node.op_type == "DequantizeLinear"
            and node.domain in ("", "ai.onnx")
            and all(name in stored for name in names)
            and not any(item.name in ("block_size", "output_dtype") for item in node.attribute)
        ):
            weight = _weight(index, node, [stored[name] for name in names])
            if weight is not None:
                weights.append(weight)
    return weights


def _weight(index: int, node: Proto, tensors: Sequence[Proto]) -> _Weight | None:
    """What a node gives out; None if a file cannot hold it so."""
    types = [NAMES.get(tensor.data_type) for tensor in tensors]
    if types[0] not in ("int8", "uint8", "int32") or types[1] != "float32":
        return None
    codes, scale = tensor_values(tensors[0]), tensor_values(tensors[1]).reshape(-1)
    zeros = tensor_values(tensors[2]).reshape(-1) if len(tensors) == 3 else np.zeros(1, codes.dtype)
    low, high = _SCALES
    if not ((scale >= low) & (scale < high)).all() or np.unique(zeros).size != 1:
        return None
    zero = int(zeros[0])
    axis = next((int(item.i) for item in node.attribute if item.name == "axis"), 1)
    axis = axis + codes.ndim if axis < 0 else axis
    shape = [1] * codes.ndim
    if scale.size > 1:
        if not axis < codes.ndim or codes.shape[axis] != scale.size:
            return None
        shape[axis] = scale.size
    # As ONNX defines it: one product, after a difference of integers that float32 holds exactly.
    values = (codes.astype(np.int64) - zero).astype(np.float32) * scale.reshape(shape)
    if types[0] == "int32":
        return _Weight(index, values, None)
    moved = 128 if types[0] == "uint8" else 0
    given = GivenCodes(
        codes=(codes.astype(np.int16) - moved).astype(np.int8)[np.newaxis],
        scale=scale.copy(),
        channel_axis=axis if scale.size > 1 else None,
        zero_point=zero - moved,
    )
    return _Weight(index, values, given)


def _nothing_else(model: Proto, weights: Sequence[_Weight]) -> bool:
    """Whether only the *weights* of a model are quantised."""
    count = sum(is_quantised(node) for node in all_nodes(model.graph))
    return bool(weights) and count == len(weights)


def _same_grids(found: Sequence[Sequence[_Weight]]) -> bool:
    grids = [[(weight.node, _grid(weight.codes)) for weight in weights] for weights in found]
    return all(other == grids[0] for other in grids[1:])


def _grid(codes: GivenCodes | None) -> object:
    if codes is None:
        return None
    return codes.scale.tobytes(), codes.channel_axis, codes.zero_point


def _folded(graph: Proto, weights: Sequence[_Weight]) -> dict[str, GivenCodes]:
    """Put the values among the initializers, under the names that the nodes gave them."""
    given = {}
    for weight in reversed(weights):
        name = graph.node[weight.node].output[0]
        graph.initializer.add(
            name=name,
            data_type=NUMBERS["float32"],
            dims=weight.values.shape,
            raw_data=weight.values.astype("<f4").tobytes(),
        )
        del graph.node[weight.node]
        if weight.codes is not None:
            given[name] = weight.codes
    used = {name for node in all_nodes(graph) for name in node.input}
    used |= {value.name for value in graph.output}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in used:
            del graph.initializer[index]
    return given
