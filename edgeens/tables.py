"""Plain-text tables for a terminal or a log: columns that line up, nothing else."""

from __future__ import annotations

from collections.abc import Sequence


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of a table: the first column to the left, the others to the right."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(line, widths) for line in [lines[0], rule, *lines[1:]])


def number(value: float | None, digits: int = 3) -> str:
    """A figure with a fixed number of decimals; "-" where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def size(value: int | None) -> str:
    """Bytes with thousands set apart by spaces; "-" where there are none."""
    return "-" if value is None else f"{value:,}".replace(",", " ")


def counted(count: int, noun: str) -> str:
    """ "1 member" or "4 members"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = f"{cells[0]:<{widths[0]}}"
    rest = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([first, *rest]).rstrip()
