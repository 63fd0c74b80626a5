"""Every bit of a file is accounted for, once."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from edgeens.coded import CodedEnsemble, CodedTensor, Grid, Section
from edgeens.container.sizes import measure
from edgeens.container.writer import serialise
from tests.strategies import coded_ensembles

PARTS = ("header", "metadata", "pattern", "parameter", "table", "index", "exact", "section")


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(coded_ensembles())
def test_the_parts_add_up_to_the_file(coded):
    data = serialise(coded)
    sizes = measure(data)
    assert sum(getattr(sizes, f"{part}_bits") for part in PARTS) == 8 * len(data)
    assert sizes.file_bytes == len(data)
    whole = asdict(sizes)
    assert sum(tensor["file_bits"] for tensor in whole["tensors"]) <= 8 * len(data)


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
