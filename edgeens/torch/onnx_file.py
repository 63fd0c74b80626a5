"""One module as one ONNX file: the only place that calls torch's exporter.

Beside edgeens.torch.export, which writes the members of an ensemble with it.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeens.atomic import replacing
from edgeens.errors import MembersError
from edgeens.torch.package import nn, torch

OPSET = 17


def write_onnx(
    module: nn.Module,
    path: str | os.PathLike[str],
    *,
    example_input: Any,
    input_names: Sequence[str] = ("input",),
    output_names: Sequence[str] = ("output",),
    folded: bool = False,
) -> None:
    """Trace *module* on an example and write the graph to *path*.

    Args:
        module: in evaluation mode.
        path: an older file stays whole until the new one is complete.
        example_input: a tensor (B, ...), or a tuple of what the module takes.
        input_names, output_names: of the graph; the first axis of each is the batch, of any size.
        folded: batch normalisations are multiplied into convolutions, as a fast graph has them.
            False leaves every tensor as the module has it: none folded, fused or transposed.

    Raises:
        MembersError: the module cannot be exported; the message has the exporter's reason.
        OSError: the file cannot be written.
    """
    example = example_input if isinstance(example_input, tuple) else (example_input,)
    with tempfile.TemporaryDirectory() as scratch:
        traced = Path(scratch) / "traced.onnx"
        with warnings.catch_warnings():
            # The older exporter keeps the names of parameters and needs no onnxscript; it warns
            # that a later torch will drop it, and the extra pins the version of torch.
            warnings.simplefilter("ignore")
            try:
                torch.onnx.export(
                    module,
                    example,
                    str(traced),
                    dynamo=False,
                    opset_version=OPSET,
                    do_constant_folding=folded,
                    input_names=list(input_names),
                    output_names=list(output_names),
                    dynamic_axes={name: {0: "batch"} for name in (*input_names, *output_names)},
                )
            except (
                *(RuntimeError, TypeError, ValueError),
                torch.onnx.errors.OnnxExporterError,
            ) as error:
                reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
                raise MembersError(f"the members cannot be exported to ONNX: {reason}") from error
        content = traced.read_bytes()
    with replacing(Path(path)) as file:
        file.write(content)
