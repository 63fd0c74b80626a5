"""Runs are shared out among threads: each once, in order, and nobody waits for a thread to wake."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from edgeens.onnx.workers import Workers

PATIENCE = 300  # seconds, which only a failing test waits


@pytest.fixture(params=[1, 2, 5])
def workers(request):
    made = Workers(request.param)
    yield made
    made.close()


def test_every_item_runs_once_and_results_keep_their_order(workers):
    for count in (0, 1, 2, 3, 50):
        ran = Counter()

        def square(item, ran=ran):
            ran[item] += 1
            return item * item

        assert workers.map(square, range(count)) == [item * item for item in range(count)]
        assert all(ran[item] == 1 for item in range(count))


def test_threads_run_beside_the_caller():
    workers, met = Workers(3), threading.Barrier(3, timeout=PATIENCE)
    places = workers.map(lambda item: met.wait() and threading.get_ident(), range(3))
    workers.close()
    assert len(places) == 3  # the barrier lets nobody pass alone


def test_the_caller_does_all_itself_while_the_others_are_busy():
    workers, begun, over = Workers(2), threading.Event(), threading.Event()

    def occupy():
        begun.set()
        over.wait(PATIENCE)

    workers._pool.submit(occupy)
    assert begun.wait(PATIENCE)
    me = threading.get_ident()
    try:
        assert workers.map(lambda item: threading.get_ident(), range(8)) == [me] * 8
    finally:
        over.set()
        workers.close()


@pytest.mark.parametrize("mine", [True, False], ids=["the caller's", "another thread's"])
def test_an_error_ends_the_work_and_is_the_callers(mine):
    workers, met = Workers(2), threading.Barrier(2, timeout=PATIENCE)
    me, ran = threading.get_ident(), []

    def run(item):
        ran.append(item)
        if item < 2:
            met.wait()  # each of the two threads has one
            if mine == (threading.get_ident() == me):
                raise ValueError("no such weights")
        return item

    with pytest.raises(ValueError, match="no such weights"):
        workers.map(run, range(100_000))
    assert len(ran) < 100_000
    assert workers.map(str, range(3)) == ["0", "1", "2"]
    workers.close()


def test_several_callers_share_the_threads():
    workers, found = Workers(2), {}

    def call(name):
        found[name] = workers.map(lambda item: (name, item), range(200))

    callers = [threading.Thread(target=call, args=(name,)) for name in "abcd"]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(PATIENCE)
    workers.close()
    assert found == {name: [(name, item) for item in range(200)] for name in "abcd"}
