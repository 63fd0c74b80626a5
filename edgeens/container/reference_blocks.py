"""The reference decoder's blocks: bytes of one block -> codes or exact values (S7 to S9).

Used by container.reference alone; the code streams of S10 are in reference_entropy. Plain Python
integers and lists, written from docs/SPEC.md in its order; it is slow on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from edgeens.container.layout import (
    DTYPE_NAMES,
    Status,
    TensorRecord,
    ceil8,
    parent_bits,
    pattern_bits,
    rest_widths,
)
from edgeens.container.reference_bits import BitStream, refuse
from edgeens.container.reference_entropy import (
    decode_stream,
    lane_bytes,
    member_codes,
    stream_bytes,
)
from edgeens.container.reference_opening import crc32c
from edgeens.container.reference_records import (
    DRAWN,
    ENTROPY,
    FIXED,
    JOINT,
    RAW,
    SHARED,
    StoredTensor,
    block_length,
)

Copies = list[list[int]] | list[bytes]


def require_supported(record: TensorRecord) -> None:
    """What is reserved is refused before any block is read (S10, S12)."""
    if (record.method, record.coder) in ((SHARED, ENTROPY), (JOINT, FIXED)):
        refuse(Status.UNSUPPORTED, f"method {record.method}, coder {record.coder}")


def decode_block(
    data: bytes,
    tensor: StoredTensor,
    number: int,
    block: int,
    member: int | None,
    *,
    profile: int,
) -> Copies:
    """Copies of one block: one of *member*, or all.

    Args:
        data: the whole file.
        tensor: the tensor.
        number: the tensor's number in the file.
        block: the block's number in the tensor.
        member: 0 to K-1, or None for all copies.
        profile: of the file.

    Returns:
        For each copy its codes, or the bytes of its exact values.
    """
    record = tensor.record
    start, end, crc = tensor.blocks[block]
    stored = data[start:end]
    common = record.lane_entry * record.lanes if record.lanes else len(stored)
    if crc32c(stored[:common]) != crc:
        refuse(Status.BLOCK_CHECKSUM, f"{tensor.name!r}, block {block}, common part")
    n = block_length(record, block)
    if record.method == SHARED:
        copies = _shared(stored, n, record.copies, balanced=record.digits == 1)
        return copies if member is None else [copies[member]]
    if record.method == JOINT:
        copies = _joint(stored, n, tensor, block, profile)
        return copies if member is None else [copies[member]]
    if record.coder != FIXED:
        contents = lane_bytes(stored, record.lanes)
    else:
        size = (len(stored) - common) // record.lanes
        contents = [stored[at : at + size] for at in range(common, len(stored), size)]
    lanes = range(record.lanes) if member is None else [min(member, record.lanes - 1)]
    decoded: list[list[int]] = []
    exact: list[bytes] = []
    for lane in lanes:
        crc_end = record.lane_entry * (lane + 1)
        if crc32c(contents[lane]) != int.from_bytes(stored[crc_end - 4 : crc_end], "little"):
            refuse(Status.BLOCK_CHECKSUM, f"{tensor.name!r}, block {block}, lane {lane}")
        if record.bits == 0:
            exact.append(_exact(contents[lane], DTYPE_NAMES[record.dtype]))
            continue
        codes = _lane_codes(contents[lane], n, tensor, block, lane, profile)
        if record.method == DRAWN:
            first = block * record.block_positions
            members = range(record.copies) if member is None else [member]
            decoded += [_draw(codes, first, tensor, number, each) for each in members]
        else:
            decoded.append(codes)
    return exact if record.bits == 0 else decoded


def _lane_codes(
    lane: bytes, n: int, tensor: StoredTensor, block: int, copy: int, profile: int
) -> list[int]:
    """The codes that a lane holds; of drawn, the parent's."""
    record = tensor.record
    if record.method == RAW:
        return [_signed(byte, 8) for byte in lane]
    width = parent_bits(record.parent_levels) if record.method == DRAWN else record.bits
    least, most = -(1 << record.bits - 1), (1 << record.bits - 1) - 1
    if record.method == DRAWN:
        least, most = -record.parent_levels, record.parent_levels
    if record.coder != FIXED:
        assert tensor.tables is not None
        first = block * record.block_positions
        codes = decode_stream(
            lane, n, tensor.tables, profile=profile, copy=copy, first=first, later=False
        )
    else:
        codes = _plain(lane, n, width)
    if any(not least <= code <= most for code in codes):
        refuse(Status.BLOCK_CONTENT, f"a code is outside {least}..{most}")
    return codes


def _joint(
    stored: bytes, n: int, tensor: StoredTensor, block: int, profile: int
) -> list[list[int]]:
    """(S10.3)"""
    record = tensor.record
    assert tensor.tables is not None
    first = block * record.block_positions
    residuals = [
        decode_stream(stream, n, tensor.tables, profile=profile, copy=k, first=first, later=k > 0)
        for k, stream in enumerate(stream_bytes(stored, record.copies))
    ]
    positions = [member_codes(each, record.predictor) for each in zip(*residuals, strict=True)]
    least, most = -(1 << record.bits - 1), (1 << record.bits - 1) - 1
    if any(not least <= code <= most for codes in positions for code in codes):
        refuse(Status.BLOCK_CONTENT, f"a code is outside {least}..{most}")
    return [list(copy) for copy in zip(*positions, strict=True)]


def _exact(lane: bytes, dtype: str) -> bytes:
    """(S7.1)"""
    if dtype == "bool" and any(byte > 1 for byte in lane):
        refuse(Status.BLOCK_CONTENT, "a bool is neither 0 nor 1")
    return lane


def _signed(field: int, width: int) -> int:
    """A field in two's complement."""
    return field - (1 << width) if field >> width - 1 else field


def _plain(lane: bytes, n: int, bits: int) -> list[int]:
    """(S7.2)"""
    stream = BitStream(lane)
    codes = [_signed(stream.take(bits), bits) for _ in range(n)]
    stream.close()
    return codes


def _shared(block: bytes, n: int, members: int, *, balanced: bool) -> list[list[int]]:
    """(S8)"""
    run_count = int.from_bytes(block[:2], "little")
    runs_end = 2 + 2 * run_count
    if run_count < 1 or runs_end + 4 > len(block):
        refuse(Status.BLOCK_CONTENT, f"{run_count} runs in {len(block)} bytes")
    levels: list[int] = []
    for at in range(2, runs_end, 2):
        run = int.from_bytes(block[at : at + 2], "little")
        if len(levels) + (run >> 2) + 1 > n:
            refuse(Status.BLOCK_CONTENT, "the runs are longer than the block")
        levels += [run & 3] * ((run >> 2) + 1)
    if len(levels) != n:
        refuse(Status.BLOCK_CONTENT, "the runs are shorter than the block")
    n1, n2, n3 = (sum(level >= least for level in levels) for least in (1, 2, 3))
    size4 = int.from_bytes(block[runs_end : runs_end + 4], "little")
    width = pattern_bits(members)
    streams = []
    at = runs_end + 4
    for size in (ceil8(n2 * width), ceil8(n3 * width), ceil8(n1 * 2 * members), size4):
        if at + size > len(block):
            refuse(Status.BLOCK_CONTENT, "a stream reaches beyond the block")
        streams.append(BitStream(block[at : at + size]))
        at += size
    streams.append(BitStream(block[at:]))
    four_patterns, eight_patterns, bases, fours, eights = streams
    copies: list[list[int]] = [[] for _ in range(members)]
    for level in levels:
        a = [0] * members
        b = [0 if balanced or level == 0 else 2] * members
        c = [8 if not balanced and level == 2 else 0] * members
        if level >= 1:
            a = [_base(bases.take(2), balanced) for _ in range(members)]
        if level >= 2:
            b = _cluster_digits(four_patterns, fours, members, _four, balanced)
        if level == 3:
            c = _cluster_digits(eight_patterns, eights, members, _eight, balanced)
        weights = (85, 17) if balanced else (64, 16)
        for copy, *digits in zip(copies, a, b, c, strict=True):
            copy.append(weights[0] * digits[0] + weights[1] * digits[1] + digits[2])
    for stream in streams:
        stream.close()
    return copies


def _base(field: int, balanced: bool) -> int:
    if not balanced:
        return field - 2
    if field > 2:
        refuse(Status.BLOCK_CONTENT, f"a base digit has the field {field}")
    return field - 1


def _four(stream: BitStream, balanced: bool) -> int:
    if not balanced:
        return stream.take(2)
    field = stream.take(3)
    if field > 4:
        refuse(Status.BLOCK_CONTENT, f"a level-4 digit has the field {field}")
    return field - 2


def _eight(stream: BitStream, balanced: bool) -> int:
    if not balanced:
        return stream.take(4)
    field = stream.take(5)
    if field > 16:
        refuse(Status.BLOCK_CONTENT, f"a level-8 digit has the field {field}")
    return field - 8


def _cluster_digits(
    patterns: BitStream,
    digits: BitStream,
    members: int,
    take: Callable[[BitStream, bool], int],
    balanced: bool,
) -> list[int]:
    """One position's digits, member by member: its pattern, then one digit for each cluster."""
    string = _pattern(patterns, members)
    clusters = [take(digits, balanced) for _ in range(max(string) + 1)]
    return [clusters[cluster] for cluster in string]


def _pattern(stream: BitStream, members: int) -> list[int]:
    """A restricted-growth string ("Patterns")."""
    first = min(members, 4)
    index = stream.take(pattern_bits(first))
    if index >= len(_STRINGS[first]):
        refuse(Status.BLOCK_CONTENT, f"there is no pattern {index} of {first} members")
    string = list(_STRINGS[first][index])
    for width in rest_widths(members):
        cluster = stream.take(width)
        if cluster > max(string) + 1:
            refuse(Status.BLOCK_CONTENT, f"cluster {cluster} in a pattern comes too early")
        string.append(cluster)
    return string


def _strings(length: int) -> list[tuple[int, ...]]:
    """All restricted-growth strings of *length*, in lexicographic order."""
    return [
        string
        for string in product(range(length), repeat=length)
        if all(string[i] <= len(set(string[:i])) for i in range(length))
    ]


_STRINGS = {length: _strings(length) for length in (2, 3, 4)}


def _draw(
    parent: list[int], first: int, tensor: StoredTensor, number: int, member: int
) -> list[int]:
    """(S9) One member's codes of the positions from *first* on."""
    record = tensor.record
    q = (1 << record.bits - 1) - 1
    levels = record.parent_levels
    codes = []
    for position, n in enumerate(parent, start=first):
        t = n * q
        f = t // levels
        r = t - levels * f
        u = word(record.key, number, position, member) * levels >> 16
        codes.append(f + 1 if u < r else f)
    return codes


def word(key: int, tensor: int, position: int, member: int) -> int:
    """(S9) The 16-bit word of (key, tensor, e, m)."""
    a = _mix(key & _MASK)
    a = _mix(a ^ key >> 32)
    a = _mix(a ^ tensor)
    s = _mix(a + 0x9E3779B9 * ((member >> 1) + 1) & _MASK)
    factor = _mix(s ^ 0x85EBCA6B) | 1
    x = _mix(position * factor + s & _MASK)
    return x >> 16 if member & 1 else x & 0xFFFF


def _mix(x: int) -> int:
    x ^= x >> 16
    x = x * 0x7FEB352D & _MASK
    x ^= x >> 15
    x = x * 0x846CA68B & _MASK
    return x ^ x >> 16


_MASK = 0xFFFFFFFF
