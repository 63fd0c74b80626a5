"""`edgeens train`: from a recipe and a folder of data to members, one file, and a report.

Ties torch.recipes, datasets, torch.convert, torch.training and torch.results together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeens.atomic import make_folder
from edgeens.datasets.catalogue import load_dataset
from edgeens.datasets.images import Images
from edgeens.errors import DataError, MembersError
from edgeens.torch.batches import derived_seed
from edgeens.torch.convert import members_from_modules
from edgeens.torch.ensemble import EnsembleModule
from edgeens.torch.package import torch
from edgeens.torch.processes import joined
from edgeens.torch.recipes import RECIPES, Recipe
from edgeens.torch.results import Report, write_results
from edgeens.torch.training import CHECKPOINT, fit

Step = Callable[[str, int, int], None]

# Factor of a method's own term: what moves the weights but leaves the loss nearly alone.
RATES = {"shared": 0.03, "lowrank-shared": 0.03, "bayesianbits": 0.01}
# Methods whose weights stay float32 in training; --bits then says how the file rounds them.
FLOAT_METHODS = ("independent",)
# Methods that train on grids of --bits.
CODED_METHODS = ("uniform", "lowrank", "batchensemble")


@dataclass(frozen=True)
class Options:
    """What the user chose.

    Attributes:
        recipe: key of RECIPES.
        data: folder with the standard files of the recipe's data set.
        out: folder to write to.
        members: K.
        method: of edgeens.torch.convert.
        bits: width of the codes, or None for the method's own.
        rate: factor of the method's own term of the loss, or None for RATES.
        seed: of everything random.
        epochs: instead of the recipe's.
        limit_train: use only the first so many pictures that are not held out.
        device: "auto", "cpu", "cuda", ...
        resume: go on with the run in *out*.
    """

    recipe: str
    data: Path
    out: Path
    members: int = 4
    method: str = "independent"
    bits: int | None = None
    rate: float | None = None
    seed: int = 0
    epochs: int | None = None
    limit_train: int | None = None
    device: str = "auto"
    resume: bool = False

    @property
    def run(self) -> dict[str, Any]:
        """What the weights depend on: a checkpoint of other values is of another run."""
        return {
            "recipe": self.recipe,
            "members": self.members,
            "method": self.method,
            "bits": self.bits,
            "rate": self.rate,
            "seed": self.seed,
            "epochs": self.epochs,
            "limit_train": self.limit_train,
        }


def train(options: Options, *, progress: Step | None = None) -> Report | None:
    """Train, then write DIR/member_0.onnx ..., ensemble.eens, report.json and its picture.

    Under torchrun every process calls this; the first one writes, and the others return None.

    Raises:
        DataError: data are missing or damaged, or *out* has another run, or there is no such
            device.
        MembersError: the method does not exist or does not take these options.
        OSError: a file cannot be written.
    """
    recipe = RECIPES[options.recipe]
    if options.epochs is not None:
        recipe = replace(recipe, plan=replace(recipe.plan, epochs=options.epochs))
    _check_folder(options)
    training, validation, test = load_parts(recipe, options.data, options.limit_train)
    with _deterministic():
        model = untrained(recipe, options)
        with joined(options.device) as (share, device):
            history = fit(
                model,
                recipe.plan,
                training=training,
                validation=validation,
                seed=options.seed,
                rate=RATES.get(options.method, 0.0) if options.rate is None else options.rate,
                device=device,
                share=share,
                folder=options.out,
                run=options.run,
                progress=progress if progress is not None and share.first else _silent,
            )
        if not share.first:
            return None
        return write_results(
            model,
            options.out,
            recipe=recipe,
            run=options.run | {"processes": share.processes, "device": str(device)},
            bits=(options.bits or 8) if options.method in FLOAT_METHODS else None,
            history=history,
            parts=(training, validation, test),
            device=device,
            progress=progress or _silent,
        )


def load_parts(
    recipe: Recipe, data: Path, limit: int | None = None
) -> tuple[Images, Images, Images]:
    """Pictures to train on, to stop on, and to report on; no picture is in two of them.

    Args:
        recipe: names the data set, and how many of its last training pictures are held out.
        data: folder with its files.
        limit: most pictures to train on: the first of them.

    Raises:
        DataError: the data are missing or damaged, or too few.
    """
    everything, test = load_dataset(data, recipe.dataset)
    kept = len(everything.y) - recipe.validation
    if kept < 1:
        raise DataError(
            f"the data set has {len(everything.y)} training pictures, but the recipe "
            f"{recipe.name!r} holds {recipe.validation} of them out for validation"
        )
    training = everything.part(0, kept if limit is None else min(limit, kept))
    return training, everything.part(kept, len(everything.y)), test


def untrained(recipe: Recipe, options: Options) -> EnsembleModule:
    """The ensemble before its first step; every member has initial weights of its own."""
    modules = []
    for member in range(options.members):
        torch.manual_seed(derived_seed(options.seed, "weights", member))
        modules.append(recipe.build())
    if options.method == "batchensemble":  # whose members differ by their fast weights alone
        modules = modules[:1] * options.members
    chosen: dict[str, Any] = {}
    if options.method in CODED_METHODS:
        chosen["bits"] = options.bits or 8
    elif options.bits is not None and options.method not in FLOAT_METHODS:
        raise MembersError(f"the method {options.method!r} has widths of its own: leave out --bits")
    torch.manual_seed(derived_seed(options.seed, "weights", options.members))  # factors are drawn
    return members_from_modules(modules, method=options.method, batch="split", **chosen)


def _check_folder(options: Options) -> None:
    if (options.out / CHECKPOINT).is_file() and not options.resume:
        raise DataError(
            f"{options.out} already holds a run; go on with it by --resume, or give another folder"
        )
    make_folder(options.out)


@contextmanager
def _deterministic() -> Iterator[None]:
    """Let torch choose only algorithms whose results repeat."""
    before = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs for it
    torch.use_deterministic_algorithms(True)
    # Filling empty tensors first guards against reading them; it takes a quarter of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(before)


def _silent(label: str, done: int, total: int) -> None:
    """No progress is shown."""
