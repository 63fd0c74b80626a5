"""Uniform grids in training: the codes of quantize.grid, and a straight-through gradient."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgeens.quantize.grid import dequantize, fit_grid, quantize  # noqa: E402
from edgeens.torch.batch_ensemble import BatchEnsembleWeight  # noqa: E402
from edgeens.torch.uniform import UniformWeight, code_bits, fit_scale  # noqa: E402

pytestmark = pytest.mark.torch
GRIDS = pytest.mark.parametrize("grid", ["tensor", "channel"])
WIDTHS = pytest.mark.parametrize("bits", [2, 3, 5, 8])


def weights(seed=0, shape=(4, 16, 5, 3)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@GRIDS
@WIDTHS
def test_codes_and_scales_are_those_of_the_encoder(bits, grid):
    values = weights()
    values[:, 3] = 0  # a channel of zeros has the scale 1
    (factor,) = UniformWeight(values, bits=bits, grid=grid).coded().values()
    expected = fit_grid(values.numpy(), bits=bits, channel_axis=0, per_channel=grid == "channel")
    assert factor.grid.scale.tobytes() == expected.scale.tobytes()
    assert np.array_equal(factor.codes, quantize(values.numpy(), expected))


@GRIDS
@WIDTHS
def test_the_forward_pass_is_scale_times_code_to_the_bit(bits, grid):
    weight = UniformWeight(weights(), bits=bits, grid=grid)
    (factor,) = weight.coded().values()
    assert weight().detach().numpy().tobytes() == dequantize(factor.codes, factor.grid).tobytes()


@GRIDS
def test_the_gradient_passes_straight_through(grid):
    weight = UniformWeight(weights(), bits=3, grid=grid)
    gradient = weights(1)
    (weight() * gradient).sum().backward()
    assert weight.values.grad.equal(gradient)


def test_autocast_leaves_the_grid_alone():
    weight = UniformWeight(weights(), bits=8, grid="tensor")
    expected = weight()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert weight().equal(expected)


def test_the_smallest_weights_get_a_scale_that_a_file_holds():
    weight = UniformWeight(torch.full((2, 4, 4), 1e-40), bits=8, grid="tensor")
    (factor,) = weight.coded().values()
    assert factor.grid.scale.item() == 2.0**-126


def entropy(codes):
    counts = np.unique(codes, return_counts=True)[1]
    return float(np.log2(codes.size / counts) @ counts / codes.size)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_bits_of_codes_add_up_to_their_entropy(bits):
    largest = 2 ** (bits - 1) - 1
    codes = torch.randn(4000, generator=torch.Generator().manual_seed(bits)).mul(0.4 * largest)
    codes = codes.round().clamp(-largest, largest)
    assert code_bits(codes, bits=bits).mean().item() == pytest.approx(
        entropy(codes.numpy()), rel=1e-5
    )


def test_the_bits_between_two_codes_lead_to_the_more_frequent_one():
    places = torch.tensor([0.0] * 8 + [1.0] * 4 + [3.0] * 2 + [0.25, 7.6], requires_grad=True)
    bits = code_bits(places, bits=4)  # 9 zeros, 4 ones, 2 threes and a seven, of 16
    prices = {0: np.log2(16 / 9), 1: np.log2(16 / 4), 7: np.log2(16 / 1)}
    assert bits[-2].item() == pytest.approx(0.75 * prices[0] + 0.25 * prices[1], rel=1e-6)
    assert bits[-1].item() == pytest.approx(prices[7], rel=1e-6)
    bits[-2].backward()
    assert places.grad[-2].item() == pytest.approx(prices[1] - prices[0], rel=1e-6)
    assert torch.count_nonzero(places.grad) == 1


def test_a_code_that_nothing_has_costs_as_if_half_a_weight_had_it():
    bits = code_bits(torch.tensor([0.0] * 14 + [3.0, 2.5001]), bits=4)  # 14 zeros, 2 threes
    assert bits[-1].item() == pytest.approx((np.log2(16 / 2) + np.log2(16 / 0.5)) / 2, rel=1e-3)


@GRIDS
def test_a_rate_that_is_minimised_leaves_fewer_bits(grid):
    weight = UniformWeight(weights(), bits=4, grid=grid)
    before = entropy(weight.coded()["weight"].codes)
    assert weight.rate().item() / weight.size == pytest.approx(before, rel=0.1)
    step = torch.optim.SGD(weight.parameters(), lr=0.02)
    for _ in range(40):
        step.zero_grad()
        weight.rate().backward()
        step.step()
    assert entropy(weight.coded()["weight"].codes) < 0.85 * before


@GRIDS
def test_the_largest_weight_is_not_pulled_in_for_its_own_bits(grid):
    values = torch.tensor([0.0] * 4000 + [0.1, -0.1] * 1500 + [0.87] * 3 + [1.0])
    weight = UniformWeight(values.reshape(1, 1, 7004), bits=4, grid=grid)
    weight.rate().backward()
    # The code 6 would cost it less than 7. But on a finer grid the small ones would lie farther
    # from the code 0, which costs least: so descent enlarges it.
    assert weight.values.grad[0, 0, -1] < 0


@GRIDS
def test_the_gradient_of_the_scale_is_that_of_a_learned_step(grid):
    values = weights()

    def gradient(scale_of):
        held = values.clone().requires_grad_()
        (code_bits(held / scale_of(held), bits=4).sum() / len(held)).backward()
        return held.grad

    none = gradient(lambda held: fit_scale(held.detach(), bits=4, grid=grid))
    whole = gradient(lambda held: fit_scale(held, bits=4, grid=grid))
    assert not torch.allclose(none, whole)
    weight = UniformWeight(values.clone(), bits=4, grid=grid)
    weight.rate().backward()
    of_a_scale = values.numel() if grid == "tensor" else values[:, 0].numel()
    expected = none + (whole - none) / (of_a_scale * 7) ** 0.5
    torch.testing.assert_close(weight.values.grad, expected, rtol=1e-4, atol=1e-4)


def test_the_rate_of_batchensemble_is_that_of_its_matrix():
    slow = UniformWeight(weights()[:1], bits=4, grid="tensor")
    whole = BatchEnsembleWeight(slow, members=4, start="sign")
    assert whole.rate().item() == slow.rate().item() > 0
