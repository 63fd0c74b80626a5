"""Which files are compared under which names: methods, and the seeds of each.

Between the command line and compare.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeens.errors import DataError


@dataclass(frozen=True)
class Method:
    """What is judged as one thing.

    Attributes:
        name: for people, unique.
        files: containers, one a seed.
    """

    name: str
    files: tuple[Path, ...]


def named_methods(texts: Sequence[str]) -> list[Method]:
    """The methods that a user listed.

    Each text is one of

    - `F.eens`: a method of one seed, named after the file (and its folder, if names are alike);
    - `NAME=F0.eens,F1.eens`: the seeds of one method;
    - `NAME=PATTERN` with * or ?: all files that fit, as in `shared='runs/*/ensemble.eens'`;
    - a folder in place of a file: all .eens files in it and below.

    Raises:
        DataError: nothing is found under a text, or two methods have one name.
    """
    methods: list[Method] = []
    alone: list[int] = []
    for text in texts:
        name, found = _parsed(text)
        files = [file for part in found for file in _files(part)]
        if not files:
            raise DataError(f"{text} names no container: there is no such .eens file")
        if name is None and len(files) == 1:
            alone.append(len(methods))
        methods.append(Method(name or Path(found[0]).stem, tuple(files)))
    short = short_names([methods[place].files[0] for place in alone])
    for place, name in zip(alone, short, strict=True):
        methods[place] = Method(name, methods[place].files)
    for name, count in Counter(method.name for method in methods).items():
        if count > 1:
            raise DataError(f"{count} methods are called {name}: name them, as in NAME=F.eens")
    return methods


def short_names(paths: Sequence[Path]) -> list[str]:
    """Names of files, without suffix, and with as many of their folders as tell them apart."""
    names = [path.stem for path in paths]
    for depth in range(1, max((len(path.parts) for path in paths), default=0)):
        counts = Counter(names)
        names = [
            name if counts[name] == 1 else "/".join([*path.parts[-depth - 1 : -1], path.stem])
            for name, path in zip(names, paths, strict=True)
        ]
    return names


def _parsed(text: str) -> tuple[str | None, list[str]]:
    """A name, if there is one, and what it stands for."""
    name, equals, rest = text.partition("=")
    if not equals or Path(text).exists():
        return None, [text]
    if not name or not rest:
        raise DataError(f"{text} has no name before or no file behind the =, as in NAME=F.eens")
    return name, [part for part in rest.split(",") if part]


def _files(part: str) -> list[Path]:
    """The containers under a path or a pattern, in order."""
    path = Path(part)
    if path.is_dir():
        return sorted(path.rglob("*.eens"))
    if path.exists() or not glob.has_magic(part):
        return [path]
    return sorted(Path(found) for found in glob.glob(part, recursive=True))
