"""MNIST and Fashion-MNIST from their official idx files: plain, .gz or .xz.

Before datasets.catalogue, which knows the sets by name.
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

from edgeens.datasets.images import Images
from edgeens.errors import DataError

SUFFIXES: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
}
_UNSIGNED_BYTES = 8  # the third byte of an idx file: the type of its values

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class IdxDataset:
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


MNIST = IdxDataset(
    "MNIST", "https://ossci-datasets.s3.amazonaws.com/mnist/", (5, 0, 4, 1, 9, 2, 1, 3)
)
FASHION_MNIST = IdxDataset(
    "Fashion-MNIST",
    "https://github.com/zalandoresearch/fashion-mnist/tree/master/data/fashion",
    (9, 0, 0, 3, 0, 2, 7, 2),
)


def load_idx(folder: Path, name: str, dataset: IdxDataset) -> tuple[Images, Images]:
    """The training and the test set, pictures (n, 1, rows, columns).

    Args:
        folder: holds the four files, or a folder *name* which does.
        name: of that folder.
        dataset: which set is expected.

    Raises:
        DataError: a file is missing or damaged, or the files are those of another set; the message
            says where to get them.
    """
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
    training, test = (
        Images(pictures[:, np.newaxis], labels.astype(np.int64))
        for pictures, labels in zip(arrays[::2], arrays[1::2], strict=True)
    )
    return training, test


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
