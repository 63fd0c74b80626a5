"""The 16 members of Bits-Ensemble's analysis: trained, kept, and run in NumPy.

Before benchmarks.paper.analysis. A small network on few pictures: half a second a member.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.atomic import replacing
from edgeens.datasets.images import Images

# By name, members first: w1 (K, hidden, pixels), b1 (K, hidden), w2 (K, 10, hidden), b2 (K, 10).
Members = dict[str, NDArray[np.float32]]
NAMES = {"w1": "layer-1-weight", "b1": "layer-1-bias", "w2": "layer-2-weight", "b2": "layer-2-bias"}
MATRICES = ("w1", "w2")
_PARAMETERS = {"w1": "1.weight", "b1": "1.bias", "w2": "3.weight", "b2": "3.bias"}


@dataclass(frozen=True)
class Protocol:
    """How a member is trained.

    Attributes:
        members: K.
        pictures: of a member's own random subset of the training set.
        epochs: over that subset.
        batch: pictures a step.
        learning_rate: of Adam, constant.
    """

    members: int = 16
    pictures: int = 3500
    epochs: int = 3
    batch: int = 128
    learning_rate: float = 1e-2


def trained_members(protocol: Protocol, training: Images, *, seed: int, cache: Path) -> Members:
    """The members of one seed, from *cache* if they are there."""
    described = "_".join(f"{value:g}" for value in asdict(protocol).values())
    kept = cache / f"members_{described}_seed_{seed}.npz"
    if not kept.is_file():
        trained = [
            _train(protocol, training, seed=[seed, member]) for member in range(protocol.members)
        ]
        stacked: dict[str, Any] = {
            name: np.stack([each[name] for each in trained]) for name in _PARAMETERS
        }
        with replacing(kept) as file:
            np.savez(file, **stacked)
    with np.load(kept) as arrays:
        return {name: arrays[name] for name in _PARAMETERS}


def member_logits(members: Members, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits (K, n, classes) of pictures (n, pixels)."""
    return np.stack(
        [
            np.maximum(x @ w1.T + b1, 0) @ w2.T + b2
            for w1, b1, w2, b2 in zip(*(members[name] for name in _PARAMETERS), strict=True)
        ]
    )


def member_modules(members: Members) -> list[object]:
    """The members as modules of PyTorch."""
    import torch

    from edgeens.torch.models.small import mlp

    modules: list[object] = []
    for member in range(len(members["w1"])):
        module = mlp()
        module.load_state_dict(
            {key: torch.from_numpy(members[name][member]) for name, key in _PARAMETERS.items()}
        )
        modules.append(module)
    return modules


def _train(protocol: Protocol, training: Images, *, seed: list[int]) -> Members:
    import torch
    import torch.nn.functional as F

    from edgeens.torch.models.small import mlp

    random = np.random.default_rng(seed)
    torch.manual_seed(int(random.integers(1 << 62)))
    module = mlp()
    own = random.choice(len(training.y), min(protocol.pictures, len(training.y)), replace=False)
    x, y = torch.from_numpy(training.x[own]).float() / 255, torch.from_numpy(training.y[own])
    optimizer = torch.optim.Adam(module.parameters(), lr=protocol.learning_rate)
    for _ in range(protocol.epochs):
        order = torch.from_numpy(random.permutation(len(own)))
        for chosen in order.split(protocol.batch):
            optimizer.zero_grad()
            F.cross_entropy(module(x[chosen]), y[chosen]).backward()
            optimizer.step()
    state = module.state_dict()
    return {name: state[key].numpy().copy() for name, key in _PARAMETERS.items()}
