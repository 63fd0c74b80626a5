"""Member files run as they came: the baseline that a decoded container is judged against."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from edgeens.errors import DataError, MembersError
from edgeens.onnx.elements import Array
from edgeens.onnx.runtime import import_runtime


def run_files(
    paths: Sequence[str | os.PathLike[str]], x: Array | Mapping[str, Array]
) -> dict[str, Array]:
    """Outputs of plain .onnx files by name, each (K, batch, ...), in the order of *paths*.

    Args:
        paths: ONNX files with the same inputs and outputs.
        x: the model's input, or its inputs by name.

    Raises:
        DataError: *x* does not fit a model.
        MembersError: a file cannot be loaded, or its outputs are not those of the first.
        MissingPackageError: onnxruntime is not installed.
    """
    outputs = [_run_file(os.fspath(path), x) for path in paths]
    for path, found in zip(paths, outputs, strict=True):
        if {name: array.shape for name, array in found.items()} != {
            name: array.shape for name, array in outputs[0].items()
        }:
            raise MembersError(f"the outputs of {path} are not those of {paths[0]}")
    return {name: np.stack([found[name] for found in outputs]) for name in outputs[0]}


def _run_file(path: str, x: Array | Mapping[str, Array]) -> dict[str, Array]:
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base but this
        raise MembersError(f"ONNX Runtime cannot load {path}: {error}") from error
    names = [item.name for item in session.get_inputs()]
    feeds = dict(x) if isinstance(x, Mapping) else dict.fromkeys(names[:1], x)
    try:
        values = session.run(None, feeds)
    except Exception as error:
        raise DataError(f"{path} cannot run on this input: {error}") from error
    return {item.name: value for item, value in zip(session.get_outputs(), values, strict=True)}
