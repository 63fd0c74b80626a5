"""The benchmarks of speed on a layer so small that they end at once: what is measured, and how."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import decode, encode, report, trained, ways, workloads
from benchmarks.workloads import ENTROPIES
from edgeens.ensemble import Ensemble
from edgeens.errors import EdgeensError, MissingPackageError
from edgeens.quantize.tensors import quantize_ensemble

SHAPE = (8, 16, 3, 3)


@pytest.fixture
def without_nncodec(monkeypatch):
    """NNCodec is compiled for minutes, so it counts as one that cannot be installed."""

    def refuse(codes, cache):
        raise MissingPackageError("NNCodec could not be installed")

    monkeypatch.setattr(decode, "NncodecTimer", refuse)
    monkeypatch.setattr(encode, "NncodecTimer", refuse)


def test_every_way_to_decode_is_timed_on_one_thread_and_on_two(
    tmp_path, without_nncodec, capsys, monkeypatch
):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 9.0, 9.0))
    rows = decode.measure_decode(tmp_path, shape=SHAPE, rounds=1)
    assert capsys.readouterr().out == "skipped a peer: NNCodec could not be installed\n"
    threads = Counter((row["way"], row["entropy"]) for row in rows)
    assert set(threads.values()) == {2}
    assert rows[0]["way"] == ways.MEMCPY
    ours = [row for row in rows if row["threads"] == 1 and row["way"].startswith("entropy, ")]
    assert [row["entropy"] for row in ours] == [*ENTROPIES, None]
    peers = {row["way"] for row in rows if row["way"].startswith("zstd")}
    assert peers == {
        f"zstd -{level} -d, dequantised by {how}"
        for level in (3, 19)
        for how in ("NumPy", "our kernel")
    }
    assert all(row["relative"] > 0 and row["mmw_s"] > 0 for row in rows)
    assert all(row["bits_mw"] > 1 for row in rows[2:])


def test_two_threads_are_not_timed_on_a_busy_machine(monkeypatch, capsys):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (2.0, 9.0, 9.0))
    assert decode.threads_worth_timing() == (1, 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (2.25, 0.0, 0.0))
    assert decode.threads_worth_timing() == (1,)
    wanted = "skipped two threads: the machine is busy (load 2.2, 2 cores)\n"
    assert capsys.readouterr().out == wanted


def test_a_peer_that_gives_other_weights_is_not_timed(tmp_path, without_nncodec, monkeypatch):
    wrong = {"broken": (lambda codes: codes, lambda frame: bytes(len(frame)))}
    monkeypatch.setattr(ways, "_compressors", lambda: wrong)
    with pytest.raises(EdgeensError, match=r"^broken -d, dequantised by NumPy gave other weights"):
        decode.measure_decode(tmp_path, shape=SHAPE, rounds=1)


def test_whole_files_of_trained_ensembles_are_timed_and_absent_ones_named(
    tmp_path, monkeypatch, capsys
):
    one, *_ = (recipe for recipe in trained.RECIPES if recipe.dataset)
    monkeypatch.setattr(trained, "RECIPES", (one,))
    assert trained.measure_trained(tmp_path) == []
    assert capsys.readouterr().out == (
        f"skipped {one.title}: run `python -m benchmarks sizes --data DIR` first\n"
    )
    layers = quantize_ensemble(
        Ensemble(4, tuple(replace(workloads.gaussian(4, SHAPE).tensors[0], name=n) for n in "ab"))
    )
    row = trained.time_decoding(one, layers, rounds=1)
    assert len(row["faster"]) == 4
    assert all(factor > 0 for factor in row["faster"].values())
    assert 4 < row["bits_mw"] < 12
    assert report.trained_table([row]).splitlines()[2].startswith(f"| {one.title} | ")


def test_every_stage_of_encoding_is_timed(tmp_path, without_nncodec):
    layers = [(4, 3, 3, 3), (8, 4, 3, 3)]
    rows = encode.measure_encode(tmp_path, layers=layers, rounds=1)
    weights = {row["stage"]: row["weights"] for row in rows}
    assert weights[encode.WHOLE] == weights["pack alone"] == 4 * 9 * (12 + 32)
    assert weights["zstd -19 of codes"] == 4 * 9 * 32
    assert all(row["seconds"] > 0 for row in rows)


def test_the_benchmarked_vgg11_has_the_weights_that_it_is_said_to_have():
    assert 4 * sum(int(np.prod(shape)) for shape in encode.VGG11) == 36_870_912


def row(way, threads, relative, *, entropy=None, bits_mw=2.0):
    return {
        "way": way,
        "entropy": entropy,
        "bits_mw": bits_mw,
        "threads": threads,
        "relative": relative,
        "mmw_s": 1000 / relative,
    }


def test_the_tables_of_decoding_put_each_figure_where_it_belongs():
    rows = [
        row("memcpy of the output", 1, 1.0, bits_mw=None),
        row("memcpy of the output", 2, 0.5, bits_mw=None),
        *(
            row(way, threads, relative + entropy - 0.125 * threads, entropy=entropy)
            for entropy in (1.5, 2.5)
            for way, relative in ((f"entropy, {entropy} bits", 1.0), ("zstd", 3.0))
            for threads in (1, 2)
        ),
        *(row("split, 2.5 bits", threads, 2.25, entropy=2.5) for threads in (1, 2)),
        row("NNCodec, not dequantised", 1, 400.0, entropy=1.5),
    ]
    assert report.entropy_table(rows).splitlines() == [
        "| same codes, of so many bits | 1.5 bits | 2.5 bits |",
        "| --- | --- | --- |",
        "| edgeens, entropy | 2.38 (2.25) | 3.38 (3.25) |",
        "| edgeens, split |  | 2.25 (2.25) |",
        "| zstd | 4.38 (4.25) | 5.38 (5.25) |",
    ]
    assert report.way_table(rows).splitlines() == [
        "| way | bits/mw | time / memcpy | million mw/s |",
        "| --- | --- | --- | --- |",
        "| memcpy of the output |  | 1.00 (0.50) | 1000 |",
        "| NNCodec, not dequantised | 2.00 | 400.00 | 2 |",
    ]


def test_the_command_takes_several_names_and_says_which_there_are(monkeypatch, tmp_path, capsys):
    done = []
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "encode", lambda machine, cache: done.append("encode"))
    monkeypatch.setattr(command, "instructions", lambda: done.append("instructions"))
    monkeypatch.setattr(sys, "argv", ["benchmarks", "instructions", "encode"])
    assert command.main() == 0
    assert done == ["encode", "instructions"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", "speed"])
    with pytest.raises(SystemExit):
        command.main()
    assert "'speed' (choose from" in capsys.readouterr().err


def test_data_that_are_missing_end_the_command_before_anything_is_measured(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "decode", None)  # calling it would raise TypeError
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--cache", str(tmp_path / "cache")])
    assert command.main() == 1
    assert "give --data DIR, a folder with the official idx files" in capsys.readouterr().err
