"""The picture of a training run: how it went, and what the file costs.

Drawn by torch.results from the report's figures alone; needs matplotlib.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from edgeens.atomic import replacing
from edgeens.container.sizes import Sizes
from edgeens.torch.checkpoint import Row

_OURS, _SECOND, _GREY = "#d1495b", "#00798c", "#8f9dab"


def draw_run(
    path: Path, *, title: str, history: list[Row], rows: list[dict[str, Any]], sizes: Sizes
) -> None:
    """Left: training loss and validation NLL by epoch. Right: test NLL against bytes.

    Args:
        path: a .png file.
        title: of the picture.
        history: a row an epoch (torch.training.fit).
        rows: test metrics of the members, of one member, and of the file, in this order.
        sizes: of the file.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for name, label, color in (
        ("train_loss", "training loss, mean over members", _GREY),
        ("validation_nll", "validation NLL of the ensemble", _SECOND),
    ):
        left.plot(epochs, [row[name] for row in history], "o-", ms=3, color=color, label=label)
    left.set_xlabel("epoch")
    left.set_ylabel("nats")
    left.set_ylim(bottom=0)
    left.legend(frameon=False)
    float_bytes = sizes.float32_bytes
    points = (
        ("float32 members", float_bytes, rows[0], _SECOND),
        ("one float32 member", float_bytes / sizes.members, rows[1], _GREY),
        ("this file", sizes.file_bytes, rows[2], _OURS),
    )
    for label, size, row, color in points:
        right.plot(size / 1e6, row["NLL"], "o", color=color, label=label)
    right.axvline(sizes.int8_bytes / 1e6, color=_GREY, lw=1, ls="--", label="flat int8")
    right.set_xscale("log")
    right.set_xlabel("MB")
    right.set_ylabel("test NLL (nats)")
    right.margins(y=0.3)
    right.legend(frameon=False)
    figure.suptitle(title, x=0.01, ha="left")
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)
