"""Compare what a board printed with ONNX Runtime here: `check.py FILE.eens BOARD.txt`.

Classes have to be equal, confidence and mutual information within 1e-4, and "not sure" has to be
said where the entropy is above the threshold; nowhere else.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from edgeens.onnx.session import Session

sys.path.insert(0, str(Path(__file__).parents[1] / "digits"))
from inputs import DIGITS, images, threshold

TOLERANCE = 1e-4
LINE = re.compile(
    r"input (\d+): (not sure, perhaps )?(\d), confidence (\S+), mutual information (\S+)"
)


def main(container: Path, printed: Path) -> int:
    """Say where the board differs."""
    x = images()
    with Session(container) as session:
        expected = session.predict(x.reshape(-1, 1, 8, 8).astype(np.float32) / 16)
    limit = threshold(container)
    lines = LINE.findall(printed.read_text())
    if len(lines) != len(x):
        print(f"{printed}: {len(lines)} predictions, not {len(x)}")
        return 1
    differences, unsure = [], [0, 0]
    for number, refused, label, confidence, information in lines:
        i = int(number)
        differences += [
            abs(float(confidence) - expected.mean[i].max()),
            abs(float(information) - expected.mutual_information[i]),
        ]
        unsure[i >= DIGITS] += bool(refused)
        if int(label) != expected.mean[i].argmax():
            print(f"{printed}: input {i} is {label}, but {expected.mean[i].argmax()} here")
            return 1
        entropy = expected.predictive_entropy[i]
        if abs(entropy - limit) > TOLERANCE and bool(refused) != (entropy > limit):
            print(f"{printed}: input {i} has entropy {entropy:.4f}, limit {limit:.4f}: {refused!r}")
            return 1
    print(
        f"as in ONNX Runtime, at most {max(differences):.1e} off; not sure about {unsure[0]} of "
        f"{DIGITS} digits and {unsure[1]} of {len(x) - DIGITS} inputs that are none"
    )
    return int(max(differences) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
