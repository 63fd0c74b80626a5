"""A model's graph without its weights, and a member's weights put back into it (SPEC S11).

Last step of onnx.members, which makes the section; onnx.export undoes it. The session feeds the
same section to ONNX Runtime without this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeens.errors import DataError
from edgeens.onnx.elements import NAMES, NUMBERS, Array, numpy_type
from edgeens.onnx.graph import Place, Proto, Stored, Walk
from edgeens.onnx.package import onnx

LOCATION = "edgeens"
# What ONNX Runtime 1.20 reads. Below 4, every initializer would have to be an input as well.
IR_VERSIONS = (4, 10)


@dataclass(frozen=True, eq=False)
class Weight:
    """A tensor that leaves the graph for the container.

    Attributes:
        name: of the tensor in the container, different from all names that stay in the graph.
        dtype: the type of a value, by its ONNX name in lower case.
        shape: of one member's tensor.
        uses: (place, index of the source) of every use in the graph.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    uses: Sequence[tuple[Place, int]]

    @property
    def size(self) -> int:
        """Bytes of one member's tensor."""
        return int(np.prod(self.shape, dtype=np.int64)) * numpy_type(self.dtype).itemsize


def build_skeleton(walk: Walk, weights: Iterable[Weight]) -> dict[str, bytes]:
    """The section that holds the graph without *weights*, by its type: SKLF or SKLC.

    SKLF has the weights as graph inputs. A graph that is already quantised, or has operators from
    outside ONNX, gives SKLC instead: ONNX Runtime computes such graphs otherwise, or not at all,
    if those tensors are not constants. The walk's model is changed and must not be used after.
    """
    ordered = sorted(weights, key=lambda weight: weight.name.encode())
    moved = {use: weight.name for weight in ordered for use in weight.uses}
    kept: set[tuple[int, str]] = set()
    for place in walk.places:
        for index, source in enumerate(place.sources):
            if isinstance(source, Stored):
                if (place, index) not in moved:
                    kept.add((id(source.home), source.name))
                _connect(place, index, moved.get((place, index), source.name))
    for graph, number in reversed(walk.named_constants):
        del graph.node[number]
    for graph in walk.graphs():
        _strip(graph, kept)
    kind = "SKLC" if needs_constants(walk) else "SKLF"
    _declare(walk.model.graph, ordered, constants=kind == "SKLC")
    return {kind: _bare_model(walk.model).SerializeToString(deterministic=True)}


def needs_constants(walk: Walk) -> bool:
    """Whether ONNX Runtime must see this model's weights as constants."""
    return any(place.node is not None and is_quantised(place.node) for place in walk.places)


def is_quantised(node: Proto) -> bool:
    """Whether a node computes with codes, or may: it is from outside ONNX."""
    operator = str(node.op_type)
    return (
        node.domain not in ("", "ai.onnx", "ai.onnx.ml")
        or operator.startswith("QLinear")
        or operator.endswith(("QuantizeLinear", "DequantizeLinear", "Integer"))
    )


def restore_member(skeleton: bytes, tensors: Mapping[str, Array], *, filled: bool = True) -> Proto:
    """An ordinary ModelProto: *skeleton*, a SKLF or SKLC section, with one member's tensors inside.

    *tensors* are arrays by name, bfloat16 as uint16 bit patterns. Without *filled* the initializers
    have no data yet. Raises DataError if names, shapes or types are not those of the skeleton.
    """
    model = onnx.ModelProto.FromString(skeleton)
    graph = model.graph
    expected = {
        tensor.name: (tensor.data_type, tuple(tensor.dims))
        for tensor in graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    }
    for value in graph.input:
        if value.name in tensors:
            dims = value.type.tensor_type.shape.dim
            shape = tuple(dim.dim_value for dim in dims)
            expected[value.name] = (value.type.tensor_type.elem_type, shape)
    if expected.keys() != tensors.keys():
        name = min(expected.keys() ^ tensors.keys())
        where = "the graph" if name in expected else "the container"
        raise DataError(f"graph and tensors do not belong together: only {where} has {name!r}")
    _remove(graph.input, expected)
    _remove(graph.initializer, expected)
    for name in sorted(tensors, key=str.encode):
        number, shape = expected[name]
        _check_array(name, tensors[name], number, shape)
        tensor = graph.initializer.add(name=name, data_type=number, dims=shape)
        if filled:
            tensor.raw_data = tensors[name].tobytes()
    return model


def _check_array(name: str, array: Array, number: int, shape: tuple[int, ...]) -> None:
    expected = numpy_type(NAMES[number])
    if array.shape != shape or array.dtype != expected:
        raise DataError(
            f"tensor {name!r} has shape {array.shape} and type {array.dtype}, but the graph needs "
            f"{shape} and {expected}"
        )


def _connect(place: Place, index: int, name: str) -> None:
    """Let the constant *name* go into a place; a graph's output gets a node of its own.

    ONNX forbids an inner graph to give out what lies outside it, and ONNX Runtime 1.20 returns
    freed memory for an output that is an input.
    """
    if place.node is not None:
        place.node.input[index] = name
    elif place.graph.output[index].name != name:
        output = place.graph.output[index].name
        place.graph.node.append(onnx.helper.make_node("Identity", [name], [output]))


def _strip(graph: Proto, kept: set[tuple[int, str]]) -> None:
    """Leave in *graph* what it computes with: the initializers in *kept*, and no comments."""
    for field in (graph.initializer, graph.sparse_initializer):
        names = [getattr(tensor, "values", tensor).name for tensor in field]
        _remove(field, {name for name in names if (id(graph), name) not in kept})
    for tensor in graph.initializer:
        tensor.ClearField("doc_string")
    for value in [*graph.input, *graph.output]:
        _clear(value, "doc_string", "metadata_props")
    for node in graph.node:
        _clear(node, "doc_string", "metadata_props")
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
    _clear(graph, "doc_string", "metadata_props", "value_info", "quantization_annotation")


def _remove(field: Proto, names: Iterable[str]) -> None:
    """Take the tensors or values of these names out of a repeated field."""
    gone = set(names)
    for index in reversed(range(len(field))):
        if getattr(field[index], "values", field[index]).name in gone:
            del field[index]


def _clear(message: Proto, *fields: str) -> None:
    """Empty those of *fields* that the installed onnx knows."""
    for field in fields:
        if field in message.DESCRIPTOR.fields_by_name:
            message.ClearField(field)


def _declare(graph: Proto, weights: Sequence[Weight], *, constants: bool) -> None:
    """Say in the graph where the weights come from."""
    offset = 0
    for weight in weights:
        number = NUMBERS[weight.dtype]
        if not constants:
            graph.input.append(
                onnx.helper.make_tensor_value_info(weight.name, number, weight.shape)
            )
            continue
        tensor = graph.initializer.add(name=weight.name, data_type=number, dims=weight.shape)
        locate(tensor, LOCATION, offset, weight.size)
        offset += weight.size


def locate(tensor: Proto, location: str, offset: int, length: int) -> None:
    """Mark *tensor* as lying in a file beside the model."""
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _bare_model(model: Proto) -> Proto:
    """The model with what it needs to run, and who made it."""
    low, high = IR_VERSIONS
    return onnx.ModelProto(
        ir_version=min(max(model.ir_version, low), high),
        opset_import=model.opset_import,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
        graph=model.graph,
    )
