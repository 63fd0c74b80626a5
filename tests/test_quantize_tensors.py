"""From an Ensemble's tensors to a CodedEnsemble's."""

from __future__ import annotations

import numpy as np
import pytest

from edgeens.coded import Grid
from edgeens.ensemble import Ensemble, GivenCodes, LayerInputs, MemberTensor
from edgeens.errors import MembersError
from edgeens.quantize.coarse import channel_note
from edgeens.quantize.feedback import code_with_feedback
from edgeens.quantize.grid import dequantize, fit_grid, quantize
from edgeens.quantize.tensors import quantize_ensemble

K = 3


def weights(*shape, dtype=np.float32):
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


def coded(values, dtype, quantise=True, channel_axis=None, members=K, **options):
    tensor = MemberTensor("t", values, dtype, channel_axis, quantise)
    (result,) = quantize_ensemble(Ensemble(members, (tensor,)), **options).tensors
    return result


def test_a_tensor_to_quantise_becomes_plain_codes_on_its_grid():
    values = weights(K, 4, 5)
    result = coded(values, "float32", channel_axis=0, per_channel=True, bits=5, clip="minmax")
    grid = fit_grid(values, bits=5, channel_axis=0, per_channel=True)
    assert (result.name, result.dtype, result.method, result.digits) == (
        "t",
        "float32",
        "plain",
        "none",
    )
    assert result.grid is not None
    assert result.grid.scale.tobytes() == grid.scale.tobytes()
    assert (result.grid.bits, result.grid.channel_axis) == (5, 0)
    assert np.array_equal(result.codes, quantize(values, grid))


@pytest.mark.parametrize(("bits", "clip"), [(8, "minmax"), (5, "minmax"), (4, "mse"), (2, "mse")])
def test_the_clip_is_mse_up_to_4_bits_and_minmax_above_unless_given(bits, clip):
    values = weights(K, 30_000)  # so many that clipping the largest pays at every width
    other = "mse" if clip == "minmax" else "minmax"
    expected = fit_grid(values, bits=bits, clip=clip).scale
    assert coded(values, "float32", bits=bits).grid.scale == expected
    assert coded(values, "float32", bits=bits, clip=other).grid.scale != expected


@pytest.mark.parametrize(
    ("dtype", "held"),
    [
        ("float32", "<f4"),
        ("double", "<f8"),
        ("float16", "<f2"),
        ("bfloat16", "<u2"),
        ("int8", "i1"),
        ("int16", "<i2"),
        ("int32", "<i4"),
        ("int64", "<i8"),
        ("uint8", "u1"),
        ("uint16", "<u2"),
        ("uint32", "<u4"),
        ("uint64", "<u8"),
        ("bool", "?"),
    ],
)
def test_a_tensor_that_is_not_quantised_keeps_every_bit_of_every_type(dtype, held):
    raw = np.random.default_rng(2).integers(0, 256, (K, 2, 24), dtype=np.uint8)
    values = (raw & 1).view(held) if dtype == "bool" else raw.view(held)
    for given in (values, values.astype(values.dtype.newbyteorder(">")), np.asfortranarray(values)):
        result = coded(given, dtype, quantise=False)
        assert (result.method, result.grid, result.dtype) == ("raw", None, dtype)
        assert result.codes.dtype == np.dtype(held)
        assert result.codes.tobytes() == values.tobytes()


def test_nan_and_infinity_are_legal_only_in_a_tensor_kept_exactly():
    values = weights(K, 4)
    values[1, 2:] = np.nan, np.inf
    assert coded(values, "float32", quantise=False).codes.tobytes() == values.tobytes()
    with pytest.raises(MembersError, match=r"^tensor 't' has weights that are NaN .*2 of 4 in mem"):
        coded(values, "float32")


@pytest.mark.parametrize(("dtype", "numpy_type"), [("float16", np.float16), ("double", np.float64)])
def test_half_and_double_weights_are_quantised_as_their_values(dtype, numpy_type):
    values = weights(K, 6, 7, dtype=numpy_type)
    result = coded(values, dtype, bits=4)
    grid = fit_grid(values.astype(np.float64), bits=4, clip="mse")
    assert result.grid.scale.tobytes() == grid.scale.tobytes()
    assert np.array_equal(result.codes, quantize(values, grid))


def test_bfloat16_weights_are_quantised_as_the_floats_their_bits_stand_for():
    bits = np.array([[0x3F80, 0xBF80, 0x4000, 0xC2FE, 0x0000, 0x8000]] * K, np.uint16)
    result = coded(bits, "bfloat16")
    assert result.dtype == "bfloat16"
    assert dequantize(result.codes, result.grid).tolist() == [[1, -1, 2, -127, 0, 0]] * K
    with pytest.raises(MembersError, match=r"^tensor 't' has weights that are NaN or infinite"):
        coded(np.full((K, 2), 0x7F80, np.uint16), "bfloat16")


def test_one_copy_for_all_members_stays_one_copy():
    assert coded(weights(1, 8), "float32").codes.shape == (1, 8)


def test_tensors_keep_their_order_and_progress_counts_them():
    tensors = (
        MemberTensor("b", weights(K, 4), "float32", quantise=True),
        MemberTensor("a", np.zeros((1, 2), np.int64), "int64"),
        MemberTensor("c", np.empty((K, 0), np.float32), "float32", quantise=True),
    )
    seen = []
    result = quantize_ensemble(
        Ensemble(K, tensors, {"SKLF": b"graph"}, {"name": "x"}),
        progress=lambda *step: seen.append(step),
    )
    assert [tensor.name for tensor in result.tensors] == ["b", "a", "c"]
    assert seen == [("b", 1, 3), ("a", 2, 3), ("c", 3, 3)]
    assert (result.members, result.sections) == (K, ())


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        (weights(K, 4), "string", "^tensor 't' has type 'string', which a file cannot hold"),
        (weights(K, 4), "double", "is said to be 'double', so its array must be of type float64"),
        (weights(2, 4), "float32", r"has shape \(2, 4\); its first axis must count 1 or 3 copies"),
        (np.float32(1), "float32", r"has shape \(\); its first axis must count 1 or 3 copies"),
        (np.zeros((K, 4), np.int8), "int8", "has type 'int8'; only floats can be quantised"),
        (np.zeros((K, 4), bool), "bool", "has type 'bool'; only floats can be quantised"),
    ],
)
def test_a_tensor_that_is_not_what_it_says_is_refused(values, dtype, message):
    with pytest.raises(MembersError, match=message):
        coded(np.asarray(values), dtype)


def quantised(axis=0, given_axis=1):
    """An ensemble whose tensor came with codes, one scale a column; and those codes."""
    codes = np.random.default_rng(2).integers(-128, 128, (K, 4, 5)).astype(np.int8)
    given = GivenCodes(codes, np.float32([1, 2, 3, 4, 500]), given_axis, zero_point=3)
    values = dequantize(codes, Grid(8, given.scale, 1, 3))
    tensor = MemberTensor("t", values, "float32", axis, True, given)
    return Ensemble(K, (tensor,)), given


@pytest.mark.parametrize("per_channel", [True, False, None])
def test_codes_that_a_tensor_came_with_are_kept_at_8_bits(per_channel):
    ensemble, given = quantised()
    whole = quantize_ensemble(ensemble, bits=8, per_channel=per_channel)
    (result,) = whole.tensors
    assert np.array_equal(result.codes, given.codes)
    assert np.array_equal(result.grid.scale, given.scale)
    assert (result.grid.bits, result.grid.channel_axis, result.grid.zero_point) == (8, 1, 3)
    assert channel_note(ensemble, whole) == ()  # its scales are not the encoder's choice


def test_codes_that_a_tensor_came_with_are_rounded_anew_at_fewer_bits():
    (result,) = quantize_ensemble(quantised()[0], bits=4).tensors
    assert (result.grid.bits, result.grid.zero_point) == (4, 0)


def test_a_rate_reaches_the_rounding():
    values = weights(1, 6, 8)
    inputs = np.random.default_rng(3).standard_normal((40, 8))
    layer = LayerInputs((inputs.T @ inputs)[np.newaxis, np.newaxis], (0, 1))
    ensemble = Ensemble(1, (MemberTensor("t", values, "float32", 0, True),))
    codes = {}
    for rate in (0.0, 0.5):
        options = {"bits": 4, "inputs": lambda name: layer, "rate": rate}
        (result,) = quantize_ensemble(ensemble, **options).tensors
        codes[rate] = result.codes
        assert np.array_equal(
            result.codes, code_with_feedback(values, result.grid, layer, rate=rate)
        )
    assert not np.array_equal(codes[0.0], codes[0.5])
