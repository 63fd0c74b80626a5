"""What a file needs of a microcontroller, with the small build of the C decoder (native/README.md).

Beside sizes.py, behind `inspect`. The numbers are those of eens_workspace_size in a library built
with EENS_SMALL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgeens.container.layout import CODERS, METHODS
from edgeens.container.reference import read_container
from edgeens.container.reference_records import StoredTensor
from edgeens.container.reference_tables import StoredCode
from edgeens.container.sizes import largest_piece

_COUNTS = 2 * 13  # bytes at the beginning of a table of a prefix code: symbols by their lengths
_CLASSES = 16  # bytes for the classes of a piece of a row


@dataclass(frozen=True)
class Footprint:
    """Bytes of memory besides the stack and the structs, and what a build may leave out.

    All but *switches* are of the tensors that a small build decodes.

    Attributes:
        refused: names of the tensors that a small build does not decode: those with coder split.
        in_memory_bytes: workspace where the file lies in memory, mapped flash for example.
        callback_bytes: workspace where it is read through a callback.
        block_positions: values of one member in the largest block: what a loop over blocks decodes
            at a time.
        switches: the macros of native/README.md that this file does not suffer from.
    """

    refused: tuple[str, ...]
    in_memory_bytes: int
    callback_bytes: int
    block_positions: int
    switches: tuple[str, ...]


def footprint(data: bytes) -> Footprint:
    """The needs of a container. Raises FormatError where opening it does."""
    every = read_container(data).tensors
    tensors = [tensor for tensor in every if not _is_split(tensor)]
    coded = [_coding_bytes(tensor) for tensor in tensors]
    pieces = [largest_piece(data, tensor) for tensor in tensors]
    return Footprint(
        refused=tuple(tensor.name for tensor in every if _is_split(tensor)),
        in_memory_bytes=max(coded, default=0),
        callback_bytes=max((a + b for a, b in zip(coded, pieces, strict=True)), default=0),
        block_positions=max((_positions(tensor) for tensor in tensors), default=0),
        switches=_switches(every),
    )


def _is_split(tensor: StoredTensor) -> bool:
    return tensor.record.coder == CODERS["split"]


def _positions(tensor: StoredTensor) -> int:
    elements = tensor.record.elements
    return min(tensor.record.block_positions, elements)


def _coding_bytes(tensor: StoredTensor) -> int:
    """Tables made ready, the classes of a piece, and the codes of a copy or of all members."""
    tables, record = tensor.tables, tensor.record
    if tables is None or not tensor.blocks:
        return 0
    joint = record.method == METHODS["joint"]
    sets = (tables.first, tables.others) if joint else (tables.first,)
    codes = _positions(tensor) * (record.copies if joint else 1)
    return sum(map(_set_bytes, sets)) + (_CLASSES if tables.columns else 0) + codes


def _set_bytes(codes: Sequence[StoredCode]) -> int:
    return len(codes) * max(_COUNTS + 2 * len(code.symbols) for code in codes)


def _switches(tensors: Iterable[StoredTensor]) -> tuple[str, ...]:
    methods = {tensor.record.method for tensor in tensors}
    coders = {tensor.record.coder for tensor in tensors}
    unused = [
        f"EENS_NO_{name.upper()}"
        for name in ("shared", "drawn", "joint")
        if METHODS[name] not in methods
    ]
    if coders <= {CODERS["fixed"]}:
        unused = [name for name in unused if name != "EENS_NO_JOINT"] + ["EENS_NO_ENTROPY"]
    elif not coders & {CODERS["filtered"], CODERS["split"]}:
        unused.append("EENS_NO_FILTER")
    return tuple(unused)
