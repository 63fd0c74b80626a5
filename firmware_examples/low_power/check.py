"""Compare what a board printed with ONNX Runtime's members here: `check.py FILE.eens BOARD.txt`.

The mean over all members and the mean over the first ones, as many as the board used, have to be
the board's within 1e-4.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from edgeens.onnx.session import Session

sys.path.insert(0, str(Path(__file__).parents[1] / "digits"))
from inputs import images

TOLERANCE = 1e-4
LINE = re.compile(r"input (\d+): (\d) at (\S+) from (\d+) members; (\d) at (\S+) from all (\d+)")


def main(container: Path, printed: Path) -> int:
    """Say where the board differs."""
    x = images()
    with Session(container) as session:
        members = session.predict(x.reshape(-1, 1, 8, 8).astype(np.float32) / 16).members
    lines = LINE.findall(printed.read_text())
    if len(lines) != len(x):
        print(f"{printed}: {len(lines)} predictions, not {len(x)}")
        return 1
    worst = 0.0
    for number, *answers in lines:
        for label, confidence, count in (answers[:3], answers[3:]):
            mean = members[: int(count), int(number)].mean(axis=0)
            worst = max(
                worst, abs(float(confidence) - mean[int(label)]), mean.max() - mean[int(label)]
            )
    print(f"as in ONNX Runtime, at most {worst:.1e} off")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
