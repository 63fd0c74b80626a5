"""Is BatchEnsemble one model? Its members on MNIST beside others, in function and in weights.

After Zamyatin et al., "Is BatchEnsemble a Single Model?", 2026, whose controlled study this
repeats; the training itself is in batch_ensemble_training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.paper.experiment import Experiment, Results, Setup
from benchmarks.paper.intervals import cell
from benchmarks.paper.pieces import not_measured, piece
from benchmarks.paper.similarity import short_verdict
from benchmarks.report import markdown

SEEDS = (0, 1, 2)
MEMBERS = 4
EPOCHS = 5


@dataclass(frozen=True)
class Way:
    """How the members of one row come about.

    Attributes:
        title: for people.
        kind: "apart" is a deep ensemble; "rounded" is its first member, rounded at random to 7
            bits, as often as there are members: one model, beyond doubt.
        init: of BatchEnsemble's fast weights.
        fast: their learning rate, in that of the shared weights.
    """

    title: str
    kind: Literal["apart", "rounded", "dropout", "batchensemble"]
    init: str = ""
    fast: float = 1.0


WAYS = (
    Way("one model, rounded at random to 7 bits", "rounded"),
    Way("MC dropout, rate 0.2", "dropout"),
    *(
        Way(f"BatchEnsemble, {init}, fast x {fast:g}", "batchensemble", init, fast)
        for init in ("ones", "sign", "normal")
        for fast in (0.1, 1.0, 10.0)
    ),
    Way("deep ensemble", "apart"),
)


def measure(setup: Setup) -> Results:
    """A row a way, each with all seeds."""
    rows = []
    for done, way in enumerate(WAYS):
        runs = []
        for seed in SEEDS:
            setup.progress(
                f"{way.title}, seed {seed}", len(SEEDS) * done + seed, len(SEEDS) * len(WAYS)
            )
            made_from = {**asdict(way), "epochs": EPOCHS, "members": MEMBERS}
            name = f"{way.kind}-{way.init}-{way.fast:g}-{seed}"
            runs.append(piece(setup.cache, name, made_from, partial(_measured, setup, way, seed)))
        rows.append({"way": way.title, "runs": runs})
    return {"seeds": list(SEEDS), "members": MEMBERS, "epochs": EPOCHS, "rows": rows}


def _measured(setup: Setup, way: Way, seed: int) -> dict[str, Any]:
    from benchmarks.paper.batch_ensemble_training import measure_way

    return measure_way(way, setup.data, seed=seed, members=MEMBERS, epochs=EPOCHS)


def report(results: Results) -> str:
    """What was done, and a table of each: quality, and likeness."""
    quality, likeness = [], []
    for row in results["rows"]:
        runs = row["runs"]
        quality.append(
            [
                row["way"],
                cell([run["ensemble"]["NLL"] for run in runs], 4),
                cell([run["member"]["NLL"] for run in runs], 4),
                f"{100 * _mean(run['ensemble']['ERR'] for run in runs):.2f}",
                f"{100 * _mean(run['member']['ERR'] for run in runs):.2f}",
                f"{_mean(run['ensemble']['ECE'] for run in runs):.4f}",
                f"{_mean(run['AUROC']['1 - max p'] for run in runs):.3f}",
                f"{_mean(run['AUROC']['mutual information'] for run in runs):.3f}",
            ]
        )
        likeness.append(
            [
                row["way"],
                f"{100 * _mean(run['disagreement'] for run in runs):.2f}",
                f"{_mean(run['divergence'] for run in runs):.5f}",
                f"{_mean(run['CKA'] for run in runs):.3f}",
                f"{_mean(run['cosine'] for run in runs):.3f}",
                f"{_mean(run['cosine of sizes'] for run in runs):.3f}",
                " / ".join(dict.fromkeys(short_verdict(run["verdict"]) for run in runs)),
            ]
        )
    return "\n\n".join(
        [
            _protocol(results),
            markdown(_QUALITY, quality),
            markdown(_LIKENESS, likeness),
            _finding(results),
            *not_measured([way.title for way in WAYS], [row["way"] for row in results["rows"]]),
        ]
    )


def _finding(results: Results) -> str:
    """BatchEnsemble between one network and several, in a sentence."""
    rows = {row["way"]: row["runs"] for row in results["rows"]}

    def nll(runs: list[Any], what: str) -> str:
        return f"{_mean(run[what]['NLL'] for run in runs):.4f}"

    parts = []
    for way in WAYS:
        if way.kind == "batchensemble" and way.fast == 1.0 and way.title in rows:
            runs = rows[way.title]
            verdict = " / ".join(dict.fromkeys(short_verdict(run["verdict"]) for run in runs))
            parts.append(
                f"started from {way.init} {nll(runs, 'ensemble')}, a member of it "
                f"{nll(runs, 'member')} ({verdict})"
            )
    apart = rows["deep ensemble"]
    return (
        f"NLL again: one network trained alone {nll(apart, 'member')}, the deep ensemble "
        f"{nll(apart, 'ensemble')}; BatchEnsemble {'; '.join(parts)}. Its shared weights see "
        f"{results['members']} batches a step, a network alone one, which may be why even a single "
        "model of it is better than a network alone."
    )


_QUALITY = (
    "",
    "NLL",
    "NLL, one member",
    "ERR, %",
    "ERR, one member",
    "ECE",
    "AUROC, 1 - max p",
    "AUROC, MI",
)
_LIKENESS = (
    "",
    "disagreement, %",
    "JS, nats",
    "CKA",
    "weight cosine",
    "of their sizes",
    "`edgeens` says",
)


def _protocol(results: Results) -> str:
    return f"""\
{results["members"]} members of an MLP 784-128-10 on MNIST, {results["epochs"]} epochs of Adam at
2e-3 falling to 0 along half a cosine, batches of 128 a member; {len(results["seeds"])} seeds.
BatchEnsemble: W_k = W o (r_k s_k^T), its fast weights r and s starting as ones, random signs or
normal(1, 0.5), with a learning rate of so many times that of W; members see different batches.
Figures are of the 10 000 test pictures, nothing was chosen by any; ± is half of a 95 % interval
over the seeds. AUROC: told from Fashion-MNIST. "One member" is the members' mean.

Likeness, mean over pairs of members: disagreement and Jensen-Shannon divergence of their answers,
linear CKA of the hidden layer (which MC dropout leaves as it is), cosine of their weights, and of
the absolute values of these, for the signs that BatchEnsemble draws make the cosine small and
nothing else. The last column is the verdict of `edgeens.diversity.collapse_verdict`, from the
answers alone."""


def draw(results: Results, path: Path) -> None:
    """Divergence of the members, and what the ensemble gains by it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    for row in results["rows"]:
        way = next(way for way in WAYS if way.title == row["way"])
        x = [run["divergence"] for run in row["runs"]]
        y = [run["member"]["NLL"] - run["ensemble"]["NLL"] for run in row["runs"]]
        marker = {"": "o", "ones": "^", "sign": "s", "normal": "D"}[way.init]
        colour = {"apart": "#d1495b", "dropout": "#e9c46a", "rounded": "#222222"}.get(
            way.kind, {0.1: "#9ad1d8", 1.0: "#00798c", 10.0: "#0b3c46"}[way.fast]
        )
        axes.plot(x, y, marker, color=colour, markersize=6, label=row["way"])
    axes.set_xscale("log")
    axes.set_xlabel("Jensen-Shannon divergence of two members, nats", fontsize=9)
    axes.set_ylabel("NLL of one member less the ensemble's, nats", fontsize=9)
    axes.set_title("What members gain together (MNIST, a point a seed)", loc="left", fontsize=10)
    axes.legend(fontsize=7, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#eeeeee")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))


EXPERIMENT = Experiment(
    name="batch-ensemble",
    title="Is BatchEnsemble one model?",
    minutes="15 minutes",
    measure=measure,
    report=report,
    draw=draw,
)
