"""What a run says about each epoch: a CSV file, and TensorBoard where it is installed.

Beside torch.training. The file is written anew after every epoch, so that a resumed run leaves no
row twice.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgeens.atomic import replacing
from edgeens.torch.checkpoint import Row


class RunLog:
    """Writes DIR/log.csv and, if the package tensorboard is installed, DIR/tensorboard/."""

    def __init__(self, folder: Path, *, resumed_at: int = 0) -> None:
        """Log to *folder*; TensorBoard's rows after *resumed_at* epochs are hidden as overtaken."""
        self._path = folder / "log.csv"
        self._writer: Any = None
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=resumed_at + 1)

    def write(self, history: Sequence[Row]) -> None:
        """All rows to the file; the last one to TensorBoard."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        with replacing(self._path) as file:
            file.write(text.getvalue().encode())
        if self._writer is not None:
            for name, value in history[-1].items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, int(history[-1]["epoch"]))

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()
