"""A finished file takes a calibration: a last section, and nothing else is touched."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeens.coded import CodedEnsemble, Section
from edgeens.container.amend import with_last_section, write_with_last_section
from edgeens.container.layout import HEADER, Header
from edgeens.container.reference import read_container
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from edgeens.errors import FormatError, MembersError
from tests.vector_ensembles import CALIBRATION, exact, plain

PAYLOAD = json.dumps(CALIBRATION).encode()


def original(*sections: Section) -> bytes:
    tensors = (plain("a", 8, (2, 3, 4)), exact("b", "float32", (1, 5)))
    return serialise(CodedEnsemble(2, tensors, sections))


def sizes(data: bytes) -> dict[str, int]:
    return {info.type: info.size for info in Container.from_bytes(data).sections.values()}


def amended(data: bytes, payload: bytes = PAYLOAD) -> bytes:
    return b"".join(with_last_section(data, sizes(data), "CALI", payload))


def test_both_readers_take_an_amended_file_and_its_calibration():
    data = amended(original(Section("META", b"{}")))
    container = Container.from_bytes(data)
    container.verify()
    assert container.calibration == CALIBRATION
    assert list(container.sections) == ["META", "DGST", "CALI"]
    reference = read_container(data)
    reference.verify()
    assert json.loads(reference.section("CALI")) == CALIBRATION


def test_every_byte_but_the_section_and_three_fields_stays():
    before = original(Section("META", b"{}"))
    after = amended(before)
    changed = {place for place in range(len(before)) if before[place] != after[place]}
    assert changed <= set(range(16, 32))  # head_crc, section_count, file_size
    assert Header(*HEADER.unpack_from(after)).minor == Header(*HEADER.unpack_from(before)).minor


def test_replacing_a_calibration_leaves_nothing_of_the_old_one():
    before = original()
    once = amended(before)
    assert amended(amended(before, b'{"old": [1, 2, 3]}')) == once
    assert Container.from_bytes(before).calibration == {}


def test_a_calibration_comes_behind_the_signature_and_not_from_before_it():
    signed = original(Section("SIGN", bytes(100)))
    assert list(sizes(amended(signed))) == ["SIGN", "DGST", "CALI"]
    inside = original(Section("CALI", b"{}"), Section("SIGN", bytes(100)))
    with pytest.raises(MembersError, match="CALI stands before the signature"):
        amended(inside)


def test_a_file_full_of_sections_is_not_amended():
    full = original(*(Section(f"A{i:03}", b"") for i in range(63)))
    with pytest.raises(MembersError, match="has 64 sections already"):
        amended(full)


def test_a_calibration_that_is_no_json_object_is_refused():
    container = Container.from_bytes(amended(original(), b"[1]"))
    for read in (lambda: container.calibration, container.verify):
        with pytest.raises(FormatError, match="a section is malformed: 'CALI' is not a JSON obj"):
            read()


def test_the_amended_file_replaces_its_original_in_one_step(tmp_path):
    path = tmp_path / "f.eens"
    path.write_bytes(original())
    with Container.open(path) as container:
        expected = container.decode("a")
        data = path.read_bytes()
        write_with_last_section(data, sizes(data), "CALI", PAYLOAD, path)
        np.testing.assert_array_equal(container.decode("a"), expected)  # the old file, still whole
    with Container.open(path) as container:
        np.testing.assert_array_equal(container.decode("a"), expected)
        assert container.calibration == CALIBRATION
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.eens"]
