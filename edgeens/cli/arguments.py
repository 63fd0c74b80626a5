"""What the commands have in common: the types of their arguments."""

from __future__ import annotations

import argparse
from typing import Any


def file_command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    """A command *name* that takes one container and calls *run*; *text* says what it does."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("file", metavar="FILE.eens")
    parser.set_defaults(run=run)
    return parser


def positive(text: str) -> int:
    """An integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def threads_option(parser: argparse.ArgumentParser, text: str) -> None:
    """--threads N; *text* says what they do."""
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help=text)


def between(low: int, high: int) -> Any:
    """A type of integers from *low* to *high*."""

    def integer(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is not between {low} and {high}")
        return value

    return integer


def sharing_limit(text: str) -> Any:
    """The word auto, or a number of at least 0."""
    if text == "auto":
        return text
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} is neither `auto` nor a number of at least 0")
    return value


def share(text: str) -> float:
    """A share from 0 to 1, as a number or in percent: 0.005 or 0.5%."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no share, such as 0.5%") from error
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 % and 100 %")
    return value
