"""What the decoder takes on a microcontroller: `make size`.

For each core and profile of the budget file, in bytes:

- code and constants of a program that opens a container, looks for tensors by their names and
  decodes them (firmware_calls.c), without itself, and without memcpy and the compiler's helpers;
- all code: of the whole library, whether it is called or not;
- RAM: the structs, the workspace for the profile's vectors, and the stack;
- stack: of the deepest call, by the compiler's call graph.

More than the budget allows is a failure. Needs no Python package. A core whose compiler is missing
is skipped, with a sentence that says what to install; where the environment has CI set, that fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEST = Path(__file__).parent
BUDGET = TEST / "size_budget.txt"
INCLUDE = ROOT / "native" / "include"
VECTORS = ROOT / "tests" / "vectors" / "good"
FLAGS = [
    *("-std=c11", "-Os", "-DEENS_SMALL", "-ffp-contract=off", f"-I{INCLUDE}"),
    *("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"),
    *("-ffunction-sections", "-fdata-sections", "-fno-pic", "-fcallgraph-info=su,da"),
]


@dataclass(frozen=True)
class Core:
    """A processor, as the compiler knows it."""

    prefix: str
    flags: str
    packages: str


@dataclass(frozen=True)
class Profile:
    """What a product builds: the switches, and vectors like the files that it reads."""

    switches: str
    vectors: tuple[str, ...]

    @property
    def reads_memory_only(self) -> bool:
        """Whether files behind a callback are left out."""
        return "EENS_NO_READER" in self.switches


CORES = {
    "Cortex-M0+": Core("arm-none-eabi-", "-mcpu=cortex-m0plus -mthumb", "gcc-arm-none-eabi"),
    "Cortex-M4": Core(
        "arm-none-eabi-",
        "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard",
        "gcc-arm-none-eabi",
    ),
    "Cortex-A53": Core("aarch64-linux-gnu-", "-mcpu=cortex-a53", "gcc-aarch64-linux-gnu"),
}
# Blocks of 4096 codes, the most that the mcu profile allows.
CODED = ("mcu", "entropy_mcu", "filtered_mcu")
PROFILES = {
    "everything": Profile("", CODED),
    "in-memory": Profile("EENS_NO_READER", CODED),
    "in-memory-no-filter": Profile("EENS_NO_READER EENS_NO_FILTER", ("mcu", "entropy_mcu")),
    "no-entropy": Profile("EENS_NO_ENTROPY", ("mcu",)),
    "fixed": Profile(
        "EENS_NO_READER EENS_NO_ENTROPY EENS_NO_SHARED EENS_NO_DRAWN EENS_ONLY_FLOAT32", ("mcu",)
    ),
}
COLUMNS = ("code", "constants", "all code", "RAM", "stack")


def main() -> int:
    """Measure every line of the budget, print the table, and say what is over."""
    over = []
    missing = []
    print(f"{'core':12}{'profile':21}" + "".join(f"{name:>11}" for name in COLUMNS))
    for line in BUDGET.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        core, profile, *limits = line.split()
        if shutil.which(CORES[core].prefix + "gcc") is None:
            missing.append(core)
            continue
        measured = _measure(CORES[core], PROFILES[profile])
        print(f"{core:12}{profile:21}" + "".join(f"{number:11}" for number in measured))
        for name, number, limit in zip(COLUMNS, measured, limits, strict=True):
            if number > int(limit):
                over.append(f"{core}, {profile}: {name} is {number}, the budget {limit}")
    for core in sorted(set(missing)):
        print(f"skipped {core}: apt-get install {CORES[core].packages}")
    for sentence in over:
        print(f"OVER BUDGET  {sentence} ({BUDGET.relative_to(ROOT)})")
    return int(bool(over) or (bool(missing) and os.environ.get("CI", "") != ""))


def _measure(core: Core, profile: Profile) -> tuple[int, ...]:
    """The numbers of COLUMNS."""
    with tempfile.TemporaryDirectory() as folder:
        objects = _compile(core, profile, Path(folder))
        firmware, *library = objects
        linked = Path(folder) / "firmware.elf"
        _run(
            *(f"{core.prefix}gcc", *core.flags.split(), "-nostdlib", "-static", "-no-pie"),
            *("-Wl,--gc-sections", "-Wl,-e,firmware", "-Wl,--unresolved-symbols=ignore-all"),
            *(str(path) for path in objects),
            *("-o", str(linked)),
        )
        own = _symbol(core, firmware, "firmware")
        code = _sections(core, linked, ".text") - own
        constants = _sections(core, linked, ".rodata")
        everything = sum(_sections(core, path, ".text") for path in library)
        stack = _most_stack([path.with_suffix(".ci") for path in objects])
        structs = _symbol(core, firmware, "struct_sizes")
        return code, constants, everything, structs + _workspace(profile) + stack, stack


def _compile(core: Core, profile: Profile, folder: Path) -> list[Path]:
    """The program's object file, then the library's."""
    sources = [TEST / "firmware_calls.c", *sorted((ROOT / "native" / "src").glob("*.c"))]
    switches = [f"-D{name}" for name in profile.switches.split()]
    _run(
        *(f"{core.prefix}gcc", *core.flags.split(), *FLAGS, *switches),
        *("-c", *(str(source) for source in sources)),
        folder=folder,
    )
    return [folder / f"{source.stem}.o" for source in sources]


def _sections(core: Core, path: Path, name: str) -> int:
    """Bytes of the sections of this name and of name.something."""
    listed = _run(f"{core.prefix}size", "-A", str(path))
    found = re.findall(rf"^{re.escape(name)}(?:\.\S+)? +(\d+)", listed, re.MULTILINE)
    return sum(int(size) for size in found)


def _symbol(core: Core, path: Path, name: str) -> int:
    listed = _run(f"{core.prefix}nm", "-S", "-t", "d", str(path))
    found = re.search(rf"^\d+ (\d+) \w {name}$", listed, re.MULTILINE)
    if found is None:
        raise SystemExit(f"size: {path.name} has no symbol {name}")
    return int(found[1])


def _workspace(profile: Profile) -> int:
    """The most that a tensor of the profile's vectors needs, asked on this machine: a number of
    bytes of data, the same everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "workspace"
        library = [str(path) for path in (ROOT / "native" / "src").glob("*.c")]
        defined = ["-DEENS_SMALL", *(f"-D{name}" for name in profile.switches.split())]
        _run(
            *(os.environ.get("CC", "cc"), "-O1", "-ffp-contract=off", f"-I{INCLUDE}", *defined),
            *(str(TEST / "workspace.c"), *library, "-o", str(program)),
        )
        files = [str(VECTORS / f"{name}.eens") for name in profile.vectors]
        in_memory, by_callback = _run(str(program), *files).split()
        return int(in_memory if profile.reads_memory_only else by_callback)


def _most_stack(graphs: list[Path]) -> int:
    """Bytes on the longest way of calls from firmware(), which is not counted itself.

    What memcpy, the compiler's own helpers and the callback take comes on top.
    """
    own: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    for graph in graphs:
        text = graph.read_text(encoding="utf-8")
        for title, label in re.findall(r'node: \{ title: "([^"]+)" label: "([^"]*)"', text):
            frame = re.search(r"(\d+) bytes \((\w+)\)", label)
            if frame is not None:
                if frame[2] != "static":
                    raise SystemExit(f"size: {title} has a frame of no fixed size")
                own[title] = int(frame[1])
        for caller, called in re.findall(
            r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', text
        ):
            calls.setdefault(caller, set()).add(called)

    def depth(function: str, way: tuple[str, ...]) -> int:
        if function in way:
            raise SystemExit(f"size: recursion: {' -> '.join((*way, function))}")
        below = (depth(called, (*way, function)) for called in calls.get(function, ()))
        return own.get(function, 0) + max(below, default=0)

    return depth("firmware", ()) - own["firmware"]


def _run(*command: str, folder: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"size: {' '.join(command[:3])} ... failed:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
