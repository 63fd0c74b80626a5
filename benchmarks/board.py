"""`python -m benchmarks.board`: how fast this board decodes, as Markdown to paste into an issue.

Needs the device install and a C compiler; of the benchmarks it is the one for a Raspberry Pi, and
runs on any Linux. The rows are those that benchmarks.instructions counts and models, measured:
nanoseconds a member weight, and cycles where the system lets a program count its own.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks import report
from benchmarks.machine import board_lines
from benchmarks.workloads import SMALL_LAYER, Shape, counted_workloads
from edgeens.container.checksum import crc32c
from edgeens.decoder import Container
from edgeens.errors import EdgeensError, MissingPackageError
from edgeens.progress import Progress

ROOT = Path(__file__).parents[1]
COMPILER = os.environ.get("CC", "cc")
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off"]
VECTOR, SCALAR = "vector", "scalar"
# As benchmarks.instructions builds them.
KERNELS = {VECTOR: (), SCALAR: ("-DEENS_NO_VECTOR", "-fno-tree-vectorize")}
TIMES = 15  # decodings, of which the median counts
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")


class Figure(NamedTuple):
    """What one build needs for a member weight; cycles is None where they cannot be counted."""

    nanoseconds: float
    cycles: float | None


class Row(NamedTuple):
    """One way to decode, or the copy that all compare with.

    Attributes:
        way: for people.
        bits_mw: of the file; None for the copy.
        figures: by build, VECTOR and, where that is another one, SCALAR.
    """

    way: str
    bits_mw: float | None
    figures: dict[str, Figure]


def main() -> int:
    """Print the board in words and the table."""
    try:
        rows = measure_board()
    except EdgeensError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(*(f"- {line}" for line in [*board_lines(), compiler()]), sep="\n")
    print("", report.board_table(rows), "", sep="\n")
    if rows[0].figures[VECTOR].cycles is None:
        print(_why_no_cycles())
    return 0


def measure_board(*, shape: Shape = SMALL_LAYER, times: int = TIMES) -> list[Row]:
    """A row for memcpy of the output, then one a workload.

    Args:
        shape: of one member's layer.
        times: decodings a row and build; the median counts.

    Raises:
        MissingPackageError: there is no C compiler, or it does not build the decoder.
        EdgeensError: the build gives other values than the package that is installed.
    """
    if shutil.which(COMPILER) is None:
        raise MissingPackageError(
            f"{COMPILER} is missing: a C compiler builds what is measured; on Raspberry Pi OS "
            "install it with sudo apt-get install gcc"
        )
    every = list(counted_workloads(shape))
    rows: list[Row] = []
    with TemporaryDirectory() as name, Progress("measuring") as progress:
        file = Path(name) / "layer.eens"
        programs = dict(_build(Path(name)))
        for done, workload in enumerate(every):
            progress.update(workload.label, done, len(every))
            data = workload.data
            file.write_bytes(data)
            expected = f"{crc32c(Container.from_bytes(data).decode('w').tobytes()):08x}"
            weights = workload.coded.members * prod(shape)
            if not rows:
                copy = _measure(programs[VECTOR], file, times, expected, weights, "copy")
                rows.append(Row("memcpy of the output", None, {VECTOR: copy}))
            figures = {
                kernels: _measure(program, file, times, expected, weights)
                for kernels, program in programs.items()
            }
            rows.append(Row(workload.label, 8 * len(data) / weights, figures))
    return rows


def compiler() -> str:
    """What the decoder is built with, in words."""
    version = _run(COMPILER, "--version").splitlines()[0]
    return f"compiler: {version}, {' '.join([*FLAGS, *_target()])}"


def _build(work: Path) -> Iterator[tuple[str, Path]]:
    library = sorted((ROOT / "native" / "src").glob("*.c"))
    include = f"-I{ROOT / 'native' / 'include'}"
    driver = Path(__file__).parent / "decode_driver.c"
    for kernels, flags in KERNELS.items():
        if kernels == SCALAR and not _has_vector_code():
            continue
        program = work / kernels
        _run(COMPILER, *FLAGS, *_target(), *flags, include, driver, *library, "-o", program)
        yield kernels, program


def _has_vector_code() -> bool:
    return platform.machine() in ("aarch64", "arm64", "x86_64")


def _target() -> list[str]:
    """ARM's CRC instruction is used where the compiler is told of it, not found at run time."""
    return ["-mcpu=native"] if platform.machine() in ("aarch64", "arm64") else []


def _measure(
    program: Path, file: Path, times: int, expected: str, weights: int, *how: str
) -> Figure:
    checksum, *lines = _run(program, file, times, *how).splitlines()
    if checksum != expected:
        raise EdgeensError(
            f"the values decoded here have the checksum {checksum}, those of the package "
            f"{expected}: one of the two is wrong, find out with `make test-c`"
        )
    measured = [[int(number) for number in line.split()] for line in lines]
    nanoseconds, cycles = (median(column) / weights for column in zip(*measured, strict=True))
    return Figure(nanoseconds, cycles if cycles > 0 else None)


def _why_no_cycles() -> str:
    if PARANOID.exists() and int(PARANOID.read_text()) > 2:
        return (
            "No cycles: the system does not let programs count them; with "
            "`sudo sysctl kernel.perf_event_paranoid=2` until the next start it does."
        )
    return (
        "No cycles: this system counts none (a virtual machine, or a kernel without perf events)."
    )


def _run(*command: str | Path | int) -> str:
    """What the command prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise MissingPackageError(
            f"{command[0]} failed: {said[-1] if said else f'it ended with {done.returncode}'}"
        )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
