"""The command line: parses, calls, prints. No decisions live here; a module a kind of command.

Exit codes: 0 good, 1 the file or the data is bad, 2 the call is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from edgeens import __version__
from edgeens.cli import calibrate, encode, evaluate, export, files, predictions, train
from edgeens.errors import EdgeensError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except EdgeensError as error:
        print(f"edgeens: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"edgeens: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except MemoryError:
        print("edgeens: not enough memory for this; see `edgeens inspect FILE`", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("edgeens: interrupted; no file was changed", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser that refuses in one line, without the usage: fifteen lines of it for `encode`."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` tells the options\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="edgeens", description="Ensembles of neural networks on edge devices.")
    parser.add_argument("--version", action="version", version=f"edgeens {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    encode.add_commands(commands)
    files.add_commands(commands)
    calibrate.add_commands(commands)
    predictions.add_commands(commands)
    evaluate.add_commands(commands)
    export.add_commands(commands)
    train.add_commands(commands)
    return parser
