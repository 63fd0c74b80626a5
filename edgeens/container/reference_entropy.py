"""The reference decoder's code streams: prefix codes back to codes, bit by bit (S10).

Used by container.reference_blocks. Written from docs/SPEC.md in its order, slow on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeens.container.layout import (
    LENGTH_LIMITS,
    PARTS,
    PARTS_FROM,
    PROFILES,
    Status,
    ceil8,
)
from edgeens.container.reference_bits import BitStream, refuse
from edgeens.container.reference_tables import StoredCode, StoredFilter, TensorTables


def decode_stream(
    stream: bytes, n: int, tables: TensorTables, *, profile: int, copy: int, first: int, later: bool
) -> list[int]:
    """The codes of one lane (S10.2), or the residuals of one code stream of joint (S10.3).

    Args:
        stream: its bytes; with coder split, the low bits first.
        n: positions in the block.
        tables: of the tensor.
        profile: of the file.
        copy: of whom the stream is; for joint the number of the stream.
        first: the block's first position in the tensor.
        later: whether it is a stream of residuals after the first.
    """
    positions = range(first, first + n)
    widths = [tables.low_bits_at(copy, position, first=not later) for position in positions]
    low_size = ceil8(sum(widths))
    low = _low_bits(stream[:low_size], widths)
    table_of = [tables.code_at(copy, position, first=not later) for position in positions]
    high = _numbers(stream[low_size:], table_of, profile=profile)
    numbers = [_i8((h << width) + rest) for h, width, rest in zip(high, widths, low, strict=True)]
    if tables.filters:
        return _unfiltered(numbers, tables.filters[-1 if later else 0], first)
    return numbers


def _low_bits(stream: bytes, widths: Sequence[int]) -> list[int]:
    """The low bits of each position, 0 where their width is 0 (S10.5)."""
    bits = BitStream(stream)
    low = [bits.take(width) for width in widths]
    bits.close()
    return low


def _numbers(stream: bytes, table_of: Sequence[StoredCode], *, profile: int) -> list[int]:
    """The numbers of one code stream, of which each position has its own table (S10.1)."""
    n = len(table_of)
    most = next(PARTS[name] for name, number in PROFILES.items() if number == profile)
    parts = most if n >= PARTS_FROM else 1
    length = n if parts == 1 else 12 * -(-n // 48)
    start = 4 * (parts - 1)
    if start > len(stream):
        refuse(Status.BLOCK_CONTENT, "a code stream does not hold the sizes of its parts")
    sizes = [int.from_bytes(stream[at : at + 4], "little") for at in range(0, start, 4)]
    if start + sum(sizes) > len(stream):
        refuse(Status.BLOCK_CONTENT, f"parts of {sizes} bytes and more in {len(stream)}")
    sizes.append(len(stream) - start - sum(sizes))
    numbers: list[int] = []
    for part, size in enumerate(sizes):
        bits = BitStream(stream[start : start + size])
        start += size
        end = min(n, (part + 1) * length)
        while len(numbers) < end:
            numbers += _group(bits, table_of[len(numbers)], end - len(numbers))
        bits.close()
    return numbers


def _unfiltered(residuals: Sequence[int], table: StoredFilter, first: int) -> list[int]:
    """The numbers of a stream from its *residuals*, the block's first position being *first*
    (S10.4)."""
    v: list[int] = []
    for i, residual in enumerate(residuals):
        column = (first + i) % table.columns
        taps = zip(table.weights[table.sets[column]], table.lags, strict=True)
        total = sum(w * v[i - lag] for w, lag in taps if 0 < lag <= min(column, i))
        v.append(_i8(residual + (total + 32) // 64))
    return v


def _group(bits: BitStream, table: StoredCode, left: int) -> list[int]:
    """The codes of the next symbol, of which *left* positions are left in the part."""
    codes = table.codes(_symbol(bits, table))
    if any(code != table.low for code in codes[left:]):
        refuse(Status.BLOCK_CONTENT, f"the surplus codes {codes[left:]} are not {table.low}")
    return codes[:left]


def _symbol(bits: BitStream, table: StoredCode) -> int:
    """The next symbol; its codeword comes from the most significant bit on (S5.1)."""
    length = codeword = 0
    while (length, codeword) not in table.symbols:
        assert length < max(LENGTH_LIMITS.values())  # the code is complete
        codeword = codeword << 1 | bits.take(1)
        length += 1
    return table.symbols[length, codeword]


def lane_bytes(block: bytes, lanes: int) -> list[bytes]:
    """The lanes of a plain or drawn block (S10.2)."""
    sizes = [int.from_bytes(block[8 * lane : 8 * lane + 4], "little") for lane in range(lanes)]
    return _cut(block, 8 * lanes, sizes)


def stream_bytes(block: bytes, members: int) -> list[bytes]:
    """The code streams of a joint block (S10.3)."""
    sizes = [int.from_bytes(block[4 * k : 4 * k + 4], "little") for k in range(members)]
    return _cut(block, 4 * members, sizes)


def _cut(block: bytes, start: int, sizes: Sequence[int]) -> list[bytes]:
    if start + sum(sizes) != len(block):
        refuse(Status.BLOCK_CONTENT, f"{sizes} bytes behind {start} in a block of {len(block)}")
    parts = []
    for size in sizes:
        parts.append(block[start : start + size])
        start += size
    return parts


def member_codes(residuals: Sequence[int], predictor: int) -> list[int]:
    """The codes of all members at one position, from the residuals r_0, r_1, ... (S10.3)."""
    if predictor == 3:
        return _haar(residuals)
    codes = [residuals[0]]
    for m in range(1, len(residuals)):
        guess = {0: 0, 1: codes[0], 2: (2 * sum(codes) + m) // (2 * m)}[predictor]
        codes.append(_i8(residuals[m] + guess))
    return codes


def _haar(streams: Sequence[int]) -> list[int]:
    """The steps back: the list of one entry grows to the members' codes."""
    lengths = [len(streams)]
    while lengths[-1] > 1:
        lengths.append(lengths[-1] // 2 + lengths[-1] % 2)
    x = [streams[0]]
    taken = 1
    for length in reversed(lengths[:-1]):
        longer: list[int] = []
        for i in range(length // 2):
            d = streams[taken + i]
            even = _i8(x[i] - (d >> 1))
            longer += [even, _i8(even + d)]
        if length % 2:
            longer.append(x[-1])
        taken += length // 2
        x = longer
    return x


def _i8(value: int) -> int:
    """*value* modulo 256, read as i8."""
    return (value + 128) % 256 - 128
