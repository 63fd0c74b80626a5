"""Instructions and modelled cycles: what is added up, and what is said where they cannot be had."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import cycles, instructions, report
from benchmarks.cycles import Piece, hot_pieces, model_cycles
from benchmarks.instructions import Build
from edgeens.errors import EdgeensError, MissingPackageError

TOOLS = ["cc", "aarch64-linux-gnu-gcc", "qemu-aarch64", "llvm-mca-19", "llvm-objdump-19"]
LISTED = """
driver:	file format elf64-littleaarch64

0000000000400100 <spread>:
  400100:      	ld1	{ v0.16b }, [x1], #16
  400104:      	adrp	x0, 0x410000 <table+0x20>
  400108:      	b.ne	0x400100 <spread>
  40010c:      	ret                     // back
"""


@pytest.mark.parametrize("program", TOOLS)
def test_a_missing_tool_of_the_instruction_counts_is_named_with_its_packages(monkeypatch, program):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program else f"/bin/{name}")
    wanted = f"^{program} is missing; install it with apt-get install gcc gcc-aarch64.* llvm-19$"
    with pytest.raises(MissingPackageError, match=wanted):
        instructions.measure_instructions()


def test_without_its_tools_the_instruction_count_is_skipped_in_words(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    command.instructions()
    assert capsys.readouterr().out.startswith("skipped the instruction counts: cc is missing; ")
    assert list(tmp_path.iterdir()) == []


def build():
    return Build("cortex-a72", "NEON", Path("driver"))


def test_other_values_from_the_emulated_decoder_end_the_count(monkeypatch, tmp_path):
    monkeypatch.setattr(instructions, "_run", lambda *call: "00000000\n5 0\n")
    with pytest.raises(EdgeensError, match=r"^the emulated decoder's values have the checksum 0"):
        instructions._count(tmp_path, build(), 1, "12345678")


def test_the_runs_of_a_piece_that_was_translated_twice_are_added_up(monkeypatch, tmp_path):
    (tmp_path / "log").write_text("400100 3 5 spread\n40010c 1 7 ?\n400100 3 30 spread\n")
    monkeypatch.setattr(instructions, "_run", lambda *call: "12345678\n5 0\n")
    counted = instructions._count(tmp_path, build(), 1, "12345678")
    assert counted == {Piece(0x400100, 3, "spread"): 35, Piece(0x40010C, 1, "?"): 7}


def test_figures_are_of_one_member_weight_of_one_decoding(monkeypatch):
    monkeypatch.setattr(instructions, "model_cycles", lambda program, model, rows: [280.0])
    built = build()
    built.rows.append(Counter({Piece(0, 3, "a"): 40, Piece(12, 1, "b"): 20}))
    built.weights.append(40)
    (row,) = instructions._figures(built)
    assert (row["processor"], row["kernels"]) == ("cortex-a72", "NEON")
    assert row["instructions"] == 3.5
    assert row["cycles"] == 7.0
    assert row["functions"] == {"a": 3.0, "b": 0.5}


def test_hot_pieces_are_those_that_run_the_most_instructions(monkeypatch):
    monkeypatch.setattr(cycles, "COVERED", 0.9)
    runs = Counter({Piece(0, 1, "rare"): 5, Piece(4, 10, "loop"): 8, Piece(44, 1, "often"): 15})
    assert [piece.function for piece in hot_pieces(runs)] == ["loop", "often"]


def test_cycles_are_the_models_times_the_runs_and_the_rest_as_slow(monkeypatch):
    monkeypatch.setattr(cycles, "COVERED", 0.9)
    given = []

    def run(*call, text=""):
        if call[0] == cycles.DISASSEMBLER:
            return LISTED
        given.append((call, text))
        summary = {"TotalCycles": 4 * cycles.TURNS}
        return json.dumps({"CodeRegions": [{"Name": "0", "SummaryView": summary}]})

    monkeypatch.setattr(cycles, "_run", run)
    loop, rest = Piece(0x400100, 3, "spread"), Piece(0x40010C, 1, "spread")
    assert model_cycles(Path("driver"), "cortex-a72", [Counter({loop: 100, rest: 10})]) == [
        pytest.approx(400 * 310 / 300)
    ]
    ((call, text),) = given
    assert "-mcpu=cortex-a72" in call
    code = "ld1\t{ v0.16b }, [x1], #16\nadrp\tx0, place\nb.ne\tplace"
    assert text == f"# LLVM-MCA-BEGIN 0\n{code}\n# LLVM-MCA-END\n"


def test_a_model_that_fails_is_an_error_in_words():
    with pytest.raises(MissingPackageError, match=r"^sh failed \(no such model\); it is part of"):
        cycles._run("sh", "-c", "echo no such model >&2; exit 1")


def test_the_tables_of_counts_put_each_figure_where_it_belongs():
    builds = [
        {"processor": processor, "kernels": kernels, "instructions": 10 * i + j, "cycles": i + j}
        for i, processor in enumerate(instructions.PROCESSORS, 1)
        for j, kernels in enumerate(instructions.KERNELS, 1)
    ]
    rows = [{"way": "fixed", "bits_mw": 8.0, "builds": builds}]
    assert report.instruction_table(rows).splitlines() == [
        "| decode to float32 | bits/mw | instructions/mw | without NEON |",
        "| --- | --- | --- | --- |",
        "| fixed | 8.00 | 21.0 | 22.0 |",
    ]
    assert report.cycle_table(rows).splitlines() == [
        "| decode to float32, cycles/mw | Cortex-A53 (Pi 3, Zero 2 W) | Cortex-A72 (Pi 4) "
        "| Neoverse-N1 (for the Pi 5) |",
        "| --- | --- | --- | --- |",
        "| fixed | 2.0 (3.0) | 3.0 (4.0) | 4.0 (5.0) |",
    ]
