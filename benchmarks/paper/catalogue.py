"""The experiments by name, in the order of the page."""

from __future__ import annotations

from benchmarks.paper import analysis, batch_ensemble, cifar, frontier, lpe, lpe_pretrained
from benchmarks.paper.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    each.name: each
    for each in (
        analysis.EXPERIMENT,
        frontier.EXPERIMENT,
        lpe.EXPERIMENT,
        lpe_pretrained.EXPERIMENT,
        batch_ensemble.EXPERIMENT,
        cifar.EXPERIMENT,
        cifar.REDUCED_EXPERIMENT,
    )
}
