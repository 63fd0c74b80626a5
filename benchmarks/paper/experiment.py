"""What every experiment is given and what it gives: one shape, so that one command runs them all.

Under benchmarks.paper.catalogue, which lists the experiments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Results = dict[str, Any]
Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Setup:
    """Where an experiment finds and keeps things.

    Attributes:
        data: folder that holds a folder a data set (mnist, fashion_mnist, cifar10, ...), as its
            authors publish it.
        cache: outside the repository, for what took long to train; the experiment makes a folder
            of its own in it. A run that was killed finds there what it had finished.
        progress: called with (what is being done, steps done, steps in all).
    """

    data: Path
    cache: Path
    progress: Step


@dataclass(frozen=True)
class Experiment:
    """One command.

    Attributes:
        name: on the command line, and of its files in benchmarks/results/paper.
        title: a heading.
        minutes: what it takes on one core with an empty cache, in words.
        measure: do it. The result is plain values for JSON and has everything that *report* and
            *draw* need, the seeds among it. Needs PyTorch, and so imports it itself.
        report: protocol, tables and what they show, in Markdown, from the results alone; the page
            README.md puts heading, machine, command and picture around it.
        draw: the picture, from the results alone, or None. Needs matplotlib.
    """

    name: str
    title: str
    minutes: str
    measure: Callable[[Setup], Results]
    report: Callable[[Results], str]
    draw: Callable[[Results, Path], None] | None = None
