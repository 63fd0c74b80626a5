"""Commands that run models: `run`, `demo`."""

from __future__ import annotations

import argparse
from typing import Any

from edgeens.cli.arguments import file_command, threads_option

_THREADS = "CPU threads that decode, then run a member each"


def add_commands(commands: Any) -> None:
    """Add `run` and `demo`."""
    _run_parser(commands)
    demo = commands.add_parser("demo", help="encode and judge the bundled ensemble of digits")
    demo.set_defaults(run=_demo)


def _run_parser(commands: Any) -> None:
    parser = file_command(commands, "run", _run, "predict with uncertainty (ONNX Runtime)")
    parser.add_argument("--input", required=True, metavar="X.npy", help=".npy; .npz names inputs")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.npz")
    parser.add_argument("--members", action="store_true", help="also write each member's outputs")
    parser.add_argument(
        "--early-exit", action="store_true", help="stop where the answer is settled (calibrate)"
    )
    threads_option(parser, _THREADS)


def _run(options: argparse.Namespace) -> None:
    from edgeens.data import load_inputs, save_prediction
    from edgeens.onnx.session import Session

    with Session(options.file, threads=options.threads) as session:
        prediction = session.predict(load_inputs(options.input), early_exit=options.early_exit)
    save_prediction(prediction, options.output, members=options.members)


def _demo(options: argparse.Namespace) -> None:
    from edgeens.demo.run import run_demo

    run_demo()
