"""The experiments by name, in the order of the page."""

from __future__ import annotations

from benchmarks.paper.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {}
