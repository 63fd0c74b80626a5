"""Instructions that a Cortex-A72 needs a member weight, straight to float32: counted, not timed.

Counts are the same on every machine and on a busy one, so they tell what a change of the decoder is
worth where times do not; they say nothing of caches and of instructions side by side. The program
is emulated/decode_driver.c, run by QEMU; emulated/count_plugin.c counts.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.workloads import MEMBERS, Workload, workloads
from edgeens.container.checksum import crc32c
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from edgeens.errors import EdgeensError, MissingPackageError

ROOT = Path(__file__).parents[1]
EMULATED = Path(__file__).parent / "emulated"
COMPILER, EMULATOR, HOST_COMPILER = "aarch64-linux-gnu-gcc", "qemu-aarch64", "cc"
PACKAGES = "gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"  # of Debian and Ubuntu
PROCESSOR = "cortex-a72"
FLAGS = ["-std=c11", "-O2", f"-mcpu={PROCESSOR}", "-ffp-contract=off", "-static"]
SHAPE = (64, 512, 3, 3)  # a part of the layer; a weight's share of the rest is then below 0.1
ONCE, OFTEN = 1, 3
FUNCTIONS = 6  # that are listed, of those that a row runs longest in


def measure_instructions() -> list[dict[str, Any]]:
    """Rows: way, bits_mw, instructions (a member weight) and functions (instructions by name).

    Raises:
        MissingPackageError: the cross compiler or the emulator is not installed, or has no plugins.
        EdgeensError: the emulated decoder gives other values than the one on this machine.
    """
    for program in (HOST_COMPILER, COMPILER, EMULATOR):
        if shutil.which(program) is None:
            raise MissingPackageError(
                f"{program} is missing; install it with apt-get install {PACKAGES}"
            )
    with TemporaryDirectory() as name:
        work = Path(name)
        _build(work)
        return [_row(workload, work) for workload in workloads(SHAPE)]


def _build(work: Path) -> None:
    library = sorted((ROOT / "native" / "src").glob("*.c"))
    include = f"-I{ROOT / 'native' / 'include'}"
    driver = EMULATED / "decode_driver.c"
    _run(COMPILER, *FLAGS, include, driver, *library, "-o", work / "driver")
    plugin = "-shared", "-fPIC", "-fvisibility=hidden", EMULATED / "count_plugin.c"
    _run(HOST_COMPILER, "-O2", *plugin, "-o", work / "plugin.so")


def _row(workload: Workload, work: Path) -> dict[str, Any]:
    data = serialise(workload.coded)
    (work / "layer.eens").write_bytes(data)
    decoded = f"{crc32c(Container.from_bytes(data).decode('w').tobytes()):08x}"
    once, often = (_count(work, times, decoded) for times in (ONCE, OFTEN))
    weights = MEMBERS * prod(SHAPE)
    per_weight = 1 / (weights * (OFTEN - ONCE))
    counts = Counter({name: number - once[name] for name, number in often.items()})
    return {
        "way": workload.label,
        "bits_mw": 8 * len(data) / weights,
        "instructions": counts.total() * per_weight,
        "functions": {name: n * per_weight for name, n in counts.most_common(FUNCTIONS) if n > 0},
    }


def _count(work: Path, times: int, decoded: str) -> Counter[str]:
    """Instructions by function of a whole run that decodes so many *times*."""
    plugin = "-d", "plugin", "-D", work / "log", "-plugin", work / "plugin.so"
    program = work / "driver", work / "layer.eens", times
    printed = _run(EMULATOR, "-cpu", PROCESSOR, *plugin, *program).strip()
    if printed != decoded:
        raise EdgeensError(
            f"the emulated decoder's values have the checksum {printed}, those of this machine "
            f"{decoded}: one of the two is wrong, find out with `make test-arm`"
        )
    counts: Counter[str] = Counter()
    for line in (work / "log").read_text().splitlines():
        number, _, function = line.partition(" ")
        counts[function] += int(number)
    return counts


def _run(*command: str | Path | int) -> str:
    """What the command prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise MissingPackageError(
            f"{command[0]} failed ({said[-1] if said else 'without a word'}); instructions are "
            f"counted with these packages: {PACKAGES}"
        )
    return done.stdout
