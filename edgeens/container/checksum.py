"""CRC-32C of many buffers at once, in NumPy (S1).

Used by the writer alone: the standard library has no CRC-32C. The reference decoder computes its
own, byte by byte, so that the two cannot share a mistake.

A CRC is linear over GF(2), so words need not be taken one after the other. If A is the map that
four zero bytes apply to the register, the register after words w_0 .. w_(n-1) is the sum of
A^(n-i) w_i. Neighbours are folded in pairs, (w_0, w_1) -> A w_0 + w_1, then pairs of pairs with
A^2, and so on: log2 n steps over whole arrays. Words of zeros in front change nothing, which evens
out lengths; the initial value is brought in by a word put in front of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Bytes = NDArray[np.uint8]

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF

# Words folded in one go: the arrays of a step then stay in the second-level cache.
_CHUNK = 1 << 14


def crc32c(*parts: bytes | bytearray | memoryview) -> int:
    """CRC-32C of the concatenation of *parts*."""
    data = np.concatenate([np.frombuffer(part, np.uint8) for part in parts])
    return int(crc32c_rows(data.reshape(1, -1))[0])


def crc32c_rows(rows: Bytes) -> Words:
    """CRC-32C of each row; *rows* has shape (count, bytes), the result shape (count,)."""
    count, size = rows.shape
    words = -(-size // 4) + 1
    if words > _CHUNK:
        return np.array([_long(row) for row in rows], np.uint32)
    result = np.empty(count, np.uint32)
    step = max(1, _CHUNK // words)
    for start in range(0, count, step):
        part = rows[start : start + step]
        result[start : start + step] = _fold(_words(part, words), 0)[:, 0]
    return _finish(result)


def crc32c_each(buffers: Sequence[bytes | memoryview]) -> Words:
    """CRC-32C of each of *buffers*, whose lengths may differ; shape (count,)."""
    if not buffers:
        return np.empty(0, np.uint32)
    words = -(-max(len(buffer) for buffer in buffers) // 4) + 1
    if words > _CHUNK:
        return np.array([crc32c(buffer) for buffer in buffers], np.uint32)
    result = np.empty(len(buffers), np.uint32)
    step = max(1, _CHUNK // words)
    for start in range(0, len(buffers), step):
        group = buffers[start : start + step]
        laid = np.zeros((len(group), 4 * words), np.uint8)
        for row, buffer in zip(laid, group, strict=True):
            front = row.size - len(buffer)
            row[front:] = np.frombuffer(buffer, np.uint8)
            row[front - 4 : front] = _PREFIX
        result[start : start + step] = _fold(laid.view("<u4").astype(np.uint32), 0)[:, 0]
    return _finish(result)


def _long(row: Bytes) -> int:
    """CRC-32C of one long row: chunks side by side first, then the chunks' own fold."""
    words = -(-row.size // 4) + 1
    chunks = -(-words // _CHUNK)
    laid = _words(row.reshape(1, -1), chunks * _CHUNK).reshape(chunks, _CHUNK)
    folded = np.concatenate([_fold(laid[i : i + 1], 0)[0] for i in range(chunks)])
    return int(_finish(_fold(folded.reshape(1, -1), _CHUNK.bit_length() - 1)[:, 0])[0])


def _words(rows: Bytes, words: int) -> Words:
    """The rows with the prefix and zeros in front, as little-endian words."""
    count, size = rows.shape
    laid = np.zeros((count, 4 * words), np.uint8)
    laid[:, 4 * words - size :] = rows
    laid[:, 4 * words - size - 4 : 4 * words - size] = _PREFIX
    return laid.view("<u4").astype(np.uint32, copy=False)


def _fold(values: Words, exponent: int) -> Words:
    """Fold each row of *values* to one word; a value stands for 2**exponent words."""
    while values.shape[1] > 1:
        if values.shape[1] % 2:
            values = np.concatenate([np.zeros((len(values), 1), np.uint32), values], axis=1)
        values = _advance(values[:, 0::2], exponent) ^ values[:, 1::2]
        exponent += 1
    return values


def _finish(folded: Words) -> Words:
    """The last A, and the final XOR."""
    return _advance(folded, 0) ^ np.uint32(_ONES)


def _advance(values: Words, exponent: int) -> Words:
    """A^(2**exponent) applied to each value."""
    low, high = _tables(exponent)
    result: Words = low[values & np.uint32(0xFFFF)] ^ high[values >> np.uint32(16)]
    return result


@cache
def _tables(exponent: int) -> tuple[Words, Words]:
    """A^(2**exponent) as two tables of 65 536 words, for the low and the high half of a value."""
    units = np.uint32(1) << np.arange(32, dtype=np.uint32)
    if exponent:
        images = _advance(_advance(units, exponent - 1), exponent - 1)
    else:
        images = units
        for _ in range(32):
            images = (images >> np.uint32(1)) ^ (images & np.uint32(1)) * np.uint32(_POLYNOMIAL)
    return _span(images[:16]), _span(images[16:])


def _span(images: Words) -> Words:
    """All sums of *images*: entry i is the sum of those whose bit in i is set."""
    table = np.zeros(1, np.uint32)
    for image in images:
        table = np.concatenate([table, table ^ image])
    return table


def _prefix() -> Bytes:
    """The four bytes that bring the register from zero to its initial value, all ones.

    Found by running the register backwards for 32 steps; the bit that was shifted out shows as
    the top bit of the polynomial.
    """
    register = _ONES
    for _ in range(32):
        if register & 0x80000000:
            register = ((register ^ _POLYNOMIAL) << 1 | 1) & _ONES
        else:
            register = register << 1 & _ONES
    return np.frombuffer(register.to_bytes(4, "little"), np.uint8)


_PREFIX = _prefix()
