"""Arrays that a caller gives to a model, checked against what the model takes.

Beside onnx.session: what ONNX Runtime would refuse in its own words is said here in ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeens.errors import DataError
from edgeens.onnx.elements import NAMES, Array, numpy_type, runtime_type

_TYPES = {runtime_type(name): (name, numpy_type(name)) for name in NAMES.values()}


@dataclass(frozen=True)
class Input:
    """One input of the model.

    Attributes:
        name: as in the graph.
        type: as ONNX Runtime writes it, such as "tensor(float)".
        shape: an int for a fixed dim, else its name or None.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...]

    def check(self, array: Array, *, rows: int | None) -> None:
        """Raise DataError unless the model takes *array*; *rows* replaces a fixed first dim."""
        name, dtype = _TYPES.get(self.type, ("", array.dtype))
        if array.dtype != dtype:
            raise DataError(
                f"input {self.name!r} must be {name}, but is {array.dtype}; convert it with "
                f"astype(numpy.{dtype.name})"
            )
        fits = array.ndim == len(self.shape) and all(
            not isinstance(dim, int) or size == dim or (axis == 0 and rows is not None)
            for axis, (size, dim) in enumerate(zip(array.shape, self.shape, strict=False))
        )
        if fits and not array.size:
            raise DataError(f"input {self.name!r} is empty: it has shape {array.shape}")
        if not fits:
            dims = ", ".join("any" if dim is None else str(dim) for dim in self.shape)
            raise DataError(
                f"input {self.name!r} must have shape ({dims}), but has shape {array.shape}"
            )


def named_arrays(x: Array | Mapping[str, Array], inputs: Sequence[Input]) -> dict[str, Array]:
    """The arrays by name; a single array stands for the only input.

    Raises DataError for missing and for unknown names.
    """
    if isinstance(x, np.ndarray) or not isinstance(x, Mapping):
        if len(inputs) != 1:
            names = [item.name for item in inputs]
            raise DataError(
                f"the model has {len(names)} inputs ({', '.join(names)}): give arrays by name"
            )
        return {inputs[0].name: np.asarray(x, order="C")}
    names = [item.name for item in inputs]
    for name in [*names, *x]:
        if name not in x or name not in names:
            problem = "is missing" if name in names else "does not exist"
            takes, given = ", ".join(names), ", ".join(x) or "nothing"
            raise DataError(
                f"the input {name!r} {problem}; the model takes {takes}, but was given {given}"
            )
    return {name: np.asarray(x[name], order="C") for name in names}


def total_bytes(feeds: Mapping[str, Array]) -> int:
    """Of all arrays; asked before every run, so not by sum(), which takes thrice as long."""
    total = 0
    for array in feeds.values():
        total += array.nbytes
    return total


def pieces(feeds: Mapping[str, Array], rows: int | None) -> Iterator[dict[str, Array]]:
    """*feeds* cut along axis 0 into pieces of *rows*, the last one shorter; uncut for None.

    Raises DataError if the arrays do not have the same length.
    """
    if rows is None:
        yield dict(feeds)
        return
    lengths = {name: array.shape[0] if array.ndim else 0 for name, array in feeds.items()}
    (longest, *others) = sorted(set(lengths.values()), reverse=True)
    if others or not longest:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise DataError(f"inputs without one common length cannot be cut into batches ({listed})")
    for start in range(0, longest, rows):
        yield {name: array[start : start + rows] for name, array in feeds.items()}
