"""Ensembles of four trained in different ways, each written to a file and judged there.

Inside benchmarks.paper.frontier. The ways of a seed start from the same weights and see the same
batches, so that they differ in nothing but how weights are held. Runs go on from their checkpoints.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.paper.experiment import Setup
from edgeens import metrics
from edgeens.atomic import replacing
from edgeens.datasets.images import Images
from edgeens.encoder import encode

Family = Literal["float32", "rounded", "uniform", "rated", "fixed", "learned"]
Point = dict[str, Any]

MEMBERS = 4
FLOAT = "float32"
_CALIBRATION = 2000  # training pictures for rounding with error feedback


@dataclass(frozen=True)
class Way:
    """One point of the frontier.

    Attributes:
        name: unique.
        family: whose curve it belongs to.
        method: of edgeens.torch.convert; "independent" weights are float32.
        options: of the method.
        rate: factor of the method's own term of the loss.
        bits: "rounded" only: of codes that are made after training, with error feedback.
    """

    name: str
    family: Family
    method: str = "independent"
    options: dict[str, Any] = field(default_factory=dict)
    rate: float = 0.0
    bits: int | None = None


@dataclass(frozen=True)
class Schedule:
    """How long to train; all else is as in the recipe.

    Attributes:
        epochs: of every way.
        limit: most training pictures.
    """

    epochs: int = 20
    limit: int | None = None


def measure_points(
    setup: Setup, recipe_name: str, ways: tuple[Way, ...], schedule: Schedule, *, seed: int
) -> list[Point]:
    """A row a way: name, family, validation and test NLL and accuracy, sizes of the file.

    What is finished is kept in the cache, as are the parts of what is not.
    """
    from edgeens.torch.recipes import RECIPES
    from edgeens.torch.run import load_parts

    recipe = RECIPES[recipe_name]
    if schedule.limit is not None:
        recipe = replace(recipe, validation=min(recipe.validation, schedule.limit))
    folder = setup.cache / f"{recipe_name}_seed_{seed}"
    parts = load_parts(recipe, setup.data, schedule.limit)
    points = []
    for way in ways:
        note = {"way": asdict(way), "schedule": asdict(schedule), "seed": seed}
        kept = folder / way.name / "point.json"
        if kept.is_file() and (saved := json.loads(kept.read_text()))["note"] == note:
            points.append(saved["point"])
            continue
        kept.parent.mkdir(parents=True, exist_ok=True)
        point = _measured(setup, recipe, way, schedule, parts, folder, seed)
        with replacing(kept) as file:
            file.write(json.dumps({"note": note, "point": point}).encode())
        points.append(point)
    return points


def _measured(
    setup: Setup,
    recipe: Any,
    way: Way,
    schedule: Schedule,
    parts: tuple[Images, Images, Images],
    folder: Path,
    seed: int,
) -> Point:
    """Train *way*, write its file, and judge what the file decodes to."""
    from edgeens.torch import write_ensemble
    from edgeens.torch.export import write_members
    from edgeens.torch.package import torch
    from edgeens.torch.results import file_logits

    # Rounded members are the float32 ones, found in their checkpoint.
    place = folder / (FLOAT if way.family == "rounded" else way.name)
    plan = replace(recipe.plan, epochs=schedule.epochs)
    model = _trained(setup, recipe, _untrained(recipe, way, seed), plan, parts, place, seed, way)
    training, validation, test = parts
    named = {"example_input": torch.from_numpy(training.part(0, 1).floats())}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "ensemble.eens"
        if way.bits is None:
            write_ensemble(model, path, output_names=("logits",), **named)
        else:
            images = Path(scratch) / "calibration.npy"
            np.save(images, training.part(0, _CALIBRATION).floats())
            members = write_members(model, scratch, output_names=("logits",), **named)
            encode(members, path, bits=way.bits, calibration=images)
        size = path.stat().st_size
        judged = {
            name: _judge(file_logits(path, images), images)
            for name, images in (("validation", validation), ("test", test))
        }
    weights = _weights(model)
    return {"way": way.name, "family": way.family, "bytes": size, "bits_mw": 8 * size / weights} | {
        f"{name}_{metric}": value for name, row in judged.items() for metric, value in row.items()
    }


def _untrained(recipe: Any, way: Way, seed: int) -> Any:
    """Members with initial weights of their own, the same for every way."""
    from edgeens.torch import members_from_modules
    from edgeens.torch.batches import derived_seed
    from edgeens.torch.package import torch

    modules = []
    for member in range(MEMBERS):
        torch.manual_seed(derived_seed(seed, "weights", member))
        modules.append(recipe.build())
    return members_from_modules(modules, method=way.method, batch="split", **way.options)


def _trained(
    setup: Setup,
    recipe: Any,
    model: Any,
    plan: Any,
    parts: tuple[Images, Images, Images],
    folder: Path,
    seed: int,
    way: Way,
) -> Any:
    """*model* after *plan*, with the weights of its best epoch; from the checkpoint if finished."""
    from edgeens.torch.package import torch
    from edgeens.torch.processes import Share
    from edgeens.torch.training import fit

    folder.mkdir(parents=True, exist_ok=True)
    title = f"{recipe.title}, seed {seed}, {folder.name}"
    fit(
        model,
        plan,
        training=parts[0],
        validation=parts[1],
        seed=seed,
        rate=way.rate,
        device=torch.device("cpu"),
        share=Share(),
        folder=folder,
        run={"plan": repr(plan), "seed": seed, "rate": way.rate, "way": folder.name},
        progress=lambda label, done, total: setup.progress(f"{title}: {label}", done, total),
    )
    return model


def _weights(model: Any) -> int:
    """Weights of all members, biases left out: what bits are counted by."""
    from edgeens.torch.ensemble import member_weights

    return MEMBERS * sum(int(weight.size) for weight in member_weights(model.module).values())


def _judge(logits: NDArray[np.float32], images: Images) -> dict[str, float]:
    from edgeens.torch.training import mean_probabilities

    mean = mean_probabilities(logits)
    return {"nll": metrics.nll(mean, images.y), "accuracy": metrics.accuracy(mean, images.y)}
