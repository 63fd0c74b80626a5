"""The page of a comparison: one HTML file with its pictures inside, that needs no network.

Part of report.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape

import edgeens
from edgeens.compare import Comparison
from edgeens.compare_tables import Table, best_rows, cell, tables, verdicts

Drawn = list[tuple[str, str, bytes]]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --best: #00798c; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.note { opacity: .75; max-width: 60rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid var(--line); } td { border-bottom: 1px solid var(--line); }
th.label, td.label { text-align: left; }
td.best { font-weight: 600; color: var(--best); }
figure { margin: 1rem 0; } figcaption { opacity: .75; max-width: 60rem; }
img { max-width: 100%; background: white; border-radius: 4px; }
dt { font-weight: 600; } dd { margin: 0 0 .6rem 1.2rem; }
"""


def page(comparison: Comparison, drawn: Drawn) -> str:
    """The whole page; *drawn* is (name, caption, PNG) of each picture."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>edgeens: {escape(comparison.data[0])}</title><style>{_STYLE}</style></head><body>",
        "<h1>Ensembles compared</h1>",
        f"<p>{_told(comparison)}</p>",
        *_verdicts(comparison),
    ]
    for table in tables(comparison):
        parts += _table(table)
    if drawn:
        parts.append("<h2>Pictures</h2>")
    for name, caption, content in drawn:
        data = base64.b64encode(content).decode()
        parts.append(
            f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)} ({name}.png)</figcaption></figure>"
        )
    parts.append("</body></html>\n")
    return "\n".join(parts)


def _told(comparison: Comparison) -> str:
    """What was done, in words."""
    data, rows = comparison.data
    words = [f"{len(comparison.files)} models were judged on {data}, {rows} rows."]
    if comparison.held_out is not None:
        words.append(f"Temperatures were fitted on {comparison.held_out[0]}.")
    if comparison.shift is not None:
        count, seed = len(comparison.shift["settings"]), comparison.shift["seed"]
        words.append(f"{count} corrupted copies of the data were made with seed {seed}.")
    words.append(
        "The best figure among rows of the same kind is marked. The mark is no test: look at the "
        "intervals, which speak of other seeds and not of other data."
    )
    words.append(f"Made by edgeens {edgeens.__version__}.")
    return escape(" ".join(words))


def _verdicts(comparison: Comparison) -> Iterator[str]:
    """Whether the members are several models, file by file."""
    told = list(verdicts(comparison))
    if told:
        yield "<h2>Are the members several models?</h2><dl>"
        yield from (
            f"<dt>{escape(where)}</dt><dd>{escape(verdict)}</dd>" for where, verdict in told
        )
        yield "</dl>"


def _table(table: Table) -> Iterator[str]:
    yield f"<h2>{escape(table.title)}</h2>"
    if table.note:
        yield f'<p class="note">{escape(table.note)}</p>'
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f'<th class="label">{escape(label)}</th>' for label in table.labels)
    yield "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    yield "</tr></thead><tbody>"
    marked = best_rows(table)
    for place, (labels, figures) in enumerate(table.rows):
        cells = [f'<td class="label">{escape(label)}</td>' for label in labels]
        for column, (name, figure) in enumerate(zip(table.columns, figures, strict=True)):
            kind = ' class="best"' if place in marked[column] else ""
            cells.append(f"<td{kind}>{escape(cell(figure, name))}</td>")
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"
