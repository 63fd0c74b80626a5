"""Cycles that a model of a processor takes for the code that was counted: LLVM's scheduling models.

After benchmarks.instructions has counted how often each piece of the program ran. llvm-mca runs a
piece as a loop around itself, on the model's pipelines, with every load from the first cache; a
piece's cycles times its runs, summed, are the figure. That suits the decoder, whose hot pieces are
such loops. What the model leaves out: caches and memory, mispredicted branches, and how the end of
one piece runs beside the beginning of the next. So a figure ranks, and is no measurement.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edgeens.errors import MissingPackageError

# Of one version, because models change; 17 is the first with one of Neoverse-N1.
MODEL_PACKAGE = "llvm-19"
MODEL_PROGRAMS = MODEL, DISASSEMBLER = "llvm-mca-19", "llvm-objdump-19"
COVERED = 0.995  # of a row's instructions; the rest takes as many cycles an instruction
TURNS = 100  # of each loop

_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(.*)$", re.MULTILINE)
_PLACE = re.compile(r"(0x)?[0-9a-f]+ <[^>]*>$")  # what a branch or an address leads to
_COMMENT = re.compile(r"\s*//.*$")


class Piece(NamedTuple):
    """Instructions in a row that only the last one leaves, or the emulator's cut.

    Attributes:
        address: of the first one.
        instructions: how many.
        function: that it belongs to.
    """

    address: int
    instructions: int
    function: str


def model_cycles(program: Path, model: str, rows: Sequence[Counter[Piece]]) -> list[float]:
    """Cycles of each row.

    Args:
        program: for 64-bit ARM, linked to where it runs.
        model: llvm-mca's name of the processor.
        rows: runs of pieces of the program.

    Raises:
        MissingPackageError: a program of LLVM fails.
    """
    hot = sorted({piece for runs in rows for piece in hot_pieces(runs)})
    text = _disassembly(program)
    cycles = dict(zip(hot, _simulate([_code(text, piece) for piece in hot], model), strict=True))
    return [_cycles_of(runs, cycles) for runs in rows]


def hot_pieces(runs: Counter[Piece]) -> list[Piece]:
    """Those that run most instructions, until COVERED of them are there."""
    total = sum(number * piece.instructions for piece, number in runs.items())
    found, covered = [], 0
    for piece in sorted(runs, key=lambda piece: (-runs[piece] * piece.instructions, piece)):
        if covered >= COVERED * total:
            break
        found.append(piece)
        covered += runs[piece] * piece.instructions
    return found


def _cycles_of(runs: Counter[Piece], cycles: dict[Piece, float]) -> float:
    known = {piece: number for piece, number in runs.items() if piece in cycles}
    simulated = sum(number * cycles[piece] for piece, number in known.items())
    covered = sum(number * piece.instructions for piece, number in known.items())
    total = sum(number * piece.instructions for piece, number in runs.items())
    return simulated * total / covered


def _disassembly(program: Path) -> dict[int, str]:
    """Instructions by address, as the model's assembler reads them."""
    options = "--disassemble", "--no-show-raw-insn", "--mattr=+crc,+dotprod,+lse"
    listed = _run(DISASSEMBLER, *options, str(program))
    return {
        int(address, 16): _PLACE.sub("place", _COMMENT.sub("", text).strip())
        for address, text in _LINE.findall(listed)
    }


def _code(text: dict[int, str], piece: Piece) -> str:
    lines = [text[piece.address + 4 * i] for i in range(piece.instructions)]
    return "\n".join(lines)


def _simulate(codes: Sequence[str], model: str) -> list[float]:
    """Cycles a turn of each code as the body of a loop."""
    regions = (f"# LLVM-MCA-BEGIN {i}\n{code}\n# LLVM-MCA-END\n" for i, code in enumerate(codes))
    options = "-mtriple=aarch64", f"-mcpu={model}", f"-iterations={TURNS}", "-json"
    printed = _run(MODEL, *options, "-", text="".join(regions))
    found = {
        int(region["Name"]): region["SummaryView"]["TotalCycles"] / TURNS
        for region in json.loads(printed)["CodeRegions"]
    }
    return [found[i] for i in range(len(codes))]


def _run(*command: str, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = next(iter(done.stderr.strip().splitlines()), "without a word")
        raise MissingPackageError(f"{command[0]} failed ({said}); it is part of {MODEL_PACKAGE}")
    return done.stdout
