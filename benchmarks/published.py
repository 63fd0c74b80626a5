"""Networks that others trained and published, as members to encode.

Before benchmarks.pretrained. They lie below the folder `models` of --data, as ONNX (or, two of
them, as weights alone); nothing of them is in the repository.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.datasets.images import Images
from edgeens.errors import DataError, MissingPackageError

Floats = NDArray[np.float32]

_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
_IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
_QUICK_GELU = 1.702  # x * sigmoid(1.702 x)


@dataclass(frozen=True)
class Published:
    """A published network, or several of one architecture.

    Attributes:
        title: for people.
        file: below the folder `models`.
        source: where it comes from.
        dataset: key of datasets.catalogue.TITLES with the pictures to judge it on; None where
            there are none: then outputs are compared on random inputs.
        prepare: pictures, or random numbers from 0 to 1, as the network takes them.
        pictures: of the test set, from the first: all, or what a few minutes of one core allow.
        shape: of random inputs, without the batch.
        task: where the graph does not tell it.
    """

    title: str
    file: str
    source: str
    dataset: str | None = None
    prepare: Callable[[Floats], Floats] = lambda x: x
    pictures: int = 10_000
    shape: tuple[int, ...] = ()
    task: Any = None

    def path(self, data: Path) -> Path:
        """Where the file lies. Raises DataError if it does not."""
        path = data / "models" / self.file
        if not path.is_file():
            raise DataError(f"{path} is missing: {self.title}, from {self.source}")
        return path


@dataclass(frozen=True)
class Members:
    """What edgeens.encode takes: members, and their graph if they are weights alone."""

    paths: list[Path]
    graph: Path | None = None


def members(network: Published, data: Path, work: Path) -> Members:
    """The files of a network; those made on the way lie in *work*."""
    path = network.path(data)
    if path.suffix == ".npz":
        return _convnets(path, work)
    if path.suffix == ".pt":
        from benchmarks.paper.vit import export

        export(path, work / "graph.onnx")
        return Members([path], work / "graph.onnx")
    return Members([path])


def _convnets(path: Path, work: Path) -> Members:
    """The six state dicts in one .npz, as safetensors, and the graph that their authors wrote."""
    try:
        import onnx
        from safetensors.numpy import save_file
    except ImportError as error:
        raise MissingPackageError(
            f"this benchmark needs the package {error.name}; install the extra edgeens[bench]"
        ) from error
    states: dict[str, dict[str, NDArray[Any]]] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            member, _, name = key.partition("/")
            states.setdefault(member, {})[name] = arrays[key]
    paths = [work / f"{member}.safetensors" for member in states]
    for file, state in zip(paths, states.values(), strict=True):
        save_file(state, file)
    nodes = [
        *_layer("Conv", "conv1", "x", pooled=True),
        *_layer("Conv", "conv2", "conv1.out", pooled=True),
        onnx.helper.make_node("Flatten", ["conv2.out"], ["flat"]),
        *_layer("Gemm", "fc1", "flat", pooled=False),
        onnx.helper.make_node("Gemm", ["fc1.out", "fc2.weight", "fc2.bias"], ["logits"], transB=1),
    ]
    first = next(iter(states.values()))
    initializers = [onnx.numpy_helper.from_array(values, name) for name, values in first.items()]
    slope = onnx.numpy_helper.from_array(np.array(_QUICK_GELU, np.float32), "slope")
    images = onnx.helper.make_tensor_value_info("x", 1, ["batch", 1, 28, 28])
    logits = onnx.helper.make_tensor_value_info("logits", 1, ["batch", 10])
    graph = onnx.helper.make_graph(nodes, "net", [images], [logits], [*initializers, slope])
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, work / "graph.onnx")
    return Members(paths, work / "graph.onnx")


def _layer(operator: str, name: str, source: str, *, pooled: bool) -> list[Any]:
    """A layer, its maximum over 2 x 2, and quick GELU."""
    from onnx.helper import make_node

    options = {"transB": 1} if operator == "Gemm" else {}
    sums = f"{name}.sums"
    nodes = [make_node(operator, [source, f"{name}.weight", f"{name}.bias"], [sums], **options)]
    if pooled:
        nodes.append(
            make_node("MaxPool", [sums], [f"{name}.most"], kernel_shape=[2, 2], strides=[2, 2])
        )
        sums = f"{name}.most"
    return [
        *nodes,
        make_node("Mul", [sums, "slope"], [f"{name}.steep"]),
        make_node("Sigmoid", [f"{name}.steep"], [f"{name}.gate"]),
        make_node("Mul", [sums, f"{name}.gate"], [f"{name}.out"]),
    ]


def _imagenet(x: Floats) -> Floats:
    return (x - _IMAGENET_MEAN) / _IMAGENET_DEVIATION


def _bytes(x: Floats) -> Floats:
    return x * np.float32(255)


def _standardised(x: Floats) -> Floats:
    return (x - np.float32(0.1307)) / np.float32(0.3081)


def _signed(x: Floats) -> Floats:
    return x * np.float32(2) - np.float32(1)


def as_floats(images: Images) -> Floats:
    """Pictures from 0 to 1."""
    return images.floats()


_RESNETS = "github.com/akamaster/pytorch_resnet_cifar10 (BSD-2-Clause), exported to ONNX"
_TINY = "github.com/mlcommons/tiny (Apache-2.0), benchmark/training, converted from TFLite"
_CORAL = "github.com/google-coral/test_data (Apache-2.0), converted from TFLite"
_CONVNETS = "github.com/hendrycks/outlier-exposure (Apache-2.0), MNIST/snapshots"
_VIT = "github.com/researchase/vit-mnist-explorations (MIT)"
_SQUEEZE = "github.com/songhan/SqueezeNet-Deep-Compression (BSD), codebooks kept"
_RGB = (3, 32, 32)

NETWORKS = (
    Published(
        "6 ConvNets, MNIST",
        "mnist_convnet_oe/checkpoints.npz",
        _CONVNETS,
        "mnist",
        shape=(1, 28, 28),
    ),
    Published(
        "vision transformer, MNIST",
        "vit_mnist/vit_mnist_gpu.pt",
        _VIT,
        "mnist",
        _standardised,
        1000,
    ),
    Published(
        "ResNet-20, CIFAR-10", "resnet_cifar10/resnet20.onnx", _RESNETS, "cifar10", _imagenet, 1000
    ),
    Published(
        "ResNet-56, CIFAR-10", "resnet_cifar10/resnet56.onnx", _RESNETS, "cifar10", _imagenet, 500
    ),
    Published(
        "ResNet-8, CIFAR-10", "mlperf_tiny/ic_resnet8_float.onnx", _TINY, "cifar10", _bytes, 2000
    ),
    Published(
        "ResNet-8, int8 weights", "mlperf_tiny/ic_resnet8_int8.onnx", _TINY, "cifar10", _bytes, 2000
    ),
    Published(
        "larger ResNet, CIFAR-10",
        "mlperf_tiny/ic_resnet_large_float.onnx",
        _TINY,
        "cifar10",
        _bytes,
        1000,
    ),
    Published(
        "larger ResNet, int8 weights",
        "mlperf_tiny/ic_resnet_large_int8.onnx",
        _TINY,
        "cifar10",
        _bytes,
        1000,
    ),
    Published("keyword spotting", "mlperf_tiny/kws_dscnn_float.onnx", _TINY, shape=(1, 49, 10)),
    Published(
        "visual wake words", "mlperf_tiny/vww_mobilenet025_96_float.onnx", _TINY, shape=(3, 96, 96)
    ),
    Published(
        "anomaly detection",
        "mlperf_tiny/ad_fcae_float.onnx",
        _TINY,
        shape=(640,),
        task="regression",
    ),
    Published(
        "MobileNet v2, uint8 weights",
        "imagenet_onnx/mobilenet_v2_1.0_224_quant.onnx",
        _CORAL,
        prepare=_signed,
        shape=(3, 224, 224),
    ),
    Published(
        "SqueezeNet, codebooks",
        "imagenet_onnx/squeezenet_deepcompressed_227.onnx",
        _SQUEEZE,
        prepare=_bytes,
        shape=(3, 227, 227),
    ),
)
