"""`make bench`: measure, print the tables, save them with the machine in words, draw them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.decode import measure_decode
from benchmarks.early_exit import measure_early_exit
from benchmarks.encode import measure_encode
from benchmarks.ensembles import DEFAULT_CACHE, RECIPES, make_ensemble
from benchmarks.instructions import measure_instructions
from benchmarks.machine import describe
from benchmarks.networks import COUNTS
from benchmarks.sizes import measure_nll, measure_sizes
from benchmarks.trained import measure_trained
from edgeens.atomic import replacing
from edgeens.errors import DataError, EdgeensError, MissingPackageError
from edgeens.progress import Progress
from edgeens.tables import number, render

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
WHAT = (
    *("decode", "early-exit", "encode", "instructions", "pretrained", "runtime", "sizes"),
    *("training-cost", "all"),
)

LONG = {"training-cost", "runtime", "pretrained"}


def main() -> int:
    """Run what was asked for: sizes take ten minutes, training before the first ten, others two."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what", nargs="*", choices=WHAT, default="all", metavar="WHAT", help=", ".join(WHAT)
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with mnist/ and fashion_mnist/, which hold the official idx files; needed "
        "until the ensembles are in the cache",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        default=DEFAULT_CACHE,
        help="where trained ensembles and NNCodec are kept (default: ~/.cache/edgeens/bench)",
    )
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    machine = describe()
    print(machine)
    # all but what needs PyTorch and ten minutes or more
    asked = set(WHAT) - LONG if "all" in options.what else set(options.what)
    try:
        if "sizes" in asked:  # first: it says at once which data are missing
            sizes(machine, options.data, options.cache)
        if "early-exit" in asked:
            early_exit(machine, options.data, options.cache)
        if "decode" in asked:
            decode(machine, options.cache)
        if "encode" in asked:
            encode(machine, options.cache)
        if "instructions" in asked:
            instructions()
        if "runtime" in asked:
            runtime(machine, options.cache)
        if "pretrained" in asked:
            pretrained(machine, options.data)
        if "training-cost" in asked:
            training_cost(machine)
    except EdgeensError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def decode(machine: str, cache: Path) -> None:
    """Print, save and draw the speed of decoding."""
    from benchmarks.pictures import draw_decode

    rows = measure_decode(cache)
    print("time / memcpy on one thread (and on two, if the machine had cores to spare)")
    print(report.entropy_table(rows), report.way_table(rows), sep="\n\n")
    trained = measure_trained(cache)
    print("speed / speed of the peer, whole files of trained ensembles")
    print(report.trained_table(trained))
    _save("decode.json", {"machine": machine, "decode": rows, "trained": trained})
    draw_decode(rows, RESULTS / "decode.png")


def encode(machine: str, cache: Path) -> None:
    """Print and save the speed of encoding."""
    rows = measure_encode(cache)
    print(report.encode_table(rows))
    _save("encode.json", {"machine": machine, "encode": rows})


def instructions() -> None:
    """Print and save counted instructions and modelled cycles, or say what is missing for it."""
    try:
        rows = measure_instructions()
    except MissingPackageError as error:
        print(f"skipped the instruction counts: {error}")
        return
    print(report.instruction_table(rows), report.cycle_table(rows), sep="\n\n")
    _save("instructions.json", {"decode": rows})


def runtime(machine: str, cache: Path) -> None:
    """Print, save and draw how ensembles run, and put it into the README."""
    from benchmarks.pictures import draw_runtime
    from benchmarks.runtime import measure_runtime

    rows = measure_runtime(cache)
    start = report.start_table(rows, networks=report.LARGE)
    few, many = (report.latency_table(rows, members=members) for members in COUNTS)
    print(start, few, many, sep="\n\n")
    _save("runtime.json", {"machine": machine, "runtime": rows})
    draw_runtime(rows, RESULTS / "runtime.png")
    _put(ROOT / "README.md", start, few)


def pretrained(machine: str, data: Path | None) -> None:
    """Print and save what encoding does to published networks, and put it into the guides."""
    from benchmarks.pretrained import measure_pretrained

    if data is None:
        raise DataError("pretrained needs --data DIR, with mnist/, cifar10/ and models/")
    with Progress("encoding published networks") as progress:
        rows = measure_pretrained(data, progress=progress.update)
    tables = report.pretrained_tables(rows)
    print(*tables, sep="\n\n")
    _save("pretrained.json", {"machine": machine, "networks": rows})
    _put(ROOT / "docs" / "GUIDES.md", *tables)


def training_cost(machine: str) -> None:
    """Print and save what sharing bits costs in training."""
    from benchmarks.training_cost import measure_training

    rows = measure_training()
    lines = [
        [
            f"{row['network']}, {row['batch']}",
            row["way"],
            number(row["seconds"], 3),
            number(row["relative"], 2),
        ]
        for row in rows
    ]
    head = ["a step: 4 members, batch 128", "way", "processor seconds", "/ plain"]
    print(render(head, lines))
    _save("training_cost.json", {"machine": machine, "steps": rows})


def sizes(machine: str, data: Path | None, cache: Path) -> None:
    """Make the ensembles that the cache lacks; print, save and draw their sizes and NLL."""
    from benchmarks.pictures import draw_nll, draw_sizes

    folders = []
    for recipe in RECIPES:
        with Progress(f"making {recipe.title}") as progress:
            made = make_ensemble(recipe, data=data, cache=cache, progress=progress.update)
        folders.append(made)
    measured, judged = [], []
    with Progress("measuring sizes and NLL") as progress:
        for done, (recipe, folder) in enumerate(zip(RECIPES, folders, strict=True)):
            progress.update(recipe.title, done, len(RECIPES))
            measured.append(measure_sizes(recipe, folder, cache))
            if recipe.dataset is not None:
                judged.append(measure_nll(recipe, folder))
    print(_size_table(measured))
    print(_nll_table(judged))
    _save("sizes.json", {"machine": machine, "ensembles": measured, "nll": judged})
    draw_sizes(measured, RESULTS / "sizes.png")
    draw_nll(judged, RESULTS / "sizes_nll.png")


def early_exit(machine: str, data: Path | None, cache: Path) -> None:
    """Print, save and draw what an early exit saves, and what it costs."""
    from benchmarks.pictures import draw_early_exit

    rows = []
    with Progress("measuring early exits") as progress:
        trained = [recipe for recipe in RECIPES if recipe.dataset is not None]
        for done, recipe in enumerate(trained):
            folder = make_ensemble(recipe, data=data, cache=cache, progress=progress.update)
            progress.update(recipe.title, done, len(trained))
            rows.append(measure_early_exit(recipe, folder))
    print(report.early_exit_table(rows))
    _save("early_exit.json", {"machine": machine, "ensembles": rows})
    draw_early_exit(rows, RESULTS / "early_exit.png")


def _size_table(ensembles: list[dict[str, Any]]) -> str:
    """Bits per member weight: a line a coder, a column an ensemble; remarks below."""
    names = [ensemble["name"] for ensemble in ensembles]
    lines = [["weight cosine", *[number(ensemble["cosine"]) for ensemble in ensembles]]]
    remarks = set()
    for rows in zip(*(ensemble["rows"] for ensemble in ensembles), strict=True):
        label = rows[0]["label"]
        lines.append([label, *[number(row["bits_per_weight"], 2) for row in rows]])
        remarks |= {f"{label}: {row['remark']}" for row in rows if row["remark"]}
    return "\n".join([render(["bits/mw at equal 8-bit codes", *names], lines), *sorted(remarks)])


def _nll_table(ensembles: list[dict[str, Any]]) -> str:
    """NLL (and bits per member weight): a line a width of codes, a column an ensemble."""
    lines = [
        ["4 float32 members", *[number(each["float32"], 4) for each in ensembles]],
        ["one float32 member", *[number(each["one_member"], 4) for each in ensembles]],
    ]
    for label in ensembles[0]["curves"]:
        for points in zip(*(each["curves"][label] for each in ensembles), strict=True):
            cells = [f"{number(p['nll'], 4)} ({number(p['bits_mw'], 2)})" for p in points]
            lines.append([f"{label}, {points[0]['bits']} bits", *cells])
    return render(["NLL, test (bits/mw)", *[each["name"] for each in ensembles]], lines)


def _put(page: Path, *tables: str) -> None:
    """Put tables where the page has them."""
    text = page.read_text()
    for table in tables:
        text = report.with_table(text, table)
    with replacing(page) as file:
        file.write(text.encode())


def _save(name: str, results: dict[str, Any]) -> None:
    (RESULTS / name).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
