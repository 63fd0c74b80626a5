"""CIFAR-10 from its official archives, their unpacked folders, or the packed form.

Before datasets.catalogue, which knows the sets by name. Nothing is unpickled but arrays, numbers
and strings: a pickle file that names anything else is refused.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.datasets.images import Images
from edgeens.datasets.packed import read_packed
from edgeens.errors import DataError

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
FIRST_LABELS = (6, 9, 9, 4, 1, 1, 2, 7)
_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]
Reader = Callable[[str], Batch]


def load_cifar10(folder: Path, name: str) -> tuple[Images, Images]:
    """The training and the test set, pictures (n, 3, 32, 32), in the official order.

    Args:
        folder: holds one of the official archives (cifar-10-python.tar.gz, cifar-10-binary.tar.gz),
            one of their folders (cifar-10-batches-py, cifar-10-batches-bin), the files of such a
            folder, or the packed form (data_batch_1.med.xz ..., labels.npz); or a folder *name*
            which does.
        name: of that folder.

    Raises:
        DataError: nothing of the kind is there, or it is damaged; the message says what to get.
    """
    for home in (folder / name, folder):
        for find in (_pickles, _binaries, _packed):
            reader = find(home)
            if reader is not None:
                return _load(reader, home)
    raise DataError(
        f"{folder / name} holds no CIFAR-10: cifar-10-python.tar.gz or cifar-10-binary.tar.gz is "
        f"expected there (or what they unpack to); download one from {SOURCE} into it"
    )


def _load(reader: Reader, home: Path) -> tuple[Images, Images]:
    batches = [reader(name) for name in (*TRAINING, TEST)]
    training = Images(
        np.concatenate([x for x, _ in batches[:-1]]), np.concatenate([y for _, y in batches[:-1]])
    )
    if tuple(training.y[: len(FIRST_LABELS)]) != FIRST_LABELS:
        raise DataError(
            f"the files in {home} are not those of CIFAR-10 (the first training labels differ); "
            f"download CIFAR-10 from {SOURCE}"
        )
    return training, Images(*batches[-1])


def _pickles(home: Path) -> Reader | None:
    content = _archive_or_folder(home, "cifar-10-python.tar.gz", "cifar-10-batches-py", "")
    return None if content is None else lambda name: _unpickled(content(name), home, name)


def _binaries(home: Path) -> Reader | None:
    content = _archive_or_folder(home, "cifar-10-binary.tar.gz", "cifar-10-batches-bin", ".bin")
    return None if content is None else lambda name: _records(content(name), home, name)


def _packed(home: Path) -> Reader | None:
    if not (home / f"{TRAINING[0]}.med.xz").is_file():
        return None

    def read(name: str) -> Batch:
        path, kept = home / f"{name}.med.xz", home / "labels.npz"
        if not path.is_file() or not kept.is_file():
            raise _damaged(home, name, f"{path.name} or labels.npz is missing")
        pictures = read_packed(path)
        with np.load(kept, allow_pickle=False) as labels:
            if name not in labels.files:
                raise _damaged(home, name, "labels.npz does not hold it")
            return _checked(pictures, labels[name], home, name)

    return read


def _archive_or_folder(
    home: Path, archive: str, folder: str, suffix: str
) -> Callable[[str], bytes] | None:
    """What reads the bytes of a batch, if *home* has the folder's files or the archive."""
    for place in (home / folder, home):
        if (place / (TRAINING[0] + suffix)).is_file():
            return lambda name: _file(place / (name + suffix), home, name)
    if not (home / archive).is_file():
        return None
    try:
        with tarfile.open(home / archive) as packed:
            wanted = {f"{folder}/{name}{suffix}": name for name in (*TRAINING, TEST)}
            content = {}
            for member in packed:
                name = wanted.get(member.name.removeprefix("./"))
                stream = packed.extractfile(member) if name else None
                if name and stream:
                    content[name] = stream.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{home / archive} cannot be read ({error}); download it again from {SOURCE}"
        ) from error

    def member_bytes(name: str) -> bytes:
        if name not in content:
            raise _damaged(home, name, f"{archive} does not hold it")
        return content[name]

    return member_bytes


def _file(path: Path, home: Path, name: str) -> bytes:
    if not path.is_file():
        raise _damaged(home, name, f"{path} is missing")
    return path.read_bytes()


def _records(data: bytes, home: Path, name: str) -> Batch:
    """The binary form: a byte of label and 3072 of pixels a picture, plane by plane."""
    if not data or len(data) % (1 + _PIXELS):
        raise _damaged(home, name, f"{len(data)} bytes are no whole number of records of 3073")
    rows = np.frombuffer(data, np.uint8).reshape(-1, 1 + _PIXELS)
    return _checked(rows[:, 1:], rows[:, 0], home, name)


def _unpickled(data: bytes, home: Path, name: str) -> Batch:
    try:
        batch = _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
        return _checked(np.asarray(batch["data"]), np.asarray(batch["labels"]), home, name)
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise _damaged(home, name, f"it is no pickled batch: {error}") from error


class _ArraysOnly(pickle.Unpickler):
    """Builds arrays of NumPy and nothing else, so that a file can run no code of its own."""

    def find_class(self, module: str, name: str) -> Any:
        """What the official files name; everything else is refused."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _reconstruct
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return _latin1
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _reconstruct(kind: type, shape: tuple[int, ...], dtype: object) -> NDArray[Any]:
    """An empty array, which the pickle then fills; NumPy's own moved between its versions."""
    return np.ndarray.__new__(np.ndarray, shape, "b")


def _latin1(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


def _checked(pictures: NDArray[Any], labels: NDArray[Any], home: Path, name: str) -> Batch:
    count = len(labels)
    if pictures.dtype != np.uint8 or pictures.size != count * _PIXELS or not count:
        raise _damaged(home, name, f"{pictures.size} pixels for {count} labels")
    if labels.min() < 0 or labels.max() > 9:
        raise _damaged(home, name, f"label {labels.max()} is no class of 0 to 9")
    return pictures.reshape(count, *_SHAPE), labels.astype(np.int64)


def _damaged(home: Path, name: str, reason: str) -> DataError:
    return DataError(
        f"{name} of CIFAR-10 in {home} is missing or damaged ({reason}); download CIFAR-10 again "
        f"from {SOURCE}"
    )
