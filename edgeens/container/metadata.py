"""How many levels of digits each position of a shared block keeps: runs of levels (S8).

Between the digits of a tensor (container.parameters) and the metadata of its blocks. A position
whose deeper digits are the same for all members, and the very ones that an absent digit stands for,
can leave them out; but every change of level costs a run of 16 bits. The cheapest choice is found
exactly, by dynamic programming over the segments in which the choice is the same, for all blocks
of a tensor side by side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeens.container.layout import pattern_bits

Digits = NDArray[np.int8]
Levels = NDArray[np.uint8]

RUN_BITS = 16
_NEVER = 1 << 40


def allowed_levels(bases: Digits, fours: Digits, eights: Digits, digits: str) -> Levels:
    """Which levels L can stand at each position, as a bit 1 << L each.

    Args:
        bases, fours, eights: the digits a, b and c, each of shape (K, n).
        digits: "balanced" or "planes".

    Returns:
        Shape (n,). Bit 3 is always set.
    """
    no_eight = (eights == (0 if digits == "balanced" else 8)).all(axis=0)
    if digits == "balanced":
        no_four = (fours == 0).all(axis=0) & no_eight
        zero = (bases == 0).all(axis=0) & no_four
    else:
        no_four = (fours == 2).all(axis=0) & (eights == 0).all(axis=0)
        zero = ((bases == 0) & (fours == 0) & (eights == 0)).all(axis=0)
    allowed = np.full(bases.shape[1], 8, np.uint8)
    allowed |= no_eight * np.uint8(4) | no_four * np.uint8(2) | zero * np.uint8(1)
    return allowed


def level_costs(members: int, digits: str) -> NDArray[np.int64]:
    """Bits that a position costs at each level, where the digits it could drop are all equal.

    Up to a constant of the position: dropped digits form one cluster wherever they may be dropped.
    """
    four, eight = (3, 5) if digits == "balanced" else (2, 4)
    pattern = pattern_bits(members)
    return np.cumsum(np.array([0, 2 * members, pattern + four, pattern + eight], np.int64))


def choose_levels(allowed: Levels, costs: NDArray[np.int64]) -> Levels:
    """The cheapest level of each position among the allowed ones, runs counted in.

    Args:
        allowed: shape (blocks, n), from allowed_levels.
        costs: shape (4,), from level_costs.

    Returns:
        Levels, shape (blocks, n). Of equally cheap choices the one with more levels.
    """
    blocks, length = allowed.shape
    change = np.ones((blocks, length), np.bool_)
    change[:, 1:] = allowed[:, 1:] != allowed[:, :-1]
    segment = np.cumsum(change, axis=1) - 1
    count = segment[:, -1] + 1
    if int(count.max()) == 1:
        best = np.where(allowed[:, :1] >> np.arange(4) & 1, costs, _NEVER)
        return np.broadcast_to(_cheapest(best)[:, None], allowed.shape).astype(np.uint8)
    row, column = np.nonzero(change)
    place = segment[row, column]
    ends = np.append(column[1:], 0)
    ends[np.append(row[1:] != row[:-1], True)] = length
    # Segments that a block does not have weigh nothing and allow everything.
    weights = np.zeros((int(count.max()), blocks, 4), np.int64)
    possible = allowed[row, column][:, None] >> np.arange(4) & 1
    weights[place, row] = np.where(possible, (ends - column)[:, None] * costs, _NEVER)
    return np.take_along_axis(_search(weights).T, segment, axis=1)


def _search(weights: NDArray[np.int64]) -> Levels:
    """The cheapest path through *weights*, shape (segments, blocks, 4); (segments, blocks)."""
    segments, blocks, _ = weights.shape
    came_from = np.empty((segments, blocks, 4), np.uint8)
    levels = np.arange(4, dtype=np.uint8)
    total = weights[0]
    for place in range(1, segments):
        best = _cheapest(total)
        change = np.take_along_axis(total, best[:, None].astype(np.intp), axis=1) + RUN_BITS
        stay = total <= change
        came_from[place] = np.where(stay, levels, best[:, None])
        total = np.where(stay, total, change) + weights[place]
    path = np.empty((segments, blocks), np.uint8)
    path[-1] = _cheapest(total)
    rows = np.arange(blocks)
    for place in range(segments - 1, 0, -1):
        path[place - 1] = came_from[place][rows, path[place]]
    return path


def _cheapest(costs: NDArray[np.int64]) -> Levels:
    """The column of the smallest of each row of four; the last one if several are equal."""
    last: Levels = (3 - costs[:, ::-1].argmin(axis=1)).astype(np.uint8)
    return last


def runs(levels: Levels) -> NDArray[np.uint16]:
    """The runs of one block's levels, shape (n,), as the file holds them."""
    starts = np.flatnonzero(np.concatenate([[True], levels[1:] != levels[:-1]]))
    lengths = np.diff(np.append(starts, len(levels)))
    return ((lengths - 1) << 2 | levels[starts]).astype("<u2")
