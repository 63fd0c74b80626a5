"""BayesianBits: nested residuals, gates, their cost, and the width that comes out."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgeens.coded import Grid  # noqa: E402
from edgeens.quantize.grid import fit_grid, quantize  # noqa: E402
from edgeens.torch import convert  # noqa: E402
from edgeens.torch.bayesian_bits import BayesianBitsWeight  # noqa: E402

pytestmark = pytest.mark.torch
OPEN, SHUT = 60.0, -60.0


def weight_of(*gates, seed=0):
    values = torch.randn(3, 40, 50, generator=torch.Generator().manual_seed(seed))
    weight = BayesianBitsWeight(values)
    with torch.no_grad():
        weight.gates[: len(gates)] = torch.tensor(gates)
    return weight


@pytest.mark.parametrize(
    ("gates", "bits"),
    [
        ((SHUT, OPEN, OPEN, OPEN), 2),
        ((OPEN, SHUT, OPEN, OPEN), 4),
        ((OPEN, OPEN, SHUT, OPEN), 8),
        ((OPEN, OPEN, OPEN, SHUT), 16),
        ((OPEN, OPEN, OPEN, OPEN), 32),
    ],
)
def test_gates_that_are_open_or_shut_train_what_is_evaluated(gates, bits):
    weight = weight_of(*gates)
    assert weight.final_bits == bits
    trained, evaluated = weight().detach(), weight.eval()().detach()
    step = weight.values.abs().max().item() / 127 / 257
    assert torch.allclose(trained, evaluated, rtol=0, atol=1e-6)
    error = (evaluated - weight.values).abs().max().item()
    expected = {2: 85 * 257, 4: 17 * 257, 8: 257, 16: 1, 32: 0}[bits] * step / 2
    assert 0.9 * expected <= error <= expected + 1e-6
    assert ("weight" in weight.coded()) == (bits <= 8)


@pytest.mark.parametrize(("shut", "bits"), [(0, 2), (1, 4), (2, 8)])
def test_the_final_grid_is_a_uniform_grid_of_that_width(shut, bits):
    weight = weight_of(*[OPEN] * shut, SHUT)
    factor = weight.eval().coded()["weight"]
    assert factor.grid.bits == bits
    levels = {2: 1, 4: 7, 8: 127}[bits]
    assert factor.codes.max() == levels or factor.codes.min() == -levels
    values = factor.codes.astype(np.float32) * factor.grid.scale
    assert weight().detach().numpy().tobytes() == values.tobytes()
    # Steps nest: those of 2 and 4 bits are 85 and 17 of those of 8 bits.
    finest = fit_grid(weight.values.detach().numpy(), bits=8)
    step = Grid(bits, np.float32({2: 85, 4: 17, 8: 1}[bits]) * finest.scale, 0)
    assert factor.grid.scale == step.scale
    assert np.array_equal(factor.codes, quantize(weight.values.detach().numpy(), step))


def test_a_gate_is_shut_when_its_chance_of_zero_reaches_the_threshold():
    border = 2 / 3 * math.log(0.1 / 1.1) - math.log(0.34 / 0.66)
    assert weight_of(border + 0.01).final_bits == 32
    assert weight_of(border - 0.01).final_bits == 2


def test_gates_are_drawn_from_the_hard_concrete_distribution():
    torch.manual_seed(0)
    weight, low, high = (BayesianBitsWeight(torch.tensor([[1.0, 0.14]])) for _ in range(3))
    with torch.no_grad():
        for each, gate in ((weight, 0.5), (low, SHUT), (high, OPEN)):
            each.gates[:2] = torch.tensor([gate, SHUT])
        residual = (high() - low())[0, 1]  # of 4 bits: 0.14 is nothing at 2 bits
        drawn = torch.stack([(weight() - low())[0, 1] for _ in range(2000)]) / residual
    shut = 1 / (1 + math.exp(-(2 / 3 * math.log(0.1 / 1.1) - 0.5)))
    whole = 1 - 1 / (1 + math.exp(-(2 / 3 * math.log(1.1 / 0.1) - 0.5)))
    assert (drawn < 1e-5).float().mean().item() == pytest.approx(shut, abs=0.03)
    assert (drawn > 1 - 1e-5).float().mean().item() == pytest.approx(whole, abs=0.03)


def test_the_cost_is_that_of_the_paper_in_bits_a_weight():
    model = convert(nn.Linear(40, 50), members=2, method="bayesianbits")
    with torch.no_grad():
        model.module.weight.gates.copy_(torch.tensor([1.0, 0.0, -1.0, 2.0]))
    chances = [1 / (1 + math.exp(-(phi - 2 / 3 * math.log(0.1 / 1.1)))) for phi in (1, 0, -1, 2)]
    expected, chance = 2.0, 1.0
    for width, each in zip((4, 8, 16, 32), chances, strict=True):
        chance *= each
        expected += width * chance
    assert model.regularizer().item() == pytest.approx(expected, rel=1e-5)


def test_the_regulariser_shuts_gates_and_the_task_opens_them():
    torch.manual_seed(0)
    x, y = torch.randn(64, 32), torch.randn(64, 8)

    def bits_after(factor, start):
        model = convert(nn.Linear(32, 8), members=2, method="bayesianbits", fresh=True)
        with torch.no_grad():
            model.module.weight.gates.fill_(start)
        optimizer = torch.optim.Adam(model.parameter_groups(lr=0.01, gate_multiplier=10))
        for _ in range(150):
            optimizer.zero_grad()
            loss = (model(x) - y).square().mean() + factor * model.regularizer()
            loss.backward()
            optimizer.step()
        return model.bit_widths()["weight"]

    assert bits_after(1.0, 6.0) == 2
    assert bits_after(0.0, 0.5) >= 4


def test_gates_never_decay_and_learn_at_their_own_rate():
    model = convert(nn.Linear(16, 8), members=2, method="bayesianbits")
    groups = {group["name"]: group for group in model.parameter_groups(lr=0.1, weight_decay=0.2)}
    assert (groups["gate"]["lr"], groups["gate"]["weight_decay"]) == (1.0, 0.0)
    assert [id(p) for p in groups["gate"]["params"]] == [id(model.module.weight.gates)]


def test_the_gradient_passes_straight_through():
    torch.manual_seed(0)
    weight = weight_of(1.0, 1.0, 1.0, 1.0)
    gradient = torch.randn(3, 40, 50)
    (weight() * gradient).sum().backward()
    assert weight.values.grad.equal(gradient)
    assert (weight.gates.grad != 0).any()
