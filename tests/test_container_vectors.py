"""The golden vectors: both decoders do with them what their descriptions say, for ever."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from edgeens.container.drawn import draw_words
from edgeens.container.layout import Status
from edgeens.container.reference import read_container
from edgeens.container.reference_blocks import word
from edgeens.decoder import Container
from edgeens.errors import FormatError
from tests.make_vectors import vectors
from tests.vector_blocks import put, shared_block
from tests.vector_faults import damaged
from tests.vector_records import BALANCED
from tests.vector_split_faults import split_base

ROOT = Path(__file__).parents[1]
VECTORS = ROOT / "tests" / "vectors"
SPEC = (ROOT / "docs" / "SPEC.md").read_text()
GOOD = sorted((VECTORS / "good").glob("*.eens"))
REFUSED = json.loads((VECTORS / "refused" / "refused.json").read_text())

# Statuses that a caller's mistake or a storage device causes, never the content of a file.
NOT_OF_A_FILE = {"OK", "ARGUMENT", "WORKSPACE", "OUTPUT", "READ", "NOT_FOUND"}


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_the_vectors_are_those_that_make_vectors_writes():
    found = {
        path.relative_to(VECTORS).as_posix(): path.read_bytes()
        for path in VECTORS.rglob("*")
        if path.is_file()
    }
    assert found == vectors()


def test_the_vectors_stay_small():
    assert sum(path.stat().st_size for path in VECTORS.rglob("*") if path.is_file()) < 600_000


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_both_decoders_give_what_a_good_vector_states(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    data = path.read_bytes()
    reference, container = read_container(data), Container.from_bytes(data)
    reference.verify()
    container.verify()
    assert container.members == reference.header.member_count == expected["members"]
    assert [t.name for t in container.tensors] == [t["name"] for t in expected["tensors"]]
    for number, stated in enumerate(expected["tensors"]):
        info = container.tensor(stated["name"])
        assert (info.dtype, list(info.shape), info.method, info.copies) == (
            stated["dtype"], stated["shape"], stated["method"], stated["copies"],
        )  # fmt: skip
        last = info.copies - 1
        forms = [("values", container.decode(info.name), reference.values(number))]
        ones = [container.decode(info.name, member=last), reference.values(number, last)]
        if stated["codes"] is not None:
            codes = container.decode(info.name, as_="int8")
            forms.append(("codes", codes, reference.decode_codes(number)))
        for form, fast, slow in forms:
            assert digest(fast) == stated[form]["all"]
            assert digest(slow) == stated[form]["all"]
            assert digest(fast[-1]) == stated[form]["last"]
        assert [digest(one) for one in ones] == [stated["values"]["last"]] * 2


def refusal(call):
    with pytest.raises(FormatError) as caught:
        call()
    return Status(caught.value.status).name, str(caught.value)


@pytest.mark.parametrize("name", REFUSED)
def test_both_decoders_refuse_a_bad_vector_for_the_stated_reason(name):
    stated = REFUSED[name]
    data = (VECTORS / "refused" / name).read_bytes()
    limit = stated.get("limit")

    def fast():
        return Container.from_bytes(data, limit=limit)

    def slow():
        return read_container(data, limit=limit)

    if stated["at"] == "verify":
        opened, read = fast(), slow()  # opening alone finds nothing
        calls = [opened.verify, read.verify]
    else:
        calls = [fast, slow]
    for call in calls:
        status, text = refusal(call)
        assert status == stated["status"]
        assert text.startswith(Status[status].sentence)


def test_every_reason_for_which_a_file_can_be_refused_has_a_vector():
    have = {stated["status"] for stated in REFUSED.values()}
    assert have == {status.name for status in Status} - NOT_OF_A_FILE


def test_a_huge_tensor_in_a_small_file_is_among_the_refused():
    assert (VECTORS / "refused" / "block_count_huge.eens").stat().st_size < 1000
    assert REFUSED["block_count_huge.eens"]["at"] == "open"


def spec_statuses():
    section = SPEC[SPEC.index("## S12") :]
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \| (.*?) \|$", section, re.MULTILINE)
    return {name: (int(number), sentence) for number, name, sentence in rows}


def test_the_statuses_are_the_same_in_the_spec_in_c_and_in_python():
    from edgeens import _native

    stated = spec_statuses()
    assert stated == {status.name: (int(status), status.sentence) for status in Status}
    for name, (number, sentence) in stated.items():
        constant = "EENS_OK" if name == "OK" else f"EENS_ERR_{name}"
        assert getattr(_native.lib, constant) == number
        text = _native.ffi.string(_native.lib.eens_strerror(number)).decode()
        assert text == sentence


def test_the_walk_of_the_spec_is_the_walked_vector():
    lines = re.findall(
        r"^([0-9a-f]{4})  ((?:[0-9A-F]{2} ?)+?)(?:  .*)?$",
        SPEC[SPEC.index("## S13") :],
        re.MULTILINE,
    )
    walked = b""
    for offset, octets in lines:
        assert int(offset, 16) == len(walked), "the walk leaves a gap"
        walked += bytes.fromhex(octets)
    assert walked == (VECTORS / "good" / "walk.eens").read_bytes()
    assert len(walked) < 500
    codes = read_container(walked).decode_codes(1)
    assert codes.shape == (2, 2, 4)
    digits = r"(-?\d+) \| (-?\d), (-?\d), (-?\d)"
    rows = re.findall(rf"^\| (\d) \| {digits} \| {digits} \|$", SPEC, re.MULTILINE)
    stated = np.array(rows, int)
    assert np.array_equal(stated[:, [1, 5]].T, codes.reshape(2, 8))
    for code, a, b, c in [*stated[:, 1:5], *stated[:, 5:9]]:
        assert code == 85 * a + 17 * b + c


def test_the_words_of_the_spec_are_drawn():
    row = r"^\| 0x([0-9A-F]{16}) \| (\d+) \| (\d+) \| (\d+) \| 0x([0-9A-F]{4}) \|$"
    rows = re.findall(row, SPEC, re.MULTILINE)
    assert len(rows) == 8
    for key, tensor, position, member, stated in rows:
        found = word(int(key, 16), int(tensor), int(position), int(member))
        assert found == int(stated, 16)
        fast = draw_words(int(key, 16), int(tensor), np.array([int(position)]), int(member))
        assert fast.tolist() == [found]


@pytest.mark.parametrize("reader", [read_container, Container.from_bytes])
def test_the_block_that_the_faults_start_from_is_good(reader):
    """Else a refused block could be refused for another reason than the one it is named after."""
    container = reader(damaged(put(BALANCED, shared_block()), [BALANCED]))
    with pytest.raises(FormatError, match=Status.DIGEST.sentence):
        container.verify()


@pytest.mark.parametrize("reader", [read_container, Container.from_bytes])
def test_the_file_that_the_faults_of_split_start_from_is_good(reader):
    """Its low bits and codewords are those that the faults change."""
    container = reader(split_base().build())
    container.verify()
    assert {record.coder for record in read_container(split_base().build()).records} == {3}
