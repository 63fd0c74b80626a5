"""The benchmark that users run on their board: what it measures, prints and says when it cannot."""

from __future__ import annotations

import shutil
import sys

import pytest

from benchmarks import board, machine, report
from benchmarks.board import SCALAR, VECTOR, Figure, Row
from edgeens.errors import EdgeensError, MissingPackageError


def test_every_way_is_measured_with_the_decoder_built_here(monkeypatch):
    monkeypatch.setattr(
        board, "FLAGS", ["-std=c11", "-O0", "-ffp-contract=off"]
    )  # in half the time
    rows = board.measure_board(shape=(4, 8, 3, 3), times=3)
    assert rows[0].way == "memcpy of the output"
    assert len(rows) == 1 + len(list(board.counted_workloads((4, 8, 3, 3))))
    builds = {VECTOR, SCALAR} if board._has_vector_code() else {VECTOR}
    assert all(set(row.figures) == builds for row in rows[1:])
    assert all(figure.nanoseconds > 0 for row in rows for figure in row.figures.values())


def test_a_decoding_counts_the_median_of_its_times(monkeypatch, tmp_path):
    monkeypatch.setattr(board, "_run", lambda *call: "12345678\n900 90\n100 30\n200 20\n")
    assert board._measure(tmp_path, tmp_path, 3, "12345678", 10) == Figure(20.0, 3.0)
    monkeypatch.setattr(board, "_run", lambda *call: "12345678\n900 0\n")
    assert board._measure(tmp_path, tmp_path, 3, "12345678", 10) == Figure(90.0, None)


def test_a_build_that_gives_other_values_is_not_timed(monkeypatch, tmp_path):
    monkeypatch.setattr(board, "_run", lambda *call: "00000000\n900 90\n")
    wanted = "^the values decoded here have the checksum 00000000, those of the package 12345678"
    with pytest.raises(EdgeensError, match=wanted):
        board._measure(tmp_path, tmp_path, 3, "12345678", 10)


def test_a_missing_compiler_is_named_with_its_package(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert board.main() == 1
    wanted = "is missing: a C compiler builds what is measured; on Raspberry Pi OS install it with"
    assert wanted in capsys.readouterr().err


def test_a_decoder_that_does_not_build_is_an_error_in_words():
    with pytest.raises(MissingPackageError, match=r"^sh failed: no room$"):
        board._run("sh", "-c", "echo no room >&2; exit 1")


def test_what_is_printed_is_markdown_and_says_why_there_are_no_cycles(
    monkeypatch, capsys, tmp_path
):
    rows = [
        Row("memcpy of the output", None, {VECTOR: Figure(1.0, None)}),
        Row("fixed", 8.0, {VECTOR: Figure(2.0, None), SCALAR: Figure(4.0, None)}),
    ]
    paranoid = tmp_path / "perf_event_paranoid"
    paranoid.write_text("3\n")
    monkeypatch.setattr(board, "PARANOID", paranoid)
    monkeypatch.setattr(board, "measure_board", lambda: rows)
    assert board.main() == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"- machine: {machine.describe()}"
    table = printed.index("| decode to float32 | bits/mw | ns/mw | cycles/mw |")
    assert printed[table - 2].startswith("- compiler: ")
    assert printed[table + 2 :] == [
        "| memcpy of the output |  | 1.00 | - |",
        "| fixed | 8.00 | 2.00 (4.00) | - |",
        "",
        "No cycles: the system does not let programs count them; with "
        "`sudo sysctl kernel.perf_event_paranoid=2` until the next start it does.",
    ]


def test_cycles_stand_beside_the_nanoseconds():
    row = Row("fixed", 8.0, {VECTOR: Figure(2.0, 3.0), SCALAR: Figure(4.0, 6.5)})
    assert (
        report.board_table([row]).splitlines()[-1] == "| fixed | 8.00 | 2.00 (4.00) | 3.00 (6.50) |"
    )


def test_a_raspberry_pi_is_described_by_its_own_name(monkeypatch, tmp_path):
    (tmp_path / "model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    frequency = tmp_path / "cpufreq"
    frequency.mkdir()
    (frequency / "cpuinfo_max_freq").write_text("1800000\n")
    (frequency / "scaling_governor").write_text("ondemand\n")
    (tmp_path / "temp").write_text("48200\n")
    monkeypatch.setattr(machine, "BOARD", tmp_path / "model")
    monkeypatch.setattr(machine, "PROCESSOR", tmp_path)
    monkeypatch.setattr(machine, "HEAT", tmp_path / "temp")
    lines = machine.board_lines()
    assert lines[0].startswith("machine: Raspberry Pi 4 Model B Rev 1.4, ")
    assert "clock: at most 1800 MHz, governor ondemand" in lines
    assert lines[-1] == "temperature: 48 degrees Celsius"
    assert sys.version.split()[0] in lines[0]
