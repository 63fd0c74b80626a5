"""The lowest bits of codes in fields of their own, beside the codewords (S5.5, S10.5).

Under container.entropy. What is above them has fewer values: smaller tables, and more codes in a
look-up, so that a decoder is faster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeens.container.bits import pack
from edgeens.container.layout import LOW_BITS

Codes = NDArray[np.int8]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LowBits:
    """The fields of one stream.

    Attributes:
        fields: of all blocks, one behind the other.
        counts: fields of each block, shape (blocks,).
        width: bits of a field; 0 for none at all.
    """

    fields: Bytes
    counts: NDArray[np.intp]
    width: int

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each block's."""
        return -(-self.counts.astype(np.int64) * self.width // 8)

    def packed(self) -> list[bytes]:
        """The bytes of each block's."""
        ends = np.cumsum(self.counts)
        of_blocks = [self.fields[end - n : end] for end, n in zip(ends, self.counts, strict=True)]
        return [pack(fields, self.width).tobytes() for fields in of_blocks]


def split_codes(codes: Codes, widths: Bytes, positions: int) -> tuple[Codes, LowBits]:
    """The numbers h of S10.5, and the low bits.

    Args:
        codes: of one stream, shape (E,).
        widths: low_bits at each position, shape (E,), or one for all, shape (1,); those not 0 are
            equal.
        positions: P.
    """
    width = int(widths.max())
    starts = np.arange(0, len(codes), positions)
    if width == 0:
        return codes, LowBits(np.zeros(0, np.uint8), np.zeros(len(starts), np.intp), 0)
    fields = codes.view(np.uint8) & np.uint8((1 << width) - 1)
    if widths.all():
        counts = np.diff([*starts, len(codes)])
    else:
        counts = np.add.reduceat(widths > 0, starts, dtype=np.intp)
        fields = fields[widths > 0]
    return codes >> widths.astype(np.int8), LowBits(fields, counts, width)


def low_bits_body(low_bits: tuple[tuple[int, ...], ...]) -> tuple[int, bytes]:
    """Kind and body of the table, from the low bits of each prefix code of each set."""
    return LOW_BITS, bytes(width for of_set in low_bits for width in of_set)
