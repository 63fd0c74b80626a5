"""The results as tables in Markdown, as the README shows them: made from what was saved alone.

After every benchmark; a test compares the README with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgeens.errors import DataError
from edgeens.tables import number

if TYPE_CHECKING:
    from benchmarks.board import Row as Measured

Row = dict[str, Any]

PI_4 = "cortex-a72"
KERNELS = "NEON", "scalar"
MODELS = {
    "cortex-a53": "Cortex-A53 (Pi 3, Zero 2 W)",
    "cortex-a72": "Cortex-A72 (Pi 4)",
    "cortex-a76": "Neoverse-N1 (for the Pi 5)",
}
OURS_AT = ("edgeens, entropy", "edgeens, split")  # one name for the rows of all entropies
LARGE = ("VGG11", "ResNet18")  # networks whose memory is worth a table


def entropy_table(rows: Sequence[Row]) -> str:
    """Time / memcpy of the ways that decode Gaussian codes: a column an entropy."""
    compared = [row for row in rows if row["entropy"] is not None and not _alone(row)]
    entropies = sorted({row["entropy"] for row in compared})
    cells: dict[str, dict[float, dict[int, float]]] = {}
    for row in compared:
        of_way = cells.setdefault(way_at(row), {})
        of_way.setdefault(row["entropy"], {})[row["threads"]] = row["relative"]
    head = ["same codes, of so many bits", *(f"{entropy} bits" for entropy in entropies)]
    lines = [
        [way, *(_cell(cells[way][each]) if each in cells[way] else "" for each in entropies)]
        for way in ways_at(compared)
    ]
    return markdown(head, lines)


def way_table(rows: Sequence[Row]) -> str:
    """The other ways: bits/mw, time / memcpy, speed on one thread."""
    others = [row for row in rows if row["entropy"] is None or _alone(row)]
    cells: dict[str, dict[int, Row]] = {}
    for row in others:
        cells.setdefault(row["way"], {})[row["threads"]] = row
    return markdown(
        ["way", "bits/mw", "time / memcpy", "million mw/s"],
        [
            [
                way,
                number(threads[1]["bits_mw"], 2) if threads[1]["bits_mw"] else "",
                _cell({count: row["relative"] for count, row in threads.items()}),
                f"{threads[1]['mmw_s']:.0f}",
            ]
            for way, threads in cells.items()
        ],
    )


def trained_table(rows: Sequence[Row]) -> str:
    """By what factor files of trained ensembles decode faster than each peer."""
    peers = list(rows[0]["faster"]) if rows else []
    return markdown(
        ["whole file of 4 members", "bits/mw", "million mw/s", *peers],
        [
            [
                row["title"],
                number(row["bits_mw"], 2),
                f"{row['mmw_s']:.0f}",
                *(f"{row['faster'][peer]:.2f}" for peer in peers),
            ]
            for row in rows
        ],
    )


def encode_table(rows: Sequence[Row]) -> str:
    """Seconds and speed of each stage."""
    return markdown(
        ["stage or peer", "million mw", "seconds", "million mw/s"],
        [
            [
                row["stage"],
                number(row["weights"] / 1e6, 1),
                number(row["seconds"], 2),
                number(row["mmw_s"], 0 if row["mmw_s"] >= 100 else 1),
            ]
            for row in rows
        ],
    )


def instruction_table(rows: Sequence[Row]) -> str:
    """Instructions a member weight on a Raspberry Pi 4, with vector code and without."""
    return markdown(
        ["decode to float32", "bits/mw", "instructions/mw", "without NEON"],
        [
            [
                row["way"],
                number(row["bits_mw"], 2),
                *(number(_build(row, PI_4, kernels)["instructions"], 1) for kernels in KERNELS),
            ]
            for row in rows
        ],
    )


def cycle_table(rows: Sequence[Row]) -> str:
    """Modelled cycles a member weight: a column a processor, in brackets without vector code."""
    processors = list(dict.fromkeys(build["processor"] for build in rows[0]["builds"]))
    head = (MODELS[processor] for processor in processors)
    return markdown(
        ["decode to float32, cycles/mw", *head],
        [[row["way"], *(_cycles(row, processor) for processor in processors)] for row in rows],
    )


def board_table(rows: Sequence[Measured]) -> str:
    """What benchmarks.board measured: nanoseconds and cycles a member weight, without vector code
    in brackets."""

    def cell(figures: Sequence[float | None]) -> str:
        first, *rest = (number(figure, 2) for figure in figures)
        return f"{first} ({rest[0]})" if rest and figures[0] is not None else first

    return markdown(
        ["decode to float32", "bits/mw", "ns/mw", "cycles/mw"],
        [
            [
                row.way,
                number(row.bits_mw, 2) if row.bits_mw is not None else "",
                cell([figure.nanoseconds for figure in row.figures.values()]),
                cell([figure.cycles for figure in row.figures.values()]),
            ]
            for row in rows
        ],
    )


def size_table(ensembles: Sequence[Row]) -> str:
    """Bits per member weight: a line a coder, a column an ensemble."""
    rows = [["weight cosine", *(number(ensemble["cosine"], 2) for ensemble in ensembles)]]
    for of_label in zip(*(ensemble["rows"] for ensemble in ensembles), strict=True):
        bits = (number(row["bits_per_weight"], 2) for row in of_label)
        rows.append([of_label[0]["label"], *bits])
    return markdown(
        ["bits/mw, equal 8-bit codes", *(ensemble["title"] for ensemble in ensembles)], rows
    )


def early_exit_table(ensembles: Sequence[Row]) -> str:
    """Runs saved, loss and time on test data, at both points of every ensemble."""
    head = ["test data"]
    for point in ("within 0.5 %", "half"):
        head += [f"{point}: runs saved", "NLL", "time, batch 1 (256)"]
    rows = []
    for each in ensembles:
        line = [each["title"]]
        for point in (each["chosen"], each["half"]):
            if point is None:
                line += ["none", "", ""]
                continue
            loss, error = 100 * point["test_loss"], 100 * 1.96 * point["test_error"]
            line += [
                f"{100 * (1 - point['test_members'] / each['members']):.0f} %",
                f"{loss:+.2f} % ({loss - error:.2f} to {loss + error:.2f})",
                f"{number(point['time']['1'], 2)} ({number(point['time']['256'], 2)})",
            ]
        rows.append(line)
    return markdown(head, rows)


def start_table(rows: Sequence[Row], *, networks: Sequence[str]) -> str:
    """Start-up, memory and files of every way, batch 1, one thread: K = 4, and in brackets 8."""
    counts = sorted({row["members"] for row in rows})
    head = [f"K = {_first_and_others(counts, 0)}"]
    for network in networks:
        head += [f"{network}: start-up, ms", "/ default", "peak MB", "steady MB", "files MB"]
    lines = []
    for way in dict.fromkeys(row["way"] for row in rows if row["threads"] == 1):
        line = [str(way)]
        for network in networks:
            cells = [
                row
                for members in counts
                for row in rows
                if (row["network"], row["way"], row["members"]) == (network, way, members)
                and (row["batch"], row["threads"]) == (1, 1)
            ]
            line += [
                _first_and_others([row[key] * factor for row in cells], digits)
                for key, factor, digits in (
                    ("start_s", 1e3, 0),
                    ("start", 1, 2),
                    ("peak_mb", 1, 0),
                    ("steady_mb", 1, 0),
                    ("file_mb", 1, 0),
                )
            ]
        lines.append(line)
    return markdown(head, lines)


def latency_table(rows: Sequence[Row], *, members: int) -> str:
    """Time of a prediction / K default sessions on one thread: a column a network and batch."""
    shown = [row for row in rows if row["members"] == members]
    columns = dict.fromkeys((row["network"], row["batch"]) for row in shown)
    head = [f"K = {members}", *(f"{network}, batch {batch}" for network, batch in columns)]
    lines = []
    for way in dict.fromkeys(row["way"] for row in shown):
        line = [str(way)]
        for network, batch in columns:
            of_threads = {
                row["threads"]: row["latency"]
                for row in shown
                if (row["network"], row["batch"], row["way"]) == (network, batch, way)
            }
            one = number(of_threads.get(1), 2)
            line.append(f"{one} ({number(of_threads[2], 2)})" if 2 in of_threads else one)
        lines.append(line)
    return markdown(head, lines)


def pretrained_tables(rows: Sequence[Row]) -> list[str]:
    """Published networks: accuracy of those with test pictures, errors of the others' outputs."""
    judged = [row for row in rows if row["pictures"] is not None]
    others = [row for row in rows if row["pictures"] is None]
    ways = [way["way"] for way in rows[0]["ways"]]
    accuracies = [
        [
            row["title"],
            f"{row['pictures']}",
            f"{_kilobytes(row['bytes'])}: {number(100 * row['accuracy'], 2)} %",
            *(_pretrained_cell(way, 100 * way.get("accuracy", 0.0), 2) for way in row["ways"]),
        ]
        for row in judged
    ]
    errors = [
        [
            row["title"],
            _kilobytes(row["bytes"]),
            *(_pretrained_cell(way, 100 * way.get("error", 0.0), 1) for way in row["ways"]),
        ]
        for row in others
    ]
    return [
        markdown(["kB: accuracy", "test pictures", "as it came", *ways], accuracies),
        markdown(["kB: error of outputs", "as it came", *ways], errors),
    ]


def _pretrained_cell(way: Row, percent: float, digits: int) -> str:
    if "refused" in way:
        return "refused"
    return f"{_kilobytes(way['bytes'])}: {number(percent, digits)} %"


def _kilobytes(count: int) -> str:
    return f"{count / 1000:.0f}"


def way_at(row: Row) -> str:
    """The way's name without the entropy of its codes."""
    ours = f"edgeens, {row['way'].split(', ')[0]}"
    return ours if ours in OURS_AT else str(row["way"])


def ways_at(rows: Sequence[Row]) -> list[str]:
    """Those names, ours first."""
    names = dict.fromkeys(map(way_at, rows))
    return [*(name for name in OURS_AT if name in names), *(n for n in names if n not in OURS_AT)]


def _alone(row: Row) -> bool:
    """Whether it is measured at one entropy only."""
    return str(row["way"]).startswith("NNCodec")


def _cell(of_threads: dict[int, float]) -> str:
    """The ratio on one thread, and in brackets that on two."""
    one = number(of_threads[1], 2)
    return f"{one} ({number(of_threads[2], 2)})" if 2 in of_threads else one


def _build(row: Row, processor: str, kernels: str) -> Row:
    (found,) = (
        build
        for build in row["builds"]
        if (build["processor"], build["kernels"]) == (processor, kernels)
    )
    return dict(found)


def _cycles(row: Row, processor: str) -> str:
    vector, scalar = (number(_build(row, processor, kernels)["cycles"], 1) for kernels in KERNELS)
    return f"{vector} ({scalar})"


def _first_and_others(values: Sequence[float], digits: int) -> str:
    """The first figure, and the others in brackets."""
    first, *others = (number(value, digits) for value in values)
    return f"{first} ({', '.join(others)})" if others else first


def with_table(page: str, table: str) -> str:
    """*page* with *table* in place of that with the same first line.

    Raises DataError if the page has none.
    """
    head = table.split("\n", 1)[0]
    old = re.search(rf"^{re.escape(head)}\n(?:\|.*\n)+", page, re.MULTILINE)
    if old is None:
        raise DataError(f"the page has no table that begins with {head!r}")
    return page[: old.start()] + table + "\n" + page[old.end() :]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
