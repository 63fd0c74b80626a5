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
    "fixed": "shared, Lambda fixed",
    "learned": "shared, Lambda learned",
}
TRAINED = ("uniform", "fixed", "learned")
WITHIN = 1.01
_EQUAL = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0)  # bits/mw at which families are compared

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
            "validation pictures; the last three columns are on test pictures:",
            _chosen_table(results),
            "**At equal size**: NLL on test pictures less that of uniform grids, families "
            "interpolated over their points (linear in bits/mw):",
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
            if family not in map(_family, ways.values()):
                continue
            way = chosen_way(results, recipe, family)
            if way is None:
                lines.append([title, label, "none", "", "", "", ""])
                continue
            seeds = ways[way]
            lines.append(
                [
                    title,
                    label,
                    way,
                    cell([point["bits_mw"] for point in seeds.values()], 3),
                    cell([point["test_nll"] for point in before.values()], 4),
                    cell([point["test_nll"] for point in seeds.values()], 4),
                    _change(ratios(seeds, before, "test")),
                ]
            )
    head = ["", "family", "way", "bits/mw", "NLL of float32", "NLL", "change, %"]
    return markdown(head, lines)


def _equal_table(results: Results) -> str:
    lines = []
    for recipe, title in results["titles"].items():
        curves = {
            family: _curves(by_way(results, recipe), family) for family in (*FAMILIES, "uniform")
        }
        for family, label in FAMILIES.items():
            if family == "uniform" or not curves[family]:
                continue
            cells = [_difference(curves[family], curves["uniform"], bits=bits) for bits in _EQUAL]
            if any(cells):
                lines.append([f"{title}: {label}", *cells])
    return markdown(["NLL less that of uniform, x 1000", *(f"{b} bits/mw" for b in _EQUAL)], lines)


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
                ]
            )
    return markdown(["", "way", "bits/mw", "NLL", "change, %", "accuracy, %"], lines)


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


def _difference(ours: dict[int, Curve], theirs: dict[int, Curve], *, bits: float) -> str:
    """Difference of two families at a size, or nothing where one has no points around it."""
    pairs = [(_at(ours[seed], bits), _at(theirs[seed], bits)) for seed in ours]
    differences = [one - other for one, other in pairs if one is not None and other is not None]
    return cell(differences, 2, factor=1000) if len(differences) == len(ours) else ""


def _at(curve: Curve, bits: float) -> float | None:
    """The curve at *bits*, None outside its ends."""
    for (left, low), (right, high) in pairwise(curve):
        if left <= bits <= right:
            return low + (high - low) * (bits - left) / (right - left)
    return None
