"""The ways to code one tensor that a budget search chooses from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from edgeens.container.choice import choose_method, coded_size
from edgeens.ensemble import LayerInputs, MemberTensor
from edgeens.errors import MembersError
from edgeens.quantize.candidates import tensor_candidates
from edgeens.quantize.feedback import FeedbackRounder
from edgeens.quantize.grid import dequantize, quantize, step_grid


def tensor(seed: int = 0, shape=(24, 48), members: int = 3) -> MemberTensor:
    values = np.random.default_rng(seed).laplace(size=(members, *shape)).astype(np.float32)
    return MemberTensor("w", values, "float32", channel_axis=0, quantise=True)


def layer(seed: int = 1, columns: int = 48, members: int = 3) -> LayerInputs:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((members, 1, 200, 12)) @ rng.standard_normal((12, columns))
    x += 0.2 * rng.standard_normal(x.shape)
    return LayerInputs(np.swapaxes(x, -2, -1) @ x, (0, 1))


def size_of(coded, coder=None) -> int:
    return coded_size(choose_method(coded, 3, coder=coder), 3)


@pytest.mark.parametrize("inputs", [None, layer()], ids=["nearest", "feedback"])
def test_candidates_go_from_large_and_close_to_small_and_far(inputs):
    found = tensor_candidates(tensor(), inputs, size_of=size_of)
    sizes, errors = [each.bytes for each in found], [each.error for each in found]
    assert len(found) > 10
    assert all(a > b for a, b in pairwise(sizes))
    assert all(a < b for a, b in pairwise(errors))
    assert found[0].bits_per_weight > 6 > 1.5 > found[-1].bits_per_weight


def test_the_error_is_that_of_the_outputs_where_inputs_are_known():
    (first, *_), inputs = tensor_candidates(tensor(), layer(), size_of=size_of), layer()
    lost = tensor().values - dequantize(first.coded.codes, first.grid)
    by_hand = sum(float(np.trace(d @ g[0] @ d.T)) for d, g in zip(lost, inputs.grams, strict=True))
    assert first.error == pytest.approx(by_hand, rel=1e-5)
    assert FeedbackRounder(tensor().values, inputs).output_error(tensor().values) == 0


def test_error_feedback_makes_better_candidates_than_rounding_to_nearest():
    rounder = FeedbackRounder(tensor().values, layer())
    for each in tensor_candidates(tensor(), layer(), size_of=size_of)[::4]:
        nearest = dequantize(quantize(tensor().values, each.grid), each.grid)
        assert each.error <= rounder.output_error(nearest)


def test_channels_of_unlike_size_get_scales_of_their_own():
    wide = tensor()
    wide.values[:] *= (10.0 ** np.linspace(-2, 1, 24))[:, np.newaxis]
    gram = np.broadcast_to(np.eye(48), (3, 1, 48, 48))
    alike = tensor_candidates(tensor(), LayerInputs(gram, (0, 1)), size_of=size_of)
    unlike = tensor_candidates(wide, LayerInputs(gram, (0, 1)), size_of=size_of, kinds=("channel",))
    assert {each.kind for each in alike} == {"tensor"}
    assert {each.kind for each in unlike} == {"channel"}
    no_axis = MemberTensor("w", wide.values, "float32", quantise=True)
    assert {each.kind for each in tensor_candidates(no_axis, None, size_of=size_of)} == {"tensor"}


def test_fields_of_fixed_width_get_every_width():
    found = tensor_candidates(
        tensor(), layer(), size_of=lambda coded: size_of(coded, "fixed"), fixed_widths=True
    )
    widths = [each.grid.bits for each in found]
    assert widths == sorted(widths, reverse=True)
    assert set(widths) == set(range(2, 9))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("step", [8.0, 1.0, 0.3, 0.001])
def test_a_grid_of_some_step_clips_no_weight_and_has_no_bit_too_many(step, per_channel):
    values = tensor().values
    values[:, 5] = 0
    grid = step_grid(values, step=step, channel_axis=0, per_channel=per_channel)
    codes = quantize(values, grid)
    scale = grid.broadcast_scale(2)
    assert np.abs(values - dequantize(codes, grid)).max() <= 0.501 * scale.max()
    assert grid.bits == 2 or np.abs(values / scale).max() > (1 << (grid.bits - 2)) - 1
    mean = np.sqrt(np.square(values.astype(np.float64)).mean())
    if step in (1.0, 0.3) and not per_channel:
        assert grid.scale[0] == pytest.approx(step * mean, rel=1e-6)
    if step == 0.001:
        assert grid.bits == 8


def test_a_tensor_of_zeros_has_one_candidate():
    zeros = MemberTensor("w", np.zeros((3, 4, 20), np.float32), "float32", 0, True)
    (only,) = tensor_candidates(zeros, None, size_of=size_of)
    assert not only.coded.codes.any()
    assert only.error == 0


def test_weights_that_are_not_numbers_are_refused():
    bad = tensor()
    bad.values[0, 0, 0] = np.nan
    with pytest.raises(MembersError, match=r"^tensor 'w' has weights that are NaN or infinite"):
        tensor_candidates(bad, None, size_of=size_of)


def test_a_step_is_never_wider_than_the_largest_weight():
    values = np.float32([[[1.0, -3.0], [0.5, 0.25]]])
    assert step_grid(values, step=1e6).scale == [3.0]
    grid = step_grid(values, step=1e6, channel_axis=0, per_channel=True)
    np.testing.assert_allclose(grid.scale, [3.0, 0.5], rtol=1e-6)
    assert grid.bits == 2
