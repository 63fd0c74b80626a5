"""Tables of the analysis, in Markdown, from its saved results alone.

After benchmarks.paper.analysis.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from benchmarks.paper.experiment import Results
from benchmarks.paper.intervals import cell
from benchmarks.report import markdown
from edgeens.tables import size

FULL = "full precision"

# Table III: Corr x 100 and disp x 1000, as they are, half reversed, shuffled.
_PUBLISHED3 = {
    "layer-1-weight": ((1.2, 1.0, 0.2), (4.5, 4.5, 4.7)),
    "layer-1-bias": ((6.7, 6.3, 5.8), (5.0, 5.1, 5.5)),
    "layer-2-weight": ((4.1, 3.6, 1.0), (22.2, 22.4, 23.0)),
    "layer-2-bias": ((55.6, 46.6, 7.4), (2.8, 4.1, 6.9)),
}
_RULES = {
    "pairs": "median of all pairwise distances",
    "gaps": "median of all adjacent gaps",
}
_RANGES = {"one": "one grid for all members", "own": "a grid for each member"}


def report(results: Results) -> str:
    """Protocol, Table II with the files, Figure 2, Table III."""
    parts = [
        _protocol(results),
        "**Table II, saved bits** as the paper counts them (pattern bits left out), in %:",
        _table2(results),
        _lambdas(results),
        "**The same codes in files of ours** (members of seed 0, whole file, accuracy of what it "
        "decodes to):",
        _files(results),
        "**Figure 2**, test pictures; in the paper accuracy grows from 92.1 to 94.6 %, ECE falls "
        "from .035 to .029, ENC from -9.25 to -19.54 (Eq. 7 is 0 for one member, so the paper's "
        "first point cannot be K = 1):",
        _figure2(results),
        f"Accuracy grows by {gain(results):.1f} points. Unlike in the paper, ECE grows with K "
        "(members that saw little are cautious together), and eps4* loses little, not much.",
        f"**Table III**, mean of {len(results['table3_seeds'])} seeds, the paper's in brackets; "
        "reversed: the entries of half of the members; shuffled: those of each, three times:",
        _table3(results),
        _order(results),
    ]
    return "\n\n".join(parts)


def _protocol(results: Results) -> str:
    p, pictures = results["protocol"], results["pictures"]
    return (
        f"Bits-Ensemble, Section II-C, on MNIST: K = {p['members']}, 784-128-10. The paper's gain "
        "from one member to 16 does not appear when all members see the same data; here each has "
        f"its own random {p['pictures']} of {pictures['training']} pictures, and is under-trained: "
        f"{p['epochs']} epochs of Adam at {p['learning_rate']:g}, batches of {p['batch']}. "
        f"Mean and 95 % interval of {len(results['seeds'])} seeds. Only the two "
        "weight matrices are quantised, with one Lambda each; sharing happens after training. "
        "Digits are exact integers down to 32 bits, the mean of a run is not rounded, levels below "
        "the shared one are dropped."
    )


def _table2(results: Results) -> str:
    lines = []
    for row in results["table2"]:
        rule = _RULES.get(row["statistic"], "grid search, see below")
        lines.append(
            [
                row["scheme"],
                f"{rule}; {_RANGES[row['ranges']]}",
                str(row["published"][0]),
                cell(row["total"], 1, factor=100),
                str(row["published"][1]),
                cell(row["level"], 1, factor=100),
            ]
        )
    head = ["shared", "Lambda; grids", "paper, in total", "here", "paper, at its level", "here"]
    return markdown(head, lines)


def _lambdas(results: Results) -> str:
    found = results["lambdas"]
    lambda4, lambda8 = found["chosen"]
    of_lambda4 = [row for row in found["tried"] if row["lambda4"] == lambda4]
    by_lambda8 = {row["lambda8"]: row for row in of_lambda4}
    place = list(by_lambda8).index(lambda8)
    around = [
        *list(by_lambda8)[max(place - 1, 0) : place],
        *list(by_lambda8)[place + 1 : place + 2],
    ]
    others = "; ".join(
        f"Lambda8 = {each} would save {100 * by_lambda8[each]['saved']:.1f} % in total "
        f"({_change(by_lambda8[each])})"
        for each in around
    )
    return (
        f"The last row has the pair of {len(found['tried'])} that saves most while the validation "
        f"NLL stays within {100 * (found['tolerance'] - 1):.1f} % of full precision: Lambda4 = "
        f"{lambda4}, Lambda8 = {lambda8} ({_change(by_lambda8[lambda8])}). The paper names neither "
        f"its Lambdas nor what it allowed; {others}. Largest difference from the paper over all "
        f"rows: {_largest(results, 'total', 0):.2f} points in total, "
        f"{_largest(results, 'level', 1):.2f} at the level."
    )


def _change(row: dict[str, float]) -> str:
    return f"NLL {100 * (row['nll_ratio'] - 1):+.2f} %"


def _largest(results: Results, key: str, place: int) -> float:
    rows = results["table2"]
    return float(max(abs(100 * fmean(row[key]) - row["published"][place]) for row in rows))


def _files(results: Results) -> str:
    saved = {row["scheme"]: row["total"][0] for row in results["table2"]}
    lines = [
        [
            row["name"],
            f"{100 * saved[row['name']]:.1f}" if row["name"] in saved else "",
            size(row["bytes"]),
            f"{row['bits_mw']:.2f}",
            f"{100 * (1 - row['bits_mw'] / 32):.1f}",
            f"{100 * row['accuracy']:.2f}",
        ]
        for row in results["files"]
    ]
    head = [
        "codes",
        "saved bits, paper's count, %",
        "bytes",
        "bits/mw",
        "saved in truth, %",
        "accuracy, %",
    ]
    return markdown(head, lines)


def _figure2(results: Results) -> str:
    groups = list(next(iter(results["figure2"].values())))
    lines = []
    for name, by_group in results["figure2"].items():
        last = by_group[groups[-1]]
        lines.append(
            [
                name,
                *(cell(by_group[count]["accuracy"], 2, factor=100) for count in groups),
                cell(last["ece"], 3),
                cell(last["enc_logits"], 1),
            ]
        )
    head = ["accuracy, %", *(f"K = {count}" for count in groups)]
    return markdown([*head, f"ECE, K = {groups[-1]}", f"ENC (logits), K = {groups[-1]}"], lines)


def _table3(results: Results) -> str:
    lines = []
    for tensor, metrics in results["table3"].items():
        cells = []
        for metric, factor, published in zip(
            ("corr", "disp"), (100, 1000), _PUBLISHED3[tensor], strict=True
        ):
            for column, printed in enumerate(published):
                values = [row[column] for row in metrics[metric]]
                cells.append(f"{factor * fmean(values):.2f} ({printed})")
        lines.append([tensor, *cells])
    names = ("as it is", "reversed", "shuffled")
    head = [f"{metric}, {name}" for metric in ("Corr x 100", "disp x 1000") for name in names]
    return markdown(["", *head], lines)


def _order(results: Results) -> str:
    """Whether Corr falls and disp rises from column to column, and by how much."""
    lines = []
    for tensor, metrics in results["table3"].items():
        cells = []
        for metric, sign, factor in (("corr", 1, 100), ("disp", -1, 1000)):
            for first, second in ((0, 1), (1, 2)):
                steps = [sign * (row[first] - row[second]) for row in metrics[metric]]
                cells.append(cell(steps, 2, factor=factor))
        lines.append([tensor, *cells])
    head = [
        "the paper's order, as steps that are positive where it holds",
        "Corr, reversed",
        "Corr, shuffled",
        "disp, reversed",
        "disp, shuffled",
    ]
    return (
        f"{markdown(head, lines)}\n\nHidden units have no places: no unit of one member belongs to "
        "the same unit of another, so a step of layer-1-bias is 0 but for chance, in the paper's "
        "one ensemble too. What does correlate at the same place are pixels and classes."
    )


def gain(results: dict[str, Any]) -> float:
    """Points of accuracy from one member to all, in full precision."""
    by_group = list(results["figure2"][FULL].values())
    return 100 * (fmean(by_group[-1]["accuracy"]) - fmean(by_group[0]["accuracy"]))
