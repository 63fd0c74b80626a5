"""The reference decoder's table pool (S5): its checks, and the tables that a tensor names.

For steps 6 and 7.2 of "Opening". Written from docs/SPEC.md in its order, slow on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeens.container.layout import (
    CLASSES,
    CODERS,
    FILTER,
    LENGTH_LIMITS,
    LOW_BITS,
    MAX_CLASS_TABLES,
    MAX_GROUP,
    MAX_LOW_BITS,
    MAX_SYMBOLS,
    MCU_TABLES,
    METHODS,
    PREFIX_CODE,
    PROFILES,
    SETS,
    TABLE_ENTRY,
    TAPS,
    Header,
    Status,
    TensorRecord,
    ceil8,
)
from edgeens.container.reference_bits import BitStream, refuse


@dataclass(frozen=True)
class StoredCode:
    """A table of kind 1 (S5.1): the symbol of each codeword, by (length, codeword)."""

    group: int
    low: int
    values: int
    symbols: dict[tuple[int, int], int]

    def codes(self, symbol: int) -> list[int]:
        """The g codes that a symbol stands for, the first at the lowest position."""
        codes = []
        for _ in range(self.group):
            codes.append(self.low + symbol % self.values)
            symbol //= self.values
        return codes


@dataclass(frozen=True)
class StoredClasses:
    """A table of kind 2 (S5.2); its classes are read with the tensor that names it."""

    columns: int
    rows: int
    body: bytes


@dataclass(frozen=True)
class StoredBody:
    """A table of kind 3 or 4 (S5.4, S5.5), which is read with the tensor that names it."""

    kind: int
    body: bytes


@dataclass(frozen=True)
class StoredFilter:
    """A table of kind 3 (S5.4): columns, lags, the weights of each set, each column's set."""

    columns: int
    lags: tuple[int, ...]
    weights: tuple[tuple[int, ...], ...]
    sets: tuple[int, ...]


@dataclass(frozen=True)
class TensorTables:
    """The tables of one tensor (S5.3 to S5.5).

    Attributes:
        first, others: prefix codes by class; the others are those of a joint tensor's streams
            after the first, else the same.
        columns: class of each column; empty without classes.
        rows: class of each row, by copy.
        filters: of the first stream and of the others; empty without.
        first_low_bits, other_low_bits: of each prefix code; empty without coder split.
    """

    first: tuple[StoredCode, ...]
    others: tuple[StoredCode, ...]
    columns: tuple[int, ...] = ()
    rows: tuple[tuple[int, ...], ...] = ()
    filters: tuple[StoredFilter, ...] = ()
    first_low_bits: tuple[int, ...] = ()
    other_low_bits: tuple[int, ...] = ()

    def code_at(self, copy: int, position: int, *, first: bool) -> StoredCode:
        """The prefix code of the position *position* of the tensor in *copy* (S5.2, S5.3)."""
        codes = self.first if first else self.others
        return codes[self._table_at(copy, position)]

    def low_bits_at(self, copy: int, position: int, *, first: bool) -> int:
        """The width of the field of low bits at that position (S5.5)."""
        low_bits = self.first_low_bits if first else self.other_low_bits
        return low_bits[self._table_at(copy, position)] if low_bits else 0

    def _table_at(self, copy: int, position: int) -> int:
        if not self.columns:
            return 0
        row, column = divmod(position, len(self.columns))
        return min(self.rows[copy][row] + self.columns[column], len(self.first) - 1)


Table = StoredCode | StoredClasses | StoredBody | None


def open_tables(tables: bytes, header: Header) -> tuple[Table, ...]:
    """Step 6 of "Opening"; None for a table of which this version knows nothing."""
    count = header.table_count
    total = count * TABLE_ENTRY.size
    if total > len(tables):
        refuse(Status.TABLE, f"a directory of {count} tables in {len(tables)} bytes")
    entries = []
    for number in range(count):
        kind, reserved, size = TABLE_ENTRY.unpack_from(tables, number * TABLE_ENTRY.size)
        if kind == 0 or reserved != bytes(3):
            refuse(Status.TABLE, f"table {number} has kind {kind}, reserved {reserved.hex()}")
        entries.append((kind, size))
        total += size
    if total != len(tables):
        refuse(Status.TABLE, f"the tables take {total} of {len(tables)} bytes")
    if header.minor == 0:
        return (None,) * count
    opened: list[Table] = []
    start = count * TABLE_ENTRY.size
    for number, (kind, size) in enumerate(entries):
        body = tables[start : start + size]
        start += size
        if kind == PREFIX_CODE:
            opened.append(_open_code(body, header, f"table {number}"))
        elif kind == CLASSES:
            opened.append(_open_classes(body, f"table {number}"))
        elif kind in (FILTER, LOW_BITS):
            opened.append(StoredBody(kind, body))
        else:
            opened.append(None)
    return tuple(opened)


def _open_code(body: bytes, header: Header, where: str) -> StoredCode:
    """(S5.1)"""
    if len(body) < 4:
        refuse(Status.TABLE, f"{where}: {len(body)} bytes hold no prefix code")
    group, values = body[0], body[2] + 1
    low = body[1] - 256 if body[1] > 127 else body[1]
    if not 1 <= group <= MAX_GROUP or low + values - 1 > 127 or body[3] != 0:
        refuse(Status.TABLE, f"{where}: group {group}, low {low}, {values} values, {body[3]}")
    count = values**group
    if count > MAX_SYMBOLS:
        refuse(Status.TABLE, f"{where}: {count} symbols")
    if values == 1:
        if len(body) != 4:
            refuse(Status.TABLE, f"{where}: lengths of a single symbol")
        return StoredCode(group, low, values, {(0, 0): 0})
    profile = next(name for name, number in PROFILES.items() if number == header.profile)
    stream = BitStream(body[4:], Status.TABLE)
    lengths: list[int] = []
    for _ in range(count):
        before = lengths[-1] if lengths else 0
        change = stream.take(2)
        length = stream.take(4) if change == 3 else before + (0, 1, -1)[change]
        if not 0 <= length <= LENGTH_LIMITS[profile]:
            refuse(Status.TABLE, f"{where}: a codeword of {length} bits")
        lengths.append(length)
    stream.close()
    whole = 1 << max(LENGTH_LIMITS.values())
    if sum(whole >> length for length in lengths if length) != whole:
        refuse(Status.TABLE, f"{where}: the codewords are not complete")
    return StoredCode(group, low, values, _codewords(lengths))


def _codewords(lengths: Sequence[int]) -> dict[tuple[int, int], int]:
    """The symbols by length and codeword, the codewords as in RFC 1951."""
    symbols = {}
    first = 0
    for length in range(1, max(lengths) + 1):
        of_length = [symbol for symbol, each in enumerate(lengths) if each == length]
        for place, symbol in enumerate(of_length):
            symbols[length, first + place] = symbol
        first = 2 * (first + len(of_length))
    return symbols


def _open_classes(body: bytes, where: str) -> StoredClasses:
    """(S5.2), as far as it can be checked without a tensor."""
    if len(body) < 8:
        refuse(Status.TABLE, f"{where}: {len(body)} bytes hold no classes")
    columns = int.from_bytes(body[:4], "little")
    rows = int.from_bytes(body[4:8], "little")
    if columns == 0 or rows == 0:
        refuse(Status.TABLE, f"{where}: {rows} rows and {columns} columns")
    return StoredClasses(columns, rows, body)


def _open_filter(body: bytes, elements: int, where: str) -> StoredFilter:
    """(S5.4)"""
    sets = 1 if len(body) == 4 + 2 * TAPS + TAPS else SETS
    columns = int.from_bytes(body[:4], "little")
    after_lags = 4 + 2 * TAPS
    after_weights = after_lags + TAPS * sets
    size = after_weights + (ceil8(3 * columns) if sets > 1 else 0)
    if len(body) != size:
        refuse(Status.RECORD, f"{where}: {len(body)} bytes of a filter, not {size}")
    if columns == 0 or elements % columns:
        refuse(Status.RECORD, f"{where}: a filter of {columns} columns")
    lags = [int.from_bytes(body[at : at + 2], "little") for at in range(4, after_lags, 2)]
    weights = [byte - 256 if byte > 127 else byte for byte in body[after_lags:after_weights]]
    of_sets = [tuple(weights[at : at + TAPS]) for at in range(0, len(weights), TAPS)]
    of_columns = [0] * columns
    if sets > 1:
        stream = BitStream(body[after_weights:], Status.RECORD)
        of_columns = [stream.take(3) for _ in range(columns)]
        stream.close()
    return StoredFilter(columns, tuple(lags), tuple(of_sets), tuple(of_columns))


def tensor_tables(
    record: TensorRecord, tables: Sequence[Table], where: str, *, profile: int
) -> TensorTables:
    """The tables that a record names (S5.3 to S5.5), for step 7.2."""

    def need(holds: bool, what: str) -> None:
        if not holds:
            refuse(Status.RECORD, f"{where}: {what}")

    joint = record.method == METHODS["joint"]
    split = record.coder == CODERS["split"]
    named = list(tables[record.first_table : record.first_table + record.table_count])
    low_bits = b""
    if split:
        need(_kind_first(named) == LOW_BITS, "it does not begin with its low bits")
        low_bits = _take_body(named)
    filters: list[StoredFilter] = []
    if record.coder == CODERS["filtered"] or (split and _kind_first(named) == FILTER):
        for _ in range(2 if joint else 1):
            need(_kind_first(named) == FILTER, "a filter is missing")
            filters.append(_open_filter(_take_body(named), record.elements, where))
    classes = named[0] if named and isinstance(named[0], StoredClasses) else None
    codes = [table for table in named if isinstance(table, StoredCode)]
    need(len(codes) == len(named) - (classes is not None), "it names a table of another kind")
    need(len(codes) >= 1, "it names no prefix code")
    need(not joint or len(codes) % 2 == 0, f"joint names {len(codes)} prefix codes")
    count = len(codes) // 2 if joint else len(codes)
    most = MAX_CLASS_TABLES if classes else 1
    need(count <= most, f"it names {count} prefix codes, for classes 0 to {most - 1}")
    small = profile == PROFILES["mcu"]
    need(not small or len(codes) <= MCU_TABLES, f"in the mcu profile it names {len(codes)} codes")
    need(classes is None or all(code.group == 1 for code in codes), "classes, and groups of codes")
    of_columns: tuple[int, ...] = ()
    of_rows: tuple[tuple[int, ...], ...] = ()
    if classes is not None:
        of_columns, of_rows = _tensor_classes(record, classes, where)
    if split:
        _check_low_bits(low_bits, len(codes), count, where)
        need(not any(of_columns), "low bits, and columns of a class that is not 0")
    return TensorTables(
        first=tuple(codes[:count]),
        others=tuple(codes[-count:]),
        columns=of_columns,
        rows=of_rows,
        filters=tuple(filters),
        first_low_bits=tuple(low_bits[:count]),
        other_low_bits=tuple(low_bits[-count:]),
    )


def _kind_first(named: Sequence[Table]) -> int | None:
    """The kind of the first of the tables that are left, if it is read only now."""
    return named[0].kind if named and isinstance(named[0], StoredBody) else None


def _take_body(named: list[Table]) -> bytes:
    """The body of the first of the tables that are left, which is taken from them."""
    first = named.pop(0)
    assert isinstance(first, StoredBody)
    return first.body


def _tensor_classes(
    record: TensorRecord, classes: StoredClasses, where: str
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The classes of the columns, and of the rows by copy (S5.2)."""
    copies = 1 if record.method == METHODS["drawn"] else record.copies
    columns, rows, body = classes.columns, classes.rows, classes.body
    if columns * rows != record.elements:
        refuse(Status.RECORD, f"{where}: {rows} rows of {columns} columns")
    after_columns = 8 + ceil8(3 * columns)
    size = after_columns + ceil8(3 * copies * rows)
    if len(body) != size:
        refuse(Status.RECORD, f"{where}: {len(body)} bytes of classes, not {size}")
    of_columns = BitStream(body[8:after_columns], Status.RECORD)
    of_rows = BitStream(body[after_columns:], Status.RECORD)
    column_classes = tuple(of_columns.take(3) for _ in range(columns))
    row_classes = tuple(tuple(of_rows.take(3) for _ in range(rows)) for _ in range(copies))
    of_columns.close()
    of_rows.close()
    return column_classes, row_classes


def _check_low_bits(low_bits: bytes, codes: int, count: int, where: str) -> None:
    """Those of *codes* prefix codes, *count* in a set (S5.5)."""
    if len(low_bits) != codes:
        refuse(Status.RECORD, f"{where}: {len(low_bits)} low bits of {codes} prefix codes")
    if any(each > MAX_LOW_BITS for each in low_bits):
        refuse(Status.RECORD, f"{where}: the low bits {list(low_bits)}")
    for of_set in (low_bits[:count], low_bits[count:]):
        if len(set(of_set) - {0}) > 1:
            refuse(Status.RECORD, f"{where}: low bits of several widths in {list(of_set)}")
