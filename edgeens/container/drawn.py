"""Members drawn from a stored parent (S9), for the digests that the writer states.

Low precision ensembling (LPE-BSR): member codes are stochastic roundings of the parent's, by words
that are a pure function of (key, tensor, position, member).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgeens.container.layout import MAX_ELEMENTS

Words = NDArray[np.uint32]

_CHUNK = 1 << 16


def drawn_codes(
    parent: NDArray[np.int8], *, members: int, bits: int, levels: int, key: int, tensor: int
) -> Iterator[NDArray[np.int8]]:
    """The codes of members 0, 1, ... in turn, each of shape (E,).

    Args:
        parent: the parent's codes, shape (E,), in -levels..levels.
        members: K.
        bits: width of a member's code; they lie in -q..q, q = 2**(bits-1) - 1.
        levels: Q, 1 to 127.
        key: 64 bits.
        tensor: the number of the tensor's record in the file.
    """
    if parent.size > MAX_ELEMENTS:
        raise ValueError("positions must fit in 31 bits")
    scaled = parent.astype(np.int32) * ((1 << (bits - 1)) - 1)
    floor = scaled // levels
    rest = (scaled - levels * floor).astype(np.uint32)
    low = floor.astype(np.int8)
    for member in range(members):
        codes = np.empty(parent.size, np.int8)
        for start in range(0, parent.size, _CHUNK):
            part = slice(start, min(start + _CHUNK, parent.size))
            words = draw_words(key, tensor, np.arange(part.start, part.stop), member)
            up = words * np.uint32(levels) >> np.uint32(16) < rest[part]
            codes[part] = low[part] + up
        yield codes


def draw_words(key: int, tensor: int, positions: NDArray[np.integer], member: int) -> Words:
    """The 16-bit words of *positions*, shape and order kept."""
    seed = _mix_int(key & 0xFFFFFFFF)
    seed = _mix_int(seed ^ key >> 32)
    seed = _mix_int(seed ^ tensor)
    seed = _mix_int(seed + 0x9E3779B9 * ((member >> 1) + 1) & 0xFFFFFFFF)
    factor = _mix_int(seed ^ 0x85EBCA6B) | 1
    words = positions.astype(np.uint32) * np.uint32(factor) + np.uint32(seed)
    words = _mix(words)
    return words >> np.uint32(16) if member & 1 else words & np.uint32(0xFFFF)


def _mix(x: Words) -> Words:
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


def _mix_int(x: int) -> int:
    return int(_mix(np.array([x], np.uint32))[0])
