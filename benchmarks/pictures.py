"""Pictures of the benchmarks, drawn from their results alone.

After benchmarks.sizes, benchmarks.decode and benchmarks.runtime; needs matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from benchmarks.report import OURS_AT, way_at, ways_at
from benchmarks.sizes import OURS
from benchmarks.ways import MEMCPY, NNCODEC
from edgeens.errors import MissingPackageError

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingPackageError(
        "drawing needs matplotlib; install the extra edgeens[report]"
    ) from error

_NOT_DRAWN = ("float32", "lz4 -12")  # 32 bits, and never below flat int8
_ENTROPY = "order-0 entropy"
_GREYS = ("#d9d9d9", "#c2c8cf", "#aab4be", "#8f9dab", "#748698", "#5b7085", "#435a71", "#2c455e")
_LIGHT = 3  # greys up to this one carry dark figures
_OURS, _SECOND, _INK = "#d1495b", "#00798c", "#222222"
_AT = _SECOND, _OURS  # of the coders of OURS_AT


def draw_sizes(ensembles: Sequence[dict[str, Any]], path: Path) -> None:
    """Bars of bits per member weight: a group an ensemble, a bar a coder, a line the entropy."""
    labels = [row["label"] for row in ensembles[0]["rows"]]
    bars = [label for label in labels if label not in (*_NOT_DRAWN, _ENTROPY)]
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    axes = figure.subplots()
    width = 0.86 / len(bars)
    for group, ensemble in enumerate(ensembles):
        bits = {row["label"]: row["bits_per_weight"] for row in ensemble["rows"]}
        for number, label in enumerate(bars):
            if bits[label] is None:
                continue
            left = group - 0.43 + number * width
            color = _OURS if label == OURS else _GREYS[number]
            name = label if group == 0 else None
            axes.bar(left, bits[label], width * 0.92, align="edge", color=color, label=name)
            axes.annotate(
                f"{bits[label]:.2f}",
                (left + width * 0.46, bits[label]),
                xytext=(0, -3),
                textcoords="offset points",
                rotation=90,
                ha="center",
                va="top",
                fontsize=7.5,
                color="white" if label == OURS or number > _LIGHT else _INK,
            )
        axes.hlines(
            bits[_ENTROPY],
            group - 0.43,
            group + 0.43,
            color=_INK,
            linewidth=1,
            linestyle=(0, (4, 2)),
            label="order-0 entropy of each tensor" if group == 0 else "",
        )
    titles = [ensemble["title"].replace(", ", "\n") for ensemble in ensembles]
    axes.set_xticks(range(len(ensembles)), titles, fontsize=8)
    axes.set_ylabel("bits per member weight")
    axes.set_ylim(0, 13)
    axes.set_title("Size of 4 members at equal 8-bit codes (float32: 32 bits)", loc="left")
    axes.legend(ncols=4, fontsize=8, frameon=False, loc="upper center")
    _bare(axes)
    _save(figure, path)


def draw_nll(ensembles: Sequence[dict[str, Any]], path: Path) -> None:
    """NLL on the test images against bits per member weight: a panel an ensemble."""
    figure = _panels(ensembles, _nll_panel, height=3.6)
    title = "NLL of the test images against size; numbers: bits of a code"
    figure.suptitle(title, x=0.01, ha="left")
    _save(figure, path)


def draw_decode(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Bars of member weights a second: left the same codes in every coder, right other methods.

    Where two threads were timed, their bars stand behind, in a lighter shade.
    """
    timed = {row["threads"] for row in rows}
    shades = [(threads, alpha) for threads, alpha in ((2, 0.35), (1, 1.0)) if threads in timed]
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    compared = [row for row in rows if row["entropy"] is not None and row["way"] != NNCODEC]
    speeds = {(way_at(row), row["entropy"], row["threads"]): row["mmw_s"] for row in compared}
    sizes = {(way_at(row), row["entropy"]): row["bits_mw"] for row in compared}
    entropies = sorted({row["entropy"] for row in compared})
    ways = ways_at(compared)
    colors = {**dict(zip(ways, _GREYS, strict=False)), **dict(zip(OURS_AT, _AT, strict=True))}
    for number, way in enumerate(ways):
        width = 0.86 / len(ways)
        known = [(n, each) for n, each in enumerate(entropies) if (way, each, 1) in speeds]
        places = [group - 0.43 + (number + 0.5) * width for group, _ in known]
        color = colors[way]
        for threads, alpha in shades:
            heights = [speeds[way, entropy, threads] for _, entropy in known]
            name = way if threads == 1 else None
            left.bar(places, heights, width * 0.92, color=color, alpha=alpha, label=name)
        for place, (_, entropy) in zip(places, known, strict=True):
            left.annotate(
                f"{sizes[way, entropy]:.2f}",
                (place, max(speeds[way, entropy, threads] for threads, _ in shades)),
                xytext=(0, 3),
                textcoords="offset points",
                rotation=90,
                ha="center",
                fontsize=7,
            )
    left.set_xticks(range(len(entropies)), [f"{entropy} bits" for entropy in entropies])
    left.set_ylabel("million member weights a second")
    left.set_title("Same codes of so much entropy, to float32; figures: bits/mw", loc="left")
    left.legend(fontsize=8, frameon=False, loc="upper left")
    left.set_ylim(0, 1.5 * max(speeds.values()))  # room for the legend
    others = [row for row in rows if row["entropy"] is None or row["way"] == NNCODEC]
    names = list(dict.fromkeys(row["way"] for row in others))
    for threads, alpha in shades:
        for row in others:
            if row["threads"] == threads:
                color = _GREYS[4] if row["way"] in (MEMCPY, NNCODEC) else _OURS
                right.barh(names.index(row["way"]), row["mmw_s"], color=color, alpha=alpha)
    right.set_yticks(range(len(names)), names, fontsize=8)
    right.invert_yaxis()
    light = "; light: on two threads" if len(shades) > 1 else ""
    right.set_xlabel(f"million member weights a second{light}")
    right.set_title("Other methods", loc="left")
    _bare(left)
    _bare(right, axis="x")
    _save(figure, path)


def draw_early_exit(ensembles: Sequence[dict[str, Any]], path: Path) -> None:
    """Loss against member runs saved, on validation and test images: a panel an ensemble."""
    _save(_panels(ensembles, _exit_panel, height=3.3), path)


def _panels(
    ensembles: Sequence[dict[str, Any]],
    draw: Callable[[Any, dict[str, Any]], None],
    *,
    height: float,
) -> Figure:
    """A panel an ensemble, three in a row, each *height* inches high, with one legend for all."""
    columns = 3
    rows = -(-len(ensembles) // columns)
    figure = Figure(figsize=(12, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(ensembles) :]:
        axes.remove()
    for axes, ensemble in zip(grid.flat, ensembles, strict=False):
        draw(axes, ensemble)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    return figure


def _exit_panel(axes: Any, ensemble: dict[str, Any]) -> None:
    curve, members = ensemble["curve"], ensemble["members"]
    saved = [100 * (1 - p["mean_members"] / members) for p in curve]
    loss = [100 * p["nll_loss"] for p in curve]
    bound = [100 * p["bound"] for p in curve]
    tested = [100 * (1 - p["test_members"] / members) for p in curve]
    axes.plot(saved, loss, color=_SECOND, label="validation images")
    axes.fill_between(saved, loss, bound, color=_SECOND, alpha=0.2, label="to its 95 % bound")
    axes.plot(tested, [100 * p["test_loss"] for p in curve], color=_OURS, label="test images")
    if ensemble["chosen"] is not None:
        point = ensemble["chosen"]
        place = 100 * (1 - point["test_members"] / members), 100 * point["test_loss"]
        axes.plot(*place, "o", color=_OURS, label="chosen on validation images")
    axes.axhline(0.5, color=_INK, linewidth=1, linestyle=":")
    axes.set_ylim(-2, 4)
    axes.set_title(ensemble["title"], loc="left", fontsize=9)
    axes.set_xlabel("member runs saved, %", fontsize=8)
    axes.set_ylabel("NLL above that of all, %", fontsize=8)
    _bare(axes)


def draw_runtime(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Time of a prediction against peak memory: a panel a network and number of members."""
    shown = [row for row in rows if (row["batch"], row["threads"]) == (1, 1)]
    panels = list(dict.fromkeys((row["network"], row["members"]) for row in shown))
    columns = len({members for _, members in panels})
    figure = Figure(figsize=(12, 3.1 * len(panels) / columns), layout="constrained")
    grid = figure.subplots(len(panels) // columns, columns, squeeze=False)
    ways = list(dict.fromkeys(row["way"] for row in shown))
    markers = dict(zip(ways, "os^DPXv*h", strict=False))
    for axes, panel in zip(grid.flat, panels, strict=True):
        for row in shown:
            if (row["network"], row["members"]) == panel:
                color = _OURS if row["way"].startswith("edgeens") else _GREYS[5]
                place = row["peak_mb"], row["latency_s"] * 1e3
                axes.plot(*place, markers[row["way"]], color=color, label=row["way"], markersize=7)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for each in (axes.xaxis, axes.yaxis):
            each.set_major_formatter("{x:g}")
            each.set_minor_formatter("{x:g}")
            each.set_tick_params(which="both", labelsize=7)
        axes.set_title(f"{panel[0]}, {panel[1]} members", loc="left", fontsize=9)
        axes.set_xlabel("peak memory, MB", fontsize=8)
        axes.set_ylabel("a prediction, ms", fontsize=8)
        _bare(axes)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    _save(figure, path)


def _nll_panel(axes: Any, ensemble: dict[str, Any]) -> None:
    together, one = ensemble["float32"], ensemble["one_member"]
    axes.axhline(together, color=_INK, linewidth=1, label="4 float32 members (32 bits)")
    axes.axhline(one, color=_INK, linewidth=1, linestyle=":", label="one float32 member (mean)")
    for (label, points), color in zip(ensemble["curves"].items(), (_OURS, _SECOND), strict=False):
        x, y = [p["bits_mw"] for p in points], [p["nll"] for p in points]
        axes.plot(x, y, "o-", color=color, markersize=4, label=f"edgeens, {label}")
        for point in points:
            place = (point["bits_mw"], point["nll"])
            shift = {"xytext": (3, 4), "textcoords": "offset points"}
            axes.annotate(
                str(point["bits"]), place, fontsize=7, color=color, annotation_clip=True, **shift
            )
    # The widths at which the ensemble is still better than one member are what matters; a code of
    # 2 bits, rounded to the nearest, can be far above.
    low, high = min(together, one), max(together, one)
    axes.set_ylim(low - 0.3 * (high - low), high + 0.6 * (high - low))
    axes.set_xlim(0, 9)
    axes.set_title(ensemble["title"], loc="left", fontsize=9)
    axes.set_xlabel("bits per member weight", fontsize=8)
    axes.set_ylabel("NLL, nats", fontsize=8)
    _bare(axes)


def _bare(axes: Any, *, axis: Literal["x", "y"] = "y") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=axis, color="#eeeeee")
    axes.set_axisbelow(True)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})
