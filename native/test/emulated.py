"""The C library on other processors, under emulation: `make test-arm`.

Cross-builds native/ with warnings as errors, runs test_edgeens.c on every golden vector, replays
the corpus of the fuzz target, and compares the checksum of all decoded values with the one that
this machine computes; on 64-bit ARM it also compares vector kernels with scalar code. Needs no
Python package. A toolchain that is missing skips its targets, with a sentence that says
what to install; where the environment has CI set, that fails.
With --packages: print the names of all Debian packages that it needs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "emulated"
BOARDS = ROOT / "firmware_examples" / "boards"
FLAGS = [
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Werror",
    "-ffp-contract=off",
    "-Inative/include",
]
UNDEFINED = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
FAULTS = "UBSAN_OPTIONS=print_stacktrace=0", "ASAN_OPTIONS=detect_leaks=0"  # no ptrace there
KERNELS = "test_vector", "test_vector_blocks"  # need no files; only 64-bit ARM has vector kernels
SECONDS = 900  # for one program; a hang ends there


@dataclass(frozen=True)
class Target:
    """One build of the library and the processor that runs it.

    Attributes:
        name: for people.
        compiler: its program.
        flags: to build with, besides FLAGS.
        emulator: the command line in front of the program's file.
        packages: of Debian or Ubuntu, that hold compiler, C library and emulator.
        board: whether it is a microcontroller without an operating system.
    """

    name: str
    compiler: str
    flags: str
    emulator: str
    packages: str
    board: bool = False


def _linux(name: str, compiler: str, flags: str, emulator: str, libc: str) -> Target:
    return Target(name, f"{compiler}-gcc", flags, emulator, f"gcc-{compiler} {libc} qemu-user")


def _aarch64(name: str, flags: str, cpu: str, *, static: bool = False) -> Target:
    emulator = f"qemu-aarch64 -cpu {cpu}" + ("" if static else " -L /usr/aarch64-linux-gnu")
    flags += " -static" if static else ""
    return _linux(name, "aarch64-linux-gnu", flags, emulator, "libc6-dev-arm64-cross")


def _armhf(name: str, flags: str) -> Target:
    emulator = "qemu-arm -cpu cortex-a7 -L /usr/arm-linux-gnueabihf"
    return _linux(name, "arm-linux-gnueabihf", flags, emulator, "libc6-dev-armhf-cross")


def _board(name: str, core: str, machine: str, flash: str = "0", ram: str = "0x20000000") -> Target:
    return Target(
        name,
        "arm-none-eabi-gcc",
        f"{core} -mthumb -Os -DEENS_SMALL --specs=rdimon.specs "
        f"-T {BOARDS / 'hosted.ld'} -Wl,--defsym=FLASH={flash},--defsym=RAM={ram} "
        f"{BOARDS / 'hosted.c'}",
        f"qemu-system-arm -M {machine} -nographic -monitor none -serial none "
        "-chardev stdio,id=console",
        "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
        board=True,
    )


TARGETS = (
    _aarch64("Cortex-A53, static", "-O2 -mcpu=cortex-a53", "cortex-a53", static=True),
    _aarch64("Cortex-A72", "-O3 -mcpu=cortex-a72", "cortex-a72"),
    _aarch64("Cortex-A76", "-O3 -mcpu=cortex-a76", "cortex-a76"),
    _aarch64("any aarch64, on Cortex-A53", "-O2", "cortex-a53"),
    _aarch64(
        "Cortex-A72, undefined behaviour",
        f"-O1 -g -mcpu=cortex-a72 {' '.join(UNDEFINED)} -static-libubsan",
        "cortex-a72",
    ),
    _aarch64(
        "Cortex-A72, addresses",
        "-O1 -g -mcpu=cortex-a72 -fsanitize=address -static-libasan",
        "cortex-a72",
    ),
    _armhf("armhf with NEON", "-O2 -march=armv7-a -mfpu=neon-vfpv4"),
    _armhf("armhf without NEON", "-O2 -march=armv7-a -mfpu=vfpv3-d16"),
    _linux(
        "ARMv6 (Pi Zero, Pi 1)",
        "arm-linux-gnueabi",
        "-O2 -march=armv6 -mfpu=vfp -mfloat-abi=softfp -marm -static",
        "qemu-arm -cpu arm1176",
        "libc6-dev-armel-cross",
    ),
    _linux(
        "s390x, big-endian",
        "s390x-linux-gnu",
        "-O2",
        "qemu-s390x -L /usr/s390x-linux-gnu",
        "libc6-dev-s390x-cross",
    ),
    _linux(
        "RISC-V",
        "riscv64-linux-gnu",
        "-O2",
        "qemu-riscv64 -L /usr/riscv64-linux-gnu",
        "libc6-dev-riscv64-cross",
    ),
    # The code of Cortex-M0 runs on M3, which can refuse unaligned accesses like it.
    _board("Cortex-M0", "-mcpu=cortex-m0 -DTRAP_UNALIGNED", "mps2-an385"),
    _board(
        "Cortex-M3, unaligned accesses trap",
        "-mcpu=cortex-m3 -mno-unaligned-access -DTRAP_UNALIGNED",
        "mps2-an385",
    ),
    _board("Cortex-M4", "-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard", "mps2-an386"),
    _board("Cortex-M7", "-mcpu=cortex-m7 -mfpu=fpv5-sp-d16 -mfloat-abi=hard", "mps2-an500"),
    _board(
        "Cortex-M33",
        "-mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=hard",
        "mps2-an505",
        "0x10000000",
        "0x38000000",
    ),
)


def main() -> int:
    """Run every target whose toolchain is here; say how each one went."""
    if sys.argv[1:] == ["--packages"]:
        print(*sorted({name for target in TARGETS for name in target.packages.split()}))
        return 0
    BUILD.mkdir(parents=True, exist_ok=True)
    vectors, corpus = _lists()
    host = Target("this machine", os.environ.get("CC", "cc"), "-O2", "", "")
    expected = _run(host, "test_edgeens", _build(host, "test_edgeens"), vectors)
    missing = failed = 0
    for target in TARGETS:
        lacking = _lacking(target)
        if lacking:
            missing += 1
            print(f"skipped  {target.name}: no {lacking}; apt-get install {target.packages}")
            continue
        try:
            _try(target, vectors, corpus, expected)
            print(f"ok       {target.name}", flush=True)
        except TargetError as error:
            failed += 1
            print(f"FAILED   {target.name}: {error}", flush=True)
    in_ci = os.environ.get("CI", "") != ""
    print(f"{len(TARGETS) - missing - failed} ok, {failed} failed, {missing} skipped; {expected}")
    return int(failed > 0 or (in_ci and missing > 0))


class TargetError(Exception):
    """What went wrong on one target."""


def _lists() -> tuple[Path, Path]:
    """Write which files each program reads: paths from the root, short on any machine."""
    command = [sys.executable, "native/test/vector_arguments.py", "tests/vectors"]
    vectors = BUILD / "vectors.txt"
    vectors.write_text(subprocess.run(command, cwd=ROOT, check=True, stdout=-1, text=True).stdout)
    corpus = BUILD / "corpus.txt"
    kept = sorted((ROOT / "native" / "fuzz" / "corpus").iterdir())
    corpus.write_text("".join(f"{path.relative_to(ROOT)}\n" for path in kept))
    return vectors, corpus


def _lacking(target: Target) -> str:
    programs = (target.compiler, target.emulator.split()[0])
    return next((program for program in programs if shutil.which(program) is None), "")


def _try(target: Target, vectors: Path, corpus: Path, expected: str) -> None:
    decoded = _run(target, "test_edgeens", _build(target, "test_edgeens"), vectors)
    # The small build of the boards has no coder split, and so the first checksum alone.
    if decoded != (expected.split(",")[0] if target.board else expected):
        raise TargetError(f"{decoded}, but {expected} on this machine")
    _run(target, "replay", _build(target, "replay"), corpus)
    for program in KERNELS if target.compiler.startswith("aarch64") else ():
        _run(target, program, _build(target, program), vectors)


def _build(target: Target, program: str) -> Path:
    sources = {
        "replay": ["native/fuzz/replay.c", "native/fuzz/fuzz_open.c"],
    }.get(program, [f"native/test/{program}.c"])
    library = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "native/src").glob("*.c"))
    path = BUILD / f"{program}-{re.sub('[^a-z0-9]+', '-', target.name.lower())}"
    command = [target.compiler, *FLAGS, *target.flags.split(), *sources, *library, "-o", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TargetError(f"{program} does not build:\n{done.stderr}")
    return path


def _run(target: Target, program: str, path: Path, files: Path) -> str:
    """The line "decoded ..." of the program's output, or "" if it has none."""
    listed = f"@{files.relative_to(ROOT)}"
    if target.board:
        end = ["-semihosting-config", _semihosting(program, listed), "-kernel", str(path)]
    else:
        end = [str(path), listed]
    command = [*target.emulator.split(), *end]
    environment = os.environ | dict(fault.split("=", 1) for fault in FAULTS)
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TargetError(f"{program} did not end within {SECONDS} s") from None
    if done.returncode != 0:
        raise TargetError(f"{program} ended with {done.returncode}:\n{_last(done)}")
    return next((line for line in done.stdout.splitlines() if line.startswith("decoded ")), "")


def _semihosting(program: str, listed: str) -> str:
    return f"enable=on,target=native,chardev=console,arg={program},arg={listed}"


def _last(done: subprocess.CompletedProcess[str], lines: int = 12) -> str:
    said: Sequence[str] = (done.stdout + done.stderr).splitlines()
    return "\n".join(said[-lines:])


if __name__ == "__main__":
    sys.exit(main())
