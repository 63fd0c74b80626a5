"""Tables and picture of the CIFAR-10 experiments, from their results alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper.experiment import Results
from benchmarks.paper.intervals import cell
from benchmarks.paper.similarity import short_verdict
from benchmarks.report import markdown
from edgeens.tables import size

_TITLES = {
    "independent": "full rank, rounded to 8 bits after training",
    "uniform": "full rank, trained at 8 bits",
    "bayesianbits": "BayesianBits",
    "batchensemble": "BatchEnsemble, 8 bits",
    "lowrank-shared": "Bits-Ensemble (low rank, shared bits)",
}
_TABLE = ("", "accuracy, %", "NLL", "Brier", "ECE", "file, bytes", "flat int8", "of float32, %")
_STUDY = (
    "",
    "NLL",
    "NLL, one member",
    "ECE",
    "ECE, one member",
    "disagreement, %",
    "JS, nats",
    "AUROC",
    "one member",
    "AUROC, MI",
    "`edgeens` says",
)


def report(results: Results) -> str:
    """What was done; Table IV, the study and the frontier of each network."""
    parts = [_protocol(results)]
    for network in results["networks"]:
        parts += [f"**{network['recipe']}**", _table(network), _study(network)]
        parts += [_shifts(network), _points(network)]
    return "\n\n".join(parts)


def _protocol(results: Results) -> str:
    text = f"""\
K = {results["members"]} members by `edgeens train`, seeds {results["seeds"]}. First table: all
10 000 test pictures, members as the file holds them; `flat int8` is a byte for each stored weight
(of low rank, for each weight of the factors), the last column the file's share of full-rank
float32. Second table: likeness of members and AUROC against CIFAR-100 (1 - max p unless MI), on
{results["studied"]} pictures of each. Third: NLL / ECE by severity, 1 to 5, means over
{results["corruptions"]} corruptions of `edgeens.datasets.corruptions`, {results["corrupted"]}
pictures under each. Fourth: the float32 members rounded with error feedback."""
    if results["limit"] is None:
        return text
    return f"""\
**Reduced**: {results["epochs"]} epochs of {results["limit"]} pictures, which is hardly trained: the
table shows that every method runs from data to file, not which is better. For figures to compare
with the papers', run `python -m benchmarks.paper cifar --data DIR` on a computer with a CUDA GPU:
VGG11 and ResNet18, three seeds, the recipes' own 100 epochs on all pictures. It keeps a checkpoint
a minute in `~/.cache/edgeens/paper/cifar`, so the same command goes on with a run that was stopped.

{text}"""


def _table(network: dict[str, Any]) -> str:
    runs = network["runs"]
    full = runs[0]["methods"]["independent"]["float32 bytes"]
    lines = [
        _quality("full rank, float32", runs, "independent", "members", full, full),
        _quality("one member of it", runs, "independent", "one member", full // 4, full),
    ]
    for method, title in _TITLES.items():
        stored = runs[0]["methods"][method]["bytes"]
        lines.append(_quality(title, runs, method, "file", stored, full))
    return markdown(_TABLE, lines)


def _quality(
    title: str, runs: list[Any], method: str, what: str, size_bytes: int, full: int
) -> list[str]:
    rows = [run["methods"][method][what] for run in runs]
    flat = runs[0]["methods"][method]["int8 bytes"]
    return [
        title,
        f"{100 * np.mean([row['accuracy'] for row in rows]):.2f}",
        cell([row["NLL"] for row in rows], 4),
        cell([row["Brier"] for row in rows], 4),
        cell([row["ECE"] for row in rows], 4),
        size(size_bytes),
        size(flat) if what == "file" else "-",
        f"{100 * size_bytes / full:.1f}",
    ]


def _study(network: dict[str, Any]) -> str:
    lines = []
    for method, title in _TITLES.items():
        studies = [run["methods"][method]["study"] for run in network["runs"]]
        values = [
            _over(studies, lambda s: s["ensemble"]["NLL"]),
            _over(studies, lambda s: s["member"]["NLL"]),
            _over(studies, lambda s: s["ensemble"]["ECE"]),
            _over(studies, lambda s: s["member"]["ECE"]),
            f"{100 * np.mean([s['disagreement'] for s in studies]):.2f}",
            _over(studies, lambda s: s["divergence"]),
            _over(studies, lambda s: s["AUROC"]["1 - max p"]),
            _over(studies, lambda s: s["AUROC of a member"]),
            _over(studies, lambda s: s["AUROC"]["mutual information"]),
            " / ".join(dict.fromkeys(short_verdict(s["verdict"]) for s in studies)),
        ]
        name = "deep ensemble, float32" if method == "independent" else title
        lines.append([name, *values])
    return markdown(_STUDY, lines)


def _shifts(network: dict[str, Any]) -> str:
    lines = []
    for method, title in _TITLES.items():
        names = {"ensemble": title, "member": "one member of it"}
        if method == "independent":
            names["ensemble"] = "deep ensemble, float32"
        for what, name in names.items():
            cells = []
            for severity in range(5):
                rows = [run["methods"][method]["corrupted"][severity] for run in network["runs"]]
                nll, ece = (np.mean([row[what][key] for row in rows]) for key in ("NLL", "ECE"))
                cells.append(f"{nll:.3f} / {ece:.3f}")
            lines.append([name, *cells])
    return markdown(("corrupted", "1", "2", "3", "4", "5"), lines)


def _points(network: dict[str, Any]) -> str:
    lines = []
    for points in zip(*(run["frontier"] for run in network["runs"]), strict=True):
        cells = [size(points[0]["bytes"]), cell([point["NLL"] for point in points], 4)]
        lines.append([f"{points[0]['bits']} bits", *cells])
    return markdown(("deep ensemble", "bytes", "NLL"), lines)


def draw(results: Results, path: Path) -> None:
    """NLL against bytes: a line for the deep ensemble at fewer bits, a point a trained method."""
    from matplotlib.figure import Figure

    networks = results["networks"]
    figure = Figure(figsize=(5.6 * len(networks), 4.4), layout="constrained")
    for axes, network in zip(np.ravel(figure.subplots(1, len(networks))), networks, strict=True):
        run = network["runs"][0]
        x = [point["bytes"] for point in run["frontier"]]
        y = [point["NLL"] for point in run["frontier"]]
        label = "deep ensemble, bits of a code"
        axes.plot(x, y, "o-", color="#d1495b", markersize=4, label=label)
        for point in run["frontier"]:
            place = (point["bytes"], point["NLL"])
            axes.annotate(str(point["bits"]), place, xytext=(3, 4), textcoords="offset points")
        for (method, title), marker in zip(_TITLES.items(), ".s^Dv", strict=True):
            if method != "independent":
                found = run["methods"][method]
                nll = found["study"]["ensemble"]["NLL"]
                axes.plot(found["bytes"], nll, marker, color="#00798c", label=title)
        axes.set_xscale("log")
        axes.set_xlabel("bytes of the file", fontsize=9)
        axes.set_ylabel(f"NLL of {results['studied']} test pictures, nats", fontsize=9)
        title = network["recipe"] + (", reduced" if results["limit"] else "")
        axes.set_title(title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#eeeeee")
        axes.legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _over(studies: list[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> str:
    return f"{np.mean([value(study) for study in studies]):.4f}"
