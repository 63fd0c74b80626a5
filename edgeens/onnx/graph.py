"""One walk over a model's graph: every node in order, and where each of its inputs comes from.

First step of onnx.members: comparison, choice of tensors, detection of the task and the skeleton
all read the same walk. Values are numbered, so that names which an exporter made up do not matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from edgeens.errors import MembersError

Proto = Any  # a message of the package onnx, which this module does not import


@dataclass(frozen=True, eq=False)
class Stored:
    """A constant that the model file holds.

    Attributes:
        tensor: TensorProto, or SparseTensorProto.
        home: the GraphProto whose initializer it is.
    """

    tensor: Proto
    home: Proto

    @property
    def sparse(self) -> bool:
        """Whether it is a SparseTensorProto."""
        return hasattr(self.tensor, "indices")

    @property
    def name(self) -> str:
        """The initializer's name."""
        return str(self.tensor.values.name if self.sparse else self.tensor.name)


Source = Stored | int | None  # a constant, the number of a value, or an optional input left out


@dataclass(frozen=True, eq=False)
class Place:
    """A node, or a graph's inputs, or a graph's outputs.

    Attributes:
        kind: which of the three.
        label: where it is, for messages.
        graph: the GraphProto that it belongs to.
        node: the NodeProto; None unless *kind* is "node".
        sources: what goes in, one for each of node.input or graph.output.
        results: numbers of the values that come out, one for each of node.output or graph.input;
            None for an optional output left out.
    """

    kind: Literal["inputs", "node", "outputs"]
    label: str
    graph: Proto
    node: Proto | None
    sources: tuple[Source, ...] = ()
    results: tuple[int | None, ...] = ()

    @property
    def operator(self) -> str:
        """The operator's name, with its domain unless that is ONNX's own; "" if not a node."""
        if self.node is None:
            return ""
        domain = str(self.node.domain)
        return (
            str(self.node.op_type) if domain in ("", "ai.onnx") else f"{domain}.{self.node.op_type}"
        )


@dataclass(eq=False)
class Walk:
    """A model and what the walk over it found.

    Attributes:
        model: the ModelProto; the other fields refer to its parts.
        places: inputs, nodes and outputs, in order; the places of a graph inside a node stand
            before the node. Nodes that only give a constant a name are left out.
        named_constants: (graph, index of the node) of those.
        producers: the place that a value comes from.
        consumers: (place, index of the input) of all that use a value.
    """

    model: Proto
    places: list[Place] = field(default_factory=list)
    named_constants: list[tuple[Proto, int]] = field(default_factory=list)
    producers: dict[int, Place] = field(default_factory=dict)
    consumers: dict[int, list[tuple[Place, int]]] = field(default_factory=lambda: defaultdict(list))

    def graphs(self) -> list[Proto]:
        """The model's graph and those inside its nodes."""
        return [place.graph for place in self.places if place.kind == "outputs"]


def walk_model(model: Proto, file: str) -> Walk:
    """Walk over *model*, whose Constant nodes also stand among the initializers.

    Raises MembersError, which names *file*, for a value that nothing defines.
    """
    walk = Walk(model)
    _Walker(walk, file).visit(model.graph, {}, "")
    for place in walk.places:
        for result in place.results:
            if result is not None:
                walk.producers[result] = place
        for index, source in enumerate(place.sources):
            if isinstance(source, int):
                walk.consumers[source].append((place, index))
    return walk


def all_nodes(graph: Proto) -> Iterator[Proto]:
    """The nodes of a graph and of the graphs inside them, in order."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from all_nodes(inner)


class _Walker:
    def __init__(self, walk: Walk, file: str) -> None:
        self._walk = walk
        self._file = file
        self._values = 0

    def visit(self, graph: Proto, outer: dict[str, Source], where: str) -> None:
        """Add the places of *graph*, which stands at *where* and sees the names in *outer*."""
        stored = {tensor.name: Stored(tensor, graph) for tensor in graph.initializer}
        stored |= {sparse.values.name: Stored(sparse, graph) for sparse in graph.sparse_initializer}
        scope: dict[str, Source] = outer | stored | {"": None}
        results = self._define([value.name for value in graph.input], scope)
        self._add(Place("inputs", f"{where}the graph's inputs", graph, None, results=results))
        for number, node in enumerate(graph.node):
            label = f"{where}node {number} ({node.op_type} {node.name!r})"
            sources = self._find(node.input, scope, label)
            if node.domain in ("", "ai.onnx") and self._names_constant(
                node, sources, stored, scope
            ):
                self._walk.named_constants.append((graph, number))
                continue
            for attribute in node.attribute:
                inner = [attribute.g] if attribute.HasField("g") else attribute.graphs
                for body in inner:
                    self.visit(body, scope, f"{attribute.name} of {label}, ")
            results = self._define(node.output, scope)
            self._add(Place("node", label, graph, node, sources, results))
        label = f"{where}the graph's outputs"
        sources = self._find([value.name for value in graph.output], scope, label)
        self._add(Place("outputs", label, graph, None, sources))

    def _add(self, place: Place) -> None:
        self._walk.places.append(place)

    def _names_constant(
        self,
        node: Proto,
        sources: tuple[Source, ...],
        stored: dict[str, Stored],
        scope: dict[str, Source],
    ) -> bool:
        """Whether *node* is Identity of a constant, or a Constant that is also an initializer."""
        name = node.output[0] if len(node.output) == 1 else ""
        if node.op_type == "Identity" and len(sources) == 1 and isinstance(sources[0], Stored):
            scope[name] = sources[0]
            return True
        return node.op_type == "Constant" and name in stored

    def _find(self, names: Any, scope: dict[str, Source], label: str) -> tuple[Source, ...]:
        for name in names:
            if name not in scope:
                raise MembersError(
                    f"{self._file} is not a valid ONNX model: {label} uses {name!r}, which no node "
                    "before it, input or initializer defines"
                )
        return tuple(scope[name] for name in names)

    def _define(self, names: Any, scope: dict[str, Source]) -> tuple[int | None, ...]:
        results: list[int | None] = []
        for name in names:
            if name:
                scope[name] = self._values
            results.append(self._values if name else None)
            self._values += 1
        return tuple(results)
