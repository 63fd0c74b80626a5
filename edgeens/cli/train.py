"""The command `train`: from standard data files to members and one container."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeens import show
from edgeens.cli.arguments import between, positive
from edgeens.progress import Progress
from edgeens.tables import number, render, size

# The methods of edgeens.torch, which is not imported before it is needed; a test compares them.
METHODS = (
    "independent",
    "uniform",
    "shared",
    "lowrank",
    "lowrank-shared",
    "batchensemble",
    "bayesianbits",
)


def add_commands(commands: Any) -> None:
    """Add `train`."""
    text = "train the members of a recipe and write them as one file (PyTorch)"
    parser = commands.add_parser("train", help=text, description=text)
    add = parser.add_argument
    add("recipe", nargs="?", metavar="RECIPE", help="data set and network; --list shows them")
    add("--list", action="store_true", help="list the recipes")
    add("--data", type=Path, metavar="DIR", help="folder with the data set's standard files")
    add("--out", type=Path, metavar="DIR", help="folder to write to")
    add("--members", type=between(1, 64), default=4, metavar="K", help="default: %(default)s")
    add("--method", choices=METHODS, default="independent", help="default: %(default)s")
    add("--bits", type=between(2, 8), metavar="B", help="width of the codes, 2 to 8")
    add(
        "--rate",
        type=_factor,
        metavar="MU",
        help="factor of the method's own term of the loss; default: by method",
    )
    add("--seed", type=between(0, 2**32 - 1), default=0, metavar="N", help="default: %(default)s")
    add("--epochs", type=positive, metavar="N", help="default: by recipe")
    add("--limit-train", type=positive, metavar="N", help="train on the first N pictures only")
    add("--device", default="auto", metavar="D", help="cpu, cuda, ... (default: a GPU if any)")
    add("--resume", action="store_true", help="go on with the run in --out, if there is one")
    parser.set_defaults(run=_train, parser=parser)


def _train(options: argparse.Namespace) -> None:
    if options.list:
        print(_recipes())
        return
    from edgeens.torch.recipes import RECIPES
    from edgeens.torch.run import Options, train

    if options.recipe not in RECIPES:
        options.parser.error(f"RECIPE must be one of {', '.join(RECIPES)}")
    if options.data is None or options.out is None:
        options.parser.error("--data DIR and --out DIR are needed")
    names = ("members", "method", "bits", "rate", "seed", "epochs", "limit_train", "device")
    with _resumable(options), Progress(f"training {options.recipe}") as progress:
        report = train(
            Options(
                recipe=options.recipe,
                data=options.data,
                out=options.out,
                resume=options.resume,
                **{name: getattr(options, name) for name in names},
            ),
            progress=progress.update,
        )
    if report is not None:
        print(show.evaluation(report.test))
        print(
            f"\n{options.out}: {len(report.bytes) - 1} members, ensemble.eens of "
            f"{size(report.bytes['ensemble.eens'])} bytes "
            f"({number(report.bits_per_member_weight)} bits/mw), report.json"
        )


@contextmanager
def _resumable(options: argparse.Namespace) -> Iterator[None]:
    """Say how to go on after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"edgeens: interrupted; --resume goes on with {options.out}", file=sys.stderr)
        raise SystemExit(130) from None


def _recipes() -> str:
    from edgeens.torch.recipes import RECIPES

    rows = [
        [each.name, each.title, str(each.plan.epochs), each.plan.optimizer]
        for each in RECIPES.values()
    ]
    return render(["recipe", "network, data", "epochs", "optimizer"], rows)


def _factor(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 0")
    return value
