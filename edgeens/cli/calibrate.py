"""The command `calibrate`: temperature, early exit and abstention, written into the file."""

from __future__ import annotations

import argparse
from typing import Any

from edgeens import show
from edgeens.cli.arguments import file_command, share, threads_option
from edgeens.progress import Progress


def add_commands(commands: Any) -> None:
    """Add `calibrate`."""
    text = "fit temperature, early exit and abstention on validation data, into the file"
    parser = file_command(commands, "calibrate", _calibrate, text)
    add = parser.add_argument
    add("--data", required=True, metavar="V.npz", help="validation x and y; never test data")
    add(
        "--max-nll-loss",
        type=share,
        default="0.5%",
        metavar="X%",
        help="of an early exit, at 95 %% confidence (default: 0.5%%)",
    )
    add("--target-risk", type=share, metavar="R%", help="wrong decisions to allow; else abstain")
    add("-o", "--output", metavar="OUT.eens", help="default: the file itself")
    threads_option(parser, "CPU threads that decode, then run a member each")


def _calibrate(options: argparse.Namespace) -> None:
    from edgeens.calibrate import calibrate

    with Progress("calibrating") as progress:
        calibration = calibrate(
            options.file,
            options.data,
            options.output,
            max_nll_loss=options.max_nll_loss,
            target_risk=options.target_risk,
            threads=options.threads,
            progress=progress.update,
        )
    print(show.calibration(calibration))
