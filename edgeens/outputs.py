"""Members' outputs on a whole data set, some rows at a time: memory for activations stays small.

Between a session, or the members' own files, and the figures of evaluate and compare.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.data import Inputs
from edgeens.errors import DataError, MembersError
from edgeens.onnx.files import MemberFile
from edgeens.onnx.inputs import pieces
from edgeens.onnx.session import Session

Array = NDArray[Any]
PathLike = str | os.PathLike[str]
Ran = Callable[[int], None]
Step = Callable[[str, int, int], None]

BATCH = 256  # rows that run at a time


class Meter:
    """Adds up what has run, for a progress bar."""

    def __init__(self, step: Step | None, total: int) -> None:
        """*step* is called with (label, done, total); *total* counts rows, once for each member."""
        self._step = step
        self._done, self._total = 0, total

    def more(self, rows: int) -> None:
        """So many rows come on top."""
        self._total += rows

    def of(self, label: str) -> Ran:
        """What a run called *label* reports its rows to."""

        def ran(rows: int) -> None:
            self._done += rows
            if self._step is not None:
                self._step(label, self._done, self._total)

        ran(0)
        return ran


def row_count(x: Inputs) -> int:
    """The rows of a model's input or inputs; 0 if they have none in common."""
    arrays = list(x.values()) if isinstance(x, Mapping) else [x]
    lengths = {len(array) if array.ndim else 0 for array in arrays}
    return lengths.pop() if len(lengths) == 1 else 0


def session_outputs(session: Session, x: Inputs, *, ran: Ran) -> Array:
    """The raw outputs (K, rows, ...) of all members that the session's task speaks of.

    Inputs without one common length run at once. Raises DataError if *x* does not fit the model.
    """
    parts = []
    size = BATCH if session.rows is None else -(-BATCH // session.rows) * session.rows
    for part in _parts(x, size):
        parts.append(session.predict_members(part)[session.output])
        ran(session.members * row_count(part))
    return _joined(parts, session.output, rows=size, axis=1)


def file_outputs(paths: Sequence[PathLike], x: Inputs, *, output: str, ran: Ran) -> Array:
    """The raw output of that name (K, rows, ...) of plain .onnx files, loaded one at a time.

    Raises:
        DataError: *x* does not fit a model.
        MembersError: a file cannot be loaded, or its outputs are not those of the first.
        MissingPackageError: onnxruntime is not installed.
    """
    members: list[Array] = []
    for path in paths:
        member = MemberFile(path)
        parts = []
        size = member.rows or BATCH
        for part in _parts(x, size):
            found = member.run(part)
            if output not in found:
                raise MembersError(f"{path} has no output {output!r}, but {', '.join(found)}")
            parts.append(found[output])
            ran(row_count(part))
        members.append(_joined(parts, output, rows=size, axis=0))
        if members[-1].shape != members[0].shape:
            raise MembersError(
                f"the output {output!r} of {path} has shape {members[-1].shape}, that of "
                f"{paths[0]} {members[0].shape}"
            )
    return np.stack(members)


def _joined(parts: Sequence[Array], output: str, *, rows: int, axis: int) -> Array:
    """The parts as one array, *axis* counting the rows, of which the first has *rows*."""
    if len(parts) == 1:
        return parts[0]
    if parts[0].ndim <= axis or parts[0].shape[axis] != rows:
        raise DataError(
            f"the output {output!r} has no batch axis, so no more than {rows} rows can be judged"
        )
    return np.concatenate(parts, axis=axis)


def _parts(x: Inputs, size: int) -> Iterator[Inputs]:
    """*x* in pieces of *size* rows."""
    if row_count(x) <= size:
        yield x
        return
    for piece in pieces(x if isinstance(x, Mapping) else {"": x}, size):
        yield piece if isinstance(x, Mapping) else piece[""]
