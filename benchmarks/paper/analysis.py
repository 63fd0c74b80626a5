"""Bits-Ensemble, Section II-C: Table II (saved bits), Table III (correlation), Figure 2 (accuracy).

An experiment of benchmarks.paper.catalogue. Sharing happens after training, one level at a time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.paper.analysis_members import (
    NAMES,
    Members,
    Protocol,
    member_logits,
    trained_members,
)
from benchmarks.paper.analysis_report import FULL, report
from benchmarks.paper.analysis_sharing import (
    SCHEMES,
    Scheme,
    decomposed_members,
    lambdas_of,
    shared_members,
)
from benchmarks.paper.digit_levels import total_saving
from benchmarks.paper.experiment import Experiment, Results, Setup
from edgeens import calibration, metrics
from edgeens.datasets.catalogue import load_dataset
from edgeens.datasets.images import Images
from edgeens.diversity import dispersion, weight_correlation

VALIDATION = 5000  # the last training pictures
_TOLERANCE = 1.01  # of the NLL, for the two Lambdas of the last column of Table II
_SHUFFLES = 3  # as in the paper


@dataclass(frozen=True)
class Study:
    """How large the experiment is.

    Attributes:
        protocol: of the members.
        seeds: of Table II and Figure 2.
        table3_seeds: of Table III, whose differences are small.
        groups: values of K in Figure 2; means over all disjoint groups of so many members.
        grid4, grid8: the Lambdas tried for the last column of Table II, in digits.
        test: most test pictures.
    """

    protocol: Protocol = field(default_factory=Protocol)
    seeds: int = 3
    table3_seeds: int = 12
    groups: tuple[int, ...] = (1, 2, 4, 8, 16)
    grid4: tuple[float, ...] = (0.5, 1.5)
    grid8: tuple[float, ...] = (0.5, 1.5, 2.5, 3.5, 4.5, 8.5)
    test: int = 10_000


def measure(setup: Setup, study: Study | None = None) -> Results:
    """Everything of the section, on MNIST."""
    study = study or Study()
    everything, test = load_dataset(setup.data, "mnist")
    kept = len(everything.y) - min(VALIDATION, len(everything.y) // 2)
    training, validation = everything.part(0, kept), everything.part(kept, len(everything.y))
    test = test.part(0, study.test)
    ensembles = []
    for seed in range(max(study.seeds, study.table3_seeds)):
        setup.progress("training members", seed, study.table3_seeds)
        ensembles.append(trained_members(study.protocol, training, seed=seed, cache=setup.cache))
    judged = ensembles[: study.seeds]
    chosen, tried = choose_lambdas(judged, validation, study)
    rows, figure = [], {FULL: _over_groups(judged, test, study, None, None)}
    for number, scheme in enumerate(SCHEMES):
        setup.progress(f"sharing {scheme.name}", number, len(SCHEMES))
        rows.append(_table2_row(scheme, judged, chosen))
        figure[scheme.name] = _over_groups(judged, test, study, scheme, chosen)
    from benchmarks.paper.analysis_files import measure_files

    setup.progress("writing files", len(SCHEMES), len(SCHEMES))
    return {
        "seeds": list(range(study.seeds)),
        "table3_seeds": list(range(study.table3_seeds)),
        "protocol": asdict(study.protocol),
        "pictures": {"training": kept, "validation": len(validation.y), "test": len(test.y)},
        "table2": rows,
        "lambdas": {"chosen": chosen, "tolerance": _TOLERANCE, "tried": tried},
        "figure2": figure,
        "table3": measure_table3(ensembles[: study.table3_seeds]),
        "files": measure_files(judged[0], test, chosen=chosen),
    }


def choose_lambdas(
    ensembles: list[Members], validation: Images, study: Study
) -> tuple[list[float], list[dict[str, float]]]:
    """The pair (Lambda4, Lambda8) that saves most within the tolerance, and all that were tried.

    Judged on validation pictures: mean over the ensembles of the NLL relative to full precision.
    """
    x = _flat(validation)
    full = [_nll(member_logits(members, x), validation) for members in ensembles]
    digits = [decomposed_members(members, "one") for members in ensembles]
    tried = []
    for pair in product(study.grid4, study.grid8):
        lambdas = dict(zip(("eps4", "eps8"), pair, strict=True))
        ratios, savings = [], []
        for members, of_members, before in zip(ensembles, digits, full, strict=True):
            shared, saved = shared_members(members, of_members, lambdas)
            ratios.append(_nll(member_logits(shared, x), validation) / before)
            savings.append(total_saving(saved))
        tried.append(
            {
                "lambda4": pair[0],
                "lambda8": pair[1],
                "nll_ratio": float(np.mean(ratios)),
                "saved": float(np.mean(savings)),
            }
        )
    allowed = [row for row in tried if row["nll_ratio"] <= _TOLERANCE]
    best = max(allowed or tried, key=lambda row: row["saved"])
    return [best["lambda4"], best["lambda8"]], tried


def measure_table3(ensembles: list[Members]) -> dict[str, dict[str, list[list[float]]]]:
    """By tensor and metric ("corr", "disp"), for each ensemble: as it is, half of the members'
    entries reversed, all members' entries shuffled."""
    table: dict[str, dict[str, list[list[float]]]] = {}
    for name, title in NAMES.items():
        rows: dict[str, list[list[float]]] = {"corr": [], "disp": []}
        for seed, members in enumerate(ensembles):
            flat = members[name].reshape(len(members[name]), -1)
            half = len(flat) // 2
            mirrored = np.concatenate([flat[:half], flat[half:, ::-1]])
            random = np.random.default_rng(seed)
            shuffled = [random.permuted(flat, axis=1) for _ in range(_SHUFFLES)]
            for metric, function in (("corr", weight_correlation), ("disp", dispersion)):
                rows[metric].append(
                    [
                        function(flat),
                        function(mirrored),
                        float(np.mean([function(each) for each in shuffled])),
                    ]
                )
        table[title] = rows
    return table


def _table2_row(scheme: Scheme, ensembles: list[Members], chosen: list[float]) -> dict[str, Any]:
    """Saved bits of every seed: in total, and at the shared levels (their mean)."""
    totals, levels = [], []
    for members in ensembles:
        digits = decomposed_members(members, scheme.ranges)
        _, saved = shared_members(members, digits, lambdas_of(scheme, chosen))
        totals.append(total_saving(saved))
        levels.append(float(np.mean(list(saved.values()))))
    return {
        "scheme": scheme.name,
        "statistic": scheme.statistic,
        "ranges": scheme.ranges,
        "published": list(scheme.published),
        "total": totals,
        "level": levels,
    }


def _over_groups(
    ensembles: list[Members],
    test: Images,
    study: Study,
    scheme: Scheme | None,
    chosen: list[float] | None,
) -> dict[str, dict[str, list[float]]]:
    """Accuracy, ECE and ENC of every seed by K: means over the disjoint groups of K members."""
    x = _flat(test)
    table: dict[str, dict[str, list[float]]] = {}
    for count in study.groups:
        columns: dict[str, list[float]] = {"accuracy": [], "ece": [], "enc_logits": []}
        for members in ensembles:
            judged = []
            for start in range(0, len(members["w1"]), count):
                group = {name: each[start : start + count] for name, each in members.items()}
                if scheme is not None:
                    digits = decomposed_members(group, scheme.ranges)
                    group, _ = shared_members(group, digits, lambdas_of(scheme, chosen))
                judged.append(_judge(member_logits(group, x), test))
            for name, column in columns.items():
                column.append(float(np.mean([row[name] for row in judged])))
        table[str(count)] = columns
    return table


def _judge(logits: NDArray[np.float32], images: Images) -> dict[str, float]:
    mean = _probabilities(logits)
    return {
        "accuracy": metrics.accuracy(mean, images.y),
        "ece": calibration.ece(mean, images.y),
        "enc_logits": metrics.enc_logits(logits),
    }


def _nll(logits: NDArray[np.float32], images: Images) -> float:
    return metrics.nll(_probabilities(logits), images.y)


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean over the members of softmax of logits (K, n, classes)."""
    weights = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float64))
    mean: NDArray[np.float64] = (weights / weights.sum(axis=-1, keepdims=True)).mean(axis=0)
    return mean


def _flat(images: Images) -> NDArray[np.float32]:
    return images.floats().reshape(len(images.y), -1)


def _draw(results: Results, path: Path) -> None:
    from benchmarks.paper.analysis_picture import draw

    draw(results, path)


EXPERIMENT = Experiment(
    "analysis",
    "Bits-Ensemble's analysis: Tables II and III, Figure 2",
    "5 minutes",
    measure,
    report,
    _draw,
)
