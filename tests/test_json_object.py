"""What is JSON in a section is the same for the writer and both decoders (SPEC S11.1)."""

from __future__ import annotations

import pytest

from edgeens.coded import CodedEnsemble, Section
from edgeens.container.layout import Status
from edgeens.container.reference import read_container
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from edgeens.errors import FormatError, MembersError
from edgeens.json_object import read_object
from tests.damage import Draft, SectionDraft


def nested(depth: int) -> bytes:
    """An object with arrays in it, *depth* in all."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


JSON = {
    "empty": b"{}",
    "space": b" \t\r\n{}\n",
    "depth 64": nested(64),
    "brackets in a string": b'{"a":"' + b"[{" * 100 + b'"}',
    "brackets behind an escaped quote": b'{"a":"\\"' + b"[" * 100 + b'\\\\","b":[]}',
    "many arrays, one at a time": b'{"a":[' + b"[]," * 100 + b"[]]}",
    "a name twice": b'{"a":1,"a":2}',
    "half a surrogate pair": b'{"a":"\\ud800"}',
    "a number of 5000 digits": b'{"a":' + b"7" * 5000 + b"}",
    "a number above all doubles": b'{"a":-1e999}',
}

NO_JSON = {
    "depth 65": nested(65),
    "depth 65 under a name that stands again": nested(65)[:-1] + b',"a":1}',
    "depth 3000": nested(3000),
    "open 3000": b"[" * 3000,
    "a list": b"[{}]",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16-le"),
    "surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "line feed in a string": b'{"a":"\n"}',
    "NaN": b'{"a":NaN}',
    "-Infinity": b'{"a":-Infinity}',
    "leading zero": b'{"a":01}',
    "comma": b'{"a":1,}',
    "two texts": b"{}{}",
    "quote": b'{"a":"\\',
}


def container(payload: bytes) -> bytes:
    draft = Draft.take_apart(serialise(CodedEnsemble(1, ())))
    draft.sections.insert(0, SectionDraft(b"META", payload))
    return draft.build()


@pytest.mark.parametrize("payload", JSON.values(), ids=JSON)
def test_what_is_a_json_object_is_written_and_read(payload):
    data = serialise(CodedEnsemble(1, (), (Section("META", payload),)))
    read_container(data).verify()
    Container.from_bytes(data).verify()


@pytest.mark.parametrize("payload", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_object_is_neither_written_nor_read(payload):
    with pytest.raises(MembersError, match="META is not a JSON object"):
        serialise(CodedEnsemble(1, (), (Section("META", payload),)))
    data = container(payload)
    for reader in (read_container, Container.from_bytes):
        with pytest.raises(FormatError, match=Status.SECTION.sentence):
            reader(data).verify()


def test_numbers_come_back_as_they_were_written():
    found = read_object(b'{"whole":12345678901234567890,"part":0.5}')
    assert found == {"whole": 12345678901234567890, "part": 0.5}
    assert isinstance(found["whole"], int)
