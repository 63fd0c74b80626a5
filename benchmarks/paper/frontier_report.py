"""Tables of the frontier, in Markdown, from its saved results alone: what is within 1 % of float32,
all points, and the families at equal size.

After benchmarks.paper.frontier.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from benchmarks.paper.experiment import Results
from benchmarks.paper.intervals import cell
from benchmarks.report import markdown

FLOAT = "float32"
FAMILIES = {
    "rounded": "rounded after training, with error feedback",
    "uniform": "uniform grid",
    "rated": "uniform grid, entropy in the loss",
    "fixed": "shared, Lambda fixed",
    "learned": "shared, Lambda learned",
}
WITHIN = 1.01

Point = dict[str, Any]
Seeds = dict[int, Point]


def report(results: Results) -> str:
    """Protocol, the choice on validation pictures, all points, families at equal size."""
    return "\n\n".join(
        [
            f"K = 4, 784-128-10, {len(results['seeds'])} seeds, mean and 95 % interval. Every way "
            f"is trained as by `edgeens train RECIPE --epochs {results['schedule']['epochs']}` "
            f"({results['reduced']}), from the same initial weights, float32 too; a run keeps its "
            "epoch of the lowest validation NLL. Bits/mw are eight times the bytes of the whole "
            "file (graph, biases, checksums) over the member weights; NLL is that of the file's "
            "mean probabilities, run in ONNX Runtime.",
            "**Smallest way within 1 % of the NLL of float32**, chosen by the mean over seeds on "
            "validation pictures; the figures are of test pictures:",
            _chosen_table(results),
            "**At equal size**, test pictures; uniform grids are interpolated over their points "
            "(linear in bits/mw):",
            _equal_table(results),
            "**All points**, test pictures:",
            _all_points(results),
        ]
    )


def by_way(results: Results, recipe: str) -> dict[str, Seeds]:
    """The points of a recipe: by way and seed."""
    ways: dict[str, Seeds] = {}
    for point in results["points"]:
        if point["recipe"] == recipe:
            ways.setdefault(point["way"], {})[point["seed"]] = point
    return ways


def ratios(seeds: Seeds, before: Seeds, part: str) -> list[float]:
    """NLL over that of float32, a figure a seed."""
    return [point[f"{part}_nll"] / before[seed][f"{part}_nll"] for seed, point in seeds.items()]


def chosen_way(results: Results, recipe: str, family: str) -> str | None:
    """The smallest way of a family within the tolerance on validation pictures, if there is one."""
    ways = by_way(results, recipe)
    before = ways[FLOAT]
    allowed = [
        (fmean(point["bits_mw"] for point in seeds.values()), way)
        for way, seeds in ways.items()
        if _family(seeds) == family and fmean(ratios(seeds, before, "validation")) <= WITHIN
    ]
    return min(allowed)[1] if allowed else None


def _chosen_table(results: Results) -> str:
    lines = []
    for recipe, title in results["titles"].items():
        ways = by_way(results, recipe)
        before = ways[FLOAT]
        for family, label in FAMILIES.items():
            of_family = {way: seeds for way, seeds in ways.items() if _family(seeds) == family}
            if not of_family:
                continue
            way = chosen_way(results, recipe, family)
            name = way
            if way is None:
                means = {
                    each: fmean(ratios(seeds, before, "validation"))
                    for each, seeds in of_family.items()
                }
                way = min(means, key=means.__getitem__)
                name = f"none; nearest: {way} ({100 * (means[way] - 1):+.1f} % on validation)"
            seeds = of_family[way]
            lines.append(
                [
                    title,
                    label,
                    str(name),
                    cell([point["bits_mw"] for point in seeds.values()], 3),
                    cell([before[seed]["test_nll"] for seed in seeds], 4),
                    cell([point["test_nll"] for point in seeds.values()], 4),
                    _change(ratios(seeds, before, "test")),
                    str(len(seeds)),
                ]
            )
    head = ["", "family", "way", "bits/mw", "NLL of float32", "NLL", "change, %", "seeds"]
    return markdown(head, lines)


def _equal_table(results: Results) -> str:
    lines = []
    for recipe, title in results["titles"].items():
        ways = by_way(results, recipe)
        uniform = _curves(ways, "uniform")
        for way, seeds in ways.items():
            if _family(seeds) in ("float32", "uniform"):
                continue
            differences = _differences(seeds, uniform)
            lines.append(
                [
                    title,
                    f"{FAMILIES[_family(seeds)]}: {way}",
                    cell([point["bits_mw"] for point in seeds.values()], 3),
                    cell(differences, 2, factor=1000) if differences else "no such size",
                ]
            )
    head = ["", "way", "bits/mw", "NLL less that of uniform grids of the size, x 1000"]
    return markdown(head, lines)


def _all_points(results: Results) -> str:
    lines = []
    for recipe, title in results["titles"].items():
        ways = by_way(results, recipe)
        before = ways[FLOAT]
        for way, seeds in ways.items():
            lines.append(
                [
                    title,
                    way,
                    cell([point["bits_mw"] for point in seeds.values()], 3),
                    cell([point["test_nll"] for point in seeds.values()], 4),
                    _change(ratios(seeds, before, "test")),
                    cell([point["test_accuracy"] for point in seeds.values()], 2, factor=100),
                    str(len(seeds)),
                ]
            )
    return markdown(["", "way", "bits/mw", "NLL", "change, %", "accuracy, %", "seeds"], lines)


def _family(seeds: Seeds) -> str:
    return str(next(iter(seeds.values()))["family"])


def _change(values: Sequence[float]) -> str:
    return cell([value - 1 for value in values], 2, factor=100)


Curve = list[tuple[float, float]]


def _curves(ways: dict[str, Seeds], family: str) -> dict[int, Curve]:
    """Of each seed the family's points (bits/mw, test NLL), smallest first."""
    curves: dict[int, Curve] = {}
    for seeds in ways.values():
        if _family(seeds) == family:
            for seed, point in seeds.items():
                curves.setdefault(seed, []).append((point["bits_mw"], point["test_nll"]))
    return {seed: sorted(curve) for seed, curve in curves.items()}


def _differences(seeds: Seeds, curves: dict[int, Curve]) -> list[float]:
    """Test NLL less the curve's at the same size, a figure a seed; none if one is outside it."""
    found = []
    for seed, point in seeds.items():
        nll = _at(curves[seed], point["bits_mw"])
        if nll is None:
            return []
        found.append(point["test_nll"] - nll)
    return found


def _at(curve: Curve, bits: float) -> float | None:
    """The curve at *bits*, None outside its ends."""
    for (left, low), (right, high) in pairwise(curve):
        if left <= bits <= right:
            return low + (high - low) * (bits - left) / (right - left)
    return None
