"""What the benchmarks of speed decode: layers in every method and coder."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.workloads import ENTROPIES, gaussian_codes, on_one_grid, workloads
from edgeens.container.writer import serialise
from edgeens.decoder import Container

SHAPE = (64, 32, 3, 3)  # large enough for coder split,


def entropy_of(codes):
    counts = np.unique(codes, return_counts=True)[1]
    return float((counts * np.log2(codes.size / counts)).sum() / codes.size)


@pytest.mark.parametrize("entropy", ENTROPIES)
def test_gaussian_codes_have_the_entropy_that_they_are_named_after(entropy):
    codes = gaussian_codes(entropy, (64, 64, 3, 3))
    assert entropy_of(codes) == pytest.approx(entropy, abs=0.02)


@pytest.mark.parametrize(("largest", "bits"), [(0, 2), (1, 2), (3, 3), (4, 4), (7, 4), (127, 8)])
def test_fields_are_as_wide_as_the_largest_code_needs(largest, bits):
    codes = np.array([[0, largest], [0, -largest]], np.int8)
    coded = on_one_grid(codes)
    assert coded.tensors[0].grid.bits == bits
    with Container.from_bytes(serialise(coded)) as container:
        assert np.array_equal(container.decode("w", as_="int8"), codes)


def test_the_workloads_cover_every_method_and_coder_under_names_that_differ():
    every = list(workloads(SHAPE))
    assert len({workload.label for workload in every}) == len(every)
    stored = set()
    for workload in every:
        with Container.from_bytes(workload.data) as container:
            (info,) = container.tensors
        stored.add((info.method, info.coder))
        if info.coder != "fixed":
            assert info.coder in workload.label.split(", ")
    assert stored == {
        ("plain", "filtered"),
        ("plain", "split"),
        ("plain", "fixed"),
        ("plain", "entropy"),
        ("shared", "fixed"),
        ("joint", "entropy"),
        ("joint", "split"),
        ("drawn", "fixed"),
        ("drawn", "entropy"),
    }
    assert [workload.entropy for workload in every if workload.has_peers] == list(ENTROPIES)
