"""Progress is drawn on terminals, kept out of logs, and never left behind."""

from __future__ import annotations

import io

from edgeens import progress
from edgeens.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_sees_a_bar_that_is_erased_at_the_end():
    stream = Terminal()
    with Progress("encoding", stream=stream) as bar:
        bar.update("fc1.weight", 1, 2)
        bar.update("fc2.weight", 2, 2)
    text = stream.getvalue()
    assert "encoding [############            ] 1/2" in text
    assert "fc1.weight" in text
    assert text.endswith("\r\x1b[K")


def test_a_log_sees_one_line_and_only_of_long_work(monkeypatch):
    clock = iter([0.0, 0.0, 1.0, 3.0, 4.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with Progress("encoding", stream=stream) as bar:
        bar.update("a", 0, 3)
        assert stream.getvalue() == ""
        bar.update("b", 1, 3)
        bar.update("c", 2, 3)
    assert stream.getvalue() == "encoding ...\n"


def test_quiet_work_prints_nothing():
    stream = Terminal()
    with Progress("encoding", stream=stream, quiet=True) as bar:
        bar.update("a", 1, 2)
    assert stream.getvalue() == ""
