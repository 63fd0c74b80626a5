"""The reference decoder's bit streams (S1), and how it refuses a file (S12).

Under the other reference modules, and used by no one else.
"""

from __future__ import annotations

from typing import NoReturn

from edgeens.container.layout import Status
from edgeens.errors import FormatError


def refuse(status: Status, detail: str) -> NoReturn:
    """Raise the FormatError of *status*: the sentence of S12, then *detail*."""
    raise FormatError(int(status), f"{status.sentence}: {detail}")


class BitStream:
    """Fields from the least significant bit upwards (S1)."""

    def __init__(self, data: bytes, status: Status = Status.BLOCK_CONTENT) -> None:
        """Begin at the first bit of *data*; whatever is wrong is refused with *status*."""
        self._data = data
        self._status = status
        self._next = 0
        self._bits = 0
        self._held = 0

    def take(self, width: int) -> int:
        """The next field of *width* bits."""
        while self._held < width:
            if self._next == len(self._data):
                refuse(self._status, "a bit stream ends early")
            self._bits |= self._data[self._next] << self._held
            self._next += 1
            self._held += 8
        field = self._bits & (1 << width) - 1
        self._bits >>= width
        self._held -= width
        return field

    def close(self) -> None:
        """Refuse bytes behind the last field's, and unused bits that are not zero."""
        if self._next != len(self._data):
            refuse(self._status, "a bit stream ends late")
        if self._bits:
            refuse(self._status, "unused bits of a bit stream are not zero")
