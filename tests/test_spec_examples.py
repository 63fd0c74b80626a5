"""The worked examples of docs/SPEC.md are what both decoders and the encoder do."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest

from edgeens.container.layout import TABLE_ENTRY
from edgeens.container.predictors import residuals
from edgeens.container.reference import read_container
from edgeens.container.reference_entropy import decode_stream, member_codes
from edgeens.container.reference_tables import TensorTables
from edgeens.decoder import Container

ROOT = Path(__file__).parents[1]
SPEC = (ROOT / "docs" / "SPEC.md").read_text()
WORKED = (ROOT / "tests" / "vectors" / "good" / "worked.eens").read_bytes()
SPLIT = (ROOT / "tests" / "vectors" / "good" / "split_codings.eens").read_bytes()
CODE, FILTER, HAAR = range(3)  # the tensors of the file


def section(number: str) -> str:
    return re.split(r"^#+ ", SPEC.split(f"# S{number} ")[1], flags=re.MULTILINE)[0]


def bytes_of(text: str) -> list[bytes]:
    """The bytes at the beginning of each line of an example."""
    lines = re.findall(r"^((?:[0-9A-F]{2} )+) *(?=\S)", text, re.MULTILINE)
    return [bytes.fromhex(line) for line in lines]


def numbers(text: str) -> list[int]:
    return [int(each) for each in re.findall(r"-?\d+", text)]


@pytest.fixture
def stored():
    """The open file's tensors, by the reference decoder."""
    return read_container(WORKED).tensors


def tables() -> list[bytes]:
    """The bodies of the file's tables."""
    header = read_container(WORKED).header
    start = header.head_size - 8 * header.block_count - header.tables_size
    body = start + TABLE_ENTRY.size * header.table_count
    bodies = []
    for number in range(header.table_count):
        _, _, size = TABLE_ENTRY.unpack_from(WORKED, start + TABLE_ENTRY.size * number)
        bodies.append(WORKED[body : body + size])
        body += size
    return bodies


def codes(number: int) -> np.ndarray:
    """What both decoders make of a tensor, shape (copies, E)."""
    container = Container.from_bytes(WORKED)
    fast = container.decode(container.tensors[number].name, as_="int8")
    slow = read_container(WORKED).decode_codes(number)
    assert np.array_equal(fast, slow)
    return slow.reshape(len(slow), -1)


def test_the_prefix_code_of_the_specification_decodes_its_code_stream(stored):
    text = section("5.1")
    head, lengths, stream = bytes_of(text)
    assert tables()[stored[CODE].record.first_table] == head + lengths
    start, end, _ = stored[CODE].blocks[0]
    assert WORKED[start + 8 : end] == stream
    stated = numbers(text.split("the codes -1, 1")[1].split("then")[0])
    assert codes(CODE).tolist() == [[-1, 1, *stated]]
    words = re.search(r"codewords ([01, ]+)$", text, re.MULTILINE)[1].split(", ")
    of_symbols = stored[CODE].tables.first[0].symbols
    assert {(len(word), int(word, 2)): place for place, word in enumerate(words)} == of_symbols


def streams(tensor) -> list[list[int]]:
    """The numbers of the first block's code streams, before any filter."""
    start, end, _ = tensor.blocks[0]
    record, named = tensor.record, tensor.tables
    joint = record.predictor != 0
    entry = 4 if joint else 8
    at = start + entry * record.copies
    found = []
    for k in range(record.copies):
        (size,) = struct.unpack_from("<I", WORKED, start + entry * k)
        plain = TensorTables(named.first, named.others)
        found.append(
            decode_stream(
                WORKED[at : at + size],
                record.elements,
                plain,
                profile=0,
                copy=k,
                first=0,
                later=joint and k > 0,
            )
        )
        at += size
    assert at == end
    return found


def test_the_haar_transforms_of_the_specification_are_those_of_the_encoder_and_the_decoders(stored):
    rows = re.findall(
        r"^\| (-?\d.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", section("10.3"), re.M
    )
    assert len(rows) == 2
    found = np.array(streams(stored[HAAR]))
    for position, row in enumerate(rows):
        members, first, left, second, stated = map(numbers, row)
        (d1, l1), (d2, l2) = first, second
        assert left == [l1, members[2]]
        assert stated == [l2, d2, d1]
        assert residuals(np.array([members], np.int8).T, "haar").T.tolist() == [stated]
        assert member_codes(stated, 3) == members
        assert found[:, position].tolist() == stated
        assert codes(HAAR)[:, position].tolist() == members


def test_the_filtered_rows_of_the_specification_are_those_of_the_decoders(stored):
    text = section("10.4")
    example = re.search(r"with B = (\d+), lags (.*?) and weights (.*?), two rows", text)
    columns, lags, weights = map(numbers, example.groups())
    body = tables()[stored[FILTER].record.first_table]
    assert body == struct.pack("<I4H4b", *columns, *lags, *weights)
    rows = {
        name: numbers(cells) for name, cells in re.findall(r"^\| ([\w +]+) \|(.*)\|$", text, re.M)
    }
    assert rows["e"] == list(range(6))
    assert streams(stored[FILTER]) == [rows["residual"]]
    assert codes(FILTER).tolist() == [rows["v"]]
    for residual, total, v in zip(rows["residual"], rows["sum + 32"], rows["v"], strict=True):
        assert (residual + total // 64 - v) % 256 == 0


def test_the_low_bits_of_the_specification_are_those_of_the_decoders():
    example = re.search(
        r"low_bits (\d), the codes (.*?) have the h (.*?) and\nthe fields (.*?): the low bits are "
        r"the byte (\d+)\.",
        section("10.5"),
    )
    (width,), stated, high, fields, (byte,) = map(numbers, example.groups())
    file = read_container(SPLIT)
    tensor = file.tensors[0]
    assert tensor.tables.first_low_bits == (width,)
    fast = Container.from_bytes(SPLIT).decode(tensor.name, as_="int8")
    assert fast.tolist() == file.decode_codes(0).tolist() == [stated]
    start, end, _ = tensor.blocks[0]
    assert SPLIT[start + 8] == byte == sum(field << width * i for i, field in enumerate(fields))
    # Without its table of low bits the tensor's code stream is of the h.
    tables = TensorTables(tensor.tables.first, tensor.tables.others)
    options = {"profile": 0, "copy": 0, "first": 0, "later": False}
    assert decode_stream(SPLIT[start + 9 : end], len(high), tables, **options) == high
    for code, h, field in zip(stated, high, fields, strict=True):
        assert code == (h << width) + field
