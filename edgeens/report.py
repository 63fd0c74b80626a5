"""A comparison as files: a page with its pictures inside, the pictures, JSON and CSV.

After compare; the page and the pictures need the extra report. Nothing is measured here.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from edgeens.atomic import make_folder, replacing
from edgeens.compare import Comparison
from edgeens.errors import MissingPackageError
from edgeens.judged import Judged


def check_report(folder: Path) -> None:
    """Find out before long work whether `write_report` can work.

    Raises:
        MissingPackageError: matplotlib is not installed.
        OSError: *folder* cannot be made.
    """
    if find_spec("matplotlib") is None:
        raise MissingPackageError(
            "--report draws with matplotlib, which is not installed; install the extra "
            "edgeens[report], or leave --report out: --json prints the same figures"
        )
    make_folder(folder)


def write_report(comparison: Comparison, folder: Path) -> list[Path]:
    """Write report.html, report.json, report.csv and a .png for each picture.

    Returns:
        The files, report.html first.

    Raises:
        MissingPackageError: matplotlib is not installed.
        OSError: a file cannot be written.
    """
    check_report(folder)
    from edgeens.report_page import page
    from edgeens.report_pictures import draw_all

    drawn: list[tuple[str, str, bytes]] = []
    for picture in draw_all(comparison):
        memory = io.BytesIO()
        picture.save(memory)
        drawn.append((picture.name, picture.caption, memory.getvalue()))
    contents = {
        "report.html": page(comparison, drawn).encode(),
        "report.json": (json.dumps(asdict(comparison), indent=1) + "\n").encode(),
        "report.csv": _csv(comparison.files).encode(),
        **{f"{name}.png": content for name, _, content in drawn},
    }
    for name, content in contents.items():
        with replacing(folder / name) as file:
            file.write(content)
    return [folder / name for name in contents]


def _csv(files: list[Judged]) -> str:
    """A line a file, a column a figure; what has no meaning for a file is empty."""
    rows = [dict(_flat(file)) for file in files]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(file: Judged) -> Iterator[tuple[str, object]]:
    yield "method", file.method
    yield "file", file.file
    for way, row in file.predictions.items():
        for name, value in row.items():
            yield f"{name}, {way}", value
    yield from file.ensemble.items()
    yield from file.risks.items()
    for data, scores in file.outside.items():
        for score, row in scores.items():
            for name, value in row.items():
                yield f"{name}, {score}, {data}", value
    for corruption, levels in file.shift.items():
        for level, row in levels.items():
            for name, value in row.items():
                yield f"{name}, {corruption} {level}", value
    yield "verdict", file.verdict
