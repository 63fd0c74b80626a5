"""Decode and encode speed of one VGG11-size layer, as ratios to peers in the same run.

Every way to get 4 members' float32 weights (9.4 M values) is timed in turn, round after round, on
one thread; the figure is the median over rounds of the time relative to a memcpy of the output in
the same round.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import zstandard

from benchmarks.workloads import LAYER, MEMBERS, close, gaussian
from edgeens.coded import CodedEnsemble, CodedTensor
from edgeens.container.choice import choose_methods
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from edgeens.ensemble import Ensemble, MemberTensor
from edgeens.quantize.rounding import draw_members
from edgeens.quantize.sharing import share_bits
from edgeens.quantize.tensors import quantize_ensemble

ROUNDS = 11

Ways = dict[str, Callable[[], Any]]


def measure_decode() -> list[dict[str, Any]]:
    """Rows: way, bits per member weight, time / memcpy, million member weights a second."""
    output = np.empty((MEMBERS, *LAYER), np.float32)
    grids = {bits: quantize_ensemble(gaussian(MEMBERS), bits=bits) for bits in (8, 5, 4, 2)}
    coded = {f"plain {bits} bits, fixed": grid for bits, grid in grids.items()}
    for bits in (8, 5, 4):
        chosen = choose_methods(grids[bits], method="plain", coder="entropy")
        coded[f"plain {bits} bits, entropy"] = chosen
    coded["close members, joint"] = choose_methods(quantize_ensemble(close(LAYER)))
    coded["shared, balanced digits"] = share_bits(grids[8], lambda4=0.5, lambda8=0.5)
    coded["shared, bit planes"] = share_bits(grids[8], digits="planes")
    coded["drawn, 4 INT4 members"] = draw_members(gaussian(1), members=MEMBERS, bits=4)
    ways, sizes = _ours(coded, output)
    ways["memcpy of the output"] = _memcpy(output)
    for bits in (8, 5, 4):
        label = f"zstd -3 -d + dequantise, {bits} bits"
        ways[label], sizes[label] = _zstd(grids[bits].tensors[0], output)
    return _table(ways, sizes, output.size)


def measure_encode() -> list[dict[str, Any]]:
    """Seconds for each stage of encoding 10 M weights of 4 members, one thread, best of three."""
    values = np.random.default_rng(1).normal(0, 0.02, (MEMBERS, 2500, 4000)).astype(np.float32)
    ensemble = Ensemble(MEMBERS, (MemberTensor("w", values, "float32", 0, quantise=True),))
    coded = quantize_ensemble(ensemble)
    shared = share_bits(coded, lambda4=0.5, lambda8=4.5)
    stages: Ways = {
        "quantise, 8 bits": lambda: quantize_ensemble(ensemble),
        "quantise, 4 bits, per channel, MSE clip": lambda: quantize_ensemble(
            ensemble, bits=4, per_channel=True
        ),
        "share bits (0.5, 4.5)": lambda: share_bits(coded, lambda4=0.5, lambda8=4.5),
        "write, plain 8 bits": lambda: serialise(coded),
        "write, shared": lambda: serialise(shared),
    }
    rows = []
    for stage, run in stages.items():
        seconds = min(_seconds(run) for _ in range(3))
        rows.append({"stage": stage, "seconds": seconds, "mmw_s": values.size / seconds / 1e6})
    return rows


def _ours(coded: dict[str, CodedEnsemble], output: Any) -> tuple[Ways, dict[str, int]]:
    ways: Ways = {}
    sizes = {}
    for label, ensemble in coded.items():
        data = serialise(ensemble)
        container = Container.from_bytes(data)
        ways[label] = lambda c=container: c.decode("w", out=output)
        sizes[label] = len(data)
    return ways, sizes


def _memcpy(output: Any) -> Callable[[], None]:
    source = np.ones_like(output)
    return lambda: np.copyto(output, source)


def _zstd(tensor: CodedTensor, output: Any) -> tuple[Callable[[], None], int]:
    """What a plain pipeline does: decompress the int8 codes, multiply by the scale."""
    assert tensor.grid is not None
    packed = zstandard.ZstdCompressor(level=3).compress(tensor.codes.tobytes())
    scale = tensor.grid.scale[0]
    decompressor = zstandard.ZstdDecompressor()

    def run() -> None:
        codes = np.frombuffer(decompressor.decompress(packed), np.int8)
        np.multiply(codes.reshape(output.shape), scale, out=output, dtype=np.float32)

    return run, len(packed)


def _table(ways: Ways, sizes: dict[str, int], weights: int) -> list[dict[str, Any]]:
    times: dict[str, list[float]] = {label: [] for label in ways}
    for _ in range(ROUNDS):
        for label, run in ways.items():
            times[label].append(_seconds(run))
    base = times["memcpy of the output"]
    rows = []
    for label, own in times.items():
        ratio = median(mine / theirs for mine, theirs in zip(own, base, strict=True))
        bits = 8 * sizes[label] / weights if label in sizes else None
        speed = weights / median(own) / 1e6
        rows.append({"way": label, "bits_mw": bits, "relative": ratio, "mmw_s": speed})
    return sorted(rows, key=lambda row: float(row["relative"]))


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
