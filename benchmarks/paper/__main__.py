"""`python -m benchmarks.paper NAME --data DIR`: do it, save it, draw it, and remake the page."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.paper.catalogue import EXPERIMENTS
from benchmarks.paper.experiment import Setup
from benchmarks.paper.page import RESULTS, write_page
from edgeens.atomic import replacing
from edgeens.errors import EdgeensError
from edgeens.progress import Progress

CACHE = Path.home() / ".cache" / "edgeens" / "paper"
PAGE = "page"


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 1 if it could not be done."""
    options = _parser().parse_args(arguments)
    if options.name == PAGE:
        write_page()
        return 0
    experiment = EXPERIMENTS[options.name]
    if options.data is None:
        print(f"error: {experiment.name} needs --data DIR", file=sys.stderr)
        return 1
    try:
        with Progress(experiment.title) as progress:
            setup = Setup(options.data, options.cache / experiment.name, progress.update)
            setup.cache.mkdir(parents=True, exist_ok=True)
            results = {"machine": describe(), **experiment.measure(setup)}
        options.out.mkdir(parents=True, exist_ok=True)
        with replacing(options.out / f"{experiment.name}.json") as file:
            file.write((json.dumps(results, indent=1) + "\n").encode())
        print(results["machine"], experiment.report(results), sep="\n\n")
        if experiment.draw is not None:
            experiment.draw(results, options.out / f"{experiment.name}.png")
    except EdgeensError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.out == RESULTS:
        write_page()
    return 0


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, (*EXPERIMENTS, PAGE)))
    listed = [
        f"  {each.name:<{width}}  {each.title}; {each.minutes}" for each in EXPERIMENTS.values()
    ]
    listed.append(f"  {PAGE:<{width}}  only make README.md anew from the saved results")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper",
        description=__doc__,
        epilog="\n".join(["NAME is one of", *listed]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=(*EXPERIMENTS, PAGE), metavar="NAME", help="what to do")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with a folder a data set, which holds the official files",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=RESULTS,
        help="where NAME.json and NAME.png go (default: benchmarks/results/paper)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        default=CACHE,
        help="where trained members are kept (default: ~/.cache/edgeens/paper)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
