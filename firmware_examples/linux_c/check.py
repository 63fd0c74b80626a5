"""The inputs of linux_c, and the comparison: `check.py FILE.eens INPUTS.f32 [PRINTED.txt]`.

Without PRINTED.txt: write the first test digits to INPUTS.f32. With it: classes have to be equal,
and every figure within 1e-5.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

import edgeens
from edgeens.onnx.session import Session

TOLERANCE = 1e-5
DIGITS = 50
LINE = re.compile(r"input (\d+): (\d), confidence (\S+), entropy (\S+), mutual information (\S+)")


def digits() -> np.ndarray:
    """float32 (DIGITS, 1, 8, 8)."""
    with np.load(Path(edgeens.__file__).parent / "demo" / "digits_test.npz") as data:
        return data["x"][:DIGITS]


def main(container: Path, inputs: Path, printed: Path | None = None) -> int:
    """Write the inputs, or say where the printed figures differ."""
    if printed is None:
        digits().tofile(inputs)
        return 0
    with Session(container) as session:
        expected = session.predict(digits())
    lines = LINE.findall(printed.read_text())
    worst = max(
        max(
            abs(float(confidence) - expected.mean[i].max()),
            abs(float(entropy) - expected.predictive_entropy[i]),
            abs(float(information) - expected.mutual_information[i]),
        )
        for i, (_, _, confidence, entropy, information) in enumerate(lines)
    )
    labels = [int(label) for _, label, *_ in lines] == expected.mean.argmax(axis=1).tolist()
    print(f"{printed}: as in Python, at most {worst:.1e} off" if labels else f"{printed}: classes")
    return int(len(lines) != DIGITS or not labels or worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
