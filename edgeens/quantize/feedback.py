"""Rounding with error feedback: what one weight loses, the weights after it make good.

Between quantize.grid, which chose the scale, and the codes of quantize.tensors, where inputs of the
layer are known. Minimises the error of the layer's output on those inputs, not of its weights.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import Grid
from edgeens.ensemble import LayerInputs
from edgeens.errors import DataError

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]

# Share of the mean diagonal that is added to a Gram matrix. Of 0.01, 0.03, 0.1 and 0.3 on the
# validation data of six ensembles (docs/DESIGN.md), this one was never far from the best.
DAMPING = 0.03
# Passes that fit code lengths to codes and codes to lengths; a fourth changes entropy by < 0.5 %.
_PASSES = 3


def round_with_feedback(
    weights: NDArray[Any],
    hessian: NDArray[Any],
    *,
    scale: NDArray[Any] | float,
    bits: int,
    damping: float = DAMPING,
    block: int = 128,
    lengths: NDArray[Any] | None = None,
    rate: float = 0.0,
) -> Codes:
    """Codes whose layer output is close to that of *weights*, column after column (GPTQ).

    With H = hessian + damping and H = A D A^T (A unit upper triangular, D diagonal), the error of
    a row is (w - s n) H (w - s n)^T = sum over columns j of D_j (t_j - s n_j)**2, where t_j = w_j +
    sum over i < j of (w_i - s n_i) A_ij is known once the columns before j have codes. Rounding t_j
    is the update of Optimal Brain Quantization and of GPTQ (Frantar et al. 2022, Eq. 2 and 3)
    without an inverse. Columns go by falling diagonal of *hessian*.

    With *rate*, a column takes, of the two codes next to t_j and 0, the one with the least D_j (t_j
    - s n_j)**2 + rate * mean(D) mean(s**2) * lengths[n_j]. An entropy coder with a fine step has
    slope ln(2) / 6 = 0.116: the error that one bit buys, in units of D s**2.

    Args:
        weights: floats, shape (..., rows, columns): every row is one output's weights.
        hessian: X^T X of the inputs, shape (..., columns, columns), symmetric.
        scale: step of the grid; a number, or an array that broadcasts to (..., rows, 1).
        bits: width of a code, 2 to 8; codes lie in -q .. q with q = 2**(bits-1) - 1.
        damping: part of the mean of the diagonal (inputs that occur) that is added to it.
        block: columns whose errors are handed on together; changes speed only.
        lengths: bits that the code n costs at index n + q, shape (2 q + 1,); needed with *rate*.
        rate: weight of the lengths; 0 is rounding to nearest.

    Returns:
        int8, shape (..., rows, columns). Inputs that are always zero have code 0.

    Raises:
        DataError: shapes do not fit, the hessian is not finite or not positive semidefinite, or
            *rate* comes without *lengths*.
    """
    if rate and lengths is None:
        raise DataError("a rate needs lengths, the bits that each code costs")
    _check(weights, hessian)
    system = _System(weights, _factored(hessian, damping), scale=scale, bits=bits)
    return system.round(block=block, lengths=lengths, rate=rate)


def code_with_feedback(
    values: NDArray[Any], grid: Grid, inputs: LayerInputs, *, rate: float = 0.0
) -> Codes:
    """Codes of one tensor of all members on *grid*, by round_with_feedback.

    Args:
        values: finite floats, shape (copies, *shape).
        grid: as fit_grid made it, for this shape, with zero point 0.
        inputs: of the layer in each member. A tensor with one copy sees the inputs of all.
        rate: as for round_with_feedback. The lengths are those of an ideal order-0 code for all
            copies, fitted in turns with the codes.

    Returns:
        int8, shape (copies, *shape).

    Raises:
        DataError: the inputs do not fit the tensor.
    """
    return FeedbackRounder(values, inputs).codes(grid, rate=rate)


class FeedbackRounder:
    """One tensor of all members and its inputs, factored once for any number of grids."""

    def __init__(self, values: NDArray[Any], inputs: LayerInputs) -> None:
        """Factor the Gram matrices; arguments and errors as for code_with_feedback."""
        self._inputs = inputs
        self._shape = values.shape
        self._grams = inputs.grams
        if len(values) == 1:
            self._grams = self._grams.sum(axis=0, keepdims=True)
        self._matrix = _to_matrix(values, inputs)
        _check(self._matrix, self._grams)
        self._gram_factors = _factored(self._grams, DAMPING)

    def codes(self, grid: Grid, *, rate: float = 0.0) -> Codes:
        """As code_with_feedback."""
        steps = np.broadcast_to(grid.broadcast_scale(len(self._shape) - 1), self._shape)
        scale = _to_matrix(steps, self._inputs)[..., :1]
        system = _System(self._matrix, self._gram_factors, scale=scale, bits=grid.bits)
        codes = system.round()
        for _ in range(_PASSES if rate else 0):
            codes = system.round(lengths=code_lengths(codes, bits=grid.bits), rate=rate)
        return _from_matrix(codes, self._inputs, self._shape)

    def output_error(self, values: NDArray[Any]) -> float:
        """Squared error of the layer's outputs on its inputs, summed, with *values* instead."""
        lost = self._matrix - _to_matrix(values, self._inputs)
        return float(np.vdot(lost @ self._grams, lost))


def code_lengths(codes: Codes, *, bits: int) -> Floats:
    """Bits that each code costs in an ideal order-0 code for *codes*, shape (2 q + 1,), from -q.

    Every code counts half an occurrence more than it has (Krichevsky-Trofimov), so none is free
    of cost or out of reach.
    """
    q = (1 << (bits - 1)) - 1
    counts = np.bincount(codes.reshape(-1).astype(np.intp) + q, minlength=2 * q + 1) + 0.5
    lengths: Floats = np.log2(counts.sum()) - np.log2(counts)
    return lengths


class _Factored(NamedTuple):
    """Gram matrices with damping, columns in the order of rounding, as A D A^T.

    Attributes:
        order: the column at each place, shape (..., columns).
        dead: at each place, whether that input is always zero.
        factor: A^T; row j holds what place j takes from the errors of those before it.
        pivots: the diagonal of D.
    """

    order: NDArray[np.intp]
    dead: NDArray[np.bool_]
    factor: Floats
    pivots: Floats


def _factored(hessian: NDArray[Any], damping: float) -> _Factored:
    gram = hessian.astype(np.float64)
    diagonal = np.diagonal(gram, axis1=-2, axis2=-1)
    order = np.argsort(-diagonal, axis=-1, kind="stable")
    dead = np.take_along_axis(diagonal, order, axis=-1) == 0
    gram = np.take_along_axis(gram, order[..., np.newaxis], axis=-2)
    gram = np.take_along_axis(gram, order[..., np.newaxis, :], axis=-1)
    return _Factored(order, dead, *_unit_factor(gram, dead, damping))


class _System:
    """Weights in the order of rounding, in steps of the grid, columns leading."""

    def __init__(
        self,
        weights: NDArray[Any],
        factored: _Factored,
        *,
        scale: NDArray[Any] | float,
        bits: int,
    ) -> None:
        self._largest = (1 << (bits - 1)) - 1
        self._order, dead, self._factor, self._pivots = factored
        steps = np.broadcast_to(np.asarray(scale, np.float64), (*weights.shape[:-1], 1))
        target = np.take_along_axis(weights / steps, self._order[..., np.newaxis, :], axis=-1)
        target[np.broadcast_to(dead[..., np.newaxis, :], target.shape)] = 0
        self._target = np.ascontiguousarray(np.swapaxes(target, -2, -1))
        self._square = np.square(steps[..., 0])
        used = self._pivots[~dead]
        self._unit = float(used.mean() * self._square.mean()) if used.size else 0.0

    def round(
        self, *, block: int = 128, lengths: NDArray[Any] | None = None, rate: float = 0.0
    ) -> Codes:
        """Codes (..., rows, columns), in the columns' own order."""
        columns = self._target.shape[-2]
        error = np.zeros_like(self._target)
        codes = np.zeros(self._target.shape, np.int8)
        for start in range(0, columns, block):
            stop = min(start + block, columns)
            factor = self._factor[..., start:stop, :]
            ahead = self._target[..., start:stop, :] + factor[..., :start] @ error[..., :start, :]
            for j in range(start, stop):
                within = factor[..., j - start, np.newaxis, start:j]
                t = ahead[..., j - start, :] + (within @ error[..., start:j, :])[..., 0, :]
                if rate and lengths is not None:
                    code = self._cheapest(t, j, rate * lengths)
                else:
                    code = np.clip(np.rint(t), -self._largest, self._largest)
                codes[..., j, :] = code
                error[..., j, :] = self._target[..., j, :] - code
        placed = np.empty(self._order.shape, np.intp)
        np.put_along_axis(placed, self._order, np.arange(columns), axis=-1)
        ordered = np.take_along_axis(codes, placed[..., np.newaxis], axis=-2)
        return np.ascontiguousarray(np.swapaxes(ordered, -2, -1))

    def _cheapest(self, t: Floats, column: int, costs: Floats) -> Floats:
        """Of the codes beside *t* (..., rows) and 0, the one with the least error and cost."""
        price = self._unit / (self._pivots[..., column, np.newaxis] * self._square)
        below = np.clip(np.floor(t), -self._largest, self._largest)
        choices = np.stack([np.zeros_like(t), below, np.clip(below + 1, None, self._largest)])
        loss = np.square(t - choices)
        loss += price * costs[choices.astype(np.intp) + self._largest]
        best = np.argmin(loss, axis=0)[np.newaxis]
        chosen: Floats = np.take_along_axis(choices, best, axis=0)[0]
        return chosen


def _unit_factor(gram: Floats, dead: NDArray[np.bool_], damping: float) -> tuple[Floats, Floats]:
    """A^T (unit lower triangular) and the diagonal of D with gram + damping = A D A^T.

    A dead column gets 1 on its diagonal, so that it takes part in nothing.
    """
    size = gram.shape[-1]
    diagonal = np.diagonal(gram, axis1=-2, axis2=-1)
    alive = np.maximum((~dead).sum(axis=-1, keepdims=True), 1)
    added = damping * diagonal.sum(axis=-1, keepdims=True) / alive
    index = np.arange(size)
    gram[..., index, index] += np.where(dead, 1.0, added)
    # NumPy's factor L has gram = L L^T; turned round by 180 degrees it is the upper A sqrt(D).
    try:
        turned = np.linalg.cholesky(gram[..., ::-1, ::-1])
    except np.linalg.LinAlgError as error:
        raise DataError(
            "a Gram matrix is not positive semidefinite, so it is not X^T X of any inputs"
        ) from error
    factor = np.ascontiguousarray(np.swapaxes(turned[..., ::-1, ::-1], -2, -1))
    roots = np.diagonal(factor, axis1=-2, axis2=-1).copy()
    factor /= roots[..., np.newaxis]
    return factor, np.square(roots)


def _check(weights: NDArray[Any], hessian: NDArray[Any]) -> None:
    columns = weights.shape[-1]
    if weights.ndim < 2 or hessian.shape != (*weights.shape[:-2], columns, columns):
        raise DataError(
            f"weights of shape {weights.shape} need a Gram matrix of shape "
            f"{(*weights.shape[:-2], columns, columns)}, not {hessian.shape}"
        )
    if not np.isfinite(hessian).all():
        raise DataError("a Gram matrix holds NaN or infinite values")


def _to_matrix(values: NDArray[Any], inputs: LayerInputs) -> NDArray[Any]:
    """(copies, groups, rows, columns) of a tensor (copies, *shape)."""
    groups, columns = inputs.grams.shape[1:3]
    turned = values.transpose(0, *(1 + axis for axis in inputs.order))
    return turned.reshape(len(values), groups, -1, columns)


def _from_matrix(codes: Codes, inputs: LayerInputs, shape: tuple[int, ...]) -> Codes:
    """The tensor (copies, *shape) that _to_matrix made a matrix of."""
    order = (0, *(1 + axis for axis in inputs.order))
    turned = codes.reshape([shape[axis] for axis in order])
    return np.ascontiguousarray(turned.transpose(np.argsort(order)))
