"""Rounding with error feedback: what it computes, and that it pays."""

from __future__ import annotations

import numpy as np
import pytest

from edgeens.coded import Grid
from edgeens.ensemble import Ensemble, LayerInputs, MemberTensor
from edgeens.errors import DataError
from edgeens.quantize.feedback import code_lengths, code_with_feedback, round_with_feedback
from edgeens.quantize.grid import dequantize, fit_grid, quantize
from edgeens.quantize.tensors import quantize_ensemble


def correlated(seed: int, columns: int, *, vectors: int = 400) -> np.ndarray:
    """Inputs that share a few causes, as the values of an image or of a hidden layer do."""
    rng = np.random.default_rng(seed)
    causes = rng.standard_normal((vectors, max(1, columns // 4)))
    mixed = causes @ rng.standard_normal((causes.shape[1], columns))
    return np.maximum(mixed + 0.3 * rng.standard_normal(mixed.shape), 0)


def slow_gptq(weights, hessian, scale, largest, damping):
    """Frantar et al. 2022, Algorithm 1, with the inverse and one column at a time."""
    damped = hessian + damping * np.mean(np.diag(hessian)) * np.eye(len(hessian))
    order = np.argsort(-np.diag(hessian), kind="stable")
    inverse = np.linalg.inv(damped[np.ix_(order, order)])
    upper = np.linalg.cholesky(inverse).T
    left = weights[:, order].astype(np.float64)
    codes = np.zeros(weights.shape, np.int8)
    for j, column in enumerate(order):
        code = np.clip(np.rint(left[:, j] / scale), -largest, largest)
        lost = (left[:, j] - scale * code) / upper[j, j]
        left[:, j:] -= np.outer(lost, upper[j, j:])
        codes[:, column] = code
    return codes


def slow_obq(row, hessian, scale, largest, order):
    """Optimal Brain Quantization, Eq. 3, in a given order: the inverse is taken anew each time."""
    left = row.astype(np.float64).copy()
    codes = np.zeros(row.size, np.int8)
    remaining = list(order)
    while remaining:
        inverse = np.linalg.inv(hessian[np.ix_(remaining, remaining)])
        column = remaining[0]
        codes[column] = np.clip(np.rint(left[column] / scale), -largest, largest)
        lost = left[column] - scale * codes[column]
        left[remaining] -= lost / inverse[0, 0] * inverse[0]
        remaining.pop(0)
    return codes


def output_error(lost: np.ndarray, hessian: np.ndarray) -> float:
    return float(((lost @ hessian) * lost).sum())


def entropy(codes: np.ndarray) -> float:
    _, counts = np.unique(codes, return_counts=True)
    return float(-(counts / codes.size * np.log2(counts / codes.size)).sum())


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("block", [1, 5, 128])
def test_codes_are_those_of_the_published_algorithm(bits, block):
    rng = np.random.default_rng(bits)
    weights, x = rng.standard_normal((9, 33)), correlated(bits, 33)
    scale, hessian = 2.5 / (2 ** (bits - 1) - 1), x.T @ x
    expected = slow_gptq(weights, hessian, scale, 2 ** (bits - 1) - 1, 0.02)
    codes = round_with_feedback(weights, hessian, scale=scale, bits=bits, damping=0.02, block=block)
    assert np.array_equal(codes, expected)
    assert not np.array_equal(codes, np.clip(np.rint(weights / scale), -127, 127))


def test_codes_are_those_of_optimal_brain_quantization_in_the_same_order():
    rng = np.random.default_rng(3)
    weights, x = rng.standard_normal((4, 12)), correlated(3, 12)
    hessian = x.T @ x
    order = np.argsort(-np.diag(hessian), kind="stable")
    expected = [slow_obq(row, hessian, 0.2, 7, order) for row in weights]
    codes = round_with_feedback(weights, hessian, scale=0.2, bits=4, damping=0)
    assert np.array_equal(codes, expected)


def test_uncorrelated_inputs_give_round_to_nearest_exactly():
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((50, 70))
    scale = np.abs(weights).max(axis=1, keepdims=True) / 7
    codes = round_with_feedback(weights, np.eye(70), scale=scale, bits=4)
    assert np.array_equal(codes, np.clip(np.rint(weights / scale), -7, 7))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bits", [3, 4, 6])
def test_the_output_error_is_less_than_half_of_that_of_rounding_to_nearest(seed, bits):
    rng = np.random.default_rng(seed)
    weights, x = rng.standard_normal((24, 64)), correlated(seed, 64)
    scale, hessian = np.abs(weights).max() / (2 ** (bits - 1) - 1), x.T @ x
    nearest = np.clip(np.rint(weights / scale), -127, 127)
    codes = round_with_feedback(weights, hessian, scale=scale, bits=bits)
    better = output_error(weights - scale * codes, hessian)
    assert better < 0.5 * output_error(weights - scale * nearest, hessian)


def test_inputs_that_never_occur_get_code_0():
    rng = np.random.default_rng(1)
    weights, x = rng.standard_normal((6, 20)), correlated(1, 20)
    x[:, [0, 7, 19]] = 0
    codes = round_with_feedback(weights, x.T @ x, scale=0.1, bits=6)
    assert not codes[:, [0, 7, 19]].any()
    alive = np.delete(np.arange(20), [0, 7, 19])
    gram = x[:, alive].T @ x[:, alive]
    alone = round_with_feedback(weights[:, alive], gram, scale=0.1, bits=6, damping=0.3)
    codes = round_with_feedback(weights, x.T @ x, scale=0.1, bits=6, damping=0.3)
    assert np.array_equal(codes[:, alive], alone)


def test_a_layer_without_any_input_gets_codes_0():
    codes = round_with_feedback(
        np.ones((2, 3)), np.zeros((3, 3)), scale=0.1, bits=4, lengths=np.ones(15), rate=0.1
    )
    assert not codes.any()


def test_more_inputs_than_data_are_no_obstacle():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((5, 40))
    codes = round_with_feedback(rng.standard_normal((3, 40)), x.T @ x, scale=0.3, bits=4)
    assert codes.any()


def test_matrices_side_by_side_are_rounded_as_one_by_one():
    rng = np.random.default_rng(4)
    weights = rng.standard_normal((2, 3, 5, 8))
    grams = np.stack([[correlated(3 * k + g, 8) for g in range(3)] for k in range(2)])
    grams = np.swapaxes(grams, -2, -1) @ grams
    lengths = code_lengths(np.zeros(9, np.int8), bits=4)
    codes = round_with_feedback(weights, grams, scale=0.2, bits=4)
    for index in np.ndindex(2, 3):
        alone = round_with_feedback(weights[index], grams[index], scale=0.2, bits=4)
        assert np.array_equal(codes[index], alone)
    rated = round_with_feedback(weights, grams, scale=0.2, bits=4, lengths=lengths, rate=0.1)
    assert np.abs(rated).sum() < np.abs(codes).sum()


def _codes_at(rate: float, weights, layer, steps: np.ndarray) -> list[tuple[float, float]]:
    """(entropy, log of output error) at each step of the grid."""
    points = []
    for step in steps:
        grid = Grid(6, np.array([step], np.float32))
        codes = code_with_feedback(weights, grid, layer, rate=rate)
        lost = weights - dequantize(codes, grid)
        points.append((entropy(codes), np.log(output_error(lost, layer.grams[:, 0]))))
    return sorted(points)


def test_the_rate_term_lowers_entropy_at_equal_output_error():
    rng = np.random.default_rng(5)
    weights = rng.laplace(size=(2, 64, 96)).astype(np.float32)
    x = np.stack([correlated(seed, 96) for seed in (8, 9)])
    layer = LayerInputs((np.swapaxes(x, -2, -1) @ x)[:, np.newaxis], (0, 1))
    steps = np.geomspace(1.0, 6.0, 9)
    plain = _codes_at(0, weights, layer, steps)
    rated = _codes_at(0.06, weights, layer, steps)
    at = np.linspace(1.2, 2.0, 5)
    saved = np.interp(at, *zip(*plain, strict=True)) - np.interp(at, *zip(*rated, strict=True))
    assert (saved > 0.01).all(), saved


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 2, 3), (1, 2, 0, 3)])
def test_a_tensor_comes_back_in_its_own_shape(order):
    rng = np.random.default_rng(6)
    values = rng.standard_normal((3, 8, 4, 3, 3)).astype(np.float32)
    rows, columns = (8, 36) if order[0] == 0 else (4, 72)
    grid = fit_grid(values, bits=5, channel_axis=order[0], per_channel=True)
    layer = LayerInputs(np.broadcast_to(np.eye(columns), (3, 1, columns, columns)), order)
    codes = code_with_feedback(values, grid, layer)
    assert grid.scale.size == rows
    assert np.array_equal(codes, quantize(values, grid))


def test_a_tensor_with_one_copy_sees_the_inputs_of_all_members():
    rng = np.random.default_rng(7)
    values = rng.standard_normal((1, 6, 10)).astype(np.float32)
    x = [correlated(seed, 10) for seed in range(3)]
    grams = np.stack([each.T @ each for each in x])[:, np.newaxis]
    grid = fit_grid(values, bits=4)
    together = LayerInputs(grams.sum(axis=0, keepdims=True), (0, 1))
    codes = code_with_feedback(values, grid, LayerInputs(grams, (0, 1)))
    assert np.array_equal(codes, code_with_feedback(values, grid, together))
    assert not np.array_equal(codes, quantize(values, grid))


def test_only_tensors_with_known_inputs_are_rounded_with_feedback():
    rng = np.random.default_rng(8)
    values = rng.standard_normal((2, 16, 12)).astype(np.float32)
    tensors = tuple(
        MemberTensor(name, values, "float32", 0, quantise=True) for name in ("known", "unknown")
    )
    x = np.stack([correlated(seed, 12) for seed in (1, 2)])
    layer = LayerInputs((np.swapaxes(x, -2, -1) @ x)[:, np.newaxis], (0, 1))
    coded = quantize_ensemble(Ensemble(2, tensors), bits=4, inputs={"known": layer}.get)
    known, unknown = coded.tensors
    wide, narrow = fit_grid(values, bits=4, clip="minmax"), fit_grid(values, bits=4, clip="mse")
    assert np.array_equal(known.codes, code_with_feedback(values, wide, layer))
    assert np.array_equal(unknown.codes, quantize(values, narrow))
    assert not np.array_equal(known.codes, quantize(values, wide))


def test_lengths_are_those_of_an_ideal_code():
    codes = np.array([0] * 40 + [1] * 20 + [-1] * 20, np.int8)
    lengths = code_lengths(codes, bits=2)
    assert lengths == pytest.approx(-np.log2(np.array([20.5, 40.5, 20.5]) / 81.5))


@pytest.mark.parametrize(
    ("gram", "options", "text"),
    [
        (
            np.eye(4),
            {},
            r"^weights of shape \(2, 3\) need a Gram matrix of shape \(3, 3\), not \(4",
        ),
        (np.full((3, 3), np.nan), {}, "^a Gram matrix holds NaN or infinite values$"),
        (np.diag([1.0, 1.0, -2.0]), {}, "^a Gram matrix is not positive semidefinite"),
        (np.eye(3), {"rate": 0.1}, "^a rate needs lengths, the bits that each code costs$"),
    ],
)
def test_what_is_no_gram_matrix_is_refused(gram, options, text):
    with pytest.raises(DataError, match=text):
        round_with_feedback(np.ones((2, 3)), gram, scale=1.0, bits=4, **options)
