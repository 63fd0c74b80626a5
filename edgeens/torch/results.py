"""What a training run leaves: the members as ONNX files, one container, a report.

End of the training command. The test pictures are looked at here for the first time, and nothing
is chosen by them.
"""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens import __version__, calibration, metrics
from edgeens.atomic import replacing
from edgeens.container.sizes import Sizes
from edgeens.datasets.images import Images
from edgeens.encoder import encode
from edgeens.errors import MembersError
from edgeens.onnx.files import run_files
from edgeens.onnx.session import Session
from edgeens.torch.checkpoint import Row
from edgeens.torch.ensemble import EnsembleModule
from edgeens.torch.export import write_ensemble, write_members
from edgeens.torch.package import torch
from edgeens.torch.recipes import Recipe
from edgeens.torch.training import mean_probabilities, member_logits

Step = Callable[[str, int, int], None]
Parts = tuple[Images, Images, Images]

EXPORT_TOLERANCE = 1e-4  # largest difference of a logit between torch and ONNX Runtime
CALIBRATION = 2000  # training pictures that rounding float members looks at
_CHECKED = 100  # test pictures that exports are checked on
_BATCH = 500  # pictures that ONNX Runtime gets at a time: a ResNet18 needs 1 MB for each
_OUTPUTS = ("logits",)


@dataclass(frozen=True)
class Report:
    """The content of report.json.

    Attributes:
        run: the options, with device and processes.
        machine: versions and processor, in words.
        pictures: how many were trained, stopped and reported on.
        epochs: a row each, as torch.training.fit returns them.
        test: a row of metrics a model: the members in torch, one of them, and the file.
        bytes: of each file written.
        bits_per_member_weight: of the container, without graph and JSON.
        picture: name of the figure beside it, or why there is none.
    """

    run: dict[str, Any]
    machine: str
    pictures: dict[str, int]
    epochs: list[Row]
    test: list[dict[str, Any]]
    bytes: dict[str, int]
    bits_per_member_weight: float | None
    picture: str


def write_results(
    model: EnsembleModule,
    folder: Path,
    *,
    recipe: Recipe,
    run: dict[str, Any],
    bits: int | None,
    history: list[Row],
    parts: Parts,
    device: torch.device,
    progress: Step,
) -> Report:
    """Write the members, the container, validation.npz, test.npz, report.json and report.png.

    Args:
        model: trained.
        folder: to write to.
        recipe: that it was trained by.
        run: plain values for the report.
        bits: how finely to round float members in the container (with error feedback, on training
            pictures); None for a model whose weights already are on grids.
        history: of the epochs.
        parts: pictures for training, validation and test.
        device: for the members in torch.
        progress: called with (what is being done, steps done, steps in all).

    Raises:
        MembersError: the exported members do not compute what torch does.
        OSError: a file cannot be written.
    """
    training, validation, test = parts
    steps = ("exporting", "encoding", "testing the members", "testing the file", "drawing")
    progress(steps[0], 0, len(steps))
    logits = member_logits(model, test, device)
    model.cpu()
    example = torch.from_numpy(training.part(0, 1).floats())
    members = write_members(model, folder, example_input=example, output_names=_OUTPUTS)
    check_members(members, test.part(0, _CHECKED), logits[:, :_CHECKED])
    for name, images in (("validation", validation), ("test", test)):
        with replacing(folder / f"{name}.npz") as file:
            np.savez_compressed(file, x=images.floats(), y=images.y)
    progress(steps[1], 1, len(steps))
    container = folder / "ensemble.eens"
    if bits is None:
        sizes = write_ensemble(model, container, example_input=example, output_names=_OUTPUTS).sizes
    else:
        sizes = _rounded(members, container, bits=bits, images=training)
    progress(steps[2], 2, len(steps))
    rows = [
        {"model": f"{len(logits)} members", **_judge(logits, test)},
        {"model": "one member (mean)", **_mean([_judge(one[None], test) for one in logits])},
    ]
    progress(steps[3], 3, len(steps))
    stored = file_logits(container, test)
    rows.append({"model": f"{len(stored)} members from the file", **_judge(stored, test)})
    progress(steps[4], 4, len(steps))
    written = [*members, container]
    report = Report(
        run=run,
        machine=_machine(),
        pictures={
            "training": len(training.y),
            "validation": len(validation.y),
            "test": len(test.y),
        },
        epochs=history,
        test=rows,
        bytes={path.name: path.stat().st_size for path in written},
        bits_per_member_weight=sizes.bits_per_member_weight,
        picture=_draw(folder, recipe, history, rows, sizes),
    )
    with replacing(folder / "report.json") as file:
        file.write((json.dumps(asdict(report), indent=1) + "\n").encode())
    return report


def check_members(paths: Sequence[Path], images: Images, expected: NDArray[np.float32]) -> None:
    """Raise MembersError unless the files compute *expected* logits (K, n, classes) on *images*."""
    (found,) = run_files(paths, images.floats()).values()
    difference = float(np.abs(found - expected).max())
    if not difference <= EXPORT_TOLERANCE:
        raise MembersError(
            f"the exported members differ from the trained ones by {difference:.1e} in a logit, "
            f"more than {EXPORT_TOLERANCE:.0e}; check the versions of torch and onnxruntime"
        )


def file_logits(container: Path, images: Images) -> NDArray[np.float32]:
    """What the members in the file answer, in ONNX Runtime: float32 (K, n, classes)."""
    parts = []
    with Session(container) as session:
        for start in range(0, len(images.y), _BATCH):
            x = images.part(start, start + _BATCH).floats()
            parts.append(session.predict_members(x)[_OUTPUTS[0]])
    return np.concatenate(parts, axis=1)


def _rounded(members: Sequence[Path], container: Path, *, bits: int, images: Images) -> Sizes:
    """Encode float members, rounded so that the outputs on training pictures stay close."""
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch) / "calibration.npy"
        np.save(pictures, images.part(0, CALIBRATION).floats())
        return encode(members, container, bits=bits, calibration=pictures).sizes


def _judge(logits: NDArray[np.float32], images: Images) -> dict[str, float]:
    """The metrics of the mean probabilities of logits (K, n, classes)."""
    mean = mean_probabilities(logits)
    return {
        "accuracy": metrics.accuracy(mean, images.y),
        "NLL": metrics.nll(mean, images.y),
        "Brier": metrics.brier(mean, images.y),
        "ECE": calibration.ece(mean, images.y),
    }


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _machine() -> str:
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{platform.system()} {platform.machine()}{gpu}, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"edgeens {__version__}"
    )


def _draw(
    folder: Path, recipe: Recipe, history: list[Row], rows: list[dict[str, Any]], sizes: Sizes
) -> str:
    """Draw report.png, if matplotlib is there."""
    try:
        from edgeens.torch.picture import draw_run
    except ImportError:
        return "none: it needs matplotlib, which the extra edgeens[report] installs"
    draw_run(folder / "report.png", title=recipe.title, history=history, rows=rows, sizes=sizes)
    return "report.png"
