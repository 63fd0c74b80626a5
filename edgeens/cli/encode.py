"""The command that makes files: `encode`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from edgeens import show
from edgeens.cli.arguments import between, positive, sharing_limit
from edgeens.progress import Progress

DEFAULT_BITS = 8


def add_commands(commands: Any) -> None:
    """Add `encode`."""
    text = "encode members, or one model to draw members from, into one file"
    parser = commands.add_parser("encode", help=text, description=text)
    add = parser.add_argument
    add(
        "members",
        nargs="+",
        metavar="MODEL",
        help="members of one architecture: .onnx; or, with --graph, .safetensors or PyTorch state "
        "dicts (.pt, .pth, .th)",
    )
    add("-o", "--output", required=True, metavar="FILE.eens")
    add("--graph", metavar="MODEL.onnx", help="graph for members that are weights alone")
    add(
        "--task",
        choices=["classification", "multilabel", "regression"],
        help="default: what the graph tells; several numbers must be said to be a regression",
    )
    add(
        "--method", choices=["auto", "plain", "shared"], default="auto", help="default: %(default)s"
    )
    add("--coder", choices=["fixed", "entropy"], help="default: whatever is smaller")
    add(
        "--bits",
        type=between(2, 8),
        default=DEFAULT_BITS,
        metavar="N",
        help="width of the codes, 2 to 8",
    )
    add(
        "--lambda4",
        type=sharing_limit,
        metavar="X",
        help="share level-4 digits at most X apart, or auto",
    )
    add(
        "--lambda8",
        type=sharing_limit,
        metavar="Y",
        help="share level-8 digits at most Y apart, or auto",
    )
    add(
        "--grid",
        choices=["auto", "tensor", "channel"],
        default="auto",
        help="one scale for each; auto (default): a channel where one a tensor is coarse",
    )
    add("--exclude", action="append", default=[], metavar="GLOB", help="keep these tensors exactly")
    profiles = "mcu: for microcontrollers (EENS_SMALL); default: %(default)s"
    add("--profile", choices=["desktop", "mcu"], default="desktop", help=profiles)
    add("--block", type=positive, metavar="N", help="most codes in a block (all members)")
    add("--threads", type=positive, default=1, metavar="N", help="workers; same bytes")
    add("--draw", type=between(1, 64), metavar="K", help="draw K members from one model (LPE-BSR)")
    add("--key", type=between(0, 2**64 - 1), default=0, metavar="N", help="names the draws")
    add("--store-members", action="store_true", help="store drawn members, not parent and key")
    add("--calibration", metavar="X.npz", help="inputs to round with error feedback on")
    add(
        "--budget",
        metavar="KIND=X",
        help="find the smallest file that keeps nll=+1%% (over the float members) or "
        "accuracy=-0.2%% (of the rows), or the best within size=2MB or bits=2.0 (per weight)",
    )
    add("--data", metavar="D.npz", help="validation x and y to judge a budget on; never test data")
    add("--json", action="store_true", help="print sizes as JSON")
    parser.set_defaults(run=_encode, parser=parser)


def _encode(options: argparse.Namespace) -> None:
    from edgeens.encoder import encode

    _check_encode(options)
    with Progress("encoding") as progress:
        encoding = encode(
            options.members,
            options.output,
            graph=options.graph,
            task=options.task,
            method=options.method,
            bits=options.bits,
            lambda4=options.lambda4,
            lambda8=options.lambda8,
            grid=options.grid,
            exclude=options.exclude,
            profile=options.profile,
            block=options.block,
            threads=options.threads,
            draw=options.draw,
            key=options.key,
            store_members=options.store_members,
            calibration=options.calibration,
            coder=options.coder,
            budget=options.budget,
            data=options.data,
            progress=progress.update,
        )
    if options.json:
        print(json.dumps(asdict(encoding.sizes)))
    else:
        print(show.encoding(encoding))


def _check_encode(options: argparse.Namespace) -> None:
    """Refuse combinations that argparse cannot express (exit code 2)."""
    if options.draw is None and (options.store_members or options.key):
        options.parser.error("--key and --store-members belong to --draw")
    if options.draw is not None and len(options.members) != 1:
        options.parser.error("--draw takes exactly one model")
    if options.draw is not None and options.method != "auto":
        options.parser.error("--draw chooses the method by itself: leave out --method")
    if options.draw is not None and options.calibration is not None:
        options.parser.error("--draw rounds at random: leave out --calibration")
    if options.budget is not None:
        _check_budget(options)


def _check_budget(options: argparse.Namespace) -> None:
    if options.draw is not None:
        options.parser.error("--draw has one size: leave out --budget")
    if options.bits != DEFAULT_BITS:
        options.parser.error("--budget chooses the width of each tensor: leave out --bits")
    if options.method == "shared" or options.lambda4 is not None or options.lambda8 is not None:
        options.parser.error("--budget does not share bits: leave out --lambda4 and --lambda8")
