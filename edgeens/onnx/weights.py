"""Which stored tensors are weights that may go on a grid, and which of their axes counts channels.

Third step of onnx.members. Weights are the weight inputs of Conv, ConvTranspose, Gemm, MatMul, RNN,
LSTM, GRU and the data of Gather, with 2 or more dimensions and at least 64 elements; biases,
normalisation and everything else are kept exactly (METHODS: "What is quantised").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgeens.onnx.graph import Place, Proto, Walk

LEAST_ELEMENTS = 64


def channel_axes(uses: Sequence[tuple[Place, int]], ndim: int, walk: Walk) -> set[int | None]:
    """The output-channel axis that each use as a weight asks for; empty if no use is one.

    None stands for a use without such an axis. *uses* are (place, index of the input). A weight
    may reach its operator through Transpose and Cast, as torch's newer exporter writes it.
    """
    return {axis for place, index in uses for axis in _axes(place, index, ndim, walk)}


def _axes(place: Place, index: int, ndim: int, walk: Walk) -> Iterator[int | None]:
    match (place.operator, index):
        case ("Conv", 1):
            yield 0
        case ("ConvTranspose", 1):
            # (in, out / group, ...): with groups, an index on axis 1 names one channel a group.
            yield 1 if _integer(place.node, "group", 1) == 1 else None
        case ("Gemm", 0):
            yield _integer(place.node, "transA", 0)
        case ("Gemm", 1):
            yield 1 - _integer(place.node, "transB", 0)
        case ("MatMul", 0):
            yield ndim - 2
        case ("MatMul", 1):
            yield ndim - 1
        case ("RNN" | "LSTM" | "GRU", 1 | 2):
            yield 1  # (directions, gates x hidden, in)
        case ("Gather", 0):
            yield _integer(place.node, "axis", 0) % ndim  # the row that one index picks
        case ("Cast", 0):
            yield from _axes_behind(place, ndim, walk)
        case ("Transpose", 0):
            order = _integers(place.node, "perm") or list(range(ndim))[::-1]
            for axis in _axes_behind(place, ndim, walk):
                yield None if axis is None else order[axis]


def _axes_behind(place: Place, ndim: int, walk: Walk) -> Iterator[int | None]:
    """The axes that the users of a node's first result ask for."""
    result = place.results[0]
    for user, index in walk.consumers[result] if result is not None else []:
        yield from _axes(user, index, ndim, walk)


def _integer(node: Proto, name: str, default: int) -> int:
    return next((int(item.i) for item in node.attribute if item.name == name), default)


def _integers(node: Proto, name: str) -> list[int]:
    return next((list(item.ints) for item in node.attribute if item.name == name), [])
