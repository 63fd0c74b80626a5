"""Bits sharing: members whose residual digits are close get the same digit (Bits-Ensemble Alg. 1).

Works on a CodedEnsemble's codes, between quantize.tensors and container.writer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import CodedEnsemble, CodedTensor
from edgeens.errors import DataError
from edgeens.quantize.digits import join_balanced, split_balanced
from edgeens.quantize.runs import MEMBERS, Share, by_position, chunks, share_digits, sharer

__all__ = [
    "SavedBits",
    "auto_lambda",
    "drop_level8",
    "saved_bits",
    "share_bits",
    "share_codes",
    "share_digits",
]

Codes = NDArray[np.int8]

# Balanced digits: b lies in -2..2 and c in -8..8.
_WIDEST4 = 2
_WIDEST8 = 8
# Positions that auto_lambda searches on. A prime, so that an even spacing over a tensor does not
# fall into step with its rows or kernels.
_SAMPLE = 65_521


class SavedBits(NamedTuple):
    """Shares of bits that sharing saves, 0 to 1, as Table II of the paper counts them."""

    level4: float
    level8: float
    total: float


def share_codes(codes: Codes, *, lambda4: float, lambda8: float) -> Codes:
    """Share both residual levels of 8-bit codes in a closed loop (Eq. 12 and 13).

    The level eps4 (digit b) is shared first. Then eps8 is taken again as what is left of the code,
    c = clamp(n - 85 a - 17 b, -8, 8), and shared in its turn: what b loses, c may mend.

    Args:
        codes: int8, shape (K, *shape), -127 to 127, K from 2 to 16.
        lambda4: Lambda of b, in steps of 17 codes; below 1 is lossless, above 4 joins all.
        lambda8: Lambda of c, in codes; below 1 is lossless, above 16 joins all.

    Returns:
        int8 codes of the same shape, whose digits are the shared ones.

    Raises:
        DataError: a code is -128; or K, the type of *codes* or a Lambda is out of range.
    """
    flat = by_position(codes)
    share4 = sharer(flat.shape, _WIDEST4, lambda4)
    share8 = sharer(flat.shape, _WIDEST8, lambda8)
    shared = np.empty_like(flat)
    for part in chunks(flat.shape[1]):
        a, b, c = _closed_loop(flat[:, part], share4)
        shared[:, part] = join_balanced(a, b, share8(c))
    return shared.reshape(codes.shape)


def drop_level8(codes: Codes) -> Codes:
    """Codes without their deepest level: c = 0, the nearest multiple of 17; int8, same shape.

    Raises:
        DataError: a code is -128, or *codes* is not int8.
    """
    a, b, c = split_balanced(codes)
    return join_balanced(a, b, np.zeros_like(c))


def auto_lambda(codes: Codes, *, largest_error: float) -> tuple[float, float]:
    """The Lambdas that leave the fewest bits of residual digits within an error.

    All half-integer pairs are tried on at most 65 521 evenly spaced positions, where a distinct
    digit at a position counts 3 bits in level eps4 and 5 in eps8; the best pair is then checked
    on the whole tensor, and the next best taken while one is over. The same codes give the same
    pair on every machine.

    Args:
        codes: int8, shape (K, *shape), -127 to 127, K from 2 to 16.
        largest_error: bound on sqrt(sum of (shared - n)**2 / sum of n**2), >= 0.

    Returns:
        (lambda4, lambda8), both 0.5 where nothing lossy is within the error.

    Raises:
        DataError: a code is -128; or K, the type of *codes* or *largest_error* is out of range.
    """
    if not 0 <= largest_error < np.inf:
        raise DataError(f"largest_error must be a number >= 0, not {largest_error}")
    flat = by_position(codes)
    positions = flat.shape[1]
    if positions <= _SAMPLE:
        return _ranked_lambdas(flat, largest_error)[0]
    spaced = np.arange(_SAMPLE, dtype=np.int64) * positions // _SAMPLE
    sample = np.ascontiguousarray(flat[:, spaced])
    return next(
        (lambda4, lambda8)
        for lambda4, lambda8 in _ranked_lambdas(sample, largest_error)
        if _within(flat, share_codes(flat, lambda4=lambda4, lambda8=lambda8), largest_error)
    )


def share_bits(
    coded: CodedEnsemble,
    *,
    lambda4: float | Literal["auto"] = "auto",
    lambda8: float | Literal["auto"] = "auto",
    largest_error: float = 0.05,
    digits: Literal["balanced", "planes"] = "balanced",
) -> CodedEnsemble:
    """Share bits in every tensor that has 8-bit codes of 2 to 16 members; leave the others.

    Args:
        coded: codes of all members.
        lambda4, lambda8: as in share_codes, or both "auto": chosen by auto_lambda in each tensor.
        largest_error: for "auto", relative error of a tensor's codes.
        digits: "balanced", or "planes" to store the codes unchanged as 2/2/4 bit planes; a bit
            plane is only shared where members agree, so it takes no Lambda.

    Returns:
        The ensemble, those tensors with method "shared".

    Raises:
        DataError: a Lambda or *largest_error* is out of range, only one Lambda is "auto", a
            Lambda is given with "planes", or a code is -128 with "balanced" (names the tensor).
    """
    automatic = (lambda4 == "auto", lambda8 == "auto")
    if any(automatic) and not all(automatic):
        raise DataError('lambda4 and lambda8 must both be numbers or both be "auto"')
    if digits == "planes" and not all(automatic):
        raise DataError('bit planes are shared without loss; leave lambda4 and lambda8 at "auto"')

    def shared(tensor: CodedTensor) -> CodedTensor:
        if digits == "planes":
            return replace(tensor, method="shared", digits="planes")
        try:
            if lambda4 == "auto" or lambda8 == "auto":
                chosen = auto_lambda(tensor.codes, largest_error=largest_error)
            else:
                chosen = (lambda4, lambda8)
            codes = share_codes(tensor.codes, lambda4=chosen[0], lambda8=chosen[1])
        except DataError as error:
            raise DataError(f"tensor {tensor.name!r}: {error}") from error
        return replace(tensor, codes=codes, method="shared", digits="balanced")

    members = coded.members
    return replace(
        coded,
        tensors=tuple(
            shared(tensor)
            if tensor.grid is not None
            and tensor.grid.bits == 8
            and members in MEMBERS
            and tensor.codes.shape[0] == members
            else tensor
            for tensor in coded.tensors
        ),
    )


def saved_bits(codes: Codes) -> SavedBits:
    """Saved bits of shared codes as the paper's Table II counts them, pattern bits left out.

    At a level (K - clusters) / K, mean over positions; in total the 24 dropped bits, plus 2 and 4
    times the savings at eps4 and eps8, of 32. A level eps8 that is all zero counts as dropped. Not
    the size of a file: patterns cost bits, and 5 and 17 digits do not fit 2 and 4 bits.

    Args:
        codes: int8, shape (K, *shape), as share_codes returns them; not empty.

    Raises:
        DataError: a code is -128; K or the type of *codes* is out of range; or there are none.
    """
    flat = by_position(codes)
    if not flat.size:
        raise DataError("a tensor without weights has no bits to save")
    stored4 = stored8 = 0
    dropped = True
    for part in chunks(flat.shape[1]):
        _, b, c = split_balanced(flat[:, part])
        stored4 += _distinct(b, _WIDEST4)
        stored8 += _distinct(c, _WIDEST8)
        dropped = dropped and not c.any()
    level4 = 1 - stored4 / flat.size
    level8 = 1.0 if dropped else 1 - stored8 / flat.size
    return SavedBits(level4, level8, (24 + 2 * level4 + 4 * level8) / 32)


def _closed_loop(codes: Codes, share4: Share) -> tuple[Codes, Codes, Codes]:
    """Digits of codes (K, positions): a, b shared, and c as what is left, not yet shared."""
    a, b, _ = split_balanced(codes)
    b = share4(b)
    # Fits int8: |n - 85 a| is at most 42 and |17 b| at most 34.
    c = codes - 85 * a - 17 * b
    return a, b, np.clip(c, -_WIDEST8, _WIDEST8, out=c)


def _distinct(digits: Codes, widest: int) -> int:
    """How many distinct digits the positions hold, summed over positions."""
    return sum(
        int(np.count_nonzero((digits == digit).any(axis=0))) for digit in range(-widest, widest + 1)
    )


def _error(codes: Codes, shared: Codes) -> tuple[int, int]:
    """Sums over (K, positions) of (shared - code)**2 and of code**2."""
    lost = kept = 0
    for part in chunks(codes.shape[1]):
        code = codes[:, part].astype(np.int32)
        kept += int((code * code).sum(dtype=np.int64))
        code -= shared[:, part]
        lost += int((code * code).sum(dtype=np.int64))
    return lost, kept


def _within(codes: Codes, shared: Codes, largest_error: float) -> bool:
    """Whether the relative error of *shared* is at most *largest_error*."""
    lost, kept = _error(codes, shared)
    return lost <= largest_error**2 * kept


def _ranked_lambdas(codes: Codes, largest_error: float) -> list[tuple[float, float]]:
    """All pairs within the error on *codes* (K, positions), fewest stored bits first.

    Among equals the one that loses less, then the smaller Lambdas. The lossless pair is always in.
    """
    ranked = []
    for gap4 in range(2 * _WIDEST4 + 1):
        share4 = sharer(codes.shape, _WIDEST4, gap4 + 0.5)
        a, b, c = _closed_loop(codes, share4)
        # c as it stands is the best c for this b, so sharing it can only lose more.
        if not _within(codes, join_balanced(a, b, c), largest_error):
            continue
        stored4 = 3 * _distinct(b, _WIDEST4)
        for gap8 in range(2 * _WIDEST8 + 1):
            c_shared = sharer(codes.shape, _WIDEST8, gap8 + 0.5)(c)
            lost, kept = _error(codes, join_balanced(a, b, c_shared))
            if lost <= largest_error**2 * kept:
                stored = stored4 + 5 * _distinct(c_shared, _WIDEST8)
                ranked.append((stored, lost, gap4 + 0.5, gap8 + 0.5))
    return [(lambda4, lambda8) for _, _, lambda4, lambda8 in sorted(ranked)]
