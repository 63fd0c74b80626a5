"""One way to run an ensemble, in a process of its own: `python -m benchmarks.runtime_worker`.

Started by benchmarks.runtime, so that memory and start-up are this way's alone. The arguments are
label, folder, members, rows of a batch, threads, and the shape of one input. It prints a line of
JSON with what starting cost; then for each number read, what so many predictions cost.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.networks import example
from benchmarks.runtime_ways import WAYS

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): the peak becomes what is resident now


def main() -> None:
    """Start, say what it cost, then predict as often as asked for."""
    label, folder, members, rows, threads, *shape = sys.argv[1:]
    x = example(tuple(map(int, shape)), int(rows))
    _CLEAR.write_text(_RESET_PEAK)
    before = _kilobytes("VmRSS")
    opened = []

    def start() -> None:
        opened.append(WAYS[label].open(Path(folder), int(members), int(threads)))
        opened[0](x)

    wall, processor = _seconds(start, 1)
    (run,) = opened
    peak = _kilobytes("VmHWM") - before
    run(x)
    steady = _kilobytes("VmRSS") - before
    _say({"wall": wall, "processor": processor, "peak_kb": peak, "steady_kb": steady})
    for line in sys.stdin:
        wall, processor = _seconds(lambda: run(x), int(line))
        _say({"wall": wall, "processor": processor})


def _seconds(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Of one of so many: least seconds of the clock, mean seconds of the processor."""
    walls = []
    processor = time.process_time()
    for _ in range(times):
        begun = time.perf_counter()
        work()
        walls.append(time.perf_counter() - begun)
    return min(walls), (time.process_time() - processor) / times


def _kilobytes(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    assert found is not None, f"Linux tells {key}"
    return int(found[1])


def _say(figures: dict[str, float]) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
