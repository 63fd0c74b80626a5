"""What a stored weight is multiplied with: the products it takes part in, and their other factor.

Beside onnx.weights, which names the operators; onnx.capture sums up the vectors found here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgeens.onnx.elements import Array
from edgeens.onnx.graph import Place, Proto, Stored, Walk

# Bytes of float64 vectors that are made at a time, and multiplied with themselves in the cache;
# or as many as the Gram matrices have, lest those be read and written more than the vectors.
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Layout:
    """How a tensor is a matrix: transposed to *order*, then shaped (groups, rows, columns)."""

    order: tuple[int, ...]
    groups: int
    columns: int

    @property
    def chunk_bytes(self) -> int:
        """How large a piece of vectors should be."""
        return max(_CHUNK_BYTES, 8 * self.groups * self.columns**2)


@dataclass(frozen=True, eq=False)
class Product:
    """One use of a tensor as a matrix.

    Attributes:
        place: the node, in the model's outermost graph.
        operand: the name of the value that the tensor is multiplied with.
        layout: of the tensor.
        kernel: sizes of a convolution's kernel; () for a matrix product.
        turned: whether the vectors of the operand are its columns, not its rows.
    """

    place: Place
    operand: str
    layout: Layout
    kernel: tuple[int, ...] = ()
    turned: bool = False

    def vectors(self, operand: Array) -> Iterator[Array]:
        """All vectors that the tensor is applied to, float64 pieces (groups, vectors, columns)."""
        if self.kernel:
            assert self.place.node is not None
            yield from _patches(operand, self.place.node, self.kernel, self.layout)
            return
        if operand.ndim == 1:
            operand = operand[np.newaxis]
        elif self.turned:
            operand = np.swapaxes(operand, -2, -1)
        rows = operand.reshape(-1, self.layout.columns)
        step = max(1, self.layout.chunk_bytes // (8 * self.layout.columns))
        for start in range(0, len(rows), step):
            yield rows[np.newaxis, start : start + step].astype(np.float64)


def products(walk: Walk, name: str, shape: Sequence[int]) -> list[Product]:
    """Every use of the stored tensor *name* as a matrix; empty if one of its uses is not one.

    Also empty if two uses see different matrices, or one is in a graph inside a node, whose values
    cannot be watched. The tensor may reach its operator through Transpose and Cast.
    """
    found: list[Product | None] = []
    for place in walk.places:
        for index, source in enumerate(place.sources):
            if isinstance(source, Stored) and source.name == name:
                order = tuple(range(len(shape)))
                found.extend(_uses(walk, place, index, tuple(shape), order))
    complete = [product for product in found if product is not None]
    if len(complete) < len(found) or len({product.layout for product in complete}) != 1:
        return []
    return complete


def _uses(
    walk: Walk, place: Place, index: int, shape: tuple[int, ...], order: tuple[int, ...]
) -> Iterator[Product | None]:
    """The products behind one input of a place; None for what is not a product.

    *order* are the axes of the stored tensor, of *shape*, as this input has them.
    """
    node = place.node
    if node is None or place.graph is not walk.model.graph:
        yield None
    elif place.operator in ("Transpose", "Cast") and index == 0:
        if place.operator == "Transpose":
            turn = _integers(node, "perm") or list(range(len(order)))[::-1]
            order = tuple(order[axis] for axis in turn)
        result = place.results[0]
        for user, input_index in walk.consumers[result] if result is not None else []:
            yield from _uses(walk, user, input_index, shape, order)
    else:
        yield _product(place, node, index, shape, order)


def _product(
    place: Place, node: Proto, index: int, shape: tuple[int, ...], order: tuple[int, ...]
) -> Product | None:
    seen = tuple(shape[axis] for axis in order)
    if place.operator == "Conv" and index == 1 and isinstance(place.sources[0], int):
        groups = _integer(node, "group", 1)
        layout = Layout(order, groups, math.prod(seen[1:]))
        return Product(place, node.input[0], layout, kernel=seen[2:])
    if place.operator not in ("Gemm", "MatMul") or index > 1 or len(order) != 2:
        return None
    if not isinstance(place.sources[1 - index], int):
        return None
    # The tensor's rows must be its outputs, and its other factor's rows the vectors.
    weight_turned = bool(_integer(node, "transB" if index else "transA", 0)) != bool(index)
    operand_turned = bool(_integer(node, "transA" if index else "transB", 0)) != (not index)
    if weight_turned:
        order = order[::-1]
    layout = Layout(order, 1, shape[order[1]])
    return Product(place, node.input[1 - index], layout, turned=operand_turned)


def _patches(x: Array, node: Proto, kernel: tuple[int, ...], layout: Layout) -> Iterator[Array]:
    """What a convolution multiplies its kernel with, (groups, images x places, columns)."""
    strides = _integers(node, "strides") or [1] * len(kernel)
    dilations = _integers(node, "dilations") or [1] * len(kernel)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    padded = np.pad(x, [(0, 0), (0, 0), *_pads(node, x.shape[2:], reach, strides)])
    inner = zip(padded.shape[2:], reach, strides, strict=True)
    places = [max(0, (size - window) // stride + 1) for size, window, stride in inner]
    channels = x.shape[1]
    row_bytes = 8 * channels * math.prod([*places[1:], *kernel])
    some_rows = max(1, min(places[0], layout.chunk_bytes // max(row_bytes, 1)))
    some_images = max(1, layout.chunk_bytes // max(row_bytes * some_rows, 1))
    for image, row in itertools.product(
        range(0, len(x), some_images), range(0, places[0], some_rows)
    ):
        counts = [min(some_rows, places[0] - row), *places[1:]]
        images = padded[image : image + some_images, :, row * strides[0] :]
        patches = np.empty((len(images), *counts, channels, math.prod(kernel)))
        for number, spot in enumerate(itertools.product(*map(range, kernel))):
            # One spot of the kernel at all places: far longer runs in memory than whole patches.
            cut = [
                slice(k * d, k * d + (count - 1) * s + 1, s)
                for k, d, s, count in zip(spot, dilations, strides, counts, strict=True)
            ]
            patches[..., number] = np.moveaxis(images[(slice(None), slice(None), *cut)], 1, -1)
        vectors = patches.reshape(-1, layout.groups, layout.columns)
        yield np.swapaxes(vectors, 0, 1)


def _pads(
    node: Proto, sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """Zeros before and behind each spatial axis (ONNX, Conv: auto_pad and pads)."""
    mode = next((item.s.decode() for item in node.attribute if item.name == "auto_pad"), "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for size, window, stride in zip(sizes, reach, strides, strict=True):
            total = max((-(-size // stride) - 1) * stride + window - size, 0)
            less = total // 2
            pads.append((less, total - less) if mode == "SAME_UPPER" else (total - less, less))
        return pads
    given = _integers(node, "pads") if mode == "NOTSET" else []
    given = given or [0] * (2 * len(sizes))
    return list(zip(given[: len(sizes)], given[len(sizes) :], strict=True))


def _integer(node: Proto, name: str, default: int) -> int:
    return next((int(item.i) for item in node.attribute if item.name == name), default)


def _integers(node: Proto, name: str) -> list[int]:
    return next((list(item.ints) for item in node.attribute if item.name == name), [])
