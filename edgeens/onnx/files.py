"""Member files run as they came: the baseline that a decoded container is judged against."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgeens.errors import DataError, MembersError
from edgeens.onnx.elements import Array
from edgeens.onnx.engine import import_runtime, reason


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
        OSError: a file cannot be read.
    """
    outputs = [MemberFile(path).run(x) for path in paths]
    for path, found in zip(paths, outputs, strict=True):
        if {name: array.shape for name, array in found.items()} != {
            name: array.shape for name, array in outputs[0].items()
        }:
            raise MembersError(f"the outputs of {path} are not those of {paths[0]}")
    return {name: np.stack([found[name] for found in outputs]) for name in outputs[0]}


class MemberFile:
    """One .onnx file, ready to run.

    Attributes:
        rows: how many rows a run takes, if the graph fixes it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Load it; raises MembersError, MissingPackageError and OSError as `run_files` does."""
        self._path = os.fspath(path)
        with Path(path).open("rb"):  # a missing file is an OSError, whatever ONNX Runtime says
            pass
        runtime = import_runtime()
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(
                self._path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors have no common base but this
            raise MembersError(f"ONNX Runtime cannot load {self._path}: {reason(error)}") from error
        first = [tuple(item.shape)[:1] for item in self._session.get_inputs()]
        self.rows = first[0][0] if first and first[0] and isinstance(first[0][0], int) else None

    def run(self, x: Array | Mapping[str, Array]) -> dict[str, Array]:
        """Its outputs by name, each (batch, ...). Raises DataError if *x* does not fit."""
        names = [item.name for item in self._session.get_inputs()]
        feeds = dict(x) if isinstance(x, Mapping) else dict.fromkeys(names[:1], x)
        try:
            values = self._session.run(None, feeds)
        except Exception as error:
            raise DataError(f"{self._path} cannot run on this input: {reason(error)}") from error
        outputs = [item.name for item in self._session.get_outputs()]
        return dict(zip(outputs, values, strict=True))
