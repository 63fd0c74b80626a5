"""Members that are weights without a graph, put into one graph that has their names.

Before onnx.members' own steps: after this, each member is a model like those read from ONNX files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeens.errors import MembersError
from edgeens.onnx.elements import FLOATS, NAMES, NUMBERS, Array, numpy_type, tensor_values
from edgeens.onnx.graph import Proto
from edgeens.onnx.package import onnx
from edgeens.onnx.weights import LEAST_ELEMENTS
from edgeens.state_files import State, StateTensor

# Names that torch's exporters make up for what they computed: no module has them.
_MADE_UP = re.compile(r"onnx::|val_\d+$|.*lifted_tensor|.*_tensor_constant")
_COUNTERS = "num_batches_tracked"


@dataclass(frozen=True)
class _Source:
    """Where an initializer's values come from: a tensor of the file, perhaps transposed."""

    name: str
    transposed: bool = False


def fill_graph(
    model: Proto, states: Sequence[State], *, graph: str, files: Sequence[str]
) -> list[Proto]:
    """One model a member: *model* with the tensors of each state in place of its initializers.

    Tensors and initializers correspond by name; a prefix common to all names of a file, such as
    `module.`, may be missing in the graph. Exporters rename a matrix that they transpose: it is
    found by its values, if one of the files has those that the graph has. Integers that the graph
    lacks, such as counters of batches, are left out; half precision becomes float32, exactly.

    Args:
        model: with Constant nodes among its initializers, as onnx.members prepares it.
        states: tensors by name, a member each.
        graph, files: names for messages.

    Raises MembersError, which names what is missing, left over or of another shape or type.
    """
    tensors = {tensor.name: tensor for tensor in _initializers(model.graph)}
    named = [_without_prefix(state, tensors) for state in states]
    sources = _sources(tensors, named, _inline_constants(model.graph))
    models = []
    for state, file in zip(named, files, strict=True):
        _check_fit(tensors, sources, state, graph=graph, file=file)
        member = onnx.ModelProto()
        member.CopyFrom(model)
        for tensor in _initializers(member.graph):
            if tensor.name in sources:
                _fill(tensor, _values(state, sources[tensor.name]))
        models.append(member)
    return models


def _initializers(graph: Proto) -> Iterator[Proto]:
    """Of a graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for inner in _inner_graphs(graph):
        yield from _initializers(inner)


def _inline_constants(graph: Proto) -> set[str]:
    """Names of what the graph's own nodes hold: no weights of a module."""
    names = {node.output[0] for node in graph.node if node.op_type == "Constant"}
    return names.union(*map(_inline_constants, _inner_graphs(graph)))


def _inner_graphs(graph: Proto) -> Iterator[Proto]:
    for node in graph.node:
        for attribute in node.attribute:
            yield from [attribute.g] if attribute.HasField("g") else attribute.graphs


def _without_prefix(state: State, tensors: Mapping[str, Proto]) -> State:
    """*state* under the graph's names, if a common first part of its names hides them."""
    while state and not state.keys() & tensors.keys():
        first = {name.partition(".")[0] for name in state if "." in name}
        if len(first) != 1 or any("." not in name for name in state):
            break
        prefix = f"{first.pop()}."
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _sources(
    tensors: Mapping[str, Proto], states: Sequence[State], constants: set[str]
) -> dict[str, _Source]:
    """Which tensor of a file goes into which initializer."""
    known = set(states[0])
    sources = {name: _Source(name) for name in tensors if name in known}
    for name, tensor in tensors.items():
        if name not in sources and name not in constants and _is_weight(tensor):
            values = tensor_values(tensor)
            left = known - sources.keys()
            found = {s for state in states for s in _alike(values, state, left)}
            if len(found) == 1:
                sources[name] = found.pop()
    return sources


def _is_weight(tensor: Proto) -> bool:
    """Whether an initializer that no file names may not stay as it is."""
    if NAMES.get(tensor.data_type) not in FLOATS:
        return False
    size = int(np.prod(tensor.dims, dtype=np.int64))
    return size > 1 and (size >= LEAST_ELEMENTS or not _MADE_UP.match(tensor.name))


def _alike(values: Array, state: State, left: set[str]) -> Iterator[_Source]:
    """Tensors among *left* with the same values, as they are or transposed."""
    for name in left & state.keys():
        other = state[name].values
        if other.dtype != values.dtype or other.size != values.size:
            continue
        if np.array_equal(other, values):
            yield _Source(name)
        elif other.ndim == 2 and np.array_equal(other.T, values):
            yield _Source(name, transposed=True)


def _values(state: State, source: _Source) -> StateTensor:
    found = state[source.name]
    return StateTensor(found.dtype, found.values.T) if source.transposed else found


def _fill(tensor: Proto, found: StateTensor) -> None:
    values = found.values
    dtype = NAMES[tensor.data_type]
    if found.dtype == "bfloat16" and dtype == "float32":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    raw = np.ascontiguousarray(values, numpy_type(dtype)).tobytes()
    filled = onnx.TensorProto(name=tensor.name, data_type=NUMBERS[dtype], dims=tensor.dims)
    filled.raw_data = raw
    tensor.CopyFrom(filled)


def _check_fit(
    tensors: Mapping[str, Proto],
    sources: Mapping[str, _Source],
    state: State,
    *,
    graph: str,
    file: str,
) -> None:
    used = {source.name for source in sources.values()}
    extra = [name for name in state if name not in used and not _may_be_left(name, state, used)]
    lacking = [source.name for source in sources.values() if source.name not in state]
    lacking += [
        name for name, tensor in tensors.items() if name not in sources and _is_weight(tensor)
    ]
    other = [
        f"{name} ({_shown(tensors[name])} in the graph, {_shown(_values(state, source))} in the "
        "file)"
        for name, source in sources.items()
        if source.name in state and not _fits(tensors[name], _values(state, source))
    ]
    if not extra and not lacking and not other:
        return
    parts = []
    if lacking:
        shown = [f"{name} {_shown(tensors[name])}" if name in tensors else name for name in lacking]
        parts.append(f"the file lacks {_listed(shown)}")
    if extra:
        shown = [f"{name} {_shown(state[name])}" for name in extra]
        parts.append(f"the graph lacks {_listed(shown)}")
    if other:
        parts.append(f"other shapes or types: {_listed(other)}")
    raise MembersError(f"{file} does not fit {graph}: {'; '.join(parts)}{_advice(extra, lacking)}")


def _may_be_left(name: str, state: State, used: set[str]) -> bool:
    """Whether a tensor that the graph lacks says nothing: no weight, or one that is tied."""
    tensor = state[name]
    if name.endswith(_COUNTERS) or tensor.dtype not in FLOATS:
        return True
    return any(
        state[other].values.shape == tensor.values.shape
        and state[other].values.tobytes() == tensor.values.tobytes()
        for other in used & state.keys()
    )


def _fits(tensor: Proto, found: StateTensor) -> bool:
    wanted = NAMES.get(tensor.data_type)
    widened = wanted == "float32" and found.dtype in ("float16", "bfloat16")
    return tuple(tensor.dims) == found.values.shape and (found.dtype == wanted or widened)


def _advice(extra: Sequence[str], lacking: Sequence[str]) -> str:
    """What to do where an exporter is the likely reason."""
    if any("running_" in name for name in extra):
        found = (
            "folded normalisations into the layers before them, or merged tensors of equal values "
            "(those of an untrained network)"
        )
    elif any(_MADE_UP.match(name) for name in lacking):
        found = "renamed what it transposed or computed, which is known by its values alone"
    else:
        return ""
    return (
        f". The exporter has {found}: export the graph from one of these files' models, with "
        "optimize=False (dynamo) or do_constant_folding=False (TorchScript)"
    )


def _shown(tensor: Proto | StateTensor) -> str:
    if isinstance(tensor, StateTensor):
        return f"{tensor.dtype} {list(tensor.values.shape)}"
    return f"{NAMES.get(tensor.data_type, f'type {tensor.data_type}')} {list(tensor.dims)}"


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - 8} more" if len(items) > 8 else ""
    return ", ".join(items[:8]) + more
