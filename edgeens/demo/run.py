"""The demo: four digit classifiers become one small file, and nothing is lost on the way.

Encodes the bundled members, verifies the file, decodes it in C, runs it in ONNX Runtime, and judges
it beside the float32 members on held-out digits and on inputs that are no digits.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from edgeens import show
from edgeens.decoder import Container
from edgeens.encoder import encode
from edgeens.evaluate import evaluate
from edgeens.progress import Progress

_FOLDER = Path(__file__).parent


def run_demo() -> None:
    """Print the whole story; takes a few seconds and leaves no file behind."""
    members = sorted(_FOLDER.glob("member_*.onnx"))
    data = _FOLDER / "digits_test.npz"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.eens"
        print(f"Encoding {len(members)} members (ONNX, float32) into one file ...\n")
        with Progress("encoding") as progress:
            encoding = encode(members, path, progress=progress.update)
        print(show.size_table(encoding))

        print("\nVerifying every checksum and digest, decoding in C ...")
        start = time.perf_counter()
        with Container.open(path) as container:
            container.verify()
            print(show.verified(path.name, container))
        print(f"took {1000 * (time.perf_counter() - start):.1f} ms")

        print(
            "\nRunning in ONNX Runtime on held-out digits, and on turned, inverted and noise ...\n"
        )
        with Progress("evaluating") as progress:
            rows = evaluate(path, data, members, progress=progress.update)
        print(show.evaluation(rows))
    print(
        "\nAccuracy, NLL and ECE are of the mean probabilities; AUROC says how well a score tells"
        "\nout-of-distribution inputs from digits (0.5 is chance). mw: weight of one member."
        "\nTry it yourself: edgeens encode M0.onnx M1.onnx ... -o F.eens"
    )
