"""One float32 model at few bits: rounded to nearest, or K members drawn at random (LPE-BSR).

Measures what the experiments lpe and lpe-pretrained tabulate, of files as `edgeens encode` writes
them and as `edgeens.onnx.session.Session` runs them on a device. Member m of a drawing is the same
for every K, so 32 members drawn once hold 32/K drawings of K members; their figures are averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.paper.judged import Answers, Floats, judge, losses, over_pictures
from edgeens.calibration import fit_temperature
from edgeens.coded import CodedEnsemble
from edgeens.container.choice import choose_methods
from edgeens.container.writer import write_container
from edgeens.data import Labelled
from edgeens.encoder import encode, file_sections
from edgeens.ensemble import Ensemble
from edgeens.onnx.files import run_files
from edgeens.onnx.members import load_members
from edgeens.onnx.session import Session
from edgeens.quantize.grid import Clip
from edgeens.quantize.rounding import draw_members
from edgeens.quantize.tensors import quantize_ensemble

BITS = (3, 4, 5, 6)
MEMBERS = (1, 2, 4, 8, 16, 32)
NEAREST, CLIPPED, FEEDBACK, DRAWN = "RTN", "RTN, clipped", "error feedback", "LPE-BSR"
FLOAT, SCALED = "float32", "float32, scaled"
_BATCH = 500

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Pictures:
    """What one model is judged on; no picture is in two parts.

    Attributes:
        test: for the figures.
        held_out: for temperatures, not trained on.
        calibration: inputs that were trained on, for rounding with error feedback.
    """

    test: Labelled
    held_out: Labelled
    calibration: NDArray[np.float32]


def measure_model(
    model: Path,
    pictures: Pictures,
    *,
    key: int,
    members: tuple[int, ...],
    stored: tuple[int, ...],
    widths: tuple[int, ...] = BITS,
) -> list[Row]:
    """A row a way of storing *model*, float32 first.

    Args:
        model: an ONNX file with logits as first output.
        pictures: to judge it on.
        key: of the draws.
        members: the K to report, the last the largest.
        stored: of these, the K of which the drawn members themselves are written, too, for the
            size of such a file.
        widths: of the codes.

    Returns:
        Rows of "way", "bits", "members", the figures of judge, "scaled" (NLL after the temperature
        "T" that is best on the held-out pictures), "bytes" of the file, "stored" (of a file of the
        drawn members themselves, or None), "groups" (drawings that were averaged), "deviation" (of
        their NLL), and "less" (NLL less that of another way on the same pictures, as mean and half
        the 95 % interval over pictures).
    """
    rows = []
    known: dict[str, Floats] = {}
    with TemporaryDirectory() as name:
        work = Path(name)
        np.savez(work / "calibration.npz", x=pictures.calibration)
        test, held_out = (float_answers(model, part) for part in (pictures.test, pictures.held_out))
        row, known[FLOAT] = _row(test, held_out)
        known[SCALED] = losses(test, temperature=row["T"])
        rows.append({"way": FLOAT, "bits": 32, **row, "bytes": model.stat().st_size})
        for bits in widths:
            rows += _at_bits(model, pictures, work, known, bits, key, members, stored)
    return rows


def float_ensemble(models: list[Path], pictures: Pictures) -> Row:
    """The row of float32 members trained apart."""
    test, held_out = ([float_answers(m, part) for m in models] for part in _parts(pictures))
    row, _ = _row(_joined(test), _joined(held_out))
    size = sum(model.stat().st_size for model in models)
    return {"way": "trained apart", "bits": 32, **row, "bytes": size}


def float_answers(model: Path, part: Labelled) -> Answers:
    """What the float32 *model* says, batch by batch: all at once would take gigabytes."""
    assert isinstance(part.x, np.ndarray)
    logits = []
    for start in range(0, len(part.y), _BATCH):
        outputs = run_files([model], part.x[start : start + _BATCH])
        logits.append(next(iter(outputs.values())))
    return Answers(np.concatenate(logits, axis=1), part.y)


def _at_bits(
    model: Path,
    pictures: Pictures,
    work: Path,
    known: dict[str, Floats],
    bits: int,
    key: int,
    members: tuple[int, ...],
    stored: tuple[int, ...],
) -> Iterator[Row]:
    """The rows of one width; *known* has each picture's loss in the ways to compare with."""
    path = work / "file.eens"
    others = dict(known)
    for way in (NEAREST, CLIPPED, FEEDBACK):
        size = rounded(model, path, work / "calibration.npz", way, bits)
        row, others[way] = _row(*_run_file(path, pictures))
        yield {"way": way, "bits": bits, **row, "bytes": size, "less": _less(others, way)}
    ensemble = load_members([model])
    size = drawn(ensemble, path, members=members[-1], bits=bits, key=key)
    test, held_out = _run_file(path, pictures)
    for count in members:
        kept = None
        if count in stored:
            kept = drawn(ensemble, path, members=count, bits=bits, key=key, store=True)
        row, others[DRAWN] = _row(test, held_out, count)
        less = _less(others, DRAWN)
        yield {"way": DRAWN, "bits": bits, **row, "bytes": size, "stored": kept, "less": less}


def rounded(model: Path, path: Path, calibration: Path, way: str, bits: int) -> int:
    """Write one member, rounded; RTN on the grid that LPE-BSR draws on, max |w| of a channel.

    Clipped, a channel's range is the one of least squared error.

    Returns the size of the file in bytes.
    """
    if way == FEEDBACK:
        return encode([model], path, bits=bits, calibration=calibration).sizes.file_bytes
    ensemble = load_members([model])
    clip: Clip = "mse" if way == CLIPPED else "minmax"
    coded = quantize_ensemble(ensemble, bits=bits, per_channel=True, clip=clip)
    return _written(coded, ensemble, path)


def drawn(
    ensemble: Ensemble, path: Path, *, members: int, bits: int, key: int, store: bool = False
) -> int:
    """Write what `edgeens encode --draw` writes, without its table of other coders' sizes.

    That table codes every member drawn, which takes longer than all else. Returns the size of the
    file in bytes.
    """
    coded = draw_members(ensemble, members=members, bits=bits, key=key, store_members=store)
    return _written(coded, ensemble, path)


def _written(coded: CodedEnsemble, ensemble: Ensemble, path: Path) -> int:
    write_container(choose_methods(replace(coded, sections=file_sections(ensemble))), path)
    return path.stat().st_size


def _row(test: Answers, held_out: Answers, count: int | None = None) -> tuple[Row, Floats]:
    """The figures, and each picture's loss, averaged over the drawings of *count* members."""
    count = len(test.logits) if count is None else count
    # One temperature for all drawings of a size: they differ by less than its own error.
    first = held_out.of(0, count)
    temperature = fit_temperature(first.logits, first.labels, pooled=False)
    groups = [test.of(at, at + count) for at in range(0, len(test.logits) - count + 1, count)]
    figures = [judge(group) for group in groups]
    row: Row = {"members": count}
    row |= {name: float(np.mean([each[name] for each in figures])) for name in figures[0]}
    row["scaled"] = float(np.mean([losses(g, temperature=temperature).mean() for g in groups]))
    row["T"] = temperature
    row["groups"] = len(groups)
    nll = [each["NLL"] for each in figures]
    row["deviation"] = float(np.std(nll, ddof=1)) if len(nll) > 1 else None
    return row, np.mean([losses(group) for group in groups], axis=0)


def _less(known: dict[str, Floats], way: str) -> dict[str, tuple[float, float]]:
    """NLL of *way* less that of every other."""
    return {
        other: over_pictures(known[way] - each) for other, each in known.items() if other != way
    }


def _run_file(path: Path, pictures: Pictures) -> tuple[Answers, Answers]:
    with Session(path) as session:
        test, held_out = (
            Answers(session.predict_members(part.x, batch=_BATCH)[session.output], part.y)
            for part in _parts(pictures)
        )
    return test, held_out


def _parts(pictures: Pictures) -> tuple[Labelled, Labelled]:
    return pictures.test, pictures.held_out


def _joined(parts: list[Answers]) -> Answers:
    return Answers(np.concatenate([part.logits for part in parts]), parts[0].labels)
