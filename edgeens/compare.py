"""Several files judged side by side on the same data: the figures behind tables and report.

Last stage of the pipeline, after outputs and judged. The data may be the test set: nothing is
chosen here, and temperatures are fitted on other data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens import diversity
from edgeens.compare_files import Method, short_names
from edgeens.container.sizes import measure
from edgeens.data import Inputs, Labelled, load_labelled, load_unlabelled
from edgeens.decoder import Container
from edgeens.errors import DataError
from edgeens.judge import Row
from edgeens.judged import EARLY_EXIT, Judged, Outputs, judge_model, shifted
from edgeens.onnx.session import Session
from edgeens.outputs import Meter, Step, file_outputs, row_count, session_outputs
from edgeens.shift import Shift
from edgeens.tables import counted

Array = NDArray[Any]
PathLike = str | os.PathLike[str]

_FLOATS = ("float32", "float16", "double")  # bfloat16 comes as bit patterns
_WEIGHTS = 64  # elements that a tensor of 2 or more dims needs to count as weights


@dataclass(frozen=True)
class Comparison:
    """What was judged on what.

    Attributes:
        data: the file that judged, its rows.
        held_out: the same of the data that temperatures were fitted on.
        outside: the same of data from elsewhere, by name.
        shift: corruptions by name and severity, and their seed; None without.
        files: in the order of the methods and their seeds; float members first.
    """

    data: tuple[str, int]
    held_out: tuple[str, int] | None
    outside: dict[str, int]
    shift: dict[str, Any] | None
    files: list[Judged]


@dataclass(frozen=True, eq=False)
class _Data:
    inside: Labelled
    outside: dict[str, Inputs]
    held_out: Labelled | None

    @property
    def rows(self) -> int:
        held = [] if self.held_out is None else [self.held_out.x]
        return sum(row_count(x) for x in (self.inside.x, *held, *self.outside.values()))


def compare(
    methods: Sequence[Method],
    data: PathLike,
    *,
    members: Sequence[PathLike] = (),
    held_out: PathLike | None = None,
    outside: Sequence[PathLike] = (),
    shift: Shift | None = None,
    threads: int = 1,
    progress: Step | None = None,
) -> Comparison:
    """Judge every file on *data*.

    Args:
        methods: the files.
        data: .npz with x (or the inputs by name), y and, if wanted, x_ood.
        members: ONNX files of float members, judged as one method more; what their outputs mean is
            as the first file says.
        held_out: .npz with x and y that temperatures are fitted on; never *data*.
        outside: .npy or .npz files with inputs from elsewhere.
        shift: corruptions of *data* to judge on as well.
        threads: of the sessions.
        progress: called with (what is being run, rows done, rows in all), a row of each member
            counting as one.

    Raises:
        DataError: data and a model do not fit each other, the held-out data is *data*, or no
            temperature can be fitted.
        FormatError, OSError, MissingPackageError: as from Session.
    """
    loaded = _load(data, held_out, outside)
    files = [(method.name, path) for method in methods for path in method.files]
    rows = loaded.rows + (0 if shift is None else len(shift.settings) * row_count(loaded.inside.x))
    meter = Meter(progress, sum(_member_count(path) for _, path in files) * rows)
    found = []
    if members:
        meter.more(len(members) * loaded.rows)
        found.append(_judge_members(files[0][1], members, loaded, meter, threads))
    found += [_judge_file(name, path, loaded, meter, threads) for name, path in files]
    if shift is not None:
        first = len(found) - len(files)
        judged = _judge_shift([path for _, path in files], loaded.inside, shift, meter, threads)
        found[first:] = [replace(f, shift=s) for f, s in zip(found[first:], judged, strict=True)]
    return Comparison(
        data=(os.fspath(data), row_count(loaded.inside.x)),
        held_out=None
        if loaded.held_out is None or held_out is None
        else (os.fspath(held_out), row_count(loaded.held_out.x)),
        outside={name: row_count(x) for name, x in loaded.outside.items()},
        shift=None if shift is None else shift.described(),
        files=found,
    )


def _load(data: PathLike, held_out: PathLike | None, outside: Sequence[PathLike]) -> _Data:
    inside = load_labelled(data)
    held = None if held_out is None else load_labelled(held_out)
    if held is not None and _same(inside, held):
        raise DataError(
            f"{held_out} holds the very data that judges: fit temperatures on other data, or they "
            "flatter the model"
        )
    sets: dict[str, Inputs] = {}
    if inside.x_ood is not None:
        sets[f"x_ood of {Path(data).name}"] = inside.x_ood
    _, *names = short_names([Path(data), *map(Path, outside)])
    sets |= {name: load_unlabelled(path) for name, path in zip(names, outside, strict=True)}
    return _Data(inside, sets, held)


def _same(one: Labelled, other: Labelled) -> bool:
    if not np.array_equal(one.y, other.y):
        return False
    a, b = (x.x if isinstance(x.x, Mapping) else {"": x.x} for x in (one, other))
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def _member_count(path: Path) -> int:
    with Container.open(path) as container:
        return container.members


def _judge_file(name: str, path: Path, data: _Data, meter: Meter, threads: int) -> Judged:
    with _naming(path), Session(path, threads=threads) as session:
        ran = meter.of(f"{name}: {path.name}")
        outputs = _outputs(data, lambda x: session_outputs(session, x, ran=ran))
        judged = judge_model(session, outputs, method=name, file=os.fspath(path))
    with Container.open(path) as container:
        judged.ensemble.update(_weights(container, threads))
    sizes = measure(path.read_bytes())
    judged.ensemble["file bytes"] = float(sizes.file_bytes)
    judged.ensemble["bits/mw"] = sizes.bits_per_member_weight
    return judged


def _judge_members(
    path: Path, members: Sequence[PathLike], data: _Data, meter: Meter, threads: int
) -> Judged:
    """Float members; the container at *path* knows what their outputs mean."""
    name = counted(len(members), "float member")
    ran = meter.of(name)
    with Session(path, threads=threads) as session:
        outputs = _outputs(data, lambda x: file_outputs(members, x, output=session.output, ran=ran))
        judged = judge_model(session, outputs, method=name, file=", ".join(map(str, members)))
    judged.predictions.pop(EARLY_EXIT, None)  # a rule for the members in the file
    judged.ensemble["file bytes"] = float(sum(Path(path).stat().st_size for path in members))
    return judged


def _judge_shift(
    paths: Sequence[Path], inside: Labelled, shift: Shift, meter: Meter, threads: int
) -> list[dict[str, dict[int, Row]]]:
    """For each file, the figures by corruption and severity; the data is corrupted once for all."""
    found: list[dict[str, dict[int, Row]]] = [{} for _ in paths]
    with ExitStack() as opened:
        sessions = [opened.enter_context(Session(path, threads=threads)) for path in paths]
        for path, session in zip(paths, sessions, strict=True):
            if session.task != "classification":
                raise DataError(f"{path} is no classifier: leave corrupted pictures out")
        for corruption, severity, x in shift.of(inside.x):
            ran = meter.of(f"{corruption} {severity}")
            for rows, path, session in zip(found, paths, sessions, strict=True):
                with _naming(path):
                    raw = session_outputs(session, x, ran=ran)
                    figures = shifted(session, raw, inside.y)
                rows.setdefault(corruption, {})[severity] = figures
    return found


def _outputs(data: _Data, run: Callable[[Inputs], Array]) -> Outputs:
    """What a model says on all data."""
    held = None if data.held_out is None else (run(data.held_out.x), data.held_out.y)
    outside = {name: run(x) for name, x in data.outside.items()}
    return Outputs(run(data.inside.x), data.inside.y, outside, held)


def _weights(container: Container, threads: int) -> Row:
    """Corr and disp of the weights as the file holds them: of low-rank layers, the factors."""
    names = [
        info.name
        for info in container.tensors
        if info.dtype in _FLOATS and len(info.shape) > 1 and prod(info.shape) >= _WEIGHTS
    ]
    if container.members == 1 or not names:
        return {}
    tensors = (container.decode(name, threads=threads) for name in names)
    corr, disp = diversity.network_diversity(tensors, members=container.members)
    return {"Corr": corr, "disp": disp}


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of which file an error about data speaks."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
