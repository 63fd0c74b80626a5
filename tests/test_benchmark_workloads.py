"""What the benchmarks of speed decode, and what they say where they cannot count instructions."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import instructions
from benchmarks.workloads import ENTROPIES, gaussian_codes, on_one_grid, workloads
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from edgeens.errors import EdgeensError, MissingPackageError

SHAPE = (16, 32, 3, 3)


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
        with Container.from_bytes(serialise(workload.coded)) as container:
            stored |= {(info.method, info.coder) for info in container.tensors}
    assert stored == {
        ("plain", "filtered"),
        ("plain", "fixed"),
        ("plain", "entropy"),
        ("shared", "fixed"),
        ("joint", "entropy"),
        ("drawn", "fixed"),
        ("drawn", "entropy"),
    }
    assert [workload.entropy for workload in every if workload.entropy] == list(ENTROPIES)


@pytest.mark.parametrize("program", ["cc", "aarch64-linux-gnu-gcc", "qemu-aarch64"])
def test_a_missing_tool_of_the_instruction_counts_is_named_with_its_packages(monkeypatch, program):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program else f"/bin/{name}")
    wanted = f"^{program} is missing; install it with apt-get install gcc gcc-aarch64-linux-gnu"
    with pytest.raises(MissingPackageError, match=wanted):
        instructions.measure_instructions()


def test_without_its_tools_the_instruction_count_is_skipped_in_words(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    command.instructions()
    assert capsys.readouterr().out.startswith("skipped the instruction counts: cc is missing; ")
    assert list(tmp_path.iterdir()) == []


def test_other_values_from_the_emulated_decoder_end_the_count(monkeypatch, tmp_path):
    monkeypatch.setattr(instructions, "_run", lambda *call: "00000000\n")
    with pytest.raises(EdgeensError, match=r"^the emulated decoder's values have the checksum 0"):
        instructions._count(tmp_path, 1, "12345678")


def test_the_counts_of_a_function_are_added_up(monkeypatch, tmp_path):
    (tmp_path / "log").write_text("5 eens_decode\n7 ?\n30 eens_decode\n")
    monkeypatch.setattr(instructions, "_run", lambda *call: "12345678\n")
    counted = instructions._count(tmp_path, 1, "12345678")
    assert counted == {"eens_decode": 35, "?": 7}
