"""The command `evaluate`: one file's figures, or several files side by side, with a report."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeens import show
from edgeens.cli.arguments import between, threads_option
from edgeens.progress import Progress

_FILES = """F.eens; a folder of them; or NAME=F0.eens,F1.eens, NAME=DIR, NAME='runs/*/F.eens': the
seeds of one method"""


def add_commands(commands: Any) -> None:
    """Add `evaluate`."""
    text = "accuracy, calibration, diversity, OOD and shift, of one file or of several"
    parser = commands.add_parser("evaluate", help=text, description=text)
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE.eens", help=_FILES)
    add("--data", required=True, metavar="D.npz", help="x, y and, if wanted, x_ood")
    add("--members", nargs="+", default=[], metavar="M.onnx", help="float members: judge them too")
    add(
        "--validation",
        metavar="V.npz",
        help="held-out x and y: also show predictions with a temperature fitted on them",
    )
    add("--ood", nargs="+", default=[], metavar="O.npz", help="inputs from elsewhere (x)")
    add(
        "--corrupt",
        metavar="WHAT",
        help="judge on corrupted pictures too: all, or fog,motion_blur:3 (name, or name:severity)",
    )
    add("--frost", type=Path, metavar="DIR", help="pictures of frost, for that corruption")
    add("--pixel-mean", type=_numbers, default=(0.0,), metavar="M[,M,M]", help="of the inputs,")
    add(
        "--pixel-std",
        type=_numbers,
        default=(1.0,),
        metavar="S[,S,S]",
        help="which are (pixel / 255 - M) / S; needed for --corrupt alone (default: 0 and 1)",
    )
    add("--seed", type=between(0, 2**32 - 1), default=0, metavar="N", help="of --corrupt")
    add("--report", type=Path, metavar="DIR", help="write report.html, .json, .csv and pictures")
    add("--json", action="store_true", help="machine-readable")
    threads_option(parser, "CPU threads that decode, then run a member each")
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    several = len(options.files) > 1 or "=" in options.files[0] or Path(options.files[0]).is_dir()
    if several or options.validation or options.ood or options.corrupt or options.report:
        _compare(options)
        return
    from edgeens.evaluate import evaluate

    with Progress("evaluating") as progress:
        rows = evaluate(
            options.files[0],
            options.data,
            options.members,
            threads=options.threads,
            progress=progress.update,
        )
    print(json.dumps(rows) if options.json else show.evaluation(rows))


def _compare(options: argparse.Namespace) -> None:
    from edgeens.compare import compare
    from edgeens.compare_files import named_methods
    from edgeens.compare_tables import as_text

    if options.report is not None:
        from edgeens.report import check_report

        check_report(options.report)
    with Progress("evaluating") as progress:
        comparison = compare(
            named_methods(options.files),
            options.data,
            members=options.members,
            held_out=options.validation,
            outside=options.ood,
            shift=_shift(options),
            threads=options.threads,
            progress=progress.update,
        )
    print(json.dumps(asdict(comparison)) if options.json else as_text(comparison))
    if options.report is not None:
        from edgeens.report import write_report

        written = write_report(comparison, options.report)
        if not options.json:
            print(f"\nthe report is {written[0]}")


def _shift(options: argparse.Namespace) -> Any:
    """The corruptions asked for, if any."""
    if options.corrupt is None:
        return None
    from edgeens.shift import Shift, parse_settings

    return Shift(
        settings=parse_settings(options.corrupt, frost=options.frost is not None),
        mean=options.pixel_mean,
        std=options.pixel_std,
        frost=options.frost,
        seed=options.seed,
    )


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))
