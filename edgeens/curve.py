"""The trade-off that a budget search measured, kept beside the file: F.curve.json and F.curve.png.

After smallest; the picture needs the extra report.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from edgeens.atomic import replacing
from edgeens.quantize.budget import Point
from edgeens.smallest import Smallest


def save_curve(smallest: Smallest, path: Path) -> list[Path]:
    """Write every point as JSON, and as a picture where matplotlib is installed.

    Args:
        smallest: what was searched.
        path: of the container; its suffix is replaced by .curve.json and .curve.png.

    Returns:
        The files written.

    Raises:
        OSError: one cannot be written.
    """
    written = [path.with_suffix(".curve.json")]
    with replacing(written[0]) as file:
        file.write((json.dumps(asdict(smallest), indent=1) + "\n").encode())
    if find_spec("matplotlib") is not None:
        written.append(path.with_suffix(".curve.png"))
        _draw(smallest, written[1])
    return written


def _draw(smallest: Smallest, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    bits, heights, label = _heights(smallest.points, smallest)
    axes.plot(bits, heights, "o-", color="tab:blue", markersize=4, linewidth=1, label="measured")
    (at,), (height,), _ = _heights([smallest.point], smallest)
    axes.plot(at, height, "o", color="tab:red", markersize=8, label=f"chosen: {smallest.budget}")
    if smallest.float_nll is not None:
        axes.axhline(smallest.float_nll, color="gray", linestyle=":", label="float32 members")
    else:
        axes.set_yscale("log")
    axes.set_xlabel("bits per member weight")
    axes.set_ylabel(label)
    axes.legend()
    axes.grid(alpha=0.3)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)


def _heights(points: Sequence[Point], smallest: Smallest) -> tuple[list[float], list[float], str]:
    bits = [point.bits_per_member_weight for point in points]
    if smallest.float_nll is None:
        return bits, [point.predicted for point in points], "expected change of the predictions"
    return bits, [point.nll or 0.0 for point in points], f"validation NLL ({smallest.rows} rows)"
