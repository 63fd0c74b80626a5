"""Size of ensembles in edgeens and in its peers at equal 8-bit codes, and NLL against size.

Last stage of the size benchmark: after benchmarks.ensembles and benchmarks.peers. Sizes count the
weights alone, with the tensors that are kept exactly; ours counts the whole file without graph and
JSON: with index, tables, names, checksums and digests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.ensembles import Recipe, member_paths
from benchmarks.nncodec_peer import WAYS, nncodec_sizes
from benchmarks.peers import compressed_sizes, entropy_bytes, fixed_bytes
from edgeens.coded import CodedEnsemble
from edgeens.decoder import Container
from edgeens.encoder import Encoding, encode
from edgeens.ensemble import Ensemble
from edgeens.errors import EdgeensError, MissingPackageError
from edgeens.evaluate import evaluate
from edgeens.onnx.members import load_members
from edgeens.quantize.tensors import quantize_ensemble
from edgeens.size_table import SizeRow

OURS = "edgeens"
BITS = range(2, 9)


def measure_sizes(recipe: Recipe, folder: Path, cache: Path) -> dict[str, Any]:
    """One ensemble in every coder: its name and title, "weights" (of all members), "cosine" (see
    weight_cosine) and "rows" of label, bytes, bits_per_weight (of a member's weight), remark.

    Raises EdgeensError if a file of ours decodes to anything but the codes that the peers got.
    """
    paths = member_paths(folder)
    ensemble = load_members(paths)
    coded = quantize_ensemble(ensemble)
    with TemporaryDirectory() as work:
        path = Path(work) / "ours.eens"
        encoding = encode(paths, path)
        check_equal(coded, path)
    rows = size_rows(coded, encoding, peer_sizes(coded, cache))
    return {
        "name": recipe.name,
        "title": recipe.title,
        "weights": member_weights(coded),
        "cosine": weight_cosine(ensemble),
        "rows": [asdict(row) for row in rows],
    }


def measure_nll(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """NLL on the test images: of the float32 members together, of one of them, and "curves" of
    ours, a point a width of codes: bits, bits_mw, nll, accuracy.

    A curve a way of rounding: to the nearest, and with feedback of errors on calibration images.
    """
    paths, data = member_paths(folder), folder / "test.npz"
    ways = {
        "rounded to the nearest": None,
        "rounded with calibration images": folder / "calibration.npz",
    }
    curves: dict[str, list[dict[str, Any]]] = {label: [] for label in ways}
    judged: dict[str, Any] = {}
    with TemporaryDirectory() as work:
        path = Path(work) / "ours.eens"
        for label, calibration in ways.items():
            for bits in BITS:
                encoding = encode(paths, path, bits=bits, calibration=calibration)
                *others, ours = evaluate(path, data, () if judged else paths)
                if others:
                    together, one = others
                    judged = {"float32": together["NLL"], "one_member": one["NLL"]}
                point = {"bits": bits, "bits_mw": encoding.sizes.bits_per_member_weight}
                curves[label].append({**point, "nll": ours["NLL"], "accuracy": ours["accuracy"]})
    return {"name": recipe.name, "title": recipe.title, **judged, "curves": curves}


def peer_sizes(coded: CodedEnsemble, cache: Path) -> Iterator[tuple[str, int | None, str]]:
    """Label, bytes of the codes, and a remark where there are none."""
    yield "Bits-Ensemble layout (2/3/5 + patterns)", fixed_bytes(coded), ""
    for label, size in compressed_sizes(coded):
        yield label, size, "" if size is not None else "not installed (extra bench)"
    try:
        for label, nnc_size in nncodec_sizes(coded, cache).items():
            yield label, nnc_size, ""
    except MissingPackageError as error:
        yield from ((label, None, str(error)) for label in WAYS.values())
    yield "order-0 entropy", entropy_bytes(coded), ""


def size_rows(
    coded: CodedEnsemble, encoding: Encoding, peers: Iterator[tuple[str, int | None, str]]
) -> list[SizeRow]:
    """The table of one ensemble: float32 first, ours last, exact tensors counted in every row."""
    weights = member_weights(coded)
    exact = sum(tensor.codes.nbytes for tensor in coded.tensors if tensor.grid is None)

    def row(label: str, size: int | None, remark: str = "") -> SizeRow:
        return SizeRow(label, size, None if size is None else 8 * size / weights, remark)

    rows = [
        row("float32", encoding.sizes.float32_bytes),
        row("flat int8", encoding.sizes.int8_bytes),
    ]
    rows += [
        row(label, None if size is None else size + exact, remark) for label, size, remark in peers
    ]
    sizes = encoding.sizes
    assert sizes.bits_per_member_weight is not None
    described = sizes.bits_per_member_weight * weights / 8
    return [*rows, row(OURS, round(described))]


def member_weights(coded: CodedEnsemble) -> int:
    """Weights of all members that are on a grid."""
    return sum(coded.members * prod(t.shape) for t in coded.tensors if t.grid is not None)


def weight_cosine(ensemble: Ensemble) -> float:
    """Mean over all pairs of members of the cosine between their weights: how alike they are."""
    parts = [t.values.reshape(t.copies, -1) for t in ensemble.tensors if t.quantise]
    flat = np.concatenate([part for part in parts if len(part) == ensemble.members], axis=1)
    unit = flat.astype(np.float64) / np.linalg.norm(flat.astype(np.float64), axis=1)[:, None]
    return float((unit @ unit.T)[np.triu_indices(len(unit), 1)].mean())


def check_equal(coded: CodedEnsemble, path: Path) -> None:
    """Refuse to compare a file that does not hold these codes."""
    with Container.open(path) as container:
        for tensor in coded.tensors:
            if tensor.grid is None:
                continue
            same_codes = np.array_equal(container.decode(tensor.name, as_="int8"), tensor.codes)
            same_scales = np.array_equal(container.scales(tensor.name), tensor.grid.scale)
            if not (same_codes and same_scales):
                raise EdgeensError(
                    f"tensor {tensor.name!r} of the file holds other codes than its peers got, so "
                    "sizes cannot be compared; measure an encoder that keeps the codes"
                )
