"""The inputs of every layer on calibration data, summed up for rounding with error feedback.

Between onnx.members and quantize: the members run in ONNX Runtime as they came, and what goes into
their weights is watched. Only Gram matrices are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.ensemble import Ensemble, LayerInputs
from edgeens.errors import DataError
from edgeens.onnx.elements import Array
from edgeens.onnx.engine import import_runtime, reason
from edgeens.onnx.graph import walk_model
from edgeens.onnx.inputs import Input, named_arrays
from edgeens.onnx.package import onnx
from edgeens.onnx.products import Layout, Product, products
from edgeens.onnx.skeleton import restore_member

Progress = Callable[[str, int, int], None]
Grams = NDArray[np.float64]

MOST_BYTES = 1 << 30
_RUN_BYTES = 1 << 26  # watched values of one run of a member
_FIRST_ROWS = 8  # rows of the first run, which tells how large those values are
_MOST_ROWS = 1024


class LayerCapture:
    """Gives out, by the name of a tensor, what it is multiplied with on the calibration data.

    Called in the order of the ensemble's tensors, it runs the members once for as many tensors as
    *most_bytes* of Gram matrices hold (8 K groups columns**2 bytes a tensor), and again for the
    next ones. Beside those it holds one member, one batch of at most 64 MB of watched values, and
    patches of the size of one Gram matrix.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        x: Array | Mapping[str, Array],
        *,
        most_bytes: int = MOST_BYTES,
        progress: Progress | None = None,
    ) -> None:
        """Check the data and see which tensors can be watched; nothing runs yet.

        Args:
            ensemble: as load_members made it.
            x: the model's input, or its inputs by name; axis 0 counts rows.
            most_bytes: of Gram matrices held at a time; a tensor that needs more is not watched.
            progress: called with ("calibration", member runs done, member runs in all).

        Raises:
            DataError: *x* does not fit the model, or holds NaN.
            MissingPackageError: onnxruntime is not installed.
        """
        (self._skeleton,) = ensemble.skeletons.values()
        self._ensemble = ensemble
        self._progress = progress
        walk = walk_model(restore_member(self._skeleton, self._member(0), filled=False), "")
        self._products = {
            tensor.name: products(walk, tensor.name, tensor.shape)
            for tensor in ensemble.tensors
            if tensor.quantise
        }
        self._passes = self._planned(most_bytes)
        self._feeds = _checked(x, self._session(0, []))
        self._found: dict[str, LayerInputs] = {}

    @property
    def watched(self) -> list[str]:
        """Names of the tensors whose inputs can be given."""
        return [name for names in self._passes for name in names]

    def __call__(self, name: str) -> LayerInputs | None:
        """The inputs of one tensor in all members; None if they cannot be watched.

        That is so for a tensor that is not (only) the weight of Conv, Gemm or a MatMul of two
        dimensions, that two layers use as different matrices, that belongs to a graph inside a
        node (If, Loop), or whose Gram matrices are too large.

        Raises:
            DataError: ONNX Runtime cannot run a member, or the inputs become NaN or infinite.
        """
        if name not in self._found:
            names = next((names for names in self._passes if name in names), None)
            if names is None:
                return None
            self._found = self._run(names)
        return self._found.pop(name)

    def _planned(self, most_bytes: int) -> list[list[str]]:
        """The tensors that are watched in each pass over the data."""
        passes: list[list[str]] = []
        left = 0
        for name, uses in self._products.items():
            if not uses:
                continue
            layout = uses[0].layout
            size = 8 * self._ensemble.members * layout.groups * layout.columns**2
            if size > most_bytes:
                continue
            if size > left:
                passes.append([])
                left = most_bytes
            passes[-1].append(name)
            left -= size
        return passes

    def _run(self, names: Sequence[str]) -> dict[str, LayerInputs]:
        """One pass: all members over all data."""
        grams = {name: self._zeros(self._products[name][0].layout) for name in names}
        for member in range(self._ensemble.members):
            if self._progress is not None:
                self._progress("calibration", member, self._ensemble.members)
            uses = [(grams[name][member], use) for name in names for use in self._products[name]]
            self._run_member(member, uses)
        for name in names:
            if not np.isfinite(grams[name]).all():
                raise DataError(
                    f"on the calibration data, the inputs of tensor {name!r} become NaN or "
                    "infinite; repair the data, or exclude the tensor from quantisation"
                )
        return {
            name: LayerInputs(grams[name], self._products[name][0].layout.order) for name in names
        }

    def _zeros(self, layout: Layout) -> Grams:
        shape = (self._ensemble.members, layout.groups, layout.columns, layout.columns)
        return np.zeros(shape)

    def _run_member(self, member: int, uses: Sequence[tuple[Grams, Product]]) -> None:
        """Add what goes into each product to its Gram matrices (groups, columns, columns)."""
        # A graph's own input must not be declared an output too: ONNX Runtime 1.20 would return
        # freed memory. It is in the feeds anyway.
        inner = sorted({use.operand for _, use in uses} - self._feeds.keys())
        session = self._session(member, inner)
        fixed, total = _fixed_rows(session), _common_rows(self._feeds)
        rows, start = fixed or _FIRST_ROWS, 0
        while total is None or start < total:
            feeds = dict(self._feeds)
            if total is not None:
                feeds = {name: array[start : start + rows] for name, array in feeds.items()}
            values = feeds | _run(session, inner, feeds)
            for gram, use in uses:
                for vectors in use.vectors(values[use.operand]):
                    gram += np.swapaxes(vectors, -2, -1) @ vectors
            if total is None:  # all rows at once
                break
            start += rows
            if fixed is None:
                row_bytes = sum(values[name].nbytes for name in inner) // rows + 1
                rows = min(max(1, _RUN_BYTES // row_bytes), _MOST_ROWS)

    def _member(self, member: int) -> dict[str, Array]:
        return {
            tensor.name: tensor.values[member if tensor.copies > 1 else 0]
            for tensor in self._ensemble.tensors
        }

    def _session(self, member: int, inner: Sequence[str]) -> Any:
        """One member in ONNX Runtime, with *inner* values among its outputs."""
        model = restore_member(self._skeleton, self._member(member))
        known = {value.name for value in model.graph.output}
        model.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in inner if name not in known
        )
        runtime = import_runtime()
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # its errors come as exceptions; no need to print them too
        try:
            return runtime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common base but this
            raise DataError(f"ONNX Runtime cannot load member {member}: {reason(error)}") from error


def _checked(x: Array | Mapping[str, Array], session: Any) -> dict[str, Array]:
    """The arrays by name, once they fit the model."""
    inputs = [Input(item.name, item.type, tuple(item.shape)) for item in session.get_inputs()]
    feeds = named_arrays(x, inputs)
    fixed = _fixed_rows(session)
    for item in inputs:
        array = feeds[item.name]
        item.check(array, rows=fixed)
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise DataError(f"the calibration data holds NaN in input {item.name!r}; remove it")
        if fixed is not None and array.shape[0] % fixed:
            raise DataError(
                f"the model takes {fixed} rows at a time, so the rows of input {item.name!r} "
                f"must be a multiple of that, but there are {array.shape[0]}"
            )
    return feeds


def _fixed_rows(session: Any) -> int | None:
    """The size of the batches that the graph was made for; None if it takes any."""
    firsts = {tuple(item.shape)[:1] for item in session.get_inputs()}
    first = next(iter(firsts)) if len(firsts) == 1 else ()
    return first[0] if first and isinstance(first[0], int) else None


def _common_rows(feeds: Mapping[str, Array]) -> int | None:
    """The length of axis 0 of all inputs; None if they have no such axis in common."""
    lengths = {array.shape[:1] for array in feeds.values()}
    return next(iter(lengths))[0] if len(lengths) == 1 and () not in lengths else None


def _run(session: Any, names: Sequence[str], feeds: dict[str, Array]) -> dict[str, Array]:
    if not names:  # ONNX Runtime would take that for all outputs
        return {}
    try:
        return dict(zip(names, session.run(names, feeds), strict=True))
    except Exception as error:  # its errors have no common base but this
        raise DataError(f"the calibration data cannot be run: {reason(error)}") from error
