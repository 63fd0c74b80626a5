"""Prefix codes for groups of codes: the best lengths, the codewords, and their table (S5.1).

Under container.entropy, which counts the symbols and packs the codewords.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeens.container.layout import LENGTH_LIMITS, PREFIX_CODE, ceil8

Counts = NDArray[np.integer]
Lengths = NDArray[np.uint8]

# A decoder's look-up table doubles with each bit of the longest codeword, so the last bit that a
# profile allows must save at least one part in so many.
_LAST_BIT_SAVES = 1000


@dataclass(frozen=True, eq=False)
class PrefixCode:
    """A table of kind 1.

    Attributes:
        group: g, codes in a symbol.
        low: the smallest code value.
        values: A, the number of code values.
        lengths: of each symbol's codeword in bits, 0 for one that does not occur; shape (A**g,).
    """

    group: int
    low: int
    values: int
    lengths: Lengths

    def body(self) -> tuple[int, bytes]:
        """Kind and body of the table."""
        head = bytes((self.group, self.low & 0xFF, self.values - 1, 0))
        return PREFIX_CODE, head + (packed_lengths(self.lengths) if self.values > 1 else b"")

    def words(self) -> NDArray[np.uint32]:
        """Each symbol's codeword, first bit lowest, with its length << 16."""
        return codewords(self.lengths)

    def bits(self, counts: Counts) -> int | None:
        """Bits of symbols that occur *counts* times, shape (A**g,); None if one has no codeword."""
        if self.values > 1 and bool((counts[self.lengths == 0] > 0).any()):
            return None
        return int((counts * self.lengths).sum())


def fit_code(counts: Counts, *, group: int, low: int, values: int, profile: str) -> PrefixCode:
    """The best prefix code for symbols that occur *counts* times, shape (A**g,)."""
    limit = LENGTH_LIMITS[profile]
    lengths = code_lengths(counts, limit)
    shorter = max(limit - 1, LENGTH_LIMITS["mcu"])
    if lengths.max(initial=0) > shorter:
        less = code_lengths(counts, shorter)
        bits, more = int((counts * lengths).sum()), int((counts * less).sum())
        if (more - bits) * _LAST_BIT_SAVES < bits:
            lengths = less
    return PrefixCode(group, low, values, lengths)


def code_lengths(counts: Counts, limit: int) -> Lengths:
    """Lengths of a complete prefix code with the fewest bits and no codeword above *limit*.

    By the package-merge algorithm (Larmore and Hirschberg, 1990). Symbols that do not occur get no
    codeword, but a code of more than one symbol has at least two. Equal counts: the earlier symbol
    is the shorter.

    Args:
        counts: of each symbol, shape (n,), n at most 2**limit.
        limit: bits of the longest codeword allowed.

    Returns:
        Shape (n,); all zero for a single symbol, which needs no bits.
    """
    lengths = np.zeros(len(counts), np.uint8)
    if len(counts) == 1:
        return lengths
    # Rarest first; of equal ones the later first, so that it is never the shorter.
    order = np.lexsort((-np.arange(len(counts)), counts))
    rarest = order[max(0, min(len(counts) - 2, int((counts == 0).sum()))) :]
    leaves = counts[rarest].astype(np.int64)
    merged, is_leaf = leaves, [np.ones(len(leaves), np.bool_)]
    for _ in range(limit - 1):
        packages = merged[: len(merged) // 2 * 2].reshape(-1, 2).sum(axis=1)
        merged = np.concatenate([leaves, packages])
        sorting = np.argsort(merged, kind="stable")
        merged = merged[sorting]
        is_leaf.append(sorting < len(leaves))
    depths = np.zeros(len(leaves), np.uint8)
    chosen = 2 * len(leaves) - 2
    for level in reversed(is_leaf):
        taken = int(level[:chosen].sum())
        depths[:taken] += 1
        chosen = 2 * (chosen - taken)
    lengths[rarest] = depths
    return lengths


def codewords(lengths: Lengths) -> NDArray[np.uint32]:
    """The canonical codewords (S5.1), first bit lowest, with the length << 16; shape as *lengths*.

    A symbol without a codeword, and the only one of a code, have 0.
    """
    words = np.zeros(len(lengths), np.uint32)
    word = before = 0
    for symbol in np.argsort(lengths, kind="stable").tolist():
        length = int(lengths[symbol])
        if length == 0:
            continue
        word <<= length - before
        words[symbol] = int(f"{word:0{length}b}"[::-1], 2) | length << 16
        word, before = word + 1, length
    return words


def packed_lengths(lengths: Lengths) -> bytes:
    """The bit stream of the lengths (S5.1)."""
    fields = 0
    width = before = 0
    for length in lengths.tolist():
        change = {0: 0, 1: 1, -1: 2}.get(length - before)
        fields |= (3 | length << 2 if change is None else change) << width
        width += 6 if change is None else 2
        before = length
    return fields.to_bytes(ceil8(width), "little")
