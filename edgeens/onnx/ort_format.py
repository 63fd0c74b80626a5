"""One graph in ONNX Runtime's own format, for builds of it that read nothing else.

Behind onnx.one_graph: ONNX Runtime itself converts the model.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from edgeens.atomic import replacing
from edgeens.decoder import Container
from edgeens.errors import DataError
from edgeens.onnx.engine import import_runtime
from edgeens.onnx.one_graph import Form, write_one_graph


def write_ort(
    container: Container, path: str | os.PathLike[str], *, weights: Form = "float32"
) -> Path:
    """Write *container* as one .ort file; arguments and errors as of `write_one_graph`.

    Optimised as far as every machine can run it: no layouts of one kind of processor.

    Raises:
        DataError: besides, ONNX Runtime cannot convert the model.
        MissingPackageError: onnxruntime is not installed.
    """
    runtime = import_runtime()
    target = Path(path)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.save_model_format", "ORT")
    with TemporaryDirectory() as folder:
        model = write_one_graph(container, Path(folder) / "model.onnx", weights=weights)
        converted = Path(folder) / "model.ort"
        options.optimized_model_filepath = str(converted)
        try:
            runtime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common base below Exception
            raise DataError(f"ONNX Runtime cannot convert the model: {error}") from error
        with replacing(target) as file:
            file.write(converted.read_bytes())
    return target
