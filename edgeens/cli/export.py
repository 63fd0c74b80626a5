"""The command `export`: a file as one ordinary ONNX model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgeens.cli.arguments import file_command


def add_commands(commands: Any) -> None:
    """Add `export`."""
    export = file_command(
        commands, "export", _export, "write all members and their uncertainties as one ONNX model"
    )
    export.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="MODEL.onnx|MODEL.ort",
        help="the ending says which: ONNX, or ONNX Runtime's own format",
    )
    export.add_argument(
        "--weights",
        choices=("float32", "int8"),
        default="float32",
        help="values, or codes in a quarter of the bytes, with DequantizeLinear in every run: "
        "slower, unless whoever runs the model sets the session option session.disable_quant_qdq "
        "to 1 (default: float32)",
    )
    export.add_argument(
        "--external-data", action="store_true", help="weights beside the model, in MODEL.onnx.data"
    )
    export.set_defaults(parser=export)


def _export(options: argparse.Namespace) -> None:
    from edgeens.decoder import Container
    from edgeens.onnx.one_graph import write_one_graph
    from edgeens.onnx.ort_format import write_ort

    target = Path(options.output)
    if target.suffix not in (".onnx", ".ort"):
        options.parser.error(
            f"{target} ends neither in .onnx (ONNX) nor in .ort (ONNX Runtime's own format), so it "
            "does not say what to write"
        )
    if target.suffix == ".ort" and options.external_data:
        options.parser.error("an .ort file has its weights inside: leave out --external-data")
    with Container.open(options.file) as container:
        if target.suffix == ".ort":
            written = write_ort(container, target, weights=options.weights)
        else:
            written = write_one_graph(
                container, target, weights=options.weights, external=options.external_data
            )
    print(f"{written} ({written.stat().st_size} bytes)")
