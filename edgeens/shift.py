"""Corrupted copies of the data that judges, for CIFAR-10-C-like shift.

Between datasets.corruptions, which changes pictures, and compare.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeens.data import Array, Inputs
from edgeens.datasets.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from edgeens.datasets.pixels import Pixels
from edgeens.errors import DataError


@dataclass(frozen=True)
class Shift:
    """Which corruptions, and how the inputs hold pictures.

    Attributes:
        settings: (corruption, severity of 1 to 5).
        mean, std: of x = (pixel / 255 - mean) / std; one number, or one a channel.
        frost: folder with pictures of frost, for that corruption.
        seed: of everything random.
    """

    settings: tuple[tuple[str, int], ...]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    frost: Path | None = None
    seed: int = 0

    def of(self, x: Inputs) -> Iterator[tuple[str, int, Array]]:
        """(corruption, severity, corrupted *x*), one after another.

        Raises:
            DataError: the model has several inputs, or they hold no such pictures.
            MissingPackageError: a corruption needs Pillow.
        """
        if isinstance(x, Mapping):
            if len(x) > 1:
                raise DataError(f"only one input can be corrupted; there are {', '.join(x)}")
            (x,) = x.values()
        pixels = Pixels.of(x, mean=self.mean, std=self.std)
        images = pixels.images(x)
        for name, severity in self.settings:
            changed = corrupt(images, name, severity=severity, seed=self.seed, frost=self.frost)
            yield name, severity, pixels.inputs(changed)

    def described(self) -> dict[str, Any]:
        """Plain values, for a report."""
        return {"settings": [list(setting) for setting in self.settings], "seed": self.seed}


def parse_settings(text: str, *, frost: bool) -> tuple[tuple[str, int], ...]:
    """`fog,motion_blur:3` or `all`: names, each with all severities or with one.

    Args:
        text: of the command line.
        frost: whether there are pictures of frost; `all` leaves frost out where there are none.

    Raises:
        DataError: a name or a severity does not exist.
    """
    settings: list[tuple[str, int]] = []
    for part in text.split(","):
        name, colon, severity = part.partition(":")
        if name == "all":
            names: Sequence[str] = [each for each in CORRUPTIONS if frost or each != "frost"]
        elif name in CORRUPTIONS:
            names = [name]
        else:
            raise DataError(f"{name!r} is no corruption; there are all, {', '.join(CORRUPTIONS)}")
        if colon and severity not in map(str, SEVERITIES):
            raise DataError(f"the severity of {name} is 1 to 5, not {severity!r}")
        chosen = [int(severity)] if colon else SEVERITIES
        settings += [(each, level) for each in names for level in chosen]
    return tuple(dict.fromkeys(settings))
