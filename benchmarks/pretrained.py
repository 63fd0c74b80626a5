"""Published networks through encode, run and export: what happens to their accuracy and outputs.

After benchmarks.published. Each network becomes files of one member (or of its six) at 8 bits, with
scales as the encoder chooses them, a scale a tensor and a scale a channel, and a file of members
drawn from it; every file is run, and exported as one ONNX model whose outputs are compared with
what the session says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.published import NETWORKS, Floats, Members, Published, as_floats, members
from edgeens.data import Labelled
from edgeens.datasets.catalogue import load_dataset
from edgeens.decoder import Container
from edgeens.encoder import encode
from edgeens.errors import DataError, MembersError
from edgeens.metrics import accuracy, nll
from edgeens.onnx.engine import import_runtime
from edgeens.onnx.files import run_files
from edgeens.onnx.members import load_members
from edgeens.onnx.one_graph import write_one_graph
from edgeens.onnx.session import Session
from edgeens.uncertainty import softmax

DRAWN, DRAWN_BITS = 4, 6
BATCH = 250
COMPARED = 8  # rows of random inputs, and of an export's check
WAYS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("8 bits", {}),
    ("8 bits, a scale a tensor", {"grid": "tensor"}),
    ("8 bits, a scale a channel", {"grid": "channel"}),
    (f"{DRAWN} drawn, {DRAWN_BITS} bits", {"draw": DRAWN, "bits": DRAWN_BITS}),
)

Row = dict[str, Any]
Step = Callable[[str, int, int], None]


def measure_pretrained(data: Path, *, progress: Step, most: int = 10_000) -> list[Row]:
    """A row a network: "title", "source", "pictures" (None: random inputs), "bytes" of its files,
    "accuracy" and "nll" as they came, and "ways": "way", "bytes", "accuracy", "nll", "error" (of
    the mean output: root mean square, relative to that of the network as it came) and "export"
    (largest difference of probabilities or values between a session and the exported models).

    A way that a network has no weights for has the sentence "refused" instead.

    Raises:
        DataError: pictures or networks are missing; *most* limits the pictures of each.
    """
    for network in NETWORKS:  # says at once what is missing
        network.path(data)
    rows = []
    for done, network in enumerate(NETWORKS):
        progress(network.title, done, len(NETWORKS))
        with TemporaryDirectory() as work:
            rows.append(_measured(network, data, Path(work), most))
    return rows


def _measured(network: Published, data: Path, work: Path, most: int) -> Row:
    known = members(network, data, work)
    inputs = _inputs(network, data, most)
    assert isinstance(inputs.x, np.ndarray)
    as_came = _as_came(known, inputs.x, work)
    judged = network.dataset is not None
    row: Row = {
        "title": network.title,
        "source": network.source,
        "members": len(known.paths),
        "pictures": len(inputs.y) if judged else None,
        "bytes": sum(path.stat().st_size for path in known.paths),
    }
    row |= _judged(as_came, inputs) if judged else {}
    row["ways"] = []
    for way, options in WAYS:
        one = _one_of(known) if "draw" in options else known
        reference = as_came[: len(one.paths)].mean(axis=0)
        found: Row = {"way": way}
        try:
            found |= _encoded(one, inputs.x, reference, network.task, options, work)
        except MembersError as error:
            row["ways"].append(found | {"refused": str(error)})
            continue
        outputs = found.pop("outputs")
        row["ways"].append(found | (_judged(outputs, inputs) if judged else {}))
    return row


def _inputs(network: Published, data: Path, most: int) -> Labelled:
    """Test pictures, or random inputs without labels."""
    if network.dataset is None:
        rng = np.random.default_rng(0)
        x = rng.random((COMPARED, *network.shape), dtype=np.float32)
        return Labelled(x=network.prepare(x), y=np.zeros(COMPARED, np.int64))
    test = load_dataset(data, network.dataset)[1].part(0, min(network.pictures, most))
    return Labelled(x=network.prepare(as_floats(test)), y=test.y)


def _one_of(known: Members) -> Members:
    return Members(known.paths[:1], known.graph)


def _as_came(known: Members, x: Floats, work: Path) -> Floats:
    """The members' outputs before any quantisation, (K, rows, ...)."""
    paths = known.paths
    if known.graph is not None:
        # Kept exactly, a file's members are what the weights and the graph say.
        names = [t.name for t in load_members(paths, graph=known.graph).tensors if t.quantise]
        encode(paths, work / "exact.eens", graph=known.graph, exclude=names)
        return _run(work / "exact.eens", x)
    parts = [run_files(paths, x[at : at + BATCH]) for at in range(0, len(x), BATCH)]
    return np.concatenate([next(iter(part.values())) for part in parts], axis=1)


def _run(path: Path, x: Floats) -> Floats:
    with Session(path) as session:
        outputs: Floats = session.predict_members(x, batch=BATCH)[session.output]
    return outputs


def _encoded(
    known: Members,
    x: Floats,
    reference: Floats,
    task: Any,
    options: dict[str, Any],
    work: Path,
) -> Row:
    path = work / "file.eens"
    encoding = encode(known.paths, path, graph=known.graph, task=task, **options)
    outputs = _run(path, x)
    error = np.sqrt(np.mean(np.square(outputs.mean(axis=0) - reference)))
    return {
        "bytes": encoding.sizes.file_bytes,
        "error": float(error / np.sqrt(np.mean(np.square(reference)))),
        "export": _export_difference(path, x[:COMPARED], work),
        "outputs": outputs,
    }


def _export_difference(path: Path, x: Floats, work: Path) -> float:
    """Between a session's members and those of the exports, float32 and, where possible, int8."""
    runtime = import_runtime()
    differences = []
    with Container.open(path) as container, Session(container) as session:
        expected = session.predict(x).members
        for weights in ("float32", "int8"):
            try:
                model = write_one_graph(container, work / "one.onnx", weights=weights)
            except DataError:
                if weights == "int8":  # nothing has codes
                    continue
                raise
            run = runtime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
            names = [item.name for item in run.get_outputs()]
            name = "member_probs" if "member_probs" in names else "members"
            (found,) = run.run([name], {run.get_inputs()[0].name: x})
            differences.append(float(np.abs(found - expected).max()))
    return max(differences)


def _judged(logits: Floats, inputs: Labelled) -> Row:
    """Of the mean probabilities of (K, rows, classes) logits."""
    mean = softmax(logits, axis=-1).mean(axis=0)
    return {"accuracy": accuracy(mean, inputs.y), "nll": nll(mean, inputs.y)}
