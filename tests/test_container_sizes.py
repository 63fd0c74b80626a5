"""Every bit of a file is accounted for, once."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from edgeens.coded import CodedEnsemble, CodedTensor, Draw, Grid, Section
from edgeens.container.sizes import measure
from edgeens.container.writer import serialise
from edgeens.errors import FormatError
from tests.strategies import coded_ensembles

VECTORS = Path(__file__).parent / "vectors"
GRID = Grid(8, np.ones(1, np.float32))
PARTS = ("header", "metadata", "pattern", "parameter", "table", "index", "exact", "section")


def total(sizes):
    return sum(getattr(sizes, f"{part}_bits") for part in PARTS)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(coded_ensembles())
def test_the_parts_add_up_to_the_file(coded):
    data = serialise(coded)
    sizes = measure(data)
    assert total(sizes) == 8 * len(data)
    assert sizes.file_bytes == len(data)
    whole = asdict(sizes)
    for tensor in whole["tensors"]:
        assert sum(tensor[f"{part}_bits"] for part in PARTS) == tensor["file_bits"]
    tensors = sum(tensor["file_bits"] for tensor in whole["tensors"])
    assert 8 * 64 + tensors + sizes.section_bits == 8 * len(data)


@pytest.fixture
def plain():
    """Two members of a 10 x 100 tensor at 4 bits, a bias, a graph, JSON."""
    codes = np.ones((2, 10, 100), np.int8)
    return CodedEnsemble(
        2,
        (
            CodedTensor("w", "float32", codes, Grid(4, np.ones(10, np.float32), 0), "plain"),
            CodedTensor("b", "float32", np.zeros((1, 10), "<f4")),
        ),
        (Section("META", b"{}"), Section("SKLF", b"graph")),
    )


def test_a_plain_tensor_is_counted_as_by_hand(plain):
    sizes = measure(serialise(plain))
    assert sizes.parameter_bits == 2 * 1000 * 4
    assert sizes.exact_bits == 10 * 32
    assert sizes.table_bits == 10 * 32
    assert sizes.index_bits == 2 * 64 + 2 * 32 + 32  # entries; lanes of w; lane of b
    assert sizes.header_bits == 8 * (64 + 2 * 96 + 2)
    assert sizes.section_bits == 8 * (3 * 20 + 2 + 5 + 2 * 32)
    assert sizes.metadata_bits == sizes.pattern_bits == 0
    assert sizes.float32_bytes == 2 * 4 * 1010
    assert sizes.int8_bytes == 2 * 1000 + 40
    assert sizes.workspace_bytes == 500


def test_bits_per_member_weight_leave_out_graph_and_json(plain):
    data = serialise(plain)
    without = len(data) - (20 + 2) - (20 + 5)
    assert measure(data).bits_per_member_weight == pytest.approx(8 * without / 2000)


@pytest.mark.parametrize("path", sorted((VECTORS / "good").glob("*.eens")), ids=lambda p: p.stem)
def test_the_parts_of_every_vector_sum_to_its_size(path):
    assert total(measure(path.read_bytes())) == 8 * path.stat().st_size


def test_the_walked_file_is_spent_as_the_specification_shows():
    """Counted by hand in S13: runs and size4 10 bytes, patterns 2, bases and digits 11."""
    sizes = measure((VECTORS / "good" / "walk.eens").read_bytes())
    bias, weight = sizes.tensors
    assert (weight.metadata_bits, weight.pattern_bits, weight.parameter_bits) == (80, 16, 88)
    assert (weight.header_bits, weight.table_bits, weight.index_bits) == (8 * 102, 32, 64)
    assert (bias.exact_bits, bias.index_bits) == (128, 8 * (8 + 8))
    assert (bias.parameter_bits, weight.exact_bits) == (0, 0)
    assert sizes.section_bits == 8 * (20 + 33 + 20 + 64)
    assert sizes.bits_per_member_weight == 8 * (470 - 53) / 16
    assert sizes.float32_bytes == 2 * (8 + 2) * 4
    assert sizes.int8_bytes == 2 * 8 + 2 * 2 * 4
    assert sizes.workspace_bytes == 23


def test_tensors_are_described_as_they_are():
    sizes = measure((VECTORS / "good" / "blocks.eens").read_bytes())
    described = {each.name: each for each in sizes.tensors}
    assert (described["drawn"].method, described["drawn"].copies) == ("drawn", 4)
    assert (described["drawn"].bits, described["drawn"].shape) == (3, (77,))
    assert (described["exact"].bits, described["exact"].dtype) == (0, "int64")
    assert {each.coder for each in sizes.tensors} == {"fixed"}
    assert (sizes.format_version, sizes.members) == ("1.0", 4)


def test_graph_and_metadata_do_not_count_for_a_weight():
    codes = CodedTensor("w", "float32", np.zeros((2, 50), np.int8), GRID, "plain")
    coded = CodedEnsemble(2, (codes,))
    sections = tuple(Section(type_, b"{}") for type_ in ("META", "SKLF", "SKLC", "SKLQ"))
    bare = measure(serialise(coded)).bits_per_member_weight
    assert bare == 8 * len(serialise(coded)) / 100
    assert measure(serialise(replace(coded, sections=sections))).bits_per_member_weight == bare
    other = measure(serialise(replace(coded, sections=(Section("CALI", b"{}"),))))
    assert other.bits_per_member_weight == 8 * (len(serialise(coded)) + 22) / 100


def test_members_that_share_a_tensor_count_as_members():
    one = CodedTensor("w", "float16", np.zeros((1, 50), np.int8), GRID, "plain")
    drawn = replace(one, name="d", method="drawn", draw=Draw(1, 127))
    exact = CodedTensor("e", "double", np.zeros((1, 7)))
    data = serialise(CodedEnsemble(4, (one, drawn, exact)))
    sizes = measure(data)
    assert sizes.float32_bytes == 4 * (50 * 2 + 50 * 2 + 7 * 8)
    assert sizes.int8_bytes == 4 * 50 + 4 * 50 + 7 * 8
    assert sizes.bits_per_member_weight == 8 * len(data) / 400


def test_without_codes_there_are_no_bits_of_a_weight():
    assert measure(serialise(CodedEnsemble(1, ()))).bits_per_member_weight is None


@pytest.mark.parametrize(
    ("copies", "positions", "workspace"), [(1, 30, 30), (3, 30, 30), (40, 30, 160), (40, 300, 300)]
)
def test_the_workspace_holds_the_largest_common_part_or_lane(copies, positions, workspace):
    codes = CodedTensor("w", "float32", np.zeros((copies, positions), np.int8), GRID, "plain")
    data = serialise(CodedEnsemble(copies, (codes,)))
    assert measure(data).workspace_bytes == workspace


def test_sizes_become_json_with_the_names_that_inspect_prints():
    sizes = json.loads(json.dumps(asdict(measure(serialise(CodedEnsemble(1, ()))))))
    assert set(sizes) == {
        "format_version", "members", "file_bytes", "float32_bytes", "int8_bytes",
        "bits_per_member_weight", "workspace_bytes", "tensors", *(f"{part}_bits" for part in PARTS),
    }  # fmt: skip


def test_a_damaged_count_of_runs_is_still_accounted_for():
    data = bytearray((VECTORS / "good" / "walk.eens").read_bytes())
    data[0x136:0x138] = b"\xff\xff"
    assert total(measure(bytes(data))) == 8 * len(data)


def test_reserved_methods_count_as_parameters():
    data = (VECTORS / "refused" / "joint.eens").read_bytes()
    joint = next(tensor for tensor in measure(data).tensors if tensor.method == "joint")
    assert (joint.coder, joint.metadata_bits, joint.pattern_bits) == ("fixed", 0, 0)
    assert joint.parameter_bits > 0


def test_what_cannot_be_opened_cannot_be_measured():
    with pytest.raises(FormatError, match="the file is shorter than it says"):
        measure(b"")
