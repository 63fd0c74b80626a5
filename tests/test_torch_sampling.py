"""Ensembles without training each member: the property that defines each of them."""

from __future__ import annotations

import copy
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgeens.datasets.images import Images  # noqa: E402
from edgeens.decoder import Container  # noqa: E402
from edgeens.errors import MembersError, MissingPackageError  # noqa: E402
from edgeens.torch import members_from_modules  # noqa: E402
from edgeens.torch.batches import Batches  # noqa: E402
from edgeens.torch.sampling.batch_norm import refresh_batch_norm  # noqa: E402
from edgeens.torch.sampling.dropout import dropout_members  # noqa: E402
from edgeens.torch.sampling.gaussian import gaussian_members  # noqa: E402
from edgeens.torch.sampling.ivon import IvonPosterior, draw_members, train_ivon  # noqa: E402
from edgeens.torch.sampling.langevin import langevin_step, train_csgld  # noqa: E402
from edgeens.torch.sampling.loss import cross_entropy  # noqa: E402
from edgeens.torch.sampling.low_precision import low_precision_members  # noqa: E402
from edgeens.torch.sampling.snapshot import train_snapshots  # noqa: E402
from edgeens.torch.sampling.swag import Swag  # noqa: E402

pytestmark = pytest.mark.torch

CURVATURE = 2.0


def flat(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def line(*values):
    """A module whose weights are *values*: one Linear without bias."""
    layer = nn.Linear(len(values), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([values]))
    return layer


def quadratic(module, step):
    """The mean loss of a Gaussian potential around 1: curvature CURVATURE in every direction."""
    return 0.5 * CURVATURE * (module.weight - 1).square().sum()


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        nn.Flatten(),
        nn.Linear(128, 10),
    ).eval()


PICTURES = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def differ(members):
    return len({tuple(flat(member).tolist()) for member in members}) == len(members)


# Snapshots


def test_snapshots_are_the_weights_at_the_ends_of_the_cycles():
    seen = []

    def loss(module, step):
        seen.append(flat(module).clone())
        return quadratic(module, step)

    module = line(5.0, -3.0)
    members = train_snapshots(module, loss, steps=10, cycles=3, learning_rate=0.05)
    assert len(members) == 3
    # Cycles of 4, 4 and 2 steps; the loss of step 4 sees the first snapshot.
    assert torch.equal(flat(members[0]), seen[4])
    assert torch.equal(flat(members[1]), seen[8])
    assert torch.equal(flat(members[2]), flat(module))
    assert not any(member.training for member in members)


def test_the_rate_of_snapshots_starts_anew_in_each_cycle():
    weights = []

    def loss(module, step):
        weights.append(float(module.weight.detach()))
        return module.weight.sum()  # the gradient is 1: a step is the rate

    train_snapshots(line(0.0), loss, steps=8, cycles=2, learning_rate=0.1, momentum=0.0)
    rates = -np.diff(weights)
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(4) / 4))
    assert np.allclose(rates[:4], expected, atol=1e-6)
    assert np.allclose(rates[4:], expected[:3], atol=1e-6)


def test_too_few_steps_for_the_cycles_are_refused():
    with pytest.raises(MembersError, match=r"^5 steps do not make 4 cycles of 2; take more steps"):
        train_snapshots(line(0.0), quadratic, steps=5, cycles=4, learning_rate=0.1)


def test_a_sampler_trains_a_classifier_from_batches():
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 64)
    x = (random.integers(0, 60, (64, 1, 4, 4)) + 150 * y[:, None, None, None]).astype(np.uint8)
    loss = cross_entropy(Batches(Images(x, y), members=1, batch=16, seed=0))
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    before = float(loss(module, 0).detach())
    members = train_snapshots(module, loss, steps=40, cycles=2, learning_rate=0.1)
    assert float(loss(members[-1], 0).detach()) < 0.5 * before


# Langevin dynamics


def test_langevin_steps_have_the_stationary_variance_of_the_posterior():
    torch.manual_seed(0)
    chains, examples, rate, temperature = 4000, 50, 0.2, 0.7
    weight = nn.Parameter(torch.ones(chains))
    for _ in range(60):
        weight.grad = CURVATURE * (weight.detach() - 1)
        langevin_step(
            [weight], rate=rate, examples=examples, weight_decay=0.5, temperature=temperature
        )
    curvature = CURVATURE + 0.5  # the prior's is added
    expected = temperature / (examples * curvature * (1 - rate * curvature / 2))
    # The variance of 4000 chains is within 7 % of its expectation (three standard errors).
    assert float(weight.detach().var()) == pytest.approx(expected, rel=0.07)
    mean = CURVATURE / curvature  # of the loss around 1 and the prior around 0
    assert float(weight.detach().mean()) == pytest.approx(
        mean, abs=4 * math.sqrt(expected / chains)
    )


def test_csgld_samples_at_the_ends_of_the_noisy_parts():
    seen = []

    def loss(module, step):
        seen.append(flat(module).clone())
        return quadratic(module, step)

    module = line(3.0, 3.0)
    members = train_csgld(
        module,
        loss,
        steps=20,
        cycles=2,
        learning_rate=0.1,
        examples=10,
        exploration=0.6,
        samples=2,
    )
    seen.append(flat(module))
    expected = [seen[8], seen[10], seen[18], seen[20]]
    assert all(
        torch.equal(flat(member), weights)
        for member, weights in zip(members, expected, strict=True)
    )
    quiet, noisy = seen[:7], seen[7:11]
    assert all(weights[0] == weights[1] for weights in quiet)  # without noise nothing parts them
    assert all(weights[0] != weights[1] for weights in noisy)


def test_csgld_scatters_like_its_temperature():
    ends = [
        train_csgld(
            line(*[1.0] * 3000),
            quadratic,
            steps=40,
            cycles=1,
            learning_rate=0.3,
            examples=100,
            temperature=temperature,
            exploration=0.0,
        )[0]
        for temperature in (1.0, 0.25)
    ]
    wide, narrow = (float(flat(member).var()) for member in ends)
    assert wide == pytest.approx(4 * narrow, rel=0.01)  # the same draws, half as large
    assert 0.2 < wide * 100 * CURVATURE < 1.1  # the last steps are small and mix no more


def test_csgld_without_room_for_its_samples_is_refused():
    options = {"steps": 10, "cycles": 2, "learning_rate": 0.1, "examples": 10}
    message = r"^the sampling part of a cycle has 1 steps, too few for 2 samples"
    with pytest.raises(MembersError, match=message):
        train_csgld(line(0.0), quadratic, samples=2, **options)


# SWAG


def collected(rank=4, moments=9):
    """A SWAG of two tensors, and the weights it saw, float64 (moments, 6)."""
    module = nn.Linear(2, 2)
    swag = Swag(rank=rank)
    path = np.random.default_rng(0).normal(size=(moments, 6)).cumsum(axis=0)
    for weights in path:
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(weights[:4].reshape(2, 2)))
            module.bias.copy_(torch.from_numpy(weights[4:]))
        swag.collect(module)
    return module, swag, path.astype(np.float32).astype(np.float64)


def test_swag_draws_have_the_mean_and_covariance_of_the_paper():
    _, swag, path = collected()
    mean = path.mean(axis=0)
    running = path.cumsum(axis=0) / np.arange(1, len(path) + 1)[:, None]
    columns = (path - running)[-4:].T
    expected = 0.5 * (np.diag(path.var(axis=0)) + columns @ columns.T / 3)
    generator = torch.Generator().manual_seed(0)
    draws = []
    for _ in range(8000):
        drawn = swag.draw(generator)
        draws.append(torch.cat([drawn["weight"].flatten(), drawn["bias"]]).numpy())
    draws = np.stack(draws)
    deviation = np.sqrt(np.diag(expected))
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 4 * deviation / np.sqrt(8000))
    # Correlations, between the two tensors too: one z2 for all.
    error = (np.cov(draws.T) - expected) / np.outer(deviation, deviation)
    assert np.abs(error).max() < 4 * np.sqrt(2 / 8000)
    assert np.abs(expected[0, 4:] / (deviation[0] * deviation[4:])).max() > 0.2


def test_swag_members_have_statistics_of_their_own_batches():
    module, swag = network(), Swag(rank=2)
    for seed in range(3):
        swag.collect(network(seed))
    members = swag.members(module, 2, seed=0, inputs=[PICTURES[:10], PICTURES[10:]])
    assert differ([module, *members])
    for member in members:
        features = member[0](PICTURES)
        halves = torch.stack([half.mean(dim=(0, 2, 3)) for half in features.split(10)])
        assert torch.allclose(member[1].running_mean, halves.mean(dim=0), atol=1e-6)
        assert member[1].momentum == 0.1
    again = swag.members(module, 2, seed=0, inputs=[PICTURES[:10], PICTURES[10:]])
    assert torch.equal(flat(again[1]), flat(members[1]))


def test_swag_without_a_path_is_refused():
    with pytest.raises(MembersError, match=r"^the rank of SWAG's covariance is at least 2, not 1"):
        Swag(rank=1)
    swag = Swag()
    swag.collect(line(1.0))
    with pytest.raises(MembersError, match=r"^SWAG needs weights from 2 moments at least, not 1"):
        swag.draw(torch.Generator())


# IVON


def test_ivon_learns_the_posterior_of_a_quadratic():
    examples, decay = 200, 0.1
    module = line(*[3.0] * 50)
    posterior = train_ivon(
        module,
        quadratic,
        steps=1500,
        learning_rate=0.2,
        examples=examples,
        weight_decay=decay,
        beta2=0.99,
    )
    curvature = CURVATURE + decay
    # The gradients of drawn weights scatter, and so do the mean and the learned curvature.
    assert float(flat(posterior.module).mean()) == pytest.approx(CURVATURE / curvature, abs=0.02)
    expected = 1 / math.sqrt(examples * curvature)
    deviation = posterior.deviation["weight"]
    assert float(deviation.mean()) == pytest.approx(expected, rel=0.05)
    assert deviation.shape == module.weight.shape


def test_the_curvature_of_ivon_stays_positive():
    def hostile(module, step):
        return -100.0 * module.weight.square().sum()  # its curvature is negative

    posterior = train_ivon(
        line(*[1.0] * 20),
        hostile,
        steps=30,
        learning_rate=1e-6,
        examples=1000,
        beta2=0.7,
    )
    deviation = posterior.deviation["weight"]
    assert bool(((deviation > 0) & deviation.isfinite()).all())


def test_multi_ivon_draws_from_its_posteriors_in_turn():
    narrow = {"weight": torch.full((1, 2000), 0.1)}
    posteriors = [IvonPosterior(line(*[mean] * 2000), narrow) for mean in (0.0, 5.0)]
    members = draw_members(posteriors, 4, seed=0)
    means = [float(flat(member).mean()) for member in members]
    assert np.allclose(means, [0, 5, 0, 5], atol=0.01)
    assert float(flat(members[2]).std()) == pytest.approx(0.1, rel=0.1)
    assert differ(members)
    assert torch.equal(flat(draw_members(posteriors, 2, seed=0)[1]), flat(members[1]))
    with pytest.raises(MembersError, match=r"^members are drawn from at least one posterior"):
        draw_members([], 2, seed=0)


def test_ivon_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ivon", None)
    message = r"^IVON needs the package ivon-opt.*install the extra edgeens\[ivon\]$"
    with pytest.raises(MissingPackageError, match=message):
        train_ivon(line(0.0), quadratic, steps=1, learning_rate=0.1, examples=1)


# Dropout, noise, low precision


def test_dropped_weights_compute_what_dropped_inputs_do():
    module = network()
    members = dropout_members(module, 3, rate=0.25, seed=0, inputs=[PICTURES])
    assert differ(members)
    for member in members:
        assert torch.equal(member[0].weight, module[0].weight)  # the first layer sees the data
        for layer, dropped in ((module[3], member[3]), (module[5], member[5])):
            ratio = dropped.weight / layer.weight
            assert set(ratio.unique().tolist()) <= {0.0, *(4 / 3 + d for d in ratio_errors(ratio))}
        x = torch.rand(5, 128)
        z = (member[5].weight / module[5].weight)[0]
        assert torch.allclose(member[5](x), module[5](x * z), atol=1e-5)
        features = torch.rand(2, 8, 4, 4)
        # A channel of the grouped convolution is one input of the rows of its group.
        z = torch.cat([(member[3].weight / module[3].weight)[row, :, 0, 0] for row in (0, 4)])
        expected = module[3](features * z[:, None, None])
        assert torch.allclose(member[3](features), expected, atol=1e-5)


def ratio_errors(ratio):
    """Rounding of weight * 4/3 / weight."""
    return [value - 4 / 3 for value in ratio.unique().tolist() if abs(value - 4 / 3) < 1e-6]


def test_dropout_misses_its_rate_and_keeps_the_expectation():
    layer = nn.Sequential(nn.Linear(2, 2), nn.Linear(500, 3))
    members = dropout_members(layer, 40, rate=0.3, seed=1)
    weights = torch.stack([member[1].weight.detach() for member in members])
    missed = (weights == 0).float().mean()
    assert float(missed) == pytest.approx(0.3, abs=0.015)  # four deviations of 20 000 draws
    assert torch.equal((weights == 0).all(dim=1), (weights == 0).any(dim=1))  # whole inputs
    ratio = weights.mean(dim=0) / layer[1].weight.detach()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.02)


def test_dropout_of_layers_that_are_not_there_is_refused():
    with pytest.raises(MembersError, match=r"^there is no Linear, Conv1d or Conv2d layer '1'; "):
        dropout_members(network(), 1, rate=0.1, seed=0, layers=["1"])
    with pytest.raises(MembersError, match=r"^the rate of dropout is at least 0 and below 1, not"):
        dropout_members(network(), 1, rate=1.0, seed=0)


def test_gaussian_noise_has_its_deviation_and_spares_vectors():
    module = nn.Linear(100, 100)
    members = gaussian_members(module, 3, sigma=0.05, seed=0)
    assert differ(members)
    for member in members:
        noise = member.weight - module.weight
        assert float(noise.detach().std()) == pytest.approx(0.05, rel=0.03)
        assert torch.equal(member.bias, module.bias)
    with pytest.raises(MembersError, match=r"^the deviation of the noise is at least 0, not -1"):
        gaussian_members(module, 1, sigma=-1.0, seed=0)


def test_low_precision_members_are_neighbours_on_the_grid_and_right_on_average():
    parents = [network(0), network(1)]
    members = low_precision_members(parents, 40, bits=4)
    assert len(members) == 80
    assert differ(members[:40])
    for parent, group in zip(parents, (members[:40], members[40:]), strict=True):
        weight = parent[5].weight.detach()
        step = weight.abs().amax(dim=1, keepdim=True) / 7
        drawn = torch.stack([member[5].weight.detach() for member in group])
        codes = drawn / step
        assert torch.allclose(codes, codes.round(), atol=1e-4)
        # The parent is first rounded to 127 levels, by at most 7/254 of a step.
        assert bool(((drawn - weight).abs() < 1.03 * step).all())
        assert float(((drawn.mean(dim=0) - weight) / step).abs().mean()) < 0.08
        assert all(torch.equal(member[1].weight, parent[1].weight) for member in group)


# What all have in common


def test_the_members_of_every_sampler_make_one_ensemble():
    module = network()
    groups = [
        gaussian_members(module, 2, sigma=0.1, seed=0, inputs=[PICTURES]),
        dropout_members(module, 2, rate=0.2, seed=0, inputs=[PICTURES]),
        low_precision_members([module], 2, bits=4),
    ]
    members = [member for group in groups for member in group]
    expected = torch.stack([member(PICTURES) for member in members]).detach()
    with torch.no_grad():
        found = members_from_modules(members)(PICTURES)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_refreshing_leaves_modules_without_statistics_alone():
    module = nn.Linear(2, 2)
    before = copy.deepcopy(module)
    refresh_batch_norm(module, [torch.full((1, 3), torch.nan)])  # would not even fit
    assert torch.equal(flat(module), flat(before))


def test_the_example_of_the_training_page_runs(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "TRAINING.md").read_text()
    (example,) = [
        block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "snapshots" in block
    ]
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (130, 1, 4, 4), dtype=np.uint8)
    given = {
        "images": Images(pixels, np.arange(130) % 10),
        "network": network().train(),
        "example": PICTURES[:1],
    }
    exec(example.replace("steps=4000", "steps=8"), given)
    with Container.open("snapshots.eens") as container:
        assert container.members == 4
