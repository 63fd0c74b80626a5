"""The test pictures of CIFAR-100: what a network trained on CIFAR-10 has never seen, yet nearly.

Before the experiment cifar.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeens.datasets.images import Images
from edgeens.datasets.packed import read_packed
from edgeens.errors import DataError

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_RECORD = 2 + 3 * 32 * 32  # coarse label, fine label, pixels


def load_outside(data: Path) -> Images:
    """The test pictures, their fine labels 0 to 99 where the file has them, else 0.

    *data* has a folder cifar100 with test.bin of the official cifar-100-binary.tar.gz, or the
    pictures alone as edgeens.datasets.packed reads them, test.med.xz.

    Raises:
        DataError: neither is there, or the file is damaged.
    """
    folder = data / "cifar100"
    if (folder / "test.med.xz").is_file():
        x = read_packed(folder / "test.med.xz")
        return Images(x, np.zeros(len(x), np.int64))
    path = folder / "test.bin"
    if not path.is_file():
        raise DataError(f"{path} is missing: it is in cifar-100-binary.tar.gz, from {SOURCE}")
    records = np.fromfile(path, np.uint8)
    if not records.size or records.size % _RECORD:
        raise DataError(f"{path} is damaged; get cifar-100-binary.tar.gz again from {SOURCE}")
    rows = records.reshape(-1, _RECORD)
    return Images(rows[:, 2:].reshape(-1, 3, 32, 32), rows[:, 1].astype(np.int64))
