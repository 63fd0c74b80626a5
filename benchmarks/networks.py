"""The networks whose running is measured, in every form that is compared.

First stage of the runtime benchmark, before benchmarks.runtime. Weights are random: they decide how
well a network predicts, but not how fast it runs. A folder of the cache a network:
    member_0.onnx ...           float32, batch normalisation folded into the convolutions
    mapped/member_0.onnx ...    the same, weights in member_0.onnx.data
    int8/member_0.onnx ...      weights and activations of 8 bits (static QDQ of ONNX Runtime)
    4.eens, 8.eens              so many members in one file, as `edgeens encode` makes it
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edgeens.encoder import encode
from edgeens.errors import MissingPackageError

Step = Callable[[str, int, int], None]

COUNTS = (4, 8)  # members
_CALIBRATION_ROWS = 16  # that the ranges of the int8 members' activations are taken from


@dataclass(frozen=True)
class Network:
    """One architecture.

    Attributes:
        name: of its folder.
        title: for people.
        shape: of one input.
    """

    name: str
    title: str
    shape: tuple[int, ...]


NETWORKS = (
    Network("mlp", "MLP", (1, 28, 28)),
    Network("cnn", "CNN", (1, 28, 28)),
    Network("vgg11", "VGG11", (3, 32, 32)),
    Network("resnet18", "ResNet18", (3, 32, 32)),
)


def make_network(network: Network, cache: Path, *, progress: Step | None = None) -> Path:
    """The network's folder, made if the cache lacks it; it is either complete or absent.

    Raises MissingPackageError if it must be made and PyTorch is not installed.
    """
    folder = cache / "runtime" / network.name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    step = progress or (lambda label, done, total: None)
    with TemporaryDirectory(dir=folder.parent, prefix=f"{network.name}.") as name:
        work = Path(name) / "made"
        for kind in (".", "mapped", "int8"):
            (work / kind).mkdir(parents=True, exist_ok=True)
        members = max(COUNTS)
        total = members + len(COUNTS)
        for member in range(members):
            step(network.title, member, total)
            _make_member(network, work, member)
        for done, count in enumerate(COUNTS, start=members):
            step(network.title, done, total)
            encode(member_files(work, count), work / f"{count}.eens")
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    return folder


def member_files(folder: Path, members: int, kind: str = ".") -> list[Path]:
    """The files of the first *members* members; *kind* is ".", "mapped" or "int8"."""
    return [folder / kind / f"member_{member}.onnx" for member in range(members)]


def example(shape: tuple[int, ...], rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """An input, (rows, *shape)."""
    return np.random.default_rng(0).normal(size=(rows, *shape)).astype(np.float32)


def _make_member(network: Network, work: Path, member: int) -> None:
    import onnx

    plain = work / f"member_{member}.onnx"
    _export(network, plain, seed=member)
    onnx.save(
        onnx.load(plain),
        work / "mapped" / plain.name,
        save_as_external_data=True,
        location=f"{plain.name}.data",
    )
    _quantise(network, plain, work / "int8" / plain.name)


def _export(network: Network, path: Path, *, seed: int) -> None:
    try:
        import torch
        from torch import nn

        from edgeens.torch.models.resnet import resnet18
        from edgeens.torch.models.small import small_cnn
        from edgeens.torch.models.vgg import vgg11
        from edgeens.torch.onnx_file import write_onnx
    except ImportError as error:
        raise MissingPackageError(
            "making the networks to run needs PyTorch; install the extra edgeens[torch]"
        ) from error

    def wide_mlp() -> nn.Module:
        """784-1024-1024-1024-10: with 128 units there would be nothing to measure."""
        sizes = (784, 1024, 1024, 1024)
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], 10))

    torch.manual_seed(seed)
    build = {"mlp": wide_mlp, "cnn": small_cnn, "vgg11": vgg11, "resnet18": resnet18}
    write_onnx(
        build[network.name]().eval(),
        path,
        example_input=torch.zeros(1, *network.shape),
        output_names=("logits",),
        folded=True,
    )


def _quantise(network: Network, source: Path, target: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    rows: Iterator[np.ndarray[Any, Any]] = iter(example(network.shape, _CALIBRATION_ROWS)[:, None])

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def get_next(self) -> dict[str, Any] | None:
            row = next(rows, None)
            return None if row is None else {"input": row}

    logging.disable(logging.WARNING)  # it advises a pre-processing that exporting has done
    try:
        quantize_static(str(source), str(target), Reader(), per_channel=True)
    finally:
        logging.disable(logging.NOTSET)
