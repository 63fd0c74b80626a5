"""How many rows of a batch fit the memory at a time, where the caller does not say.

Between onnx.memory and onnx.session. What a row takes is counted, not guessed: the graph is run on
one row and on two with all inner values as outputs.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgeens.errors import DataError, NotEnoughMemoryError
from edgeens.onnx.elements import Array
from edgeens.onnx.inputs import total_bytes
from edgeens.onnx.memory import available_bytes
from edgeens.onnx.modes import SHARE
from edgeens.onnx.runtime import Members

# Smaller inputs are run at once: to ask the system how much memory there is takes longer than to
# run a small model on one row.
_SMALL = 1 << 20  # bytes


class Rows:
    """Rows that fit the memory, for one session."""

    def __init__(self, members: Members, *, workers: int) -> None:
        """*workers* members run at the same time."""
        self._members = members
        self._workers = workers
        self._costs: dict[tuple[tuple[int, ...], ...], int | None] = {}

    def fitting(self, feeds: Mapping[str, Array]) -> int | None:
        """Rows of *feeds* to run at a time; None: all of them, or the graph cannot be cut.

        What all inner values of so many rows take together, which is more than are alive at a time,
        keeps within the share of the available memory that weights may have too.
        """
        if total_bytes(feeds) < _SMALL:
            return None
        lengths = {array.shape[0] if array.ndim else 0 for array in feeds.values()}
        if len(lengths) != 1:
            return None
        (rows,) = lengths
        available = available_bytes()
        if rows < 2 or available is None:
            return None
        cost = self._cost(feeds)
        if cost is None:
            return None
        fit = int(SHARE * available / (max(cost, 1) * self._workers))
        return None if fit >= rows else max(fit, 1)

    def _cost(self, feeds: Mapping[str, Array]) -> int | None:
        """Bytes that a row of *feeds*, which has two or more, takes; None if it cannot be cut."""
        key = tuple(array.shape[1:] for array in feeds.values())
        if key not in self._costs:
            self._costs[key] = self._counted(feeds)
        return self._costs[key]

    def _counted(self, feeds: Mapping[str, Array]) -> int | None:
        parts = [{name: array[:rows] for name, array in feeds.items()} for rows in (1, 2)]
        try:
            (one, ones), (two, twos) = self._members.inner_sizes(parts)
        except (DataError, NotEnoughMemoryError):
            return None  # the run itself will say what is wrong, if anything is
        cut = all(shape[:1] == (1,) for shape in ones) and all(shape[:1] == (2,) for shape in twos)
        return two - one if cut else None
