"""The pictures of a comparison, drawn from its figures alone; needs matplotlib.

Between compare and report, which writes them and puts them into its page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, BinaryIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from edgeens.compare import Comparison
from edgeens.compare_tables import by_severity, methods
from edgeens.intervals import Estimate, estimate
from edgeens.judged import AS_STORED, COVERAGES, ONE_MEMBER, Judged

_COLORS = ("#00798c", "#d1495b", "#edae49", "#5c4d7d", "#66a182", "#2e4057", "#8d5524", "#8f9dab")
_GREY = "#8f9dab"
_COLUMNS = 4  # panels beside each other
_MOST = 12  # methods that get a panel of their own


@dataclass(frozen=True)
class _Method:
    """A method: its name, its colour in every picture, and its files."""

    name: str
    color: str
    seeds: list[Judged]


_Methods = list[_Method]


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: of the file, without suffix.
        caption: what it shows, in a sentence or two.
        figure: what to write.
    """

    name: str
    caption: str
    figure: Figure

    def save(self, file: BinaryIO) -> None:
        """Write it as PNG."""
        self.figure.savefig(file, format="png", dpi=120)


def draw_all(comparison: Comparison) -> list[Picture]:
    """Every picture for which there are figures."""
    all_ = [
        _Method(name, _COLORS[place % len(_COLORS)], seeds)
        for place, (name, seeds) in enumerate(methods(comparison))
    ]
    drawn: list[Picture] = []
    for draw, has in _PICTURES:
        some = [method for method in all_ if has(method.seeds[0])]
        drawn += [draw(some)] if some else []
    return drawn


def _size(files: _Methods) -> Picture:
    figure, axes = _one_panel()
    for method in files:
        x = [_figure(f.ensemble["file bytes"]) for f in method.seeds]
        y = [_figure(f.predictions[AS_STORED]["NLL"]) for f in method.seeds]
        color = method.color
        middle = estimate(y)
        axes.plot(x, y, ".", color=color, alpha=0.4)
        axes.errorbar(
            np.exp(np.mean(np.log(x))), middle.mean, yerr=middle.half, fmt="o", color=color,
            label=method.name, capsize=3,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(EngFormatter(unit="B"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("size of the file")
    axes.set_ylabel("NLL (nats)")
    axes.margins(0.15)
    _legend(axes, len(files))
    caption = "Size against NLL; the lower left is best. Small points are seeds."
    return Picture("size_nll", caption, figure)


def _reliability(files: _Methods) -> Picture:
    shown = files[:_MOST]
    figure, panels = _grid(len(shown))
    for axes, method in zip(panels, shown, strict=True):
        axes.plot([0, 1], [0, 1], ":", color=_GREY, lw=1)
        for place, way in enumerate(method.seeds[0].reliability):
            confidence, accuracy, count = _bins([f.reliability[way] for f in method.seeds])
            axes.plot(confidence, accuracy, "o-", ms=3, lw=1, color=_COLORS[place], label=way)
            if way == AS_STORED:
                axes.bar(
                    confidence, count / count.sum(), width=0.03, color=_GREY, alpha=0.4, zorder=0
                )
        axes.set_title(method.name, fontsize=9)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
    panels[0].legend(frameon=False, fontsize=7)
    figure.supxlabel("confidence", fontsize=9)
    figure.supylabel("accuracy", fontsize=9)
    caption = (
        "Reliability: accuracy against confidence in 15 bins. Below the dotted line a model is too "
        "sure. Grey bars: the share of the inputs in each bin."
    )
    return Picture("reliability", caption, figure)


def _bins(tables: list[list[list[float | None]]]) -> tuple[Any, Any, Any]:
    """Confidence, accuracy and count of the filled bins, the seeds' inputs taken together."""
    all_ = np.array([[[n, c or 0.0, a or 0.0] for n, c, a in table] for table in tables], float)
    count = all_[:, :, 0].sum(axis=0)
    filled = count > 0
    sums = (all_[:, :, :1] * all_[:, :, 1:]).sum(axis=0)[filled] / count[filled, None]
    return sums[:, 0], sums[:, 1], count[filled]


def _risk(files: _Methods) -> Picture:
    figure, axes = _one_panel()
    for place, method in enumerate(files):
        curve = np.mean([f.risk_curve for f in method.seeds], axis=0)
        line = "--" if place >= len(_COLORS) else "-"
        axes.plot(COVERAGES, 100 * curve, color=method.color, ls=line, label=method.name)
    axes.set_xlabel("share of the inputs that is decided, the surest first")
    axes.set_ylabel("wrong decisions among them, %")
    axes.set_ylim(bottom=0)
    _legend(axes, len(files))
    return Picture("risk_coverage", "Risk against coverage; the lower the better.", figure)


def _outside(files: _Methods) -> Picture:
    sets = list(files[0].seeds[0].outside)
    figure = Figure(figsize=(4.2 * max(len(sets), 2), 1.2 + 0.4 * len(files)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(sets), squeeze=False, sharey=True)[0]
    scores = list(
        dict.fromkeys(score for method in files for score in method.seeds[0].outside[sets[0]])
    )
    for axes, name in zip(panels, sets, strict=True):
        for place, score in enumerate(scores):
            found = [
                (row, _over_seeds([f.outside[name][score]["AUROC"] for f in method.seeds]))
                for row, method in enumerate(files)
                if score in method.seeds[0].outside[name]
            ]
            axes.errorbar(
                [e.mean for _, e in found], [row + 0.12 * (place - 1.5) for row, _ in found],
                xerr=[e.half or 0.0 for _, e in found], fmt="o", ms=4, color=_COLORS[place],
                label=score, capsize=2,
            )  # fmt: skip
        axes.axvline(0.5, color=_GREY, ls=":")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("AUROC")
    panels[0].set_yticks(range(len(files)), [method.name for method in files])
    panels[0].invert_yaxis()
    panels[-1].legend(frameon=False, fontsize=7, loc="best")
    caption = "How well each score tells inputs from elsewhere; dotted: chance."
    return Picture("ood", caption, figure)


def _diversity(files: _Methods) -> Picture:
    shown = files[:_MOST]
    figure, panels = _grid(len(shown))
    highest = max(float(np.max(method.seeds[0].pairs)) for method in shown) or 1.0
    for axes, method in zip(panels, shown, strict=True):
        image = axes.imshow(
            100 * np.array(method.seeds[0].pairs), vmin=0, vmax=100 * highest, cmap="viridis"
        )
        axes.set_title(method.name, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.colorbar(image, ax=panels, label="inputs with different classes, %")
    caption = (
        "Disagreement of each pair of members (of the first seed), one colour scale for all. A "
        "dark square is a collapsed ensemble: its members are one model."
    )
    return Picture("diversity", caption, figure)


def _gain(files: _Methods) -> Picture:
    figure, axes = _one_panel()
    for method in files:
        x = _over_seeds([f.ensemble["disagreement"] for f in method.seeds])
        y = _over_seeds([_gained(f) for f in method.seeds])
        axes.errorbar(
            x.mean, y.mean, xerr=x.half, yerr=y.half, fmt="o", capsize=3, label=method.name,
            color=method.color,
        )  # fmt: skip
    axes.axhline(0.0, color=_GREY, ls=":")
    axes.set_xlabel("disagreement of two members")
    axes.set_ylabel("NLL of one member less that of all (nats)")
    axes.margins(0.15)
    _legend(axes, len(files))
    caption = "What the differences bring: at 0, one member would do as well."
    return Picture("diversity_gain", caption, figure)


def _gained(file: Judged) -> float:
    one, whole = (file.predictions[way]["NLL"] for way in (ONE_MEMBER, AS_STORED))
    return _figure(one) - _figure(whole)


def _shift(files: _Methods) -> Picture:
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    for method in files:
        levels = [int(key[0]) for key, _ in by_severity(method.seeds[0])]
        for axes, figure_name in zip(panels, ("accuracy", "NLL", "ECE"), strict=True):
            found = [_over_seeds([f.predictions[AS_STORED][figure_name] for f in method.seeds])]
            found += [
                _over_seeds([by_severity(f)[k][1][figure_name] for f in method.seeds])
                for k in range(len(levels))
            ]
            axes.errorbar(
                [0, *levels], [e.mean for e in found], yerr=[e.half or 0.0 for e in found],
                fmt="o-", ms=3, lw=1, capsize=2, color=method.color, label=method.name,
            )  # fmt: skip
            axes.set_xlabel("severity (0: as it is)")
            axes.set_ylabel(figure_name)
            axes.grid(alpha=0.3)
    _legend(panels[0], len(files))
    caption = "Corrupted pictures: the mean over the corruptions of each severity."
    return Picture("shift", caption, figure)


_PICTURES: tuple[tuple[Callable[[_Methods], Picture], Callable[[Judged], bool]], ...] = (
    (_size, lambda file: "NLL" in file.predictions[AS_STORED]),
    (_reliability, lambda file: bool(file.reliability)),
    (_risk, lambda file: bool(file.risk_curve)),
    (_diversity, lambda file: len(file.pairs) > 1),
    (_gain, lambda file: len(file.pairs) > 1),
    (_outside, lambda file: bool(file.outside)),
    (_shift, lambda file: bool(file.shift)),
)


def _figure(value: float | str | None) -> float:
    assert isinstance(value, float)
    return value


def _over_seeds(values: list[Any]) -> Estimate:
    return estimate([_figure(value) for value in values])


def _one_panel() -> tuple[Any, Any]:
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    return figure, axes


def _grid(panels: int) -> tuple[Any, Any]:
    """A figure of that many square panels."""
    columns = min(panels, _COLUMNS)
    rows = ceil(panels / columns)
    figure = Figure(figsize=(0.6 + 2.6 * max(columns, 2), 0.4 + 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for empty in axes[panels:]:
        empty.set_axis_off()
    return figure, axes[:panels]


def _legend(axes: Any, entries: int) -> None:
    axes.legend(frameon=False, fontsize=8, ncols=ceil(entries / 10))
