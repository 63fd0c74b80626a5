"""Commands that look into a file: `inspect`, `verify`, `decode`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeens import show
from edgeens.cli.arguments import file_command, threads_option
from edgeens.progress import Progress


def add_commands(commands: Any) -> None:
    """Add `inspect`, `verify` and `decode`."""
    inspect = file_command(commands, "inspect", _inspect, "sizes of a file and of each tensor")
    inspect.add_argument("--json", action="store_true", help="machine-readable")
    verify = file_command(commands, "verify", _verify, "check every checksum and digest of a file")
    threads_option(verify, "workers; the verdict is the same")
    decode = file_command(commands, "decode", _decode, "write each member as a file of its own")
    decode.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write to")
    decode.add_argument(
        "--npz", action="store_true", help="arrays by tensor name instead of .onnx (needs no onnx)"
    )
    threads_option(decode, "workers; same bytes")


def _inspect(options: argparse.Namespace) -> None:
    from edgeens.container.footprint import footprint
    from edgeens.container.sizes import measure
    from edgeens.decoder import Container

    with Container.open(options.file) as container:  # first: its errors name the file
        data = Path(options.file).read_bytes()
        sizes, needs = measure(data), footprint(data)
        if options.json:
            print(json.dumps(asdict(sizes) | {"microcontroller": asdict(needs)}))
            return
        print(show.inspection(sizes, container.workspace_bytes, needs))


def _verify(options: argparse.Namespace) -> None:
    from edgeens.decoder import Container

    with Container.open(options.file) as container, Progress("verifying") as progress:
        container.verify(
            progress=lambda done, total: progress.update("", done, total), threads=options.threads
        )
        print(show.verified(options.file, container))


def _decode(options: argparse.Namespace) -> None:
    from edgeens.decoder import Container

    with Container.open(options.file) as container:
        if options.npz:
            from edgeens.data import write_arrays

            written = write_arrays(container, options.output, threads=options.threads)
        else:
            from edgeens.onnx.export import write_members

            written = write_members(container, options.output, threads=options.threads)
    for path in written:
        print(path)
