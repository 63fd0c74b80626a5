"""README.md of this folder, made from the checked-in results alone; a test compares the two.

After the experiments; `python -m benchmarks.paper page` writes it.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.paper.catalogue import EXPERIMENTS
from benchmarks.paper.experiment import Experiment, Results
from edgeens.atomic import replacing

RESULTS = Path(__file__).parents[1] / "results" / "paper"
README = Path(__file__).with_name("README.md")

_HEAD = """\
# The papers' experiments

Made by `python -m benchmarks.paper page` from the JSON files in
[benchmarks/results/paper](../results/paper); do not edit it here.

`python -m benchmarks.paper NAME --data DIR` repeats an experiment, writes its results and picture
there (or to `--out`) and makes this page anew. It needs `pip install 'edgeens[torch,report]'`. DIR
holds a folder a data set, with the files as their authors publish them
([docs/TRAINING.md](../../docs/TRAINING.md)). What was trained is kept in `~/.cache/edgeens/paper`,
so a killed run goes on where it was. Settings are chosen on validation pictures, held out of the
training set; test pictures are used for the figures shown. "bits/mw" is bits per member weight."""


def saved_results(folder: Path = RESULTS) -> dict[str, Results]:
    """The results in *folder* by the experiment's name, in the order of the catalogue."""
    paths = {name: folder / f"{name}.json" for name in EXPERIMENTS}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}


def page(results: dict[str, Results]) -> str:
    """The page's text."""
    parts = [_HEAD]
    for name, of_experiment in results.items():
        parts.append(_part(EXPERIMENTS[name], of_experiment))
    return "\n\n".join(parts) + "\n"


def write_page() -> None:
    """Write README.md."""
    with replacing(README) as file:
        file.write(page(saved_results()).encode())


def _part(experiment: Experiment, results: Results) -> str:
    lines = [
        f"## {experiment.title}",
        "",
        f"`python -m benchmarks.paper {experiment.name} --data DIR`, {experiment.minutes} "
        f"([results](../results/paper/{experiment.name}.json); {results['machine']}).",
        "",
        experiment.report(results),
    ]
    if experiment.draw is not None:
        lines += ["", f"![{experiment.title}](../results/paper/{experiment.name}.png)"]
    return "\n".join(lines)
