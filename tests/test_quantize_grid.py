"""Grids: one scale for all members, float64 against the float32 scale, half to even."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeens.coded import Grid
from edgeens.errors import MembersError
from edgeens.quantize.grid import check_finite, dequantize, fit_grid, quantize

SMALLEST = np.float32(2.0**-126)


def weights(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def literal_codes(values, scale, bits):
    """round(w / scale) with Python's own floats and its rounding half to even."""
    q = 2 ** (bits - 1) - 1
    return np.array([max(-q, min(q, round(float(w) / float(scale)))) for w in values.ravel()])


def squared_error(values, scale, bits):
    q = 2 ** (bits - 1) - 1
    codes = np.clip(np.rint(values.astype(np.float64) / scale), -q, q)
    return float(np.sum((codes * scale - values) ** 2))


@settings(deadline=None)
@given(
    values=hnp.arrays(np.float32, (3, 7), elements=st.floats(-1e4, 1e4, width=32)),
    bits=st.integers(2, 8),
)
def test_codes_are_the_rounded_quotients_by_the_stored_scale(values, bits):
    grid = fit_grid(values, bits=bits)
    assert grid.scale.dtype == np.float32
    assert grid.scale.shape == (1,)
    codes = quantize(values, grid)
    assert codes.dtype == np.int8
    assert codes.ravel().tolist() == literal_codes(values, grid.scale[0], bits).tolist()


@settings(deadline=None)
@given(bits=st.integers(2, 8), scale=st.floats(2.0**-20, 2.0**20, width=32), data=st.data())
def test_values_on_a_grid_get_their_codes_back(bits, scale, data):
    q = 2 ** (bits - 1) - 1
    codes = data.draw(hnp.arrays(np.int8, (2, 3, 4), elements=st.integers(-q, q)))
    codes[0, 0, 0] = q  # so that the fitted grid is the one the values came from
    grid = Grid(bits, np.array([scale], np.float32))
    values = dequantize(codes, grid)
    assert np.array_equal(quantize(values, grid), codes)
    assert np.array_equal(quantize(values, fit_grid(values, bits=bits)), codes)


def test_ties_go_to_the_even_code():
    values = np.array([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]])
    assert quantize(values, fit_grid(values)).tolist() == [[127, 0, 2, 2, 0, -2, -2]]


def test_quotients_are_taken_in_float64():
    # Weights beside a border, where a float32 quotient would often round onto the tie.
    for scale in np.float32([0.1, 1 / 3, 0.0123, 7.7]):
        borders = (np.arange(-126, 126) + 0.5) * np.float64(scale)
        values = np.nextafter(np.float32(borders), np.float32([[-np.inf], [0], [np.inf]]))
        codes = quantize(values, Grid(8, np.array([scale])))
        assert codes.ravel().tolist() == literal_codes(values, scale, 8).tolist()


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_beyond_the_clip_get_the_outermost_codes(bits):
    q = 2 ** (bits - 1) - 1
    values = np.array([[-1e30, -q - 2, -q - 0.6, q + 0.6, q + 2, 1e30]])
    grid = Grid(bits, np.ones(1, np.float32))
    assert quantize(values, grid).tolist() == [[-q] * 3 + [q] * 3]


def test_the_largest_weight_of_all_members_sets_the_scale():
    values = weights(4, 5, 6)
    values[2, 1, 3] = -9.0
    grid = fit_grid(values, bits=6)
    assert grid.scale[0] == np.float32(9.0 / 31)
    assert quantize(values, grid)[2, 1, 3] == -31


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_scale_a_channel_is_the_scale_of_that_channel_alone(axis):
    values = weights(3, 4, 5, 6) * np.arange(1, 7, dtype=np.float32)
    values[:, :, 2] *= 100
    for clip in ("minmax", "mse"):
        grid = fit_grid(values, bits=5, channel_axis=axis, per_channel=True, clip=clip)
        assert grid.channel_axis == axis
        assert grid.scale.shape == (values.shape[1 + axis],)
        codes = quantize(values, grid)
        decoded = dequantize(codes, grid)
        for channel in range(values.shape[1 + axis]):
            own = values.take(channel, 1 + axis)
            alone = fit_grid(own, bits=5, clip=clip)
            assert alone.scale[0] == grid.scale[channel]
            assert np.array_equal(quantize(own, alone), codes.take(channel, 1 + axis))
            assert np.array_equal(
                dequantize(quantize(own, alone), alone), decoded.take(channel, 1 + axis)
            )


def test_one_scale_for_a_tensor_still_names_its_channel_axis():
    grid = fit_grid(weights(2, 3, 4), channel_axis=1)
    assert grid.scale.shape == (1,)
    assert grid.channel_axis == 1


def test_a_tensor_without_a_channel_axis_has_one_scale():
    assert fit_grid(weights(2, 3, 4), per_channel=True).scale.shape == (1,)


@pytest.mark.parametrize("clip", ["minmax", "mse"])
def test_zeros_get_the_scale_one_and_the_code_zero(clip):
    values = weights(2, 3, 4)
    values[:, 1] = 0
    grid = fit_grid(values, channel_axis=0, per_channel=True, clip=clip)
    assert grid.scale[1] == 1
    assert not quantize(values, grid)[:, 1].any()
    whole = fit_grid(np.zeros((2, 3), np.float32), clip=clip)
    assert whole.scale.tolist() == [1.0]


@pytest.mark.parametrize("clip", ["minmax", "mse"])
@pytest.mark.parametrize("shape", [(4, 0), (4, 0, 3), (4, 3, 0), (0, 3)])
def test_a_tensor_without_elements_has_a_grid_and_no_codes(shape, clip):
    values = np.empty(shape, np.float32)
    grid = fit_grid(values, channel_axis=len(shape) - 2, per_channel=True, clip=clip, name="empty")
    assert grid.scale.tolist() == [1.0]
    assert quantize(values, grid).shape == shape
    assert dequantize(quantize(values, grid), grid).shape == shape


def test_a_member_tensor_of_one_number_is_quantised_too():
    values = np.array([-3.0, 1.0, 2.0])
    assert quantize(values, fit_grid(values)).tolist() == [-127, 42, 85]


@pytest.mark.parametrize("clip", ["minmax", "mse"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_each_float_type_is_quantised_as_its_float64_values(dtype, clip):
    values = weights(2, 40, dtype=dtype)
    grid = fit_grid(values, bits=4, clip=clip)
    wide = fit_grid(values.astype(np.float64), bits=4, clip=clip)
    assert grid.scale.tobytes() == wide.scale.tobytes()
    assert np.array_equal(quantize(values, grid), quantize(values.astype(np.float64), wide))


@pytest.mark.parametrize("clip", ["minmax", "mse"])
def test_a_scale_is_never_below_the_smallest_normal_float32(clip):
    for values in (
        np.full((2, 3), 1e-45, np.float32),
        np.array([[2.0**-126, -(2.0**-126)]], np.float32),
        np.full((2, 3), 5e-324),
    ):
        grid = fit_grid(values, clip=clip)
        assert grid.scale.tolist() == [SMALLEST]
        largest = float(np.abs(values).max())
        assert np.abs(quantize(values, grid)).max() == round(largest / 2.0**-126)


def test_weights_up_to_the_limit_of_a_scale_survive_and_beyond_it_are_refused():
    inside = np.array([[127 * 2.0**119.5, 1.0]])
    grid = fit_grid(inside)
    assert np.isfinite(dequantize(quantize(inside, grid), grid)).all()
    for beyond in (127 * 2.0**120, float(np.finfo(np.float32).max), 1e300):
        with pytest.raises(MembersError, match=r"^tensor 'huge' has weights so large that a code"):
            fit_grid(np.array([[beyond, 1.0]]), name="huge")
    with pytest.raises(MembersError, match=r"scales below 2\*\*120; rescale the members"):
        fit_grid(np.array([[2.0**121, 1.0]]), bits=2, name="huge")


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("tails", ["normal", "laplace", "cauchy", "uniform", "one outlier"])
def test_the_mse_clip_is_as_good_as_an_exhaustive_search(bits, tails):
    rng = np.random.default_rng(bits)
    draw = {
        "normal": rng.standard_normal,
        "laplace": lambda shape: rng.laplace(size=shape),
        "cauchy": lambda shape: np.clip(rng.standard_cauchy(shape), -8, 8),
        "uniform": lambda shape: rng.uniform(-1, 1, shape),
        "one outlier": lambda shape: np.append(rng.standard_normal(shape[1] - 1), 20)[None],
    }
    values = draw[tails]((1, 20_000)).astype(np.float32)
    q = 2 ** (bits - 1) - 1
    beta = float(np.abs(values).max())
    found = squared_error(values, float(fit_grid(values, bits=bits, clip="mse").scale[0]), bits)
    best = min(
        squared_error(values, fraction * beta / q, bits) for fraction in np.geomspace(0.02, 1, 300)
    )
    assert found <= 1.03 * best
    assert found <= squared_error(values, beta / q, bits) * (1 + 1e-6)


def test_the_mse_clip_of_a_big_tensor_counts_every_weight():
    rng = np.random.default_rng(3)
    values = rng.standard_normal((2, 900_000)).astype(np.float32)
    values[1, ::7] *= 6  # only in the second member, past the first chunk
    q = 7
    beta = float(np.abs(values).max())
    scale = float(fit_grid(values, bits=4, clip="mse").scale[0])
    best = min(
        squared_error(values, fraction * beta / q, 4) for fraction in np.geomspace(0.1, 1, 60)
    )
    assert squared_error(values, scale, 4) <= 1.02 * best


def test_chunks_leave_no_seam(monkeypatch):
    values = weights(3, 5, 11, 7)
    expected = {}
    for chunk in (1 << 20, 64, 1):
        monkeypatch.setattr("edgeens.quantize.grid._CHUNK", chunk)
        monkeypatch.setattr("edgeens.quantize.grid._BINS_AT_ONCE", max(chunk, 1 << 11))
        for axis in (None, 0, 1, 2):
            grid = fit_grid(values, bits=5, channel_axis=axis, per_channel=True, clip="mse")
            result = grid.scale.tobytes() + quantize(values, grid).tobytes()
            assert expected.setdefault(axis, result) == result


def test_the_layout_of_the_members_in_memory_changes_nothing():
    values = weights(6, 5, 4)
    strided = np.asfortranarray(values)
    for axis in (None, 0, 1):
        grid = fit_grid(values, channel_axis=axis, per_channel=True, clip="mse", bits=4)
        other = fit_grid(strided, channel_axis=axis, per_channel=True, clip="mse", bits=4)
        assert grid.scale.tobytes() == other.scale.tobytes()
        assert np.array_equal(quantize(values, grid), quantize(strided, other))


def test_scales_are_the_same_bytes_everywhere():
    # From integers: no random generator and no libm stands between machines.
    values = (np.arange(-4000, 6000, dtype=np.int64) ** 3 % 7919).reshape(4, 50, 50) / 7
    scale = fit_grid(values, bits=4, channel_axis=0, per_channel=True, clip="mse").scale
    assert scale[:3].tobytes().hex() == "0000164305bf1643987b1c43"


def test_a_zero_point_moves_the_code_and_not_the_value():
    grid = Grid(8, np.array([0.5], np.float32), zero_point=-20)
    codes = quantize(np.array([[0.0, 1.0, -3.0]]), grid)
    assert codes.tolist() == [[-20, -18, -26]]
    assert dequantize(codes, grid).tolist() == [[0.0, 1.0, -3.0]]
    far = Grid(8, np.array([1.0], np.float32), zero_point=127)
    assert dequantize(np.array([[-128]], np.int8), far).tolist() == [[-255.0]]


def test_dequantising_is_one_float32_multiply():
    codes = np.arange(-127, 128, dtype=np.int8)[None]
    for scale in np.float32([0.1, 1 / 3, 2.0**-126, 2.0**119]):
        values = dequantize(codes, Grid(8, np.array([scale])))
        assert values.dtype == np.float32
        assert values[0].tolist() == [float(np.float32(float(scale) * int(n))) for n in codes[0]]


def test_nan_and_infinite_weights_are_refused_with_their_member_and_number():
    values = weights(4, 3, 5)
    values[1, 2] = np.nan
    values[3, 0, 0] = -np.inf
    message = (
        r"^tensor 'conv\.w' has weights that are NaN or infinite \(5 of 15 in member 1, 1 of 15 "
        r"in member 3\); repair those members, or exclude the tensor"
    )
    with pytest.raises(MembersError, match=message):
        check_finite(values, name="conv.w")
    for clip in ("minmax", "mse"):
        with pytest.raises(MembersError, match=message):
            fit_grid(values, clip=clip, name="conv.w")
    with pytest.raises(MembersError, match=r"\(1 of 15 in member 3\)"):
        fit_grid(np.where(np.isnan(values), 0, values), name="w")
    check_finite(weights(2, 3), name="w")


@pytest.mark.parametrize("bits", [1, 9])
def test_a_width_outside_2_to_8_is_refused(bits):
    with pytest.raises(MembersError, match=f"^tensor 'w': a grid has 2 to 8 bits, not {bits}$"):
        fit_grid(weights(2, 3), bits=bits, name="w")


@pytest.mark.parametrize("axis", [-1, 2])
def test_a_channel_axis_outside_the_shape_is_refused(axis):
    with pytest.raises(MembersError, match=rf"^tensor 'w': channel axis {axis} does not exist"):
        fit_grid(weights(2, 3, 4), channel_axis=axis, name="w")
