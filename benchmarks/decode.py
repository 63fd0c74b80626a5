"""How long each way takes to get 4 members' float32 weights, ours and peers in one run.

Last stage of the decode benchmark, after benchmarks.ways. Each way is timed right after a memcpy of
the output, round after round, and the figure is the median over rounds of the ratio of the two. On
one thread the time is that of the processor, which other work on the machine hardly lengthens; on
two it is that of the clock, so they are left out on a busy machine. Peers have a frame a member,
and threads take members in turn as they take our blocks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.nncodec_peer import NncodecTimer
from benchmarks.ways import Floats, Share, Way, compressors, memcpy, nncodec, ours
from benchmarks.workloads import LAYER, MEMBERS, Shape, gaussian_codes, workloads
from edgeens.errors import MissingPackageError

ROUNDS = 11
THREADS = (1, 2)
NNCODEC_LAYER = (64, 64, 3, 3)  # a hundred times slower, so a part of the layer is enough
NNCODEC_ENTROPY = 4.5

Row = dict[str, Any]


def measure_decode(cache: Path, *, shape: Shape = LAYER, rounds: int = ROUNDS) -> list[Row]:
    """Rows of a way and a number of threads, in the order of the ways.

    Each has "way", "entropy" and "bits_mw" (see Way), "threads", "relative" (time / time of a
    memcpy of the output on one thread, both a weight; median over rounds) and "mmw_s" (million
    member weights a second, likewise).

    Args:
        cache: where NNCodec is installed; it is left out, with a word, where it cannot be.
        shape: of the layer.
        rounds: of all ways in turn.
    """
    output = np.empty((MEMBERS, *shape), np.float32)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(max(THREADS)))

        def share(work: Callable[[int], None], threads: int) -> None:
            list((map if threads == 1 else pool.map)(work, range(MEMBERS)))

        copy = memcpy(output, share)
        ways = [copy, *_ways(output, shape, share)]
        try:
            codes = gaussian_codes(NNCODEC_ENTROPY, NNCODEC_LAYER)
            timer = stack.enter_context(NncodecTimer(codes, cache))
            ways.append(nncodec(timer, NNCODEC_ENTROPY))
        except MissingPackageError as error:
            print(f"skipped a peer: {error}")
        return _rows(ways, copy, rounds, threads_worth_timing())


def threads_worth_timing() -> tuple[int, ...]:
    """THREADS, or one thread where the machine has already more to do than it has cores."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load <= cores:
        return THREADS
    print(f"skipped two threads: the machine is busy (load {load:.1f}, {cores} cores)")
    return THREADS[:1]


def _ways(output: Floats, shape: Shape, share: Share) -> Iterator[Way]:
    for workload in workloads(shape):
        yield ours(workload, output)
        if workload.has_peers:
            yield from compressors(workload, output, share)


def _rows(ways: list[Way], copy: Way, rounds: int, counts: tuple[int, ...]) -> list[Row]:
    timed = [(way, threads) for way in ways for threads in counts if threads <= way.most_threads]
    ratios: list[list[float]] = [[] for _ in timed]
    seconds: list[list[float]] = [[] for _ in timed]
    for _ in range(rounds):
        for number, (way, threads) in enumerate(timed):
            clock = time.process_time if threads == 1 else time.perf_counter
            base = _seconds(copy, 1, clock) / copy.weights
            seconds[number].append(_seconds(way, threads, clock))
            ratios[number].append(seconds[number][-1] / way.weights / base)
    return [
        {
            "way": way.label,
            "entropy": way.entropy,
            "bits_mw": way.bits_mw,
            "threads": threads,
            "relative": median(ratio),
            "mmw_s": way.weights / median(own) / 1e6,
        }
        for (way, threads), ratio, own in zip(timed, ratios, seconds, strict=True)
    ]


def _seconds(way: Way, threads: int, clock: Callable[[], float]) -> float:
    start = clock()
    told = way.run(threads)
    return clock() - start if told is None else told
