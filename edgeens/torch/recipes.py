"""What `edgeens train` can train: data set, network and schedule by one name.

Start of the training command; torch.training carries a recipe out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgeens.torch.models.resnet import resnet8, resnet18, resnet20
from edgeens.torch.models.small import mlp, small_cnn
from edgeens.torch.models.vgg import vgg11
from edgeens.torch.package import nn


@dataclass(frozen=True)
class Plan:
    """How a network is trained.

    Attributes:
        epochs: passes over the training pictures, each followed by a look at the validation ones.
        batch: pictures a member and step.
        optimizer: "adam", or "sgd" with Nesterov momentum 0.9.
        learning_rate: the highest; it falls to 0 along half a cosine.
        weight_decay: L2 term of the gradient (not decoupled).
        warmup_epochs: over which the rate rises to *learning_rate*; a tenth of the run at most.
        patience: epochs without a lower validation NLL after which training stops.
        crop_padding: largest random shift, in pixels.
        flip: whether half of the pictures are mirrored at random.
    """

    epochs: int
    batch: int
    optimizer: Literal["adam", "sgd"]
    learning_rate: float
    weight_decay: float = 0.0
    warmup_epochs: float = 0.0
    patience: int = 10
    crop_padding: int = 0
    flip: bool = False


@dataclass(frozen=True)
class Recipe:
    """A data set and a network with its plan.

    Attributes:
        name: on the command line.
        title: for people.
        dataset: key of datasets.catalogue.TITLES.
        shape: of a picture, (channels, rows, columns).
        build: an untrained network, drawn from torch's global generator.
        plan: how to train it.
        validation: the last pictures of the training set, held out of training.
    """

    name: str
    title: str
    dataset: str
    shape: tuple[int, int, int]
    build: Callable[[], nn.Module]
    plan: Plan
    validation: int = 5000


_GREY, _COLOUR = (1, 28, 28), (3, 32, 32)
_MLP = Plan(epochs=20, batch=128, optimizer="adam", learning_rate=2e-3, warmup_epochs=0.1)
_CNN = Plan(epochs=10, batch=128, optimizer="adam", learning_rate=2e-3, warmup_epochs=0.1)
# The usual schedule for CIFAR-10 (He et al., 2016, with a cosine in place of steps).
_DEEP = Plan(
    epochs=100,
    batch=128,
    optimizer="sgd",
    learning_rate=0.1,
    weight_decay=5e-4,
    warmup_epochs=5,
    patience=30,
    crop_padding=4,
    flip=True,
)
_VGG = Plan(
    epochs=100,
    batch=128,
    optimizer="sgd",
    learning_rate=0.05,
    weight_decay=5e-4,
    warmup_epochs=5,
    patience=30,
    crop_padding=4,
    flip=True,
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("mnist-mlp", "MLP 784-128-10, MNIST", "mnist", _GREY, mlp, _MLP),
        Recipe("fashion-mlp", "MLP 784-128-10, Fashion-MNIST", "fashion_mnist", _GREY, mlp, _MLP),
        Recipe("mnist-cnn", "small CNN, MNIST", "mnist", _GREY, small_cnn, _CNN),
        Recipe("fashion-cnn", "small CNN, Fashion-MNIST", "fashion_mnist", _GREY, small_cnn, _CNN),
        Recipe("cifar10-vgg11", "VGG11, CIFAR-10", "cifar10", _COLOUR, vgg11, _VGG),
        Recipe("cifar10-resnet18", "ResNet18, CIFAR-10", "cifar10", _COLOUR, resnet18, _DEEP),
        Recipe("cifar10-resnet20", "ResNet20, CIFAR-10", "cifar10", _COLOUR, resnet20, _DEEP),
        Recipe("cifar10-resnet8", "ResNet8, CIFAR-10", "cifar10", _COLOUR, resnet8, _DEEP),
    )
}
