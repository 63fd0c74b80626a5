"""The data sets by name: one call from a folder of standard files to labelled pictures.

Last stage of this room; torch.recipes and the benchmarks start here.
"""

from __future__ import annotations

from pathlib import Path

from edgeens.datasets.cifar10 import load_cifar10
from edgeens.datasets.idx import FASHION_MNIST, MNIST, load_idx
from edgeens.datasets.images import Images

IDX_DATASETS = {"mnist": MNIST, "fashion_mnist": FASHION_MNIST}
TITLES = {"mnist": MNIST.title, "fashion_mnist": FASHION_MNIST.title, "cifar10": "CIFAR-10"}


def load_dataset(folder: Path, name: str) -> tuple[Images, Images]:
    """The training and the test set of *name*, a key of TITLES.

    *folder* holds the standard files, or a folder *name* that does.

    Raises:
        DataError: a file is missing, damaged, or of another set; the message says which one was
            expected and where to get it.
    """
    if name in IDX_DATASETS:
        return load_idx(folder, name, IDX_DATASETS[name])
    return load_cifar10(folder, name)
