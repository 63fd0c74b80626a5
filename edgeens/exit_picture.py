"""Members used against loss, kept beside a calibrated file: F.exit.json and F.exit.png.

After exit_curve; the picture needs the extra report.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from edgeens.atomic import replacing
from edgeens.exit_curve import ExitCurve, ExitPoint


def save_exit_curve(curve: ExitCurve, chosen: ExitPoint | None, path: Path) -> list[Path]:
    """Write every point as JSON, and as a picture where matplotlib is installed.

    Args:
        curve: on validation data.
        chosen: the point that the file holds, if any.
        path: of the container; its suffix is replaced by .exit.json and .exit.png.

    Returns:
        The files written.

    Raises:
        OSError: one cannot be written.
    """
    written = [path.with_suffix(".exit.json")]
    content = asdict(curve) | {"chosen": None if chosen is None else asdict(chosen)}
    with replacing(written[0]) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())
    if find_spec("matplotlib") is not None:
        written.append(path.with_suffix(".exit.png"))
        _draw(curve, chosen, written[1])
    return written


def _draw(curve: ExitCurve, chosen: ExitPoint | None, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    used = [point.mean_members for point in curve.points]
    loss = [100 * point.nll_loss for point in curve.points]
    bound = [100 * point.bound for point in curve.points]
    axes.plot(used, loss, "o-", color="tab:blue", markersize=3, linewidth=1, label="measured")
    axes.fill_between(used, loss, bound, color="tab:blue", alpha=0.2, label="to the 95 % bound")
    if chosen is not None:
        place = (chosen.mean_members, 100 * chosen.nll_loss)
        axes.plot(*place, "o", color="tab:red", markersize=8, label="chosen")
    axes.axhline(0.0, color="gray", linestyle=":")
    axes.set_xlabel(f"members used, mean of {curve.rows} validation rows")
    axes.set_ylabel("NLL above that of all members, %")
    axes.legend()
    axes.grid(alpha=0.3)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)
