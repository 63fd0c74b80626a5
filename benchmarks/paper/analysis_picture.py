"""Figure 2 of Bits-Ensemble anew, from the saved results alone; needs matplotlib.

After benchmarks.paper.analysis.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from benchmarks.paper.experiment import Results
from benchmarks.paper.intervals import half_width
from edgeens.errors import MissingPackageError

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingPackageError(
        "drawing needs matplotlib; install the extra edgeens[report]"
    ) from error

_COLOURS = ("#222222", "#8f9dab", "#5b7085", "#00798c", "#d1495b", "#edae49", "#66a182")
# Label, factor, and limits: sharing all of eps4 leaves the first two, which would hide the others.
_PANELS: dict[str, tuple[str, float, tuple[float | None, float | None]]] = {
    "accuracy": ("accuracy, %", 100.0, (90.0, 95.0)),
    "ece": ("ECE", 1.0, (0.0, 0.08)),
    "enc_logits": ("ENC (logits)", 1.0, (None, None)),
}


def draw(results: Results, path: Path) -> None:
    """A panel a metric, a line a scheme, K along the bottom; bars are 95 % intervals."""
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, (metric, (label, factor, limits)) in zip(panels, _PANELS.items(), strict=True):
        for (name, by_group), colour in zip(results["figure2"].items(), _COLOURS, strict=True):
            values = [columns[metric] for columns in by_group.values()]
            axes.errorbar(
                [int(count) for count in by_group],
                [factor * fmean(each) for each in values],
                [factor * (half_width(each) or 0.0) for each in values],
                fmt="o-",
                color=colour,
                markersize=3,
                linewidth=1.2,
                label=name,
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks([int(count) for count in by_group], list(by_group))
        axes.set_ylim(*limits)
        axes.set_xlabel("members K")
        axes.set_title(label, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#eeeeee")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})
