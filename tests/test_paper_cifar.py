"""The CIFAR-10 experiment from training to page, on a network and pictures of seconds."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from benchmarks.paper import cifar  # noqa: E402
from benchmarks.paper.cifar100 import load_outside  # noqa: E402
from benchmarks.paper.cifar_report import draw, report  # noqa: E402
from benchmarks.paper.experiment import Setup  # noqa: E402
from edgeens.datasets.images import Images  # noqa: E402
from edgeens.errors import DataError  # noqa: E402
from edgeens.torch import run  # noqa: E402
from edgeens.torch.recipes import RECIPES, Plan, Recipe  # noqa: E402

pytestmark = pytest.mark.torch

SCALE = cifar.Scale(("tiny",), 1, 64, (0,))


def pictures(seed, count):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 10, count)
    x = generator.integers(0, 128, (count, 3, 32, 32)) + 12 * y[:, None, None, None]
    return Images(x.astype(np.uint8), y)


def network():
    layers = (nn.Conv2d(3, 16, 3, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
    return nn.Sequential(*layers)


@pytest.fixture
def setup(tmp_path, monkeypatch):
    plan = Plan(epochs=1, batch=16, optimizer="adam", learning_rate=1e-2)
    recipe = Recipe("tiny", "tiny", "cifar10", (3, 32, 32), network, plan, validation=20)
    monkeypatch.setitem(RECIPES, "tiny", recipe)
    parts = (pictures(0, 100), pictures(1, 60))
    for module in (cifar, run):
        monkeypatch.setattr(module, "load_dataset", lambda folder, name: parts)
    monkeypatch.setattr(cifar, "CORRUPTED", 30)
    monkeypatch.setattr(cifar, "CORRUPTIONS", ("contrast", "gaussian_noise"))
    monkeypatch.setattr(cifar, "load_outside", lambda folder: pictures(2, 60))
    return Setup(tmp_path, tmp_path / "cache", lambda label, done, total: None)


def test_the_experiment_goes_from_training_to_tables_and_is_not_repeated(setup, monkeypatch):
    results = cifar.measure(SCALE, setup)
    (network,) = results["networks"]
    (one_run,) = network["runs"]
    assert list(one_run["methods"]) == list(cifar.METHODS)
    apart = one_run["methods"]["independent"]
    base, *points = one_run["frontier"]
    assert base["NLL"] == pytest.approx(apart["study"]["ensemble"]["NLL"])
    assert [point["bits"] for point in points] == list(cifar.WIDTHS)
    sizes = [point["bytes"] for point in points]
    assert sizes == sorted(sizes)
    assert max(sizes) < apart["float32 bytes"]
    assert apart["members"]["NLL"] == pytest.approx(base["NLL"], abs=1e-5)  # all 60 pictures
    shifted = one_run["methods"]["uniform"]["corrupted"]
    assert len(shifted) == 5
    assert len({row["ensemble"]["NLL"] for row in shifted}) == 5
    assert all(row["member"]["NLL"] >= row["ensemble"]["NLL"] for row in shifted)  # Jensen
    text = report(results)
    assert text.startswith("**Reduced**: 1 epochs of 64 pictures")
    assert text.count("| Bits-Ensemble (low rank, shared bits) |") == 3
    pytest.importorskip("matplotlib")
    draw(results, setup.data / "cifar.png")
    assert (setup.data / "cifar.png").read_bytes().startswith(b"\x89PNG")

    monkeypatch.setattr(run, "fit", partial(pytest.fail, "trained again"))
    monkeypatch.setattr(cifar, "compare", partial(pytest.fail, "measured again"))
    assert cifar.measure(SCALE, setup) == results


def test_the_whole_experiment_does_not_call_itself_reduced():
    results = {"members": 4, "seeds": [0], "studied": 5, "limit": None}
    results |= {"corrupted": 1, "corruptions": 1, "networks": []}
    assert "Reduced" not in report(results)
    assert cifar.FULL.limit is None
    assert cifar.FULL.epochs is None
    assert set(cifar.FULL.recipes + cifar.REDUCED.recipes) <= set(RECIPES)


def test_pictures_of_cifar100_are_read_from_the_official_file(tmp_path):
    folder = tmp_path / "cifar100"
    folder.mkdir()
    with pytest.raises(DataError, match=r"test\.bin is missing: .* https://"):
        load_outside(tmp_path)
    records = np.random.default_rng(0).integers(0, 256, (3, 3074)).astype(np.uint8)
    records.tofile(folder / "test.bin")
    images = load_outside(tmp_path)
    assert images.x.shape == (3, 3, 32, 32)
    assert np.array_equal(images.x[1, 2, 31, 30:], records[1, -2:])
    assert np.array_equal(images.y, records[:, 1])
    (folder / "test.bin").write_bytes(b"1" * 3075)
    with pytest.raises(DataError, match=r"test\.bin is damaged"):
        load_outside(tmp_path)
