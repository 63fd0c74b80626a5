"""The command line: parses, calls, prints. No decisions live here.

Exit codes: 0 good, 1 the file or the data is bad, 2 the call is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeens import __version__, show
from edgeens.errors import EdgeensError
from edgeens.progress import Progress


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edgeens", description="Ensembles of neural networks on edge devices."
    )
    parser.add_argument("--version", action="version", version=f"edgeens {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _encode_parser(commands)
    _file_command(commands, "inspect", _inspect, "sizes of a file and of each tensor").add_argument(
        "--json", action="store_true", help="machine-readable"
    )
    verify = _file_command(commands, "verify", _verify, "check every checksum and digest of a file")
    verify.add_argument("--threads", type=_positive, default=1, metavar="N", help="workers")
    decode = _file_command(commands, "decode", _decode, "write each member as a file of its own")
    decode.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write to")
    decode.add_argument(
        "--npz", action="store_true", help="arrays by tensor name instead of .onnx (needs no onnx)"
    )
    _run_parser(commands)
    _evaluate_parser(commands)
    demo = commands.add_parser("demo", help="encode and judge the bundled ensemble of digits")
    demo.set_defaults(run=_demo)
    return parser


def _file_command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("file", metavar="FILE.eens")
    parser.set_defaults(run=run)
    return parser


def _encode_parser(commands: Any) -> None:
    text = "encode ONNX members, or one model to draw members from, into one file"
    parser = commands.add_parser("encode", help=text, description=text)
    add = parser.add_argument
    add("members", nargs="+", metavar="MODEL.onnx", help="members of one architecture")
    add("-o", "--output", required=True, metavar="FILE.eens")
    add(
        "--method", choices=["auto", "plain", "shared"], default="auto", help="default: %(default)s"
    )
    add("--coder", choices=["fixed", "entropy"], help="default: whatever is smaller")
    add("--bits", type=_between(2, 8), default=8, metavar="N", help="width of the codes, 2 to 8")
    add(
        "--lambda4", type=_lambda, metavar="X", help="share level-4 digits at most X apart, or auto"
    )
    add(
        "--lambda8", type=_lambda, metavar="Y", help="share level-8 digits at most Y apart, or auto"
    )
    add("--grid", choices=["tensor", "channel"], help="one scale for each (default: by --bits)")
    add("--exclude", action="append", default=[], metavar="GLOB", help="keep these tensors exactly")
    add("--profile", choices=["desktop", "mcu"], default="desktop", help="default: %(default)s")
    add("--block", type=_positive, metavar="N", help="most codes in a block (all members)")
    add("--threads", type=_positive, default=1, metavar="N", help="workers; same bytes")
    add("--draw", type=_between(1, 64), metavar="K", help="draw K members from one model (LPE-BSR)")
    add("--key", type=_between(0, 2**64 - 1), default=0, metavar="N", help="names the draws")
    add("--store-members", action="store_true", help="store drawn members, not parent and key")
    add("--calibration", metavar="X.npz", help="inputs to round with error feedback on")
    add("--json", action="store_true", help="print sizes as JSON")
    parser.set_defaults(run=_encode, parser=parser)


def _run_parser(commands: Any) -> None:
    parser = _file_command(commands, "run", _run, "predict with uncertainty (ONNX Runtime)")
    parser.add_argument("--input", required=True, metavar="X.npy", help=".npy; .npz names inputs")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.npz")
    parser.add_argument("--members", action="store_true", help="also write each member's outputs")


def _evaluate_parser(commands: Any) -> None:
    parser = _file_command(commands, "evaluate", _evaluate, "accuracy, calibration and OOD scores")
    parser.add_argument("--data", required=True, metavar="D.npz", help="x, y and, if wanted, x_ood")
    parser.add_argument("--members", nargs="+", default=[], metavar="M.onnx", help="judge them too")
    parser.add_argument("--json", action="store_true", help="machine-readable")


def _encode(options: argparse.Namespace) -> None:
    from edgeens.encoder import encode

    _check_encode(options)
    with Progress("encoding") as progress:
        encoding = encode(
            options.members,
            options.output,
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
            progress=progress.update,
        )
    if options.json:
        print(json.dumps(asdict(encoding.sizes)))
    else:
        print(show.size_table(encoding))


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


def _inspect(options: argparse.Namespace) -> None:
    from edgeens.container.sizes import measure
    from edgeens.decoder import Container

    sizes = measure(Path(options.file).read_bytes())
    if options.json:
        print(json.dumps(asdict(sizes)))
        return
    with Container.open(options.file) as container:
        print(show.inspection(sizes, container.workspace_bytes))


def _verify(options: argparse.Namespace) -> None:
    from edgeens.decoder import Container

    with Container.open(options.file) as container, Progress("verifying") as progress:
        container.verify(
            progress=lambda done, total: progress.update("", done, total), threads=options.threads
        )
        print(show.verified(options.file, container))


def _decode(options: argparse.Namespace) -> None:
    from edgeens.decoder import Container

    with Container.open(options.file) as container:
        if options.npz:
            from edgeens.data import write_arrays

            written = write_arrays(container, options.output)
        else:
            from edgeens.onnx.export import write_members

            written = write_members(container, options.output)
    for path in written:
        print(path)


def _run(options: argparse.Namespace) -> None:
    from edgeens.data import load_inputs, save_prediction
    from edgeens.onnx.session import Session

    with Session(options.file) as session:
        prediction = session.predict(load_inputs(options.input))
    save_prediction(prediction, options.output, members=options.members)


def _evaluate(options: argparse.Namespace) -> None:
    from edgeens.evaluate import evaluate

    with Progress("evaluating") as progress:
        rows = evaluate(options.file, options.data, options.members, progress=progress.update)
    print(json.dumps(rows) if options.json else show.evaluation(rows))


def _demo(options: argparse.Namespace) -> None:
    from edgeens.demo.run import run_demo

    run_demo()


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def _between(low: int, high: int) -> Any:
    def integer(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is not between {low} and {high}")
        return value

    return integer


def _lambda(text: str) -> Any:
    if text == "auto":
        return text
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} is neither `auto` nor a number of at least 0")
    return value
