"""MNIST and Fashion-MNIST from their official idx files: plain, .gz or .xz.

First stage of the size benchmark: before benchmarks.ensembles, which trains on these images.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeens.errors import DataError

SUFFIXES: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
}
_UNSIGNED_BYTES = 8  # the third byte of an idx file: the type of its values


@dataclass(frozen=True)
class Dataset:
    """A data set whose four files have MNIST's names.

    Attributes:
        title: its name in messages.
        source: where a stranger downloads the files.
        first_labels: of the training set. All such sets use the same file names, so the content
            has to tell them apart.
    """

    title: str
    source: str
    first_labels: tuple[int, ...]


DATASETS = {
    "mnist": Dataset(
        "MNIST", "https://ossci-datasets.s3.amazonaws.com/mnist/", (5, 0, 4, 1, 9, 2, 1, 3)
    ),
    "fashion_mnist": Dataset(
        "Fashion-MNIST",
        "https://github.com/zalandoresearch/fashion-mnist/tree/master/data/fashion",
        (9, 0, 0, 3, 0, 2, 7, 2),
    ),
}
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled pictures.

    Attributes:
        x: float32 (n, 1, rows, columns), 0 (paper) to 1 (ink).
        y: int64 (n,), class numbers.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]

    def part(self, start: int, stop: int) -> Images:
        """The pictures from *start* to before *stop*."""
        return Images(self.x[start:stop], self.y[start:stop])


def load_dataset(folder: Path, name: str) -> tuple[Images, Images]:
    """The training and the test set of *name*, a key of DATASETS.

    Args:
        folder: holds the four files, or a folder of that name which does.
        name: "mnist" or "fashion_mnist".

    Raises:
        DataError: a file is missing or damaged, or the files are those of another set; the message
            says where to get them.
    """
    dataset = DATASETS[name]
    home = next((home for home in (folder / name, folder) if _find(home, FILES[0])), folder / name)
    found = [_find(home, file) for file in FILES]
    missing = [file for file, path in zip(FILES, found, strict=True) if path is None]
    if missing:
        raise DataError(
            f"{home} lacks {', '.join(missing)} (plain, .gz or .xz) of {dataset.title}; download "
            f"the four official files from {dataset.source} into it"
        )
    arrays = [read_idx(path) for path in found if path is not None]
    for pictures, labels, path in zip(arrays[::2], arrays[1::2], found[::2], strict=True):
        if pictures.ndim != 3 or labels.shape != pictures.shape[:1]:
            raise DataError(
                f"{path} has shape {pictures.shape} and its labels {labels.shape}: one label a "
                "picture is needed; download both files again"
            )
    if tuple(arrays[1][: len(dataset.first_labels)]) != dataset.first_labels:
        raise DataError(
            f"the files in {home} are not those of {dataset.title} (the first training labels "
            f"differ); download {dataset.title} from {dataset.source} into {folder / name}"
        )
    return _images(arrays[0], arrays[1]), _images(arrays[2], arrays[3])


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes, which its suffix says how to decompress.

    The form: two zero bytes, type, number of dimensions, the dimensions as big-endian u32, values.
    Raises DataError if the file is something else, or cut.
    """
    try:
        data = SUFFIXES.get(path.suffix, bytes)(path.read_bytes())
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); download it again") from error
    if data[:3] != bytes([0, 0, _UNSIGNED_BYTES]) or len(data) < 4 + 4 * data[3]:
        raise DataError(f"{path} is not an idx file of unsigned bytes; download it again")
    shape = tuple(np.frombuffer(data, ">u4", count=data[3], offset=4).tolist())
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if values.size != np.prod(shape, dtype=np.int64):
        raise DataError(
            f"{path} holds {values.size} values, but shape {shape} has another number; "
            "download it again"
        )
    return values.reshape(shape)


def _find(folder: Path, name: str) -> Path | None:
    paths = (folder / (name + suffix) for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _images(pictures: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Images:
    x = pictures[:, np.newaxis].astype(np.float32) / np.float32(255)
    return Images(x, labels.astype(np.int64))
