"""Images for the boards, and from which entropy on they say "not sure": build/inputs.h.

The threshold is the 95th percentile of the ensemble's predictive entropy on the validation digits:
one digit in twenty is refused. The images are test digits, and inputs unlike any digit.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import edgeens
from edgeens.onnx.session import Session

DATA = Path(edgeens.__file__).parent / "demo"
DIGITS = 12
STRANGE = (0, 1, 2, 400, 401, 402, 700, 701, 702)  # turned, inverted, noise
SURE = 0.95


def images() -> np.ndarray:
    """uint8 (n, 64): grey levels 0 to 16."""
    with np.load(DATA / "digits_test.npz") as data:
        x = np.concatenate([data["x"][:DIGITS], data["x_ood"][list(STRANGE)]])
    return np.rint(x.reshape(len(x), -1) * 16).astype(np.uint8)


def threshold(container: Path) -> float:
    """In nats, from validation digits."""
    with np.load(DATA / "digits_validation.npz") as data, Session(container) as session:
        return float(np.quantile(session.predict(data["x"]).predictive_entropy, SURE))


def main(container: Path, header: Path) -> None:
    """Write the header."""
    rows = ",\n".join("    {" + ", ".join(map(str, row)) + "}" for row in images())
    header.write_text(
        "/* Written by inputs.py. */\n"
        f"#define IMAGES {len(images())}u\n"
        f"#define NOT_SURE {threshold(container):.6f}f /* entropy, nats */\n"
        f"static const uint8_t images[IMAGES][64] = {{\n{rows},\n}};\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
