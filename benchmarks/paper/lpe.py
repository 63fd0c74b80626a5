"""LPE-BSR against rounding to nearest: networks of the size benchmark, three seeds each."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.ensembles import DEFAULT_CACHE, RECIPES, Recipe, make_ensemble, member_paths
from benchmarks.paper.experiment import Experiment, Results, Setup
from benchmarks.paper.low_precision import MEMBERS, Pictures, float_ensemble, measure_model
from benchmarks.paper.lpe_report import differences, draw, finding, table
from benchmarks.paper.pieces import piece
from edgeens.data import load_inputs, load_labelled

MODELS = ("fashion-mlp", "fashion-cnn")
SEEDS = (0, 1, 2)  # members of the size benchmark's ensembles, trained apart


def measure(setup: Setup) -> Results:
    """A model a recipe and seed, each of them rounded and drawn from."""
    models = []
    for recipe in RECIPES:
        if recipe.name not in MODELS:
            continue
        folder = make_ensemble(recipe, data=setup.data, cache=DEFAULT_CACHE)
        done = MODELS.index(recipe.name) * len(SEEDS)
        runs = []
        for seed in SEEDS:
            setup.progress(f"{recipe.title}, seed {seed}", done + seed, len(MODELS) * len(SEEDS))
            runs.append(_measured(setup, folder, recipe, seed))
        apart = piece(setup.cache, f"{recipe.name}-apart", asdict(recipe), partial(_apart, folder))
        models.append({"title": recipe.title, "runs": runs, "apart": apart})
    return {"seeds": list(SEEDS), "members": list(MEMBERS), "models": models}


def _measured(setup: Setup, folder: Path, recipe: Recipe, seed: int) -> dict[str, Any]:
    first = seed == SEEDS[0]  # sizes hardly depend on the seed, and take longest
    made_from = {**asdict(recipe), "members": MEMBERS, "key": seed, "stored": first}

    def make() -> dict[str, Any]:
        model = member_paths(folder)[seed]
        rows = measure_model(
            model, _pictures(folder), key=seed, members=MEMBERS, stored=MEMBERS if first else ()
        )
        return {"rows": rows}

    return piece(setup.cache, f"{recipe.name}-{seed}", made_from, make)


def _apart(folder: Path) -> dict[str, Any]:
    return float_ensemble(member_paths(folder), _pictures(folder))


def _pictures(folder: Path) -> Pictures:
    test, held_out = (load_labelled(folder / f"{name}.npz") for name in ("test", "validation"))
    calibration = load_inputs(folder / "calibration.npz")
    assert not isinstance(calibration, dict)
    return Pictures(test, held_out, calibration)


def report(results: Results) -> str:
    """What was done, a table a model, and the differences."""
    parts = [_PROTOCOL]
    for model in results["models"]:
        parts += [f"**{model['title']}**", table(model), differences(model), finding(model)]
    return "\n\n".join(parts)


_PROTOCOL = """\
LPE-BSR draws K members of few bits from one float32 model: every weight is rounded up or down at
random, so that it is right in the mean. RTN rounds every weight to the nearest on the same grid
(INT-b, max |w| of an output channel), as `edgeens encode --bits b` does from 5 bits on; `clipped`
takes the range of least squared error, as it does up to 4 bits; `error feedback` is what it does
with `--calibration`. Networks and pictures are those of the size benchmark: three networks of other
seeds, each with draws of its own; 10 000 test pictures, temperatures fitted on 5000 pictures that
were held out of training.

NLL, ERR and ECE are of the mean *probabilities*, AMB (how much better the ensemble is than its mean
member) of the mean *logits*. `scaled` is the NLL after temperature scaling. ± is half of a 95 %
interval over the seeds. `file` is the .eens file with parent and key, from which a device draws as
many members as it likes; `stored`, a file with the drawn members themselves. The rows of K members
are means over the 32 / K drawings within 32 members. All K from 1 to 32 are in the results and in
the picture."""

EXPERIMENT = Experiment(
    name="lpe",
    title="Low precision ensembling against rounding to nearest",
    minutes="15 minutes",
    measure=measure,
    report=report,
    draw=draw,
)
