"""Learned Lambda against fixed Lambda against uniform grids: NLL over size, trained in the loop.

An experiment of benchmarks.paper.catalogue. Four members, 784-128-10, three seeds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.paper.experiment import Experiment, Results, Setup
from benchmarks.paper.frontier_report import report
from benchmarks.paper.frontier_runs import FLOAT, Schedule, Way, measure_points

_FLOAT = Way(FLOAT, "float32")
_ROUNDED = tuple(Way(f"rounded, {bits} bits", "rounded", bits=bits) for bits in (3, 4))
_UNIFORM = (
    Way("uniform, 3 bits", "uniform", "uniform", {"bits": 3, "grid": "tensor"}),
    Way(
        "uniform, 3 bits, a scale a channel",
        "uniform",
        "uniform",
        {"bits": 3, "grid": "channel"},
    ),
    Way("uniform, 4 bits", "uniform", "uniform", {"bits": 4, "grid": "tensor"}),
)
_RATED = tuple(
    Way(f"uniform, 4 bits, rate {rate}", "rated", "uniform", {"bits": 4, "grid": "tensor"}, rate)
    for rate in (0.02,)
)
_FIXED = (
    Way(
        "Lambda4 1.5, eps8 dropped",
        "fixed",
        "shared",
        {"levels": 2, "lambda4": 1.5, "learned": False},
    ),
    Way(
        "Lambda4 1.5, eps8 dropped, a scale a channel",
        "fixed",
        "shared",
        {"levels": 2, "lambda4": 1.5, "learned": False, "grid": "channel"},
    ),
    Way(
        "Lambda4 0.5, eps8 dropped",
        "fixed",
        "shared",
        {"levels": 2, "lambda4": 0.5, "learned": False},
    ),
)
_LEARNED = (
    Way("eps8 dropped, rate 0.3", "learned", "shared", {"levels": 2}, 0.3),
    Way("eps8 dropped, rate 0.03", "learned", "shared", {"levels": 2}, 0.03),
)


@dataclass(frozen=True)
class Study:
    """How large the experiment is.

    Attributes:
        ways: by recipe of `edgeens train`.
        seeds: of weights and order.
        schedule: of training.
    """

    ways: dict[str, tuple[Way, ...]] = field(
        default_factory=lambda: {
            "mnist-mlp": (_FLOAT, *_ROUNDED, *_UNIFORM, *_RATED, *_FIXED[:2]),
            "fashion-mlp": (
                _FLOAT,
                *_ROUNDED,
                *_UNIFORM,
                *_RATED,
                *_FIXED,
                *_LEARNED,
            ),
        }
    )
    seeds: int = 3
    schedule: Schedule = field(default_factory=Schedule)


def measure(setup: Setup, study: Study | None = None) -> Results:
    """A row a recipe, seed and way."""
    from edgeens.torch.recipes import RECIPES

    study = study or Study()
    points: list[dict[str, Any]] = []
    for recipe, ways in study.ways.items():
        for seed in range(study.seeds):
            measured = measure_points(setup, recipe, ways, study.schedule, seed=seed)
            points += [{"recipe": recipe, "seed": seed, **point} for point in measured]
    epochs = " and ".join(sorted({str(RECIPES[name].plan.epochs) for name in study.ways}))
    return {
        "seeds": list(range(study.seeds)),
        "titles": {name: RECIPES[name].title for name in study.ways},
        "reduced": f"the recipes' own number is {epochs}",
        "schedule": asdict(study.schedule),
        "points": points,
    }


def _draw(results: Results, path: Path) -> None:
    from benchmarks.paper.frontier_picture import draw

    draw(results, path)


EXPERIMENT = Experiment(
    "frontier",
    "NLL over size: learned Lambda, fixed Lambda, uniform grids",
    "an hour and a half on an idle core",
    measure,
    report,
    _draw,
)
