"""LPE-BSR on networks that others trained: one model, one file, members drawn on the device."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper.experiment import Experiment, Results, Setup
from benchmarks.paper.judged import losses
from benchmarks.paper.low_precision import (
    BITS,
    FLOAT,
    MEMBERS,
    Pictures,
    Row,
    float_answers,
    measure_model,
)
from benchmarks.paper.lpe_report import differences, draw, finding, table
from benchmarks.paper.pieces import not_measured, piece
from benchmarks.paper.pretrained import MODELS, Pretrained, digest
from edgeens.calibration import fit_temperature
from edgeens.data import Labelled
from edgeens.datasets.catalogue import load_dataset
from edgeens.datasets.images import Images
from edgeens.errors import DataError

KEY = 0
HELD_OUT = 1000  # the last pictures of the test set
CALIBRATION = 500  # the first of the training set
SEEN = 2000  # likewise
STORED = (1, 4)  # sizes of files with drawn members


def measure(setup: Setup) -> Results:
    """Every network that *setup.data* has to have."""
    paths = [each.path(setup.data) for each in MODELS]  # says at once what is missing
    models = []
    for done, (network, path) in enumerate(zip(MODELS, paths, strict=True)):
        made_from = {
            "file": digest(path),
            "pictures": network.pictures,
            "held_out": HELD_OUT,
            "members": MEMBERS,
            "stored": STORED,
            "key": KEY,
        }
        rows: list[Row] = []
        for at, bits in enumerate(BITS):
            label = f"{network.title}, {bits} bits"
            setup.progress(label, len(BITS) * done + at, len(BITS) * len(MODELS))
            make = partial(_at_bits, network, path, setup, bits)
            made = piece(setup.cache, f"{network.name}-{bits}", made_from, make)
            rows += made["rows"] if not rows else made["rows"][1:]  # float32 is in all of them
        seen = piece(
            setup.cache, f"{network.name}-seen", made_from, partial(_seen, network, path, setup)
        )
        model = {"title": network.title, "source": network.source, **made_from}
        models.append({**model, "runs": [{"rows": rows}], "seen": seen})
    return {"seeds": [KEY], "members": list(MEMBERS), "models": models}


def _at_bits(network: Pretrained, path: Path, setup: Setup, bits: int) -> dict[str, Any]:
    training, test = load_dataset(setup.data, network.dataset)
    count = len(test.y)
    pictures = Pictures(
        _prepared(network, test.part(0, network.pictures)),
        _prepared(network, test.part(count - HELD_OUT, count)),
        network.prepare(training.part(0, CALIBRATION)),
    )
    model = _exported(network, path, setup)
    rows = measure_model(model, pictures, key=KEY, members=MEMBERS, stored=STORED, widths=(bits,))
    return {"rows": rows}


def _exported(network: Pretrained, path: Path, setup: Setup) -> Path:
    if path.suffix == ".onnx":
        return path
    from benchmarks.paper.vit import export

    model = setup.cache / f"{network.name}.onnx"
    export(path, model)
    return model


def _seen(network: Pretrained, path: Path, setup: Setup) -> dict[str, float | None]:
    """The NLL after the temperature that pictures call for on which the network was trained."""
    training, test = load_dataset(setup.data, network.dataset)
    model = _exported(network, path, setup)
    known = float_answers(model, _prepared(network, training.part(0, SEEN)))
    try:
        temperature = fit_temperature(known.logits, known.labels, pooled=False)
    except DataError:  # all of them are classified rightly
        return {"T": None, "NLL": None}
    answers = float_answers(model, _prepared(network, test.part(0, network.pictures)))
    return {"T": temperature, "NLL": float(np.mean(losses(answers, temperature=temperature)))}


def _prepared(network: Pretrained, images: Images) -> Labelled:
    return Labelled(x=network.prepare(images), y=images.y)


def report(results: Results) -> str:
    """What was done, a table a model, and the differences."""
    parts = [_PROTOCOL]
    for model in results["models"]:
        (run,) = model["runs"]
        first = run["rows"][0]
        assert first["way"] == FLOAT
        seen = model["seen"]
        parts += [
            f"**{model['title']}**: first {model['pictures']} test pictures; {model['source']}.",
            table(model),
            differences(model),
            finding(model),
            f"Temperature of the float32 model: {first['T']:.2f}, NLL {first['scaled']:.4f}; the "
            f"pictures that it was trained on call for "
            + (
                "none, because all are classified rightly."
                if seen["T"] is None
                else f"{seen['T']:.2f}, NLL {seen['NLL']:.4f}."
            ),
        ]
    parts += not_measured(
        [network.title for network in MODELS], [model["title"] for model in results["models"]]
    )
    return "\n\n".join(parts)


_PROTOCOL = f"""\
As above, but on networks that others trained and published: files as `edgeens encode --draw` writes
them, run by `edgeens.onnx.session.Session`. The networks saw all training pictures, so nothing of
the training set is left to fit a temperature on: it is fitted on the last {HELD_OUT} test pictures,
of which none is among those that the figures are of. ± is half of a 95 % interval over pictures.
One key."""

EXPERIMENT = Experiment(
    name="lpe-pretrained",
    title="Low precision ensembling of published networks",
    minutes="20 minutes",
    measure=measure,
    report=report,
    draw=draw,
)
