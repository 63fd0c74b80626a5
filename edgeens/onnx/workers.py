"""Threads that share out the members' runs with the thread that asked for them.

Under onnx.session. ONNX Runtime lets go of Python's lock while it computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """The calling thread, and threads beside it that take what it has not come to.

    A thread wakes up in some 50 us. That would be most of the time of small models if the caller
    waited for it; as it is, the caller has run them by then, and what no thread has begun is
    called off.
    """

    def __init__(self, threads: int) -> None:
        """*threads* at a time, the calling one included."""
        self.count = threads
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def map(self, run: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """What *run* makes of each of *items*, in their order; raises what it raises."""
        if self._pool is None or len(items) < 2:
            return [run(item) for item in items]
        left = deque(enumerate(items))  # of which several threads may take
        done: dict[int, Result] = {}

        def take() -> None:
            while left:
                try:
                    place, item = left.popleft()
                except IndexError:  # another thread was faster
                    return
                try:
                    done[place] = run(item)
                except BaseException:
                    left.clear()  # nobody goes on
                    raise

        others = [self._pool.submit(take) for _ in range(min(self.count, len(items)) - 1)]
        try:
            take()
        finally:
            begun = [other for other in others if not other.cancel()]
            failures = [other.exception() for other in begun]
        for failure in failures:
            if failure is not None:
                raise failure
        return [done[place] for place in range(len(items))]

    def close(self) -> None:
        """End the threads; what they run ends first."""
        if self._pool is not None:
            self._pool.shutdown()
