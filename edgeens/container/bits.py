"""Fields packed into bit streams, least significant bit first (S1).

Under every stream the writer makes: codes, patterns, bases and digits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeens.container.layout import ceil8

Fields = NDArray[np.unsignedinteger]
Bytes = NDArray[np.uint8]

# Eight fields of any width fill a whole number of bytes, so they are packed in eights. A field is
# shifted by up to seven bits within a word of 64.
MAX_WIDTH = 57


def pack(fields: Fields, width: int) -> Bytes:
    """Streams of fields of *width* bits (1 to 57), one along the last axis of *fields*.

    Args:
        fields: unsigned, shape (..., n), each below 2**width.
        width: bits of a field.

    Returns:
        uint8, shape (..., ceil8(n * width)); the unused high bits of a stream's last byte are zero.
    """
    count = fields.shape[-1]
    if width == 8:
        return fields.astype(np.uint8, copy=False)
    spare = -count % 8
    if spare:
        shape = (*fields.shape[:-1], count + spare)
        padded = np.zeros(shape, fields.dtype)
        padded[..., :count] = fields
        fields = padded
    eights = fields.reshape(-1, 8)
    packed = _narrow(eights, width) if width < 8 else _wide(eights, width)
    streams = packed.reshape(*fields.shape[:-1], (count + spare) // 8 * width)
    return streams[..., : ceil8(count * width)]


def _narrow(eights: Fields, width: int) -> Bytes:
    """Eight fields of up to 8 bits fit in one word of 64."""
    word = eights[:, 0].astype("<u8")
    for place in range(1, 8):
        word |= eights[:, place].astype("<u8") << np.uint64(width * place)
    return word.view(np.uint8).reshape(-1, 8)[:, :width]


def _wide(eights: Fields, width: int) -> Bytes:
    """Wider fields are laid into their bytes one by one."""
    laid = np.zeros((len(eights), width + 8), np.uint8)
    for place in range(8):
        first, shift = divmod(place * width, 8)
        word = eights[:, place].astype("<u8") << np.uint64(shift)
        laid[:, first : first + 8] |= word.view(np.uint8).reshape(-1, 8)
    return laid[:, :width]


def pack_ragged(fields: Fields, counts: NDArray[np.intp], width: int) -> list[Bytes]:
    """One stream for each of *counts* fields in turn, which may differ; widths as for pack.

    Args:
        fields: unsigned, shape (sum of counts,), the streams' fields one behind the other.
        counts: shape (streams,).
        width: bits of a field.
    """
    padded_counts = -(-counts // 8) * 8
    starts = np.cumsum(padded_counts) - padded_counts
    shifts = starts - (np.cumsum(counts) - counts)
    padded = np.zeros(int(padded_counts.sum()), fields.dtype)
    padded[np.arange(len(fields)) + np.repeat(shifts, counts)] = fields
    packed = pack(padded, width)
    firsts = (starts // 8 * width).tolist()
    sizes = [ceil8(count * width) for count in counts.tolist()]
    return [packed[first : first + size] for first, size in zip(firsts, sizes, strict=True)]
