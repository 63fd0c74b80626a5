"""Bits-Ensemble's Table IV, the BatchEnsemble study and the size-NLL frontier on CIFAR-10.

Trains as `edgeens train` does, in pieces: a run that was killed goes on from its last checkpoint,
at most a minute old. `cifar` is the whole of it, for a GPU; `cifar-reduced` is what an ordinary
computer can do in half an hour, which shows that all of it works, and little else.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.paper.cifar100 import load_outside
from benchmarks.paper.cifar_report import draw, report
from benchmarks.paper.experiment import Experiment, Results, Setup
from benchmarks.paper.judged import Answers, judge
from benchmarks.paper.pieces import piece
from benchmarks.paper.similarity import compare
from edgeens.container.sizes import measure as measure_sizes
from edgeens.datasets.catalogue import load_dataset
from edgeens.datasets.corruptions import CORRUPTIONS as ALL
from edgeens.datasets.corruptions import SEVERITIES, corrupt
from edgeens.datasets.images import Images
from edgeens.encoder import encode
from edgeens.onnx.files import run_files
from edgeens.onnx.session import Session

MEMBERS = 4
# Methods of `edgeens train`, in the order of Table IV; Bits-Ensemble is lowrank-shared.
METHODS = ("independent", "uniform", "bayesianbits", "batchensemble", "lowrank-shared")
STUDIED = 2000  # the first test pictures, for likeness, OOD and the frontier
CORRUPTED = 200  # likewise, under each corruption and severity
# Frost needs pictures of frost, and JPEG the package Pillow.
CORRUPTIONS = tuple(name for name in ALL if name not in ("frost", "jpeg_compression"))
CALIBRATION = 500  # the first training pictures, for rounding on the frontier
WIDTHS = (2, 3, 4, 5, 6, 8)
_BATCH = 250


@dataclass(frozen=True)
class Scale:
    """How much is trained.

    Attributes:
        recipes: of `edgeens train`.
        epochs: or None for the recipe's own.
        limit: most training pictures, or None for all.
        seeds: a run each.
    """

    recipes: tuple[str, ...]
    epochs: int | None
    limit: int | None
    seeds: tuple[int, ...]


FULL = Scale(("cifar10-vgg11", "cifar10-resnet18"), None, None, (0, 1, 2))
REDUCED = Scale(("cifar10-resnet8",), 2, 6000, (0,))


def measure(scale: Scale, setup: Setup) -> Results:
    """Train what the cache lacks, and measure it."""
    _, test = load_dataset(setup.data, "cifar10")
    outside = load_outside(setup.data).part(0, STUDIED)
    networks = []
    for recipe in scale.recipes:
        runs = []
        for seed in scale.seeds:
            folders = {method: _trained(recipe, method, seed, scale, setup) for method in METHODS}
            runs.append(_measured(recipe, seed, folders, setup, test.part(0, STUDIED), outside))
        networks.append({"recipe": recipe, "runs": runs})
    return {
        "seeds": list(scale.seeds),
        "members": MEMBERS,
        "epochs": scale.epochs,
        "limit": scale.limit,
        "studied": STUDIED,
        "corrupted": CORRUPTED,
        "corruptions": len(CORRUPTIONS),
        "networks": networks,
    }


def _trained(recipe: str, method: str, seed: int, scale: Scale, setup: Setup) -> Path:
    """The folder that `edgeens train` leaves, with its report."""
    name = f"{recipe}-{method}-{seed}-{scale.epochs or 'all'}-{scale.limit or 'all'}"
    folder = setup.cache / name
    if not (folder / "report.json").is_file():
        from edgeens.torch.run import Options, train

        options = Options(
            recipe,
            setup.data,
            folder,
            members=MEMBERS,
            method=method,
            seed=seed,
            epochs=scale.epochs,
            limit_train=scale.limit,
            resume=True,
        )
        train(options, progress=setup.progress)
    return folder


def _measured(
    recipe: str,
    seed: int,
    folders: dict[str, Path],
    setup: Setup,
    test: Images,
    outside: Images,
) -> dict[str, Any]:
    """Table, study and frontier of one network and seed."""
    setup.progress(f"{recipe}, seed {seed}: measuring", 0, 1)
    made_from = {
        "studied": len(test.y),
        "corrupted": CORRUPTED,
        "corruptions": CORRUPTIONS,
        "widths": WIDTHS,
        "calibration": CALIBRATION,
    }
    names = "-".join(folders["independent"].name.split("-")[-2:])  # epochs and pictures

    def make() -> dict[str, Any]:
        worse = _corrupted(test.part(0, CORRUPTED))
        return {
            "methods": {
                method: _method(folder, method, test, outside)
                | {"corrupted": _shifted(folder, method, worse)}
                for method, folder in folders.items()
            },
            "frontier": _frontier(folders["independent"], setup, test),
        }

    return piece(setup.cache, f"{recipe}-{seed}-{names}", made_from, make)


def _method(folder: Path, method: str, test: Images, outside: Images) -> dict[str, Any]:
    """What the report of the training says of the whole test set; sizes; likeness and OOD."""
    trained = json.loads((folder / "report.json").read_text())
    together, one, stored = trained["test"]
    path = folder / "ensemble.eens"
    sizes = measure_sizes(path.read_bytes())
    inside, beyond = (_answers(folder, method, images) for images in (test, outside))
    return {
        "members": together,
        "one member": one,
        "file": stored,
        "bytes": sizes.file_bytes,
        "float32 bytes": sizes.float32_bytes,
        "int8 bytes": sizes.int8_bytes,
        "machine": trained["machine"],
        "epochs": trained["epochs"][-1]["epoch"],
        "study": compare(Answers(inside, test.y), beyond),
    }


def _corrupted(images: Images) -> list[list[Images]]:
    """The pictures by severity and corruption."""
    return [
        [Images(corrupt(images.x, name, severity=severity), images.y) for name in CORRUPTIONS]
        for severity in SEVERITIES
    ]


def _shifted(folder: Path, method: str, worse: list[list[Images]]) -> list[dict[str, Any]]:
    """Figures of the ensemble and of one member by severity, means over the corruptions."""
    rows = []
    for corrupted in worse:
        together, alone = [], []
        # All at once: a session takes longer to start than to run on few pictures.
        x = np.concatenate([images.x for images in corrupted])
        logits = _answers(folder, method, Images(x, np.concatenate([i.y for i in corrupted])))
        parts = np.split(logits, len(corrupted), axis=1)
        for part, images in zip(parts, corrupted, strict=True):
            answers = Answers(part, images.y)
            together.append(judge(answers))
            alone += [judge(answers.of(at, at + 1)) for at in range(len(part))]
        rows.append({"ensemble": _mean(together), "member": _mean(alone)})
    return rows


def _mean(figures: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in figures])) for name in figures[0]}


def _answers(folder: Path, method: str, images: Images) -> NDArray[np.float32]:
    """Logits of the float members of a deep ensemble, else of those in the file."""
    parts = []
    if method == "independent":
        members = [folder / f"member_{number}.onnx" for number in range(MEMBERS)]
        for start in range(0, len(images.y), _BATCH):
            outputs = run_files(members, images.part(start, start + _BATCH).floats())
            parts.append(outputs["logits"])
        return np.concatenate(parts, axis=1)
    with Session(folder / "ensemble.eens", threads=os.cpu_count() or 1) as session:
        found: NDArray[np.float32] = session.predict_members(images.floats(), batch=_BATCH)[
            "logits"
        ]
    return found


def _frontier(folder: Path, setup: Setup, test: Images) -> list[dict[str, Any]]:
    """The deep ensemble at fewer and fewer bits, with error feedback: bits, bytes, NLL."""
    training, _ = load_dataset(setup.data, "cifar10")
    members = [folder / f"member_{number}.onnx" for number in range(MEMBERS)]
    base = judge(Answers(_answers(folder, "independent", test), test.y))
    points = [{"bits": 32, "bytes": sum(each.stat().st_size for each in members), **base}]
    with TemporaryDirectory() as name:
        calibration, path = Path(name) / "x.npy", Path(name) / "file.eens"
        np.save(calibration, training.part(0, CALIBRATION).floats())
        for bits in WIDTHS:
            sizes = encode(members, path, bits=bits, calibration=calibration).sizes
            with Session(path) as session:
                logits = session.predict_members(test.floats(), batch=_BATCH)["logits"]
            figures = judge(Answers(logits, test.y))
            points.append({"bits": bits, "bytes": sizes.file_bytes, **figures})
    return points


EXPERIMENT = Experiment(
    name="cifar",
    title="CIFAR-10: Table IV, BatchEnsemble and the frontier",
    minutes="a day on one GPU; stop it when you like, it goes on from the last minute",
    measure=partial(measure, FULL),
    report=report,
    draw=draw,
)
REDUCED_EXPERIMENT = Experiment(
    name="cifar-reduced",
    title="CIFAR-10, much reduced: Table IV, BatchEnsemble and the frontier",
    minutes="20 minutes",
    measure=partial(measure, REDUCED),
    report=report,
    draw=draw,
)
