"""What sharing bits costs in training: a step of it, over a step at plain 8 bits.

Steps of the ways are run in turn, round after round, in one process on one thread; the figure is
the median over rounds of the processor time relative to plain 8 bits in the same round. A step is
the forward pass, the loss with the method's term, the backward pass and SGD with momentum.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any, Literal

from edgeens.errors import MissingPackageError

try:
    import torch
    import torch.nn.functional as F

    from edgeens.torch import EnsembleModule, convert
    from edgeens.torch.models.resnet import resnet20
    from edgeens.torch.models.small import small_cnn
    from edgeens.torch.models.vgg import vgg11
except ImportError as error:
    raise MissingPackageError(
        "the benchmark of training needs PyTorch; install the extra edgeens[torch]"
    ) from error

Batch = Literal["split", "repeat"]

MEMBERS = 4
BATCH = 128
CLASSES = 10
RATE = 0.03

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain 8 bits": ("uniform", {"bits": 8}),
    "shared, Lambda fixed": ("shared", {"learned": False}),
    "shared, Lambda learned": ("shared", {}),
    "shared, the paper's surrogate": ("shared", {"surrogate": "paper", "sigma": 0.2}),
}
# Too slow for the surrogate of the paper, whose arrays are K times as large as the weights.
LARGE = ("VGG11",)
# Network, shape of a picture, rounds. In the first three a member sees its own part of the batch,
# as in the paper, so that weights weigh most against pictures.
NETWORKS: tuple[tuple[str, Callable[[], Any], tuple[int, ...], Batch, int], ...] = (
    ("small CNN", small_cnn, (1, 28, 28), "split", 15),
    ("ResNet20", resnet20, (3, 32, 32), "split", 7),
    ("VGG11", vgg11, (3, 32, 32), "split", 5),
    ("VGG11", vgg11, (3, 32, 32), "repeat", 3),
)


def measure_training() -> list[dict[str, Any]]:
    """Rows: network, batch mode, way, processor seconds a step, and that relative to plain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [
            row
            for name, build, shape, batch, rounds in NETWORKS
            for row in _measured(name, build, shape, batch, rounds)
        ]
    finally:
        torch.set_num_threads(threads)


def _measured(
    name: str, build: Callable[[], Any], shape: tuple[int, ...], batch: Batch, rounds: int
) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    x, y = torch.randn(BATCH, *shape), torch.randint(CLASSES, (BATCH,))
    steps = {}
    for way, (method, options) in WAYS.items():
        if name in LARGE and options.get("surrogate") == "paper":
            continue
        torch.manual_seed(0)
        model = convert(build(), members=MEMBERS, method=method, batch=batch, fresh=True, **options)
        steps[way] = _step(model.train(), x, y)
    seconds: dict[str, list[float]] = {way: [] for way in steps}
    for _ in range(rounds + 1):  # the first warms up
        for way, step in steps.items():
            begun = time.process_time()
            step()
            seconds[way].append(time.process_time() - begun)
    plain = seconds["plain 8 bits"]
    return [
        {
            "network": name,
            "batch": batch,
            "way": way,
            "seconds": median(taken[1:]),
            "relative": median(a / b for a, b in zip(taken[1:], plain[1:], strict=True)),
        }
        for way, taken in seconds.items()
    ]


def _step(model: EnsembleModule, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """One step of training on *x*, (B, ...), and labels *y*."""
    groups = model.parameter_groups(lr=1e-3, weight_decay=5e-4)
    optimizer = torch.optim.SGD(groups, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        logits = model(x)
        labels = y.reshape(MEMBERS, -1) if model.batch == "split" else y.expand(MEMBERS, -1)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        (loss + RATE * model.regularizer()).backward()
        optimizer.step()

    return step
