"""Finished pieces of an experiment, kept so that a killed run goes on where it was.

Under the experiments: a piece is what took long and is plain values for JSON, such as the figures
of one trained network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgeens.atomic import replacing


def piece(
    folder: Path, name: str, made_from: dict[str, Any], make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What *make* returned, now or in an earlier run with the same *made_from*.

    Args:
        folder: for *name*.json; made if it is missing.
        name: of the piece.
        made_from: plain values that decide the result; a kept piece of others is made anew.
        make: does the work; its result is plain values.
    """
    path = folder / f"{name}.json"
    note = json.loads(json.dumps(made_from))
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text())
        if kept["made_from"] == note:
            return _results(kept)
    text = json.dumps({"made_from": note, "results": make()}, indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write((text + "\n").encode())
    return _results(json.loads(text))  # as it will be read next time: lists, not tuples


def not_measured(whole: Sequence[str], done: Sequence[str]) -> list[str]:
    """A sentence for the page, if the results have not all that the command measures."""
    missing = [name for name in whole if name not in done]
    if not missing:
        return []
    return [f"Not among these results yet, but measured by the command: {'; '.join(missing)}."]


def _results(kept: dict[str, Any]) -> dict[str, Any]:
    results: dict[str, Any] = kept["results"]
    return results
