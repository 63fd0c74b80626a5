"""Ways to run an ensemble: edgeens in each of its modes, and what people do without it.

Between benchmarks.runtime_worker, which measures one of them in a process of its own, and ONNX
Runtime. Every way but one ends in the same figures, computed by the same function: the mean, the
uncertainties, every member's probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.networks import member_files
from edgeens.onnx.session import Session
from edgeens.uncertainty import summarize_logits

Floats = NDArray[np.float32]
Run = Callable[[Floats], Any]
Open = Callable[[Path, int, int], Run]


@dataclass(frozen=True)
class Way:
    """One way to run K members.

    Attributes:
        label: for people; unique.
        open: from files to a function of the input; arguments: the network's folder, K, threads.
        files: that it reads, from the network's folder and K.
        threads: numbers of threads with which it differs from the other ways.
    """

    label: str
    open: Open
    files: Callable[[Path, int], list[Path]]
    threads: tuple[int, ...] = (1, 2)


def _ours(label: str, mode: str, *, optimize: bool | None = None) -> Way:
    def start(folder: Path, members: int, threads: int) -> Run:
        path = folder / f"{members}.eens"
        session = Session(path, mode=mode, optimize=optimize, threads=threads)  # type: ignore[arg-type]
        return session.predict

    return Way(label, start, lambda folder, members: [folder / f"{members}.eens"])


def _default_options(threads: int) -> Any:
    """What ONNX Runtime does by itself, which is a pool of all cores for each session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return options


def _lean_options() -> Any:
    """What takes least memory: weights are used where the file is mapped, and none are repacked.

    Its kernels are those that edgeens runs without optimize.
    """
    options = _default_options(1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    return options


def _in_turn(folder: Path, members: int, threads: int, kind: str = ".") -> Run:
    """One session after the other, each with all threads."""
    sessions = [
        onnxruntime.InferenceSession(str(path), _default_options(threads))
        for path in member_files(folder, members, kind)
    ]
    return lambda x: _figures([session.run(None, {"input": x})[0] for session in sessions])


def _mean_alone(folder: Path, members: int, threads: int) -> Run:
    """Sessions with default options, and nothing but the mean, in NumPy's functions."""
    sessions = [
        onnxruntime.InferenceSession(str(path), _default_options(threads))
        for path in member_files(folder, members)
    ]

    def mean(x: Floats) -> Floats:
        logits = np.stack([session.run(None, {"input": x})[0] for session in sessions])
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares: Floats = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return np.asarray(shares.mean(axis=0), np.float32)

    return mean


def _over_threads(
    folder: Path, members: int, threads: int, options: Any = None, kind: str = "."
) -> Run:
    """Sessions of one thread, as many at a time as there are threads."""
    sessions = [
        onnxruntime.InferenceSession(str(path), options or _default_options(1))
        for path in member_files(folder, members, kind)
    ]
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    run = map if pool is None else pool.map
    return lambda x: _figures(
        list(run(lambda session: session.run(None, {"input": x})[0], sessions))
    )


def _figures(logits: list[Floats]) -> Any:
    return summarize_logits(np.stack(logits))


def _mapped(folder: Path, members: int) -> list[Path]:
    paths = member_files(folder, members, "mapped")
    return [*paths, *(path.with_name(f"{path.name}.data") for path in paths)]


BASE = "K sessions, default options"
MEAN = "K sessions, the mean alone"
LEAN = "K sessions, least memory"
RESIDENT, OPTIMIZED = "edgeens, resident", "edgeens, resident, optimize=True"
COMPACT, STREAMING = "edgeens, compact", "edgeens, streaming"

WAYS = {
    way.label: way
    for way in (
        _ours(RESIDENT, "resident"),
        _ours(OPTIMIZED, "resident", optimize=True),
        _ours(COMPACT, "compact"),
        _ours(STREAMING, "streaming"),
        Way(BASE, _in_turn, member_files),
        Way(MEAN, _mean_alone, member_files, threads=(1,)),
        # On one thread these are the sessions with default options.
        Way("K sessions, members over threads", _over_threads, member_files, threads=(2,)),
        Way(
            LEAN,
            lambda folder, members, threads: _over_threads(
                folder, members, threads, _lean_options(), "mapped"
            ),
            _mapped,
        ),
        Way(
            "K sessions, 8-bit weights and activations",
            lambda folder, members, threads: _in_turn(folder, members, threads, "int8"),
            lambda folder, members: member_files(folder, members, "int8"),
        ),
        Way(
            "one member",
            lambda folder, members, threads: _in_turn(folder, 1, threads),
            lambda folder, members: member_files(folder, 1),
        ),
    )
}
