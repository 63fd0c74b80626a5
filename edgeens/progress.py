"""Progress of long work as plain text on standard error.

One line that rewrites itself on a terminal, a few lines in a log. Richer displays belong to extras;
the device install has no library for them.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

_WIDTH = 24


class Progress:
    """A bar with the work's name, its share done and an estimate of the time left.

    Use as a context manager and call `update(label, done, total)`. On a terminal the line is
    redrawn at most ten times a second and erased at the end; elsewhere nothing is printed but
    the title, and only if the work took more than two seconds, so that logs stay readable.
    """

    def __init__(self, title: str, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        """Name the work; *quiet* prints nothing at all."""
        self._title = title
        self._stream = sys.stderr if stream is None else stream
        self._live = not quiet and self._stream.isatty()
        self._logged = quiet
        self._start = time.monotonic()
        self._drawn = 0.0

    def __enter__(self) -> Progress:
        """Start the clock."""
        self._start = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Erase the line."""
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def update(self, label: str, done: int, total: int) -> None:
        """Show that *done* of *total* steps are over and *label* is being worked on."""
        now = time.monotonic()
        if not self._live:
            if not self._logged and now - self._start > 2:
                self._stream.write(f"{self._title} ...\n")
                self._logged = True
            return
        if now - self._drawn < 0.1 and done < total:
            return
        self._drawn = now
        share = done / total if total else 1.0
        bar = "#" * round(share * _WIDTH)
        left = (now - self._start) * (1 - share) / share if share > 0.05 else None
        eta = f" {left:4.0f} s left" if left is not None and now - self._start > 1 else ""
        line = f"\r\x1b[K{self._title} [{bar:<{_WIDTH}}] {done}/{total}{eta} {label}"
        self._stream.write(line[:110])
        self._stream.flush()
