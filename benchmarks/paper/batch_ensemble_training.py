"""Train the members of the BatchEnsemble study and compare them; PyTorch's side of it.

Inside benchmarks.paper.batch_ensemble.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper.batch_ensemble import Way
from benchmarks.paper.judged import Answers
from benchmarks.paper.similarity import compare, linear_cka
from edgeens.datasets.catalogue import load_dataset
from edgeens.datasets.images import Images
from edgeens.diversity import weight_correlation
from edgeens.torch.batches import Batches, derived_seed
from edgeens.torch.convert import members_from_modules
from edgeens.torch.ensemble import EnsembleModule
from edgeens.torch.models.small import mlp
from edgeens.torch.objective import Objective
from edgeens.torch.package import nn, torch
from edgeens.torch.recipes import RECIPES
from edgeens.torch.run import load_parts
from edgeens.torch.sampling.dropout import dropout_members
from edgeens.torch.sampling.low_precision import low_precision_members
from edgeens.torch.schedule import warm_cosine

BATCH = 128
LEARNING_RATE = 2e-3
DROPOUT = 0.2


def measure_way(way: Way, data: Path, *, seed: int, members: int, epochs: int) -> dict[str, Any]:
    """Train, and return similarity.compare's figures with "CKA", "cosine" and "cosine of sizes"."""
    training, _, test = load_parts(RECIPES["mnist-mlp"], data)
    _, outside = load_dataset(data, "fashion_mnist")
    modules = train_members(way, training, seed=seed, members=members, epochs=epochs)
    return compare_modules(modules, test, outside)


def train_members(
    way: Way, training: Images, *, seed: int, members: int, epochs: int
) -> list[nn.Module]:
    """*members* ordinary networks in evaluation mode; their last layer is the one of the logits."""
    count = members if way.kind in ("apart", "batchensemble") else 1
    modules = []
    for number in range(1 if way.kind == "batchensemble" else count):
        torch.manual_seed(derived_seed(seed, "weights", number))
        modules.append(_with_dropout(mlp()) if way.kind == "dropout" else mlp())
    if way.kind == "batchensemble":
        torch.manual_seed(derived_seed(seed, "weights", members))
        chosen = {"method": "batchensemble", "init": way.init}
        model = members_from_modules(modules * members, batch="split", **chosen)
    else:
        model = members_from_modules(modules, batch="split")
    _fit(model, training, seed=seed, epochs=epochs, fast=way.fast)
    trained: list[nn.Module] = [model.load_member(number) for number in range(count)]
    if way.kind == "dropout":
        trained = dropout_members(trained[0], members, rate=DROPOUT, seed=seed)
    elif way.kind == "rounded":
        trained = low_precision_members(trained, members, bits=7, key=seed)
    return trained


def compare_modules(modules: list[nn.Module], test: Images, outside: Images) -> dict[str, Any]:
    """The figures of sequential *modules* on *test*, told from *outside*."""
    inside, features = zip(*(_answers(module, test) for module in modules), strict=True)
    beyond = np.stack([_answers(module, outside)[0] for module in modules])
    weights = np.stack([_flat(module) for module in modules])
    return {
        **compare(Answers(np.stack(inside), test.y), beyond),
        "CKA": linear_cka(np.stack(features)),
        "cosine": weight_correlation(weights),
        "cosine of sizes": weight_correlation(np.abs(weights)),
    }


def _with_dropout(network: nn.Module) -> nn.Module:
    return nn.Sequential(*network[:-1], nn.Dropout(DROPOUT), network[-1])


def _fit(model: EnsembleModule, training: Images, *, seed: int, epochs: int, fast: float) -> None:
    batches = Batches(training, members=model.members, batch=BATCH, seed=seed)
    groups = model.parameter_groups(lr=LEARNING_RATE, fast_multiplier=fast)
    highest = [group["lr"] for group in groups]
    optimizer = torch.optim.Adam(groups)
    objective = Objective(model, rate=0.0, autocast=None).train()
    steps = epochs * batches.steps_per_epoch
    for step in range(steps):
        torch.manual_seed(derived_seed(seed, "noise", step))
        factor = warm_cosine(step, steps=steps, warmup=0)
        for group, rate in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = factor * rate
        optimizer.zero_grad()
        torch.autograd.backward(objective(*batches.at(step))[0])
        optimizer.step()
    model.eval()


def _answers(module: nn.Module, images: Images) -> tuple[Any, Any]:
    """Logits (n, 10), and what the last layer is given (n, width)."""
    with torch.no_grad():
        features = module[:-1](torch.from_numpy(images.floats()))
        return module[-1](features).numpy(), features.numpy()


def _flat(module: nn.Module) -> Any:
    """All matrices as one vector; biases are each member's own in every way."""
    parts = [p.detach().numpy().ravel() for p in module.parameters() if p.ndim >= 2]
    return np.concatenate(parts)
