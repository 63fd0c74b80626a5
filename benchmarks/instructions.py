"""Decoding a member weight to float32 on ARM: its instructions, counted, and its cycles, modelled.

Counts are the same on every machine and on a busy one, so they tell what a change of the decoder is
worth where times do not. They say nothing of caches and of instructions side by side; of the second
benchmarks.cycles says what a model of the processor thinks. The program is decode_driver.c, built
for each processor with vector code and without, run by QEMU; count_plugin.c counts.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.cycles import MODEL_PACKAGE, MODEL_PROGRAMS, Piece, model_cycles
from benchmarks.workloads import SMALL_LAYER, counted_workloads
from edgeens.container.checksum import crc32c
from edgeens.decoder import Container
from edgeens.errors import EdgeensError, MissingPackageError
from edgeens.progress import Progress

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent
COMPILER, EMULATOR, HOST_COMPILER = "aarch64-linux-gnu-gcc", "qemu-aarch64", "cc"
PACKAGES = f"gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user {MODEL_PACKAGE}"  # Debian
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-static"]
ONCE, OFTEN = 1, 3
FUNCTIONS = 6  # that are listed, of those that a row runs longest in

# Processors of the Raspberry Pis with 64 bits, and the name of the model that stands for each.
PROCESSORS = {"cortex-a53": "cortex-a53", "cortex-a72": "cortex-a72", "cortex-a76": "neoverse-n1"}
# The compiler vectorises scalar loops by itself at times; here they show what vector units bring.
KERNELS = {"NEON": (), "scalar": ("-DEENS_NO_VECTOR", "-fno-tree-vectorize")}


@dataclass
class Build:
    """decode_driver.c for one processor, and the pieces of it that have run so far."""

    processor: str
    kernels: str
    program: Path
    rows: list[Counter[Piece]] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)  # that each row yields


def measure_instructions() -> list[dict[str, Any]]:
    """Rows: way, bits_mw and builds: processor, kernels, instructions, cycles, functions.

    Instructions and cycles are those a member weight, functions the instructions by name.

    Raises:
        MissingPackageError: a compiler, the emulator or the model is not installed.
        EdgeensError: the emulated decoder gives other values than the one on this machine.
    """
    for program in (HOST_COMPILER, COMPILER, EMULATOR, *MODEL_PROGRAMS):
        if shutil.which(program) is None:
            raise MissingPackageError(
                f"{program} is missing; install it with apt-get install {PACKAGES}"
            )
    ways: list[tuple[str, float]] = []
    with TemporaryDirectory() as name:
        work = Path(name)
        builds = list(_build(work))
        every = list(counted_workloads(SMALL_LAYER))
        with Progress("counting") as progress:
            for done, workload in enumerate(every):
                progress.update(workload.label, done, len(every))
                data = workload.data
                weights = workload.coded.members * prod(SMALL_LAYER)
                ways.append((workload.label, 8 * len(data) / weights))
                _decode(data, weights, builds, work)
        return [
            {"way": label, "bits_mw": bits, "builds": rows}
            for (label, bits), *rows in zip(ways, *map(_figures, builds), strict=True)
        ]


def _build(work: Path) -> Iterator[Build]:
    library = sorted((ROOT / "native" / "src").glob("*.c"))
    include = f"-I{ROOT / 'native' / 'include'}"
    plugin = "-shared", "-fPIC", "-fvisibility=hidden", HERE / "count_plugin.c"
    _run(HOST_COMPILER, "-O2", *plugin, "-o", work / "plugin.so")
    for processor in PROCESSORS:
        for kernels, flags in KERNELS.items():
            program = work / f"{processor}-{kernels}"
            sources = HERE / "decode_driver.c", *library
            target = f"-mcpu={processor}"
            _run(COMPILER, *FLAGS, target, *flags, include, *sources, "-o", program)
            yield Build(processor, kernels, program)


def _decode(data: bytes, weights: int, builds: list[Build], work: Path) -> None:
    """Let every build decode the container, and keep what of it ran for that alone."""
    (work / "layer.eens").write_bytes(data)
    expected = f"{crc32c(Container.from_bytes(data).decode('w').tobytes()):08x}"
    for build in builds:
        once, often = (_count(work, build, times, expected) for times in (ONCE, OFTEN))
        often.subtract(once)
        build.rows.append(often)
        build.weights.append(weights * (OFTEN - ONCE))


def _count(work: Path, build: Build, times: int, expected: str) -> Counter[Piece]:
    """How often each piece runs in a whole run that decodes so many *times*."""
    plugin = "-d", "plugin", "-D", work / "log", "-plugin", work / "plugin.so"
    program = build.program, work / "layer.eens", times
    printed = _run(EMULATOR, "-cpu", build.processor, *plugin, *program).split()[0]
    if printed != expected:
        raise EdgeensError(
            f"the emulated decoder's values have the checksum {printed}, those of this machine "
            f"{expected}: one of the two is wrong, find out with `make test-arm`"
        )
    runs: Counter[Piece] = Counter()
    for line in (work / "log").read_text().splitlines():
        address, instructions, times_run, function = line.split(maxsplit=3)
        runs[Piece(int(address, 16), int(instructions), function)] += int(times_run)
    return runs


def _figures(build: Build) -> Iterator[dict[str, Any]]:
    """A build's part of each row."""
    cycles = model_cycles(build.program, PROCESSORS[build.processor], build.rows)
    for runs, weights, cycles_of_row in zip(build.rows, build.weights, cycles, strict=True):
        counts: Counter[str] = Counter()
        for piece, number in runs.items():
            counts[piece.function] += number * piece.instructions
        longest = counts.most_common(FUNCTIONS)
        yield {
            "processor": build.processor,
            "kernels": build.kernels,
            "instructions": counts.total() / weights,
            "cycles": cycles_of_row / weights,
            "functions": {name: n / weights for name, n in longest if n > 0},
        }


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
