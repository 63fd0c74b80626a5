"""Train the members of a recipe with PyTorch and export them to ONNX.

Inside the second stage of the size benchmark; only benchmarks.ensembles calls it, and only for
what its cache lacks. One thread, so that the weights do not depend on the number of cores.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.ensembles import Recipe, Step
from edgeens.datasets.images import Images
from edgeens.errors import MissingPackageError

try:
    import torch
    import torch.nn.functional as F
    from torch import nn

    from edgeens.torch.models.small import mlp, small_cnn
    from edgeens.torch.onnx_file import write_onnx
except ImportError as error:
    raise MissingPackageError(
        "training the benchmark's ensembles needs PyTorch; install the extra edgeens[torch]"
    ) from error

BATCH = 128
PARENT_SEED = 100  # of no member

Epoch = Callable[[], None]


def train_members(recipe: Recipe, images: Images, paths: Sequence[Path], progress: Step) -> None:
    """Write one ONNX file a member, `input` (batch, 1, 28, 28) to `logits` (batch, 10).

    Args:
        recipe: architecture and schedule; a member's seed is its number.
        images: to train on.
        paths: of the files.
        progress: called with (what is being trained, epochs done, epochs in all).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _train_all(recipe, images, paths, progress)
    finally:
        torch.set_num_threads(threads)


def _train_all(recipe: Recipe, images: Images, paths: Sequence[Path], progress: Step) -> None:
    x, y = torch.from_numpy(images.floats()), torch.from_numpy(images.y)
    tuned = recipe.tuning_epochs > 0
    own = recipe.tuning_epochs if tuned else recipe.epochs
    total = own * len(paths) + (recipe.epochs if tuned else 0)
    done = 0

    def ended() -> None:
        nonlocal done
        done += 1
        progress(recipe.name, done, total)

    parent = None
    if tuned:
        parent = _build(recipe.model, PARENT_SEED)
        _fit(parent, x, y, recipe.epochs, recipe.learning_rate, recipe, ended)
    for seed, path in enumerate(paths):
        if parent is None:
            model = _build(recipe.model, seed)
            _fit(model, x, y, own, recipe.learning_rate, recipe, ended)
        else:
            model = copy.deepcopy(parent)
            torch.manual_seed(seed)
            sample = torch.randint(len(y), (len(y),))
            _fit(model, x[sample], y[sample], own, recipe.tuning_rate, recipe, ended)
        write_onnx(
            model,
            path,
            example_input=torch.zeros(1, 1, 28, 28),
            output_names=("logits",),
            folded=True,
        )


def _build(kind: str, seed: int) -> nn.Module:
    """Untrained; leaves torch's generator at a state that *seed* alone decides."""
    torch.manual_seed(seed)
    return mlp() if kind == "mlp" else small_cnn()


def _fit(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    epochs: int,
    rate: float,
    recipe: Recipe,
    ended: Epoch,
) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=recipe.weight_decay)
    model.train()
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(y)), BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(model(x[batch]), y[batch]))
            optimizer.step()
        ended()
    model.eval()
