"""Uniform grids in training: the codes of quantize.grid, and a straight-through gradient."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgeens.quantize.grid import dequantize, fit_grid, quantize  # noqa: E402
from edgeens.torch.uniform import UniformWeight  # noqa: E402

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
