"""Start-up, latency, memory and size of running an ensemble: edgeens in each mode, and its peers.

Last stage of the runtime benchmark, after benchmarks.runtime_ways. Every way runs in a process of
its own. Starts are interleaved, round after round, and so are predictions. On one thread seconds
are the processor's, which other work on the machine hardly lengthens; figures are medians over
rounds, ratios medians of the ratios of a round to K sessions with default options on one thread. On
two threads seconds are the clock's, and figures are of the shortest of all predictions, in which
other work took least.

NumPy asks for large pages by itself. They are switched off here: a virtual machine may have given
free ones back to its host, and to get them again then takes longer than to decode into them, or
not, as it happens.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import product
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

import onnxruntime

from benchmarks.machine import describe
from benchmarks.networks import COUNTS, NETWORKS, Network, make_network
from benchmarks.runtime_ways import BASE, WAYS
from edgeens.atomic import replacing
from edgeens.errors import EdgeensError
from edgeens.progress import Progress

STARTS = {1: 3, 32: 1}  # rounds of starting on one thread, by the rows of a batch; one on two
ROUNDS = (3, 40)  # of predicting: least and most
ENOUGH_SECONDS = 40.0  # of predicting, after which there are no more rounds than the least
SHORT_SECONDS = 0.1  # so long are predictions run in every round, if one is shorter; one warms up

Row = dict[str, Any]
Cost = dict[str, float]
Key = tuple[str, int]  # a way, and its number of threads


class Worker:
    """A process that runs one way; see benchmarks.runtime_worker.

    Attributes:
        start: what starting cost.
    """

    def __init__(self, label: str, network: Network, folder: Path, *figures: int) -> None:
        """Start it; *figures* are members, rows, threads."""
        arguments = [label, folder, *figures, *network.shape]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.runtime_worker", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"},
        )
        self._label = label
        self.start = self._answer()

    def predict(self, times: int) -> Cost:
        """Seconds of a prediction, of *times*: "wall" (the least) and "processor" (the mean)."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{times}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _answer(self) -> Cost:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise EdgeensError(f"the process that measures {self._label!r} ended early")
        found: Cost = json.loads(line)
        return found


def measure_runtime(
    cache: Path,
    *,
    networks: Sequence[Network] = NETWORKS,
    counts: Sequence[int] = COUNTS,
    starts: Mapping[int, int] = MappingProxyType(STARTS),
    rounds: tuple[int, int] = ROUNDS,
) -> list[Row]:
    """Rows of "network", "members", "batch", "way" and "threads".

    Each has "start_s" and "latency_s" (seconds), "start" and "latency" (the same relative to K
    sessions with default options on one thread), "peak_mb" and "steady_mb" (memory resident above
    that of the process after its imports, while starting and after two predictions), "file_mb",
    "member_mb" (float32 weights of one member: the size of its file) and "load" (of the machine).

    What was measured is kept in the cache until the end, so that a run that was ended goes on.
    """
    kept = cache / "runtime" / "unfinished.json"
    conditions = [describe(), onnxruntime.__version__, list(starts.items()), rounds]
    rows = _kept_rows(kept, conditions)
    cases = list(product(networks, counts, starts))
    with Progress("measuring how ensembles run") as progress:
        for done, (network, members, batch) in enumerate(cases):
            label = f"{network.title}, {members} members, batch {batch}"
            progress.update(label, done, len(cases))
            case = (network.title, members, batch)
            if any((row["network"], row["members"], row["batch"]) == case for row in rows):
                continue
            folder = make_network(network, cache, progress=progress.update)
            rows += _measured(network, folder, members, batch, starts[batch], rounds)
            with replacing(kept) as file:
                file.write(json.dumps([conditions, rows]).encode())
    kept.unlink(missing_ok=True)
    return rows


def _kept_rows(kept: Path, conditions: list[Any]) -> list[Row]:
    """The rows of a run under the same conditions that did not come to its end."""
    if not kept.is_file():
        return []
    found, rows = json.loads(kept.read_text())
    if found != json.loads(json.dumps(conditions)):
        return []
    print(f"going on after {len(rows)} rows of an unfinished run; to measure anew, delete {kept}")
    return list(rows)


def _measured(
    network: Network,
    folder: Path,
    members: int,
    batch: int,
    starts: int,
    rounds: tuple[int, int],
) -> Iterator[Row]:
    keys = [(way, threads) for way in WAYS for threads in WAYS[way].threads]
    started: dict[Key, list[Cost]] = {key: [] for key in keys}
    with ExitStack() as stack:
        workers = {}
        for left in reversed(range(starts)):
            for way, threads in keys:
                if left and threads > 1:
                    continue
                worker = Worker(way, network, folder, members, batch, threads)
                started[way, threads].append(worker.start)
                if left:
                    worker.close()
                else:
                    workers[way, threads] = stack.enter_context(closing(worker))
        taken = _predictions(workers, rounds)
    load = os.getloadavg()[0]
    for way, threads in keys:
        start, latency = started[way, threads], taken[way, threads]
        yield {
            "network": network.title,
            "members": members,
            "batch": batch,
            "way": way,
            "threads": threads,
            "start_s": _seconds(start, threads),
            "start": _ratio(start, started[BASE, 1], threads),
            "latency_s": _seconds(latency, threads),
            "latency": _ratio(latency, taken[BASE, 1], threads),
            "load": load,
            "peak_mb": median(each["peak_kb"] for each in start) * 1024 / 1e6,
            "steady_mb": median(each["steady_kb"] for each in start) * 1024 / 1e6,
            "file_mb": sum(path.stat().st_size for path in WAYS[way].files(folder, members)) / 1e6,
            "member_mb": (folder / "member_0.onnx").stat().st_size / 1e6,
        }


def _predictions(workers: Mapping[Key, Worker], rounds: tuple[int, int]) -> dict[Key, list[Cost]]:
    """What a prediction costs in each round."""
    taken: dict[Key, list[Cost]] = {key: [] for key in workers}
    alone = {key: worker.predict(1)["wall"] for key, worker in workers.items()}
    begun = time.monotonic()
    least, most = rounds
    for done in range(most):
        if done >= least and time.monotonic() - begun > ENOUGH_SECONDS:
            break
        for key, worker in workers.items():
            times = 1 + int(SHORT_SECONDS / alone[key])
            if times > 1:
                worker.predict(1)  # the caches hold what the other ways left there
            taken[key].append(worker.predict(times))
    return taken


def _seconds(own: Sequence[Cost], threads: int) -> float:
    if threads == 1:
        return median(each["processor"] for each in own)
    return min(each["wall"] for each in own)


def _ratio(own: Sequence[Cost], base: Sequence[Cost], threads: int) -> float:
    """Relative to *base*, which ran on one thread."""
    if threads == 1:
        pairs = zip(own, base, strict=True)
        return median(one["processor"] / other["processor"] for one, other in pairs)
    return min(each["wall"] for each in own) / min(each["wall"] for each in base)
