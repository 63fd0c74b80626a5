"""The tables of a comparison: a row a method, means and intervals over its seeds.

Between compare and what shows tables: the terminal, the report's page and its CSV.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from edgeens.compare import Comparison
from edgeens.intervals import CONFIDENCE, Estimate, estimate
from edgeens.judge import Row
from edgeens.judged import Judged
from edgeens.tables import render

_BEST_HIGH = ("accuracy", "AUROC", "AUPR")
_BEST_LOW = ("NLL", "Brier", "ECE", "adaptive ECE", "FPR95", "risk at", "AURC", "RMSE")
_DIGITS = {"file bytes": 0, "members": 0, "bits/mw": 3, "members run": 2, "T": 3}
_SMALL = ("variance of p", "disp")  # shown with three significant digits
# What `judged` measures under a short name, with what a reader must know beside it.
_HEADS = {"ambiguity": "ambiguity (mean logits)"}


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: what it shows.
        note: what a reader must know to read it; may be empty.
        labels: heads of the columns that say what a row is.
        columns: heads of the figures.
        rows: (labels, figures), None where there is no figure.
        best: for each column whether the highest (+1) or lowest (-1) is best, or neither (0).
    """

    title: str
    note: str
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], list[Estimate | None]]]
    best: tuple[int, ...]


Labelled = tuple[tuple[str, ...], Row]


def tables(comparison: Comparison) -> list[Table]:
    """All tables for which there are figures."""
    data, rows = comparison.data
    seeds = max(len(files) for _, files in methods(comparison))
    several = (
        f"; mean ± {100 * CONFIDENCE:.0f} % t-interval over the seeds of a method"
        if seeds > 1
        else ""
    )
    held = ""
    if comparison.held_out is not None:
        path, count = comparison.held_out
        held = f" Temperatures T were fitted on {path} ({count} rows)."
    found = [
        _table(
            comparison,
            f"Predictions on {data} ({rows} rows){several}",
            f"NLL, Brier, ECE are of the mean probabilities (of the members' mean logits where it "
            f"says so).{held}",
            ("method", "prediction"),
            lambda file: [((name,), row) for name, row in file.predictions.items()],
        ),
        _table(
            comparison,
            "Members and size",
            "ENC and ambiguity are of raw logits, without temperature; ENC also grows with the "
            "scale of the logits and with damage, so it proves nothing by itself. Corr (cosine) "
            "and disp (variance) compare the members' weights as the file holds them. mw: weight "
            "of one member.",
            ("method",),
            lambda file: [((), file.ensemble)],
        ),
        _table(
            comparison,
            "Wrong decisions (risk) when only the surest rows are decided",
            "",
            ("method",),
            lambda file: [((), file.risks)],
        ),
        _table(
            comparison,
            "Inputs from elsewhere (OOD), told apart by a score",
            "The inputs from elsewhere are the positive class: "
            + ", ".join(f"{name} ({n} rows)" for name, n in comparison.outside.items())
            + ". The AUPR of chance is their share. FPR95: share of the data flagged where 95 % of "
            "the others are.",
            ("method", "data", "score"),
            lambda file: [
                ((name, score), row)
                for name, scores in file.outside.items()
                for score, row in scores.items()
            ],
        ),
        _table(
            comparison,
            "Corrupted pictures, by severity",
            "The mean over the corruptions of each severity.",
            ("method", "severity"),
            by_severity,
        ),
        _table(
            comparison,
            "Corrupted pictures, by corruption",
            "The mean over the severities of each corruption.",
            ("method", "corruption"),
            _by_corruption,
        ),
    ]
    return [table for table in found if table.rows and table.columns]


def as_text(comparison: Comparison) -> str:
    """Tables and verdicts, for a terminal."""
    parts = []
    for table in tables(comparison):
        body = [
            [*labels, *[cell(e, name) for e, name in zip(figures, table.columns, strict=True)]]
            for labels, figures in table.rows
        ]
        lines = [f"{table.title}:", render([*table.labels, *table.columns], body)]
        parts.append("\n".join([*lines, table.note] if table.note else lines))
    told = [f"{where}: {verdict}" for where, verdict in verdicts(comparison)]
    return "\n\n".join([*parts, "\n".join(told)] if told else parts)


def verdicts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Of each file, whether its members act as several models: (method and file, sentence)."""
    for method, files in methods(comparison):
        for file in files:
            if file.verdict is not None:
                yield method if len(files) == 1 else f"{method}, {file.file}", file.verdict


def cell(found: Estimate | None, name: str) -> str:
    """A figure as people read it: mean ± half of its interval."""
    if found is None:
        return "-"
    if name in _SMALL:
        return f"{found.mean:.3g}" if found.half is None else f"{found.mean:.3g} ± {found.half:.2g}"
    digits = _DIGITS.get(name, 4)
    whole = f"{found.mean:,.{digits}f}".replace(",", " ")
    return whole if found.half is None else f"{whole} ± {found.half:.{digits}f}"


def _table(
    comparison: Comparison,
    title: str,
    note: str,
    labels: tuple[str, ...],
    rows_of: Callable[[Judged], list[Labelled]],
) -> Table:
    rows: list[tuple[tuple[str, ...], dict[str, Estimate]]] = []
    for method, files in methods(comparison):
        gathered: dict[tuple[str, ...], dict[str, list[float]]] = {}
        for file in files:
            for key, row in rows_of(file):
                into = gathered.setdefault(key, {})
                for name, value in row.items():
                    if isinstance(value, float):
                        into.setdefault(name, []).append(value)
        for key, figures in gathered.items():
            rows.append(((method, *key), {n: estimate(v) for n, v in figures.items()}))
    columns = tuple(dict.fromkeys(name for _, figures in rows for name in figures))
    return Table(
        title,
        note,
        labels,
        tuple(_HEADS.get(name, name) for name in columns),
        [(key, [figures.get(name) for name in columns]) for key, figures in rows],
        tuple(_direction(name) for name in columns),
    )


def methods(comparison: Comparison) -> Iterator[tuple[str, list[Judged]]]:
    """The files of each method."""
    for name, files in groupby(comparison.files, key=lambda file: file.method):
        yield name, list(files)


def by_severity(file: Judged) -> list[Labelled]:
    """The mean over the corruptions of each severity, labelled with it."""
    levels = sorted({level for rows in file.shift.values() for level in rows})
    return [
        ((str(level),), _mean([rows[level] for rows in file.shift.values() if level in rows]))
        for level in levels
    ]


def _by_corruption(file: Judged) -> list[Labelled]:
    return [((name,), _mean(list(rows.values()))) for name, rows in file.shift.items()]


def _mean(rows: list[Row]) -> Row:
    return {name: sum(float(row[name] or 0.0) for row in rows) / len(rows) for name in rows[0]}


def best_rows(table: Table) -> list[set[int]]:
    """For each column the rows with the best figure of those whose labels but the method agree."""
    found: list[set[int]] = []
    for column, direction in enumerate(table.best):
        groups: dict[tuple[str, ...], list[tuple[float, int]]] = {}
        for place, (labels, figures) in enumerate(table.rows):
            figure = figures[column]
            if direction and figure is not None:
                groups.setdefault(labels[1:], []).append((direction * figure.mean, place))
        found.append(
            {
                place
                for group in groups.values()
                for value, place in group
                if len(group) > 1 and value == max(group)[0]
            }
        )
    return found


def _direction(name: str) -> int:
    if name.startswith(_BEST_HIGH):
        return 1
    return -1 if name.startswith(_BEST_LOW) else 0
