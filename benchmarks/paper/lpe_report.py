"""Tables and picture of the two LPE-BSR experiments, from their results alone.

A model is {"title", "runs": [{"rows": ...} a seed], "apart": row or absent}, with the rows of
low_precision.measure_model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper.intervals import cell, half_width
from benchmarks.paper.low_precision import (
    BITS,
    CLIPPED,
    DRAWN,
    FEEDBACK,
    FLOAT,
    NEAREST,
    SCALED,
    Row,
)
from benchmarks.report import markdown
from edgeens.tables import size

_SHOWN = (1, 4, 32)  # of the K that were measured
_HEAD = ("", "K", "file, bytes", "stored, bytes", "NLL", "ERR, %", "ECE", "AMB", "scaled")
_OTHERS = (NEAREST, CLIPPED, FEEDBACK, FLOAT, SCALED)


def table(model: dict[str, Any]) -> str:
    """NLL, ERR, ECE, AMB and sizes, a line a way."""
    runs = [run["rows"] for run in model["runs"]]
    lines = [_line("float32", _over_runs(runs, FLOAT, 32, 1))]
    if "apart" in model:
        lines.append(_line("float32, trained apart", [model["apart"]]))
    for bits in reversed(BITS):
        for way in (NEAREST, CLIPPED, FEEDBACK):
            lines.append(_line(f"INT-{bits}, {way}", _over_runs(runs, way, bits, 1)))
        for members in _SHOWN:
            rows = _over_runs(runs, DRAWN, bits, members)
            lines.append(_line(f"INT-{bits}, {DRAWN}", rows))
    return markdown(_HEAD, lines)


def differences(model: dict[str, Any]) -> str:
    """The NLL of the most members drawn, less that of each other way."""
    runs = [run["rows"] for run in model["runs"]]
    most = max(row["members"] for row in runs[0])
    lines = []
    for bits in reversed(BITS):
        drawn = _over_runs(runs, DRAWN, bits, most)
        cells = [_signed([row["less"][other] for row in drawn]) for other in _OTHERS]
        lines.append([f"INT-{bits}", *cells])
    return markdown([f"NLL of {most} members drawn, less that of", *_OTHERS], lines)


def finding(model: dict[str, Any], *, bits: int = 4) -> str:
    """What rounding to few bits costs in each way, in words."""
    runs = [run["rows"] for run in model["runs"]]
    most = max(row["members"] for row in runs[0])
    base = _mean(_over_runs(runs, FLOAT, 32, 1), "NLL")
    nearest, drawn, feedback = (
        _mean(_over_runs(runs, way, bits, members), "NLL") - base
        for way, members in ((NEAREST, 1), (DRAWN, most), (FEEDBACK, 1))
    )
    return (
        f"Against the NLL of float32, INT-{bits} is at {nearest:+.4f} nats when rounded to "
        f"nearest, {most} members drawn at {drawn:+.4f}, one member rounded with error feedback at "
        f"{feedback:+.4f}."
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """NLL against K, a line a width, a panel a model."""
    from matplotlib.figure import Figure

    models = results["models"]
    figure = Figure(figsize=(4.6 * len(models), 4.2), layout="constrained")
    for axes, model in zip(np.ravel(figure.subplots(1, len(models))), models, strict=True):
        _panel(axes, model)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _panel(axes: Any, model: dict[str, Any]) -> None:
    runs = [run["rows"] for run in model["runs"]]
    base = _mean(_over_runs(runs, FLOAT, 32, 1), "NLL")
    scaled = _mean(_over_runs(runs, FLOAT, 32, 1), "scaled")
    axes.axhline(base, color="#222222", linewidth=1, label="float32")
    axes.axhline(scaled, color="#222222", linewidth=1, linestyle=":", label="float32, temperature")
    counts = sorted({row["members"] for row in runs[0] if row["way"] == DRAWN})
    highest = max(base, scaled)
    for bits, colour in zip(BITS, ("#e9c46a", "#d1495b", "#00798c", "#30638e"), strict=True):
        y = [_mean(_over_runs(runs, DRAWN, bits, count), "NLL") for count in counts]
        nearest = _mean(_over_runs(runs, NEAREST, bits, 1), "NLL")
        axes.plot(counts, y, "o-", color=colour, markersize=4, label=f"INT-{bits}, LPE-BSR")
        axes.plot([counts[0]], [nearest], "D", color=colour, mfc="white", label=f"INT-{bits}, RTN")
        if bits > BITS[0]:
            highest = max(highest, nearest, *y)
    low = min(base, scaled)
    # INT-3 at K = 1 can be far above all else, and is in the table.
    axes.set_ylim(low - 0.1 * (highest - low), highest + 0.15 * (highest - low))
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xlabel("members", fontsize=8)
    axes.set_ylabel("NLL of the test pictures, nats", fontsize=8)
    axes.set_title(model["title"], loc="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eeeeee")


def _over_runs(runs: list[list[Row]], way: str, bits: int, members: int) -> list[Row]:
    """A row a run."""
    wanted = (way, bits, members)
    return [
        next(row for row in rows if (row["way"], row["bits"], row["members"]) == wanted)
        for rows in runs
    ]


def _line(label: str, rows: list[Row]) -> list[str]:
    first = rows[0]
    return [
        label,
        str(first["members"]),
        size(first["bytes"]),
        size(first.get("stored")),
        cell([row["NLL"] for row in rows], 4),
        f"{100 * _mean(rows, 'ERR'):.2f}",
        f"{_mean(rows, 'ECE'):.4f}",
        f"{_mean(rows, 'AMB'):.4f}" if first["members"] > 1 else "-",
        f"{_mean(rows, 'scaled'):.4f}",
    ]


def _signed(pairs: list[tuple[float, float]]) -> str:
    """Over seeds if there are several, else over pictures."""
    means = [each[0] for each in pairs]
    mean, half = float(np.mean(means)), half_width(means)
    if half is None:
        ((mean, half),) = pairs
    return f"{mean:+.4f} ± {half:.4f}".replace("-", "\N{MINUS SIGN}")


def _mean(rows: list[Row], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))
