"""NNCodec (ISO/IEC 15938-17) at the same codes: its arithmetic coder DeepCABAC, without loss.

A peer of the size and speed benchmarks. NNCodec needs a compiler to be installed, and through
its dependencies far more than its coder needs; so it gets a virtual environment of its own in the
cache, holding the coder and NumPy alone, and benchmarks.nncodec_worker runs there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import coded_tensors
from edgeens.coded import CodedEnsemble
from edgeens.errors import MissingPackageError

PACKAGES = ("nncodec==2.1.3", "numpy==2.4.6")
WORKER = Path(__file__).with_name("nncodec_worker.py")
FAILED = "NNCodec failed at the codes"
WAYS = {
    "each": "NNCodec",
    "context": "NNCodec, member 0 as context",
    "difference": "NNCodec, differences from member 0",
}


def nncodec_sizes(coded: CodedEnsemble, cache: Path) -> dict[str, int]:
    """Bytes by label: the members on their own, and members 1 to K-1 coded from member 0.

    The payload of the arithmetic coder with its context parameters optimised; unit headers are not
    counted. Every payload was decoded again and compared with the codes.

    Raises:
        MissingPackageError: NNCodec could not be installed, or does not run.
    """
    python = _environment(cache / "nncodec")
    tensors = enumerate(coded_tensors(coded))
    arrays: dict[str, Any] = {str(number): tensor.codes for number, tensor in tensors}
    exchanged = cache / "nncodec" / "codes.npz"
    np.savez(exchanged, **arrays)
    try:
        done = _run(
            [str(python), "-I", str(WORKER), "sizes", str(exchanged)], "NNCodec failed at the codes"
        )
    finally:
        exchanged.unlink()
    found: dict[str, int] = json.loads(done)
    return {label: found[way] for way, label in WAYS.items()}


class NncodecTimer:
    """NNCodec in a process of its own that codes one tensor again whenever it is told to.

    Use as a context manager.

    Attributes:
        weights: of all members.
        bytes: of the payloads, one a member.
    """

    def __init__(self, codes: NDArray[np.int8], cache: Path) -> None:
        """Start it on *codes*, shape (copies, rows, ...).

        Raises:
            MissingPackageError: NNCodec could not be installed, or does not run.
        """
        python = _environment(cache / "nncodec")
        exchanged = cache / "nncodec" / "timed.npz"
        np.savez(exchanged, codes=codes)
        self.weights = codes.size
        self._process = subprocess.Popen(
            [str(python), "-I", str(WORKER), "times", str(exchanged)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        first = self._line()
        exchanged.unlink()
        self.bytes = int(first)

    def seconds(self, what: Literal["encode", "decode"]) -> float:
        """Processor time of doing it once to all members."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return float(self._line())

    def __enter__(self) -> NncodecTimer:
        """The timer itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            raise MissingPackageError(FAILED)
        return line


def _environment(folder: Path) -> Path:
    """The interpreter of NNCodec's environment, made on first use (minutes: it is compiled)."""
    python = folder / "bin" / "python"
    kept = folder / "packages.json"
    if kept.is_file() and json.loads(kept.read_text()) == list(PACKAGES):
        return python
    print("installing NNCodec into the cache (it is compiled, which takes minutes) ...")
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--no-deps", *PACKAGES], "NNCodec could not be installed")
    kept.write_text(json.dumps(PACKAGES))
    return python


def _run(command: list[str], failed: str) -> str:
    """What the command prints; its own complaint goes to standard error."""
    try:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        raise MissingPackageError(failed) from error
