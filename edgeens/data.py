"""Arrays in and out of files: a model's inputs, labelled data, predictions, decoded tensors.

Nothing is unpickled; what a file lacks or should not hold is said by name.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.atomic import make_folder, replacing
from edgeens.decoder import Container
from edgeens.errors import DataError
from edgeens.uncertainty import Prediction

Array = NDArray[Any]
Inputs = Array | dict[str, Array]
PathLike = str | os.PathLike[str]

_FIELDS = (
    "predictive_entropy",
    "expected_entropy",
    "mutual_information",
    "disagreement",
    "variance",
    "members_used",
)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Data to judge a model with.

    Attributes:
        x: the model's input (batch, ...), or its inputs by name.
        y: (batch, ...) class numbers, 0/1 labels, or regression targets.
        x_ood: inputs that are out of distribution, or None.
    """

    x: Inputs
    y: Array
    x_ood: Array | None = None


def load_inputs(path: PathLike) -> Inputs:
    """A model's input from .npy, or its inputs by name from .npz.

    Raises:
        DataError: the file holds something else.
        OSError: it cannot be read.
    """
    loaded = _load(path)
    if isinstance(loaded, dict):
        return loaded["x"] if set(loaded) == {"x"} else loaded
    return loaded


def load_unlabelled(path: PathLike) -> Inputs:
    """As load_inputs, from a file that may also hold `y` and `x_ood`, which are left out.

    Raises:
        DataError: the file holds something else.
        OSError: it cannot be read.
    """
    loaded = load_inputs(path)
    if not isinstance(loaded, dict):
        return loaded
    inputs = {name: array for name, array in loaded.items() if name not in ("y", "x_ood")}
    return inputs["x"] if set(inputs) == {"x"} else inputs


def load_labelled(path: PathLike) -> Labelled:
    """`x` (or the inputs by name), `y` and, if there, `x_ood` from .npz.

    Raises:
        DataError: an array is missing.
        OSError: the file cannot be read.
    """
    loaded = _load(path)
    if not isinstance(loaded, dict):
        raise DataError(f"{path} is one array: labelled data is an .npz file with x and y")
    if "y" not in loaded:
        raise _missing(path, "y (labels)", loaded)
    inputs = {name: array for name, array in loaded.items() if name not in ("y", "x_ood")}
    if not inputs:
        raise _missing(path, "x (inputs)", loaded)
    x = inputs["x"] if set(inputs) == {"x"} else inputs
    return Labelled(x=x, y=loaded["y"], x_ood=loaded.get("x_ood"))


def save_prediction(prediction: Prediction, path: PathLike, *, members: bool) -> None:
    """Write the prediction's arrays under their field names; the members only if asked for.

    Further outputs of the graph are written as `output.NAME`.
    """
    arrays: dict[str, Array] = {"mean": prediction.mean}
    for name in _FIELDS:
        value = getattr(prediction, name)
        if value is not None:
            arrays[name] = value
    if members:
        arrays["members"] = prediction.members
    arrays.update({f"output.{name}": array for name, array in prediction.outputs.items()})
    _save(arrays, path)


def write_arrays(container: Container, folder: PathLike, *, threads: int = 1) -> list[Path]:
    """Each member's tensors by name, as member_0.npz, member_1.npz, ... in *folder*.

    bfloat16, which NumPy does not know, is written as uint16 bit patterns. *threads* is as in
    Container.decode.
    """
    home = make_folder(folder)
    written = []
    for member in range(container.members):
        path = home / f"member_{member}.npz"
        arrays = {
            name: container.decode(name, member=member, threads=threads) for name in container.names
        }
        _save(arrays, path)
        written.append(path)
    return written


def _load(path: PathLike) -> Array | dict[str, Array]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a NumPy file (.npy or .npz) of plain arrays") from error
    array: Array = loaded
    return array


def _save(arrays: dict[str, Array], path: PathLike) -> None:
    """An .npz file; a tensor's name may hold any character, also those that savez refuses."""
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(entry, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)


def _missing(path: PathLike, wanted: str, arrays: dict[str, Array]) -> DataError:
    listed = ", ".join(sorted(arrays)) or "nothing"
    return DataError(
        f"{path} has no array {wanted}; it holds {listed}: write it with numpy.savez(FILE, x=..., "
        "y=...)"
    )
