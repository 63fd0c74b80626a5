"""The frontier as a picture: a panel a data set, a line a family; needs matplotlib.

After benchmarks.paper.frontier.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from benchmarks.paper.experiment import Results
from benchmarks.paper.frontier_report import FAMILIES, FLOAT, WITHIN, by_way
from benchmarks.paper.intervals import half_width
from edgeens.errors import MissingPackageError

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingPackageError(
        "drawing needs matplotlib; install the extra edgeens[report]"
    ) from error

_COLOURS = {
    "rounded": "#8f9dab",
    "uniform": "#222222",
    "rated": "#edae49",
    "fixed": "#00798c",
    "learned": "#d1495b",
}


def draw(results: Results, path: Path) -> None:
    """Mean over the seeds with 95 % intervals; lines at float32 and 1 % above it."""
    figure = Figure(figsize=(6.5 * len(results["titles"]), 4.5), layout="constrained")
    panels = figure.subplots(1, len(results["titles"]), squeeze=False)[0]
    for axes, (recipe, title) in zip(panels, results["titles"].items(), strict=True):
        ways = by_way(results, recipe)
        exact = fmean(point["test_nll"] for point in ways[FLOAT].values())
        axes.axhline(exact, color="#222222", linewidth=0.8, label="float32")
        axes.axhline(
            WITHIN * exact, color="#222222", linewidth=0.8, linestyle=":", label="1 % above"
        )
        for family, label in FAMILIES.items():
            of_family = [list(seeds.values()) for seeds in ways.values()]
            points = [each for each in of_family if each[0]["family"] == family]
            points.sort(key=lambda each: fmean(point["bits_mw"] for point in each))
            if not points:
                continue
            nlls = [[point["test_nll"] for point in each] for each in points]
            axes.errorbar(
                [fmean(point["bits_mw"] for point in each) for each in points],
                [fmean(each) for each in nlls],
                [half_width(each) or 0.0 for each in nlls],
                fmt="o-",
                color=_COLOURS[family],
                markersize=4,
                linewidth=1.2,
                capsize=2,
                label=label,
            )
        means = [fmean(point["test_nll"] for point in seeds.values()) for seeds in ways.values()]
        axes.set_ylim(min(exact, *means) - 0.03 * exact, exact * 1.08)
        axes.set_xlim(left=0.0)
        axes.set_xlabel("bits per member weight, whole file")
        axes.set_ylabel("NLL, test pictures")
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#eeeeee")
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})
