"""The members' codes as residuals across the members, and back (S10.3): method joint.

Under container.entropy, which codes the residuals. All sums are modulo 256, so any codes will do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import Predictor

Codes = NDArray[np.int8]


def residuals(codes: Codes, predictor: Predictor) -> Codes:
    """The code streams of the members' *codes*, shape (K, E), in the order of the file."""
    if predictor == "first":
        streams: Codes = codes - codes[0]
        streams[0] = codes[0]
        return streams
    if predictor == "mean":
        return _mean_streams(codes)
    return _haar_streams(codes)


def members(streams: Codes, predictor: Predictor) -> Codes:
    """The members' codes again, from the *streams* of residuals, shape (K, E)."""
    if predictor == "first":
        codes: Codes = streams + streams[0]
        codes[0] = streams[0]
        return codes
    if predictor == "mean":
        return _mean_members(streams)
    return _haar_members(streams)


def _mean_streams(codes: Codes) -> Codes:
    streams = codes.copy()
    total = codes[0].astype(np.int16)
    for member in range(1, len(codes)):
        streams[member] -= _rounded_mean(total, member)
        total += codes[member]
    return streams


def _mean_members(streams: Codes) -> Codes:
    codes = streams.copy()
    total = codes[0].astype(np.int16)
    for member in range(1, len(codes)):
        codes[member] += _rounded_mean(total, member)
        total += codes[member]
    return codes


def _rounded_mean(total: NDArray[np.int16], count: int) -> Codes:
    """total / count to the nearest, halves up; at most 64 codes: twice their sum fits 16 bits."""
    return ((2 * total + np.int16(count)) // np.int16(2 * count)).astype(np.int8)


def _haar_streams(codes: Codes) -> Codes:
    level = codes
    details: list[Codes] = []
    while len(level) > 1:
        pairs = len(level) // 2
        even, odd = level[: 2 * pairs : 2], level[1::2]
        detail = odd - even
        details.insert(0, detail)
        level = np.concatenate([even + (detail >> 1), level[2 * pairs :]])
    return np.concatenate([level, *details])


def _haar_members(streams: Codes) -> Codes:
    sizes = [len(streams)]  # of the lists, from the members down to one
    while sizes[-1] > 1:
        sizes.append((sizes[-1] + 1) // 2)
    level = streams[:1]
    start = 1
    for size in reversed(sizes[:-1]):
        pairs = size // 2
        detail = streams[start : start + pairs]
        start += pairs
        even = level[:pairs] - (detail >> 1)
        lower = np.empty((size, *level.shape[1:]), np.int8)
        lower[: 2 * pairs : 2] = even
        lower[1::2] = even + detail
        lower[2 * pairs :] = level[pairs:]
        level = lower
    return level
