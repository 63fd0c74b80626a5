"""Which pictures a step sees: everything once, for each member in its own order, in any process."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgeens.datasets.images import Images  # noqa: E402
from edgeens.errors import DataError  # noqa: E402
from edgeens.torch.augment import random_crop, random_flip  # noqa: E402
from edgeens.torch.batches import Batches, derived_seed  # noqa: E402
from edgeens.torch.processes import Share  # noqa: E402
from edgeens.torch.schedule import cyclic_cosine, warm_cosine  # noqa: E402

pytestmark = pytest.mark.torch

# Picture n is n everywhere, and so is its label.
NUMBERED = Images(np.arange(20, dtype=np.uint8).repeat(16).reshape(20, 1, 4, 4), np.arange(20))
COLOURED = Images(
    np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8), np.arange(40) % 10
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_an_epoch_shows_each_member_every_picture_once_in_an_order_of_its_own():
    batches = Batches(NUMBERED, members=3, batch=5, seed=0)
    assert batches.steps_per_epoch == 4
    labels = torch.cat([batches.at(step)[1] for step in range(4)], dim=1)
    for member in labels:
        assert sorted(member.tolist()) == list(range(20))
    assert len({tuple(member.tolist()) for member in labels}) == 3
    later = torch.cat([batches.at(step)[1] for step in range(4, 8)], dim=1)
    assert not (later == labels).all(dim=1).any()


def test_pictures_lie_beside_their_labels_member_after_member():
    x, labels = Batches(NUMBERED, members=3, batch=5, seed=1).at(2)
    assert x.shape == (15, 1, 4, 4)
    assert torch.equal(x[:, 0, 0, 0] * 255, labels.flatten().float())


def test_a_batch_is_a_pure_function_of_seed_and_step():
    options = {"members": 2, "batch": 8, "crop_padding": 2, "flip": True}
    first, other = (Batches(COLOURED, seed=seed, **options) for seed in (3, 4))
    for step in (0, 3, 11):
        x, labels = first.at(step)
        again = Batches(COLOURED, seed=3, **options).at(step)
        assert torch.equal(x, again[0])
        assert torch.equal(labels, again[1])
        assert not torch.equal(x, other.at(step)[0])


def test_the_parts_of_the_processes_make_up_the_batch():
    options = {"members": 2, "batch": 8, "seed": 0, "crop_padding": 2, "flip": True}
    x, labels = Batches(COLOURED, **options).at(5)
    parts = [Batches(COLOURED, share=Share(rank, 4), **options).at(5) for rank in range(4)]
    assert parts[0][0].shape == (4, 3, 8, 8)
    assert torch.equal(torch.cat([part[1] for part in parts], dim=1), labels)
    together = torch.cat([part[0].unflatten(0, (2, 2)) for part in parts], dim=1)
    assert torch.equal(together.flatten(0, 1), x)


def test_batches_that_cannot_be_are_refused():
    with pytest.raises(DataError, match=r"^a batch of 5 pictures does not divide into 2 equal"):
        Batches(NUMBERED, members=1, batch=5, seed=0, share=Share(0, 2))
    with pytest.raises(DataError, match=r"^there are no pictures to train on"):
        Batches(NUMBERED.part(0, 0), members=1, batch=5, seed=0)


def test_seeds_of_different_purposes_and_numbers_differ():
    seeds = {
        derived_seed(seed, purpose, *numbers)
        for seed in (0, 1)
        for purpose in ("order", "augment", "noise", "weights")
        for numbers in ((), (0,), (1,), (1, 0), (0, 1))
    }
    # (0) and () are the same: numpy's SeedSequence ignores zeros at the end.
    assert len(seeds) >= 2 * 4 * 3
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_crop_moves_a_whole_picture_and_zeros_come_in():
    images = torch.tensor(COLOURED.x).repeat(5, 1, 1, 1) | 1  # no zeros of their own
    moved = random_crop(images, padding=1, generator=generator())
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    windows = [padded[:, :, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    matches = torch.stack([(moved == window).flatten(1).all(dim=1) for window in windows])
    assert matches.any(dim=0).all()
    assert matches.any(dim=1).all()  # each of the nine shifts occurs
    assert moved.dtype == torch.uint8


def test_about_half_of_the_pictures_are_mirrored():
    images = torch.tensor(COLOURED.x).repeat(10, 1, 1, 1)
    flipped = random_flip(images, generator=generator())
    same = (flipped == images).flatten(1).all(dim=1)
    mirrored = (flipped == images.flip(-1)).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 160 < mirrored.sum() < 240  # four standard deviations of 400 throws


def test_the_rate_rises_in_a_line_and_falls_to_nothing():
    factors = [warm_cosine(step, steps=110, warmup=9) for step in range(110)]
    assert np.allclose(factors[:10], np.arange(1, 11) / 10)
    assert factors == sorted(factors[:10]) + sorted(factors[10:], reverse=True)
    assert 0 < factors[-1] < 1e-3
    assert warm_cosine(0, steps=10, warmup=0) == 1


def test_a_cyclic_rate_starts_each_cycle_anew():
    factors = np.array([cyclic_cosine(step, steps=12, cycles=3) for step in range(12)])
    assert np.allclose(factors.reshape(3, 4), 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4)))
