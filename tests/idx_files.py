"""Data sets as idx files, small and synthetic, for tests that read or train on them."""

from __future__ import annotations

import gzip
import lzma
import struct

import numpy as np

from edgeens.datasets.catalogue import IDX_DATASETS
from edgeens.datasets.idx import FILES

PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def idx_bytes(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_idx_dataset(folder, name, arrays=None, *, suffix=""):
    """Four files under the official names; by default nine pictures of 2 x 3 in each part."""
    folder.mkdir(parents=True, exist_ok=True)
    if arrays is None:
        labels = np.array([*IDX_DATASETS[name].first_labels, 7])
        arrays = [np.arange(54).reshape(9, 2, 3), labels] * 2
    for file, array in zip(FILES, arrays, strict=True):
        (folder / (file + suffix)).write_bytes(PACK[suffix](idx_bytes(array)))


def write_squares(folder, *, training, test):
    """MNIST's form, 28 x 28: a bright square whose place tells the class, in noise."""
    random = np.random.default_rng(0)
    first = np.array(IDX_DATASETS["mnist"].first_labels)
    arrays = []
    for count in (training, test):
        y = random.integers(0, 10, count)
        y[: len(first)] = first
        x = random.integers(0, 100, (count, 28, 28))
        for n, label in enumerate(y):
            row, column = divmod(int(label), 4)
            x[n, 8 * row : 8 * row + 7, 7 * column : 7 * column + 7] += 120
        arrays += [x, y]
    write_idx_dataset(folder, "mnist", arrays)
