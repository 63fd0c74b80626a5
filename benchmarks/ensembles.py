"""The ensembles that sizes are measured on: recipes, and a cache of what they make.

First stage of the size benchmark, before benchmarks.sizes. The cache lies
outside the repository, a folder an ensemble: member_k.onnx and, for trained ones, calibration.npz
(x: images that were trained on), validation.npz (x, y: images held out) and test.npz (x, y).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from benchmarks.convolutions import write_convolutions
from benchmarks.workloads import gaussian
from edgeens.datasets.catalogue import IDX_DATASETS, load_dataset
from edgeens.errors import DataError

Step = Callable[[str, int, int], None]

DEFAULT_CACHE = Path.home() / ".cache" / "edgeens" / "bench"
MEMBERS = 4
CALIBRATION = 2000  # images
VALIDATION = 5000  # the last images of the training set


@dataclass(frozen=True)
class Recipe:
    """How the members of one ensemble are made; everything that their weights depend on.

    Attributes:
        name: of the folder in the cache.
        title: for people.
        dataset: key of catalogue.IDX_DATASETS, or None for drawn weights.
        model: "mlp" 784-128-10; "cnn": two convolutions with batch normalisation, which the export
            folds into them, and two dense layers; "layer": one convolution, 512 to 512, 3 x 3.
        epochs: of Adam, batches of 128.
        learning_rate: of Adam.
        weight_decay: L2 term that Adam adds to the gradient (not decoupled).
        tuning_epochs: where not 0, one parent is trained for *epochs*, and each member starts from
            it and sees its own bootstrap sample for this many epochs.
        tuning_rate: learning rate of those.
    """

    name: str
    title: str
    dataset: str | None
    model: Literal["mlp", "cnn", "layer"]
    epochs: int = 0
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    tuning_epochs: int = 0
    tuning_rate: float = 0.0


RECIPES = (
    Recipe("mnist-mlp", "MLP, MNIST", "mnist", "mlp", epochs=10),
    Recipe("fashion-mlp", "MLP, Fashion-MNIST", "fashion_mnist", "mlp", epochs=10),
    Recipe(
        "fashion-mlp-decay",
        "MLP, Fashion-MNIST, weight decay",
        "fashion_mnist",
        "mlp",
        epochs=10,
        weight_decay=1e-4,
    ),
    Recipe("mnist-cnn", "CNN, MNIST", "mnist", "cnn", epochs=4),
    Recipe("fashion-cnn", "CNN, Fashion-MNIST", "fashion_mnist", "cnn", epochs=4),
    Recipe(
        "fashion-mlp-tuned",
        "MLP, Fashion-MNIST, fine-tuned",
        "fashion_mnist",
        "mlp",
        epochs=10,
        tuning_epochs=2,
        tuning_rate=4e-4,
    ),
    Recipe("gaussian", "Gaussian layer", None, "layer"),
)


def make_ensemble(
    recipe: Recipe, *, data: Path | None, cache: Path, progress: Step | None = None
) -> Path:
    """The folder of an ensemble, made if the cache lacks it or has it from another recipe.

    Args:
        recipe: what to make; its seeds are the members' numbers.
        data: folder with the idx files; needed only if something must be trained.
        cache: where the folder lies; it is either complete or absent.
        progress: called with (what is being trained, epochs done, epochs in all).

    Raises:
        DataError: images are needed and not there.
        MissingPackageError: PyTorch is needed and not there.
    """
    folder = cache / recipe.name
    note = json.dumps(asdict(recipe), indent=1) + "\n"
    kept = folder / "recipe.json"
    if kept.is_file() and kept.read_text() == note:
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache, prefix=f"{recipe.name}.") as name:
        work = Path(name) / "made"
        work.mkdir()
        if recipe.dataset is None:
            _draw_layers(member_paths(work))
        else:
            _train(recipe, recipe.dataset, data, work, progress or (lambda label, done, all_: None))
        (work / kept.name).write_text(note)
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    return folder


def member_paths(folder: Path) -> list[Path]:
    """The members' ONNX files in an ensemble's folder."""
    return [folder / f"member_{member}.onnx" for member in range(MEMBERS)]


def _train(recipe: Recipe, dataset: str, data: Path | None, work: Path, step: Step) -> None:
    if data is None:
        wanted = IDX_DATASETS[dataset]
        raise DataError(
            f"the ensemble {recipe.name!r} must be trained first: give --data DIR, a folder with "
            f"the official idx files of {wanted.title} (from {wanted.source})"
        )
    everything, test = load_dataset(data, dataset)
    count = len(everything.y)
    training = everything.part(0, count - VALIDATION)
    validation = everything.part(count - VALIDATION, count)
    from benchmarks.training import train_members

    train_members(recipe, training, member_paths(work), step)
    np.savez(work / "calibration.npz", x=training.floats()[:CALIBRATION])
    np.savez(work / "validation.npz", x=validation.floats(), y=validation.y)
    np.savez(work / "test.npz", x=test.floats(), y=test.y)


def _draw_layers(paths: Sequence[Path]) -> None:
    """Write a layer of Gaussian weights as one convolution a member."""
    (tensor,) = gaussian(len(paths)).tensors
    for path, values in zip(paths, tensor.values, strict=True):
        write_convolutions(path, {"w": values})
