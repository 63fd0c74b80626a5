"""NNCodec (ISO/IEC 15938-17) at the same codes: its arithmetic coder DeepCABAC, without loss.

Inside the third stage of the size benchmark. NNCodec needs a compiler to be installed, and through
its dependencies far more than its coder needs; so it gets a virtual environment of its own in the
cache, holding the coder and NumPy alone, and benchmarks.nncodec_worker runs there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import coded_tensors
from edgeens.coded import CodedEnsemble
from edgeens.errors import MissingPackageError

PACKAGES = ("nncodec==2.1.3", "numpy==2.4.6")
WORKER = Path(__file__).with_name("nncodec_worker.py")
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
        done = _run([str(python), "-I", str(WORKER), str(exchanged)], "NNCodec failed at the codes")
    finally:
        exchanged.unlink()
    found: dict[str, int] = json.loads(done)
    return {label: found[way] for way, label in WAYS.items()}


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
