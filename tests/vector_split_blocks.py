"""Coder split by hand: the blocks and tables of a tensor, from its codes (S5.5, S10.5).

Under vector_split, whose files show what a reader must take before, and beyond, what the writer
chooses. Bit by bit, in the order of the specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgeens.coded import CodedEnsemble, CodedTensor
from edgeens.container.classes import Classes
from edgeens.container.filters import Filter
from edgeens.container.layout import CODERS, LOW_BITS, MINOR_OF_CODERS
from edgeens.container.predictors import residuals
from edgeens.container.prefix import PrefixCode, fit_code
from edgeens.container.writer import serialise
from tests.damage import Draft
from tests.vector_entropy_faults import joint, lanes, pool

Bodies = list[tuple[int, bytes]]


@dataclass(frozen=True, eq=False)
class Split:
    """How a tensor is written.

    Attributes:
        low_bits: of each table of the first set, and for joint of the second.
        filters: none, or one for each set.
        of_rows: class of each row of each copy, shape (copies, R); None without classes.
        group: codes in a symbol.
        wrapped: whether the numbers h of positions with low bits are from 0 on, which is the same
            modulo 256.
    """

    low_bits: tuple[tuple[int, ...], ...]
    filters: tuple[Filter, ...] = ()
    of_rows: np.ndarray | None = None
    group: int = 1
    wrapped: bool = False


def split_file(ensemble: CodedEnsemble, splits: dict[str, Split], unnamed: Bodies) -> bytes:
    """The file of *ensemble*, each tensor written as *splits* say, and tables that none names."""
    draft = Draft.take_apart(serialise(ensemble))
    tensors = {tensor.name.encode(): tensor for tensor in ensemble.tensors}
    bodies: Bodies = []
    for each in draft.tensors:
        tensor = tensors[each.name]
        tables, blocks = _tensor(tensor, splits[tensor.name], each.record.block_positions)
        each.blocks = [(lanes if each.record.lanes else joint)(*streams) for streams in blocks]
        for block in range(len(blocks) if each.record.lanes else 0):
            each.seal_lanes(block)
        coder = CODERS["split"]
        each.lies.update(coder=coder, first_table=len(bodies), table_count=len(tables))
        bodies += tables
    bodies += unnamed
    draft.tables = pool(bodies)
    draft.lies.update(minor=MINOR_OF_CODERS["split"], table_count=len(bodies))
    return draft.build()


def _tensor(tensor: CodedTensor, split: Split, positions: int) -> tuple[Bodies, list[list[bytes]]]:
    """Its tables, and the lanes or code streams of each block."""
    numbers = tensor.codes.reshape(len(tensor.codes), -1)
    if tensor.method == "joint":
        numbers = residuals(numbers, tensor.predictor)
    codes: list[PrefixCode] = []
    of_streams: list[list[bytes]] = []
    for number, low_bits in enumerate(split.low_bits):
        of_set = numbers
        if tensor.method == "joint":
            of_set = numbers[1:] if number else numbers[:1]
        if split.filters:
            of_set = split.filters[number].residuals(of_set, positions)
        table_of = np.zeros(of_set.shape, int)
        if split.of_rows is not None:
            rows = split.of_rows[-len(of_set) :] if number else split.of_rows[: len(of_set)]
            of_position = np.repeat(rows, numbers.shape[1] // rows.shape[1], axis=1)
            table_of = np.minimum(of_position, len(low_bits) - 1)
        tables, streams = _set(of_set.astype(int), table_of, low_bits, split, positions)
        codes += tables
        of_streams += streams
    bodies = [(LOW_BITS, bytes(each for low_bits in split.low_bits for each in low_bits))]
    bodies += [each.body() for each in split.filters]
    if split.of_rows is not None:
        columns = np.zeros(numbers.shape[1] // split.of_rows.shape[1], np.uint8)
        bodies.append(Classes(columns, split.of_rows).body())
    bodies += [code.body() for code in codes]
    return bodies, [list(block) for block in zip(*of_streams, strict=True)]


def _set(
    numbers: np.ndarray, table_of: np.ndarray, low_bits: Sequence[int], split: Split, positions: int
) -> tuple[list[PrefixCode], list[list[bytes]]]:
    """The prefix codes of one set, and for each of its streams the bytes in each block."""
    widths = np.array(low_bits)[table_of]
    high, low = numbers >> widths, numbers & (1 << widths) - 1
    if split.wrapped:
        high = np.where(widths > 0, high & (1 << 8 - widths) - 1, high)
    of_tables = [high[table_of == table] for table in range(len(low_bits))]
    lows = [int(each.min()) if each.size else 0 for each in of_tables]
    sizes = [int(np.ptp(each)) + 1 if each.size else 1 for each in of_tables]
    blocks = [slice(at, at + positions) for at in range(0, numbers.shape[1], positions)]
    symbols = [
        [
            [
                _symbols(h[block][part], t[block][part], lows, sizes, split.group)
                for part in _parts(len(h[block]))
            ]
            for block in blocks
        ]
        for h, t in zip(high, table_of, strict=True)
    ]
    flat = [pair for stream in symbols for block in stream for part in block for pair in part]
    codes = []
    for table, (least, values) in enumerate(zip(lows, sizes, strict=True)):
        counts = np.zeros(values**split.group, int)
        np.add.at(counts, [symbol for of_table, symbol in flat if of_table == table], 1)
        code = fit_code(counts, group=split.group, low=least, values=values, profile="desktop")
        codes.append(code)
    streams = [
        [
            packed(zip(low[k, block].tolist(), widths[k, block].tolist(), strict=True))
            + _code_stream(of_block, codes)
            for block, of_block in zip(blocks, stream, strict=True)
        ]
        for k, stream in enumerate(symbols)
    ]
    return codes, streams


def _parts(n: int) -> list[slice]:
    """The parts of a block of *n* positions (S10.1)."""
    length = 12 * -(-n // 48) if n >= 1024 else n
    return [slice(at, at + length) for at in range(0, n, length)]


def _symbols(
    high: np.ndarray, table_of: np.ndarray, lows: list[int], sizes: list[int], group: int
) -> list[tuple[int, int]]:
    """Table and symbol of each group of a part."""
    symbols = []
    for at in range(0, len(high), group):
        table = int(table_of[at])
        digits = (high[at : at + group] - lows[table]).tolist()
        symbols.append((table, sum(d * sizes[table] ** i for i, d in enumerate(digits))))
    return symbols


def _code_stream(parts: list[list[tuple[int, int]]], codes: list[PrefixCode]) -> bytes:
    """(S10.1)"""
    words = [code.words().tolist() for code in codes]
    packed_parts = [
        packed((words[t][y] & 0xFFFF, words[t][y] >> 16) for t, y in part) for part in parts
    ]
    sizes = b"".join(len(part).to_bytes(4, "little") for part in packed_parts[:-1])
    return sizes + b"".join(packed_parts)


def packed(fields: Iterable[tuple[int, int]]) -> bytes:
    """The bit stream of fields, each a value and its width."""
    bits = size = 0
    for value, width in fields:
        bits |= value << size
        size += width
    return bits.to_bytes((size + 7) // 8, "little")
