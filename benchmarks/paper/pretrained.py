"""Networks that others trained and published: where they come from, and what input they take.

Before the experiment lpe-pretrained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeens.datasets.images import Images
from edgeens.errors import DataError

Floats = NDArray[np.float32]

_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
_IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]


@dataclass(frozen=True)
class Pretrained:
    """A published network.

    Attributes:
        name: of its results.
        title: for people.
        dataset: key of datasets.catalogue.TITLES, all of whose training pictures it was trained on.
        file: below the folder `models` of --data.
        source: what to download, and how it becomes *file*.
        prepare: pictures as the network takes them.
        pictures: how many test pictures the figures are of, from the first: as many as a
            quarter of an hour of one core allows for all networks.
    """

    name: str
    title: str
    dataset: str
    file: str
    source: str
    prepare: Callable[[Images], Floats]
    pictures: int

    def path(self, data: Path) -> Path:
        """Where the file lies.

        Raises:
            DataError: it does not.
        """
        path = data / "models" / self.file
        if not path.is_file():
            raise DataError(f"{path} is missing: {self.title}, {self.source}")
        return path


def digest(path: Path) -> str:
    """SHA-256, for the results."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _imagenet(images: Images) -> Floats:
    return (images.floats() - _IMAGENET_MEAN) / _IMAGENET_DEVIATION


def _bytes(images: Images) -> Floats:
    return images.x.astype(np.float32)


def _standardised(images: Images) -> Floats:
    return (images.floats() - np.float32(0.1307)) / np.float32(0.3081)


MODELS = (
    Pretrained(
        "resnet20",
        "ResNet-20, CIFAR-10",
        "cifar10",
        "resnet_cifar10/resnet20.onnx",
        "pretrained_models/resnet20-12fca82f.th of github.com/akamaster/pytorch_resnet_cifar10 "
        "(BSD-2-Clause), exported by torch.onnx.export",
        _imagenet,
        1000,
    ),
    Pretrained(
        "resnet8",
        "ResNet-8 of MLPerf Tiny, CIFAR-10",
        "cifar10",
        "mlperf_tiny/ic_resnet8_float.onnx",
        "benchmark/training/image_classification/trained_models/pretrainedResnet.tflite of "
        "github.com/mlcommons/tiny (Apache-2.0), converted to ONNX, logits without the softmax",
        _bytes,
        3000,
    ),
    Pretrained(
        "vit",
        "vision transformer, MNIST",
        "mnist",
        "vit_mnist/vit_mnist_gpu.pt",
        "vit_mnist_gpu.pt of github.com/researchase/vit-mnist-explorations (MIT)",
        _standardised,
        500,
    ),
)
