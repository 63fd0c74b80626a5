"""Whether two models have one architecture, and if not, where they first differ.

Second step of onnx.members. Values of stored tensors may differ; names of nodes and of inner values
may too, as exporters number them differently; which tensor goes where decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgeens.errors import MembersError
from edgeens.onnx.elements import NAMES
from edgeens.onnx.graph import Place, Proto, Source, Stored, Walk


@dataclass(frozen=True)
class _Fact:
    """What is compared, and how a message shows it."""

    key: Any
    text: str


_NOTHING = _Fact(None, "absent")


def check_same_graph(reference: Walk, other: Walk, *, files: tuple[str, str]) -> None:
    """Raise MembersError, which names both *files* and the first difference, if there is one."""
    first, second = files
    start = f"{second} and {first} are not members of one ensemble"
    # Both walks end with the outputs of the whole model, so one cannot be the start of the other.
    places = zip(reference.places, other.places, strict=False)
    pairs = [("the model", _model_facts(reference.model), _model_facts(other.model))]
    for label, expected, found in [*pairs, *((p.label, _facts(p), _facts(q)) for p, q in places)]:
        for what in expected | found:
            a, b = expected.get(what, _NOTHING), found.get(what, _NOTHING)
            if a.key != b.key:
                raise MembersError(
                    f"{start}: at {label}, {what} is {a.text} in {first}, but {b.text} in {second}"
                )


def _model_facts(model: Proto) -> dict[str, _Fact]:
    facts = {}
    for opset in model.opset_import:
        domain = "ai.onnx" if opset.domain == "" else opset.domain
        facts[f"the operator set {domain}"] = _Fact(opset.version, f"version {opset.version}")
    return facts


def _facts(place: Place) -> dict[str, _Fact]:
    """What two models must agree on at a place; the order is that of the comparison."""
    facts = {"the next step": _Fact(place.kind, place.label)}
    return facts | dict(_node_facts(place) if place.kind == "node" else _interface_facts(place))


def _node_facts(place: Place) -> Iterator[tuple[str, _Fact]]:
    node = place.node
    assert node is not None
    yield "the operator", _Fact(place.operator, place.operator)
    for attribute in node.attribute:
        yield f"the attribute {attribute.name!r}", _attribute_fact(attribute)
    for index, source in enumerate(place.sources):
        yield f"input {index}", _source_fact(source, node.input[index])
    for index, result in enumerate(place.results):
        if result is not None:
            yield f"output {index}", _Fact(True, "present")


def _interface_facts(place: Place) -> Iterator[tuple[str, _Fact]]:
    """A graph's inputs or outputs; only those of the model itself have names that matter."""
    values = place.graph.input if place.kind == "inputs" else place.graph.output
    outermost = place.label.startswith("the graph's")
    yield "their number", _Fact(len(values), str(len(values)))
    for index, value in enumerate(values):
        kind = "input" if place.kind == "inputs" else "output"
        if outermost:
            yield f"the name of {kind} {index}", _Fact(value.name, repr(value.name))
        yield f"the type of {kind} {value.name if outermost else index!r}", _type_fact(value.type)
        if place.kind == "outputs":
            yield f"the source of output {index}", _source_fact(place.sources[index], value.name)


def _source_fact(source: Source, name: str) -> _Fact:
    if source is None:
        return _NOTHING
    if isinstance(source, int):
        return _Fact(("value", source), f"the value {name!r}")
    return _stored_fact(source)


def _stored_fact(stored: Stored) -> _Fact:
    tensor = stored.tensor
    values = tensor.values if stored.sparse else tensor
    dims = list(tensor.dims)
    kind = "sparse initializer" if stored.sparse else "initializer"
    text = f"the {kind} {stored.name!r} ({_type_name(values.data_type)} {dims})"
    return _Fact((kind, values.data_type, dims), text)


def _type_fact(type_: Proto) -> _Fact:
    """Element type, rank and fixed dims; the names of the other dims are the exporter's choice."""
    if not type_.HasField("tensor_type"):
        return _Fact(type_.SerializeToString(deterministic=True), "not a tensor")
    tensor = type_.tensor_type
    name = _type_name(tensor.elem_type)
    if not tensor.HasField("shape"):
        return _Fact((tensor.elem_type, None), f"{name} of any shape")
    dims = [dim.dim_value if dim.HasField("dim_value") else "?" for dim in tensor.shape.dim]
    return _Fact((tensor.elem_type, dims), f"{name} [{', '.join(map(str, dims))}]")


def _type_name(number: int) -> str:
    return NAMES.get(number, f"type {number}")


def _attribute_fact(attribute: Proto) -> _Fact:
    """An attribute without its comment; graphs inside have places of their own."""
    if attribute.HasField("g") or len(attribute.graphs):
        return _Fact(("graphs", len(attribute.graphs)), f"{len(attribute.graphs) or 1} graphs")
    bare = type(attribute)()
    bare.CopyFrom(attribute)
    bare.ClearField("doc_string")
    return _Fact(bare.SerializeToString(deterministic=True), _shown(attribute))


def _shown(attribute: Proto) -> str:
    """The value as a short text: numbers and strings themselves, other content as "different"."""
    for single in ("f", "i", "s"):
        if attribute.HasField(single):
            value = getattr(attribute, single)
            return f"{value:g}" if single == "f" else repr(value)[:80]
    for several in ("floats", "ints", "strings"):
        if len(getattr(attribute, several)):
            return str(list(getattr(attribute, several)))[:80]
    return "one value" if attribute.HasField("t") else "empty"
