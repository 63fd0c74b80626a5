"""Which mode of running fits the memory there is: mode "auto", and refusals of the others.

Between onnx.memory and onnx.session. Decided from what the file's records say, before anything is
decoded.
"""

from __future__ import annotations

from edgeens.decoder import Container
from edgeens.errors import DataError, NotEnoughMemoryError
from edgeens.onnx.elements import numpy_type
from edgeens.onnx.loaded import coded_inputs
from edgeens.onnx.runtime import Mode, find_skeleton

SHARE = (
    0.5  # of the memory available that weights may take; inputs, activations and others need some
)


# Bytes of weights up to which members are repacked unless the caller says otherwise; 1 ms a MB.
_SMALL_MEMBER = 16_000_000
_WHILE_REPACKED = 4  # times its weights is what a member may take meanwhile


def repacks(container: Container, mode: Mode, available: int | None) -> bool:
    """Whether ONNX Runtime shall repack weights in this mode if the caller leaves it open.

    *available* bytes of memory, None if unknown.
    """
    member = member_bytes(container)
    if mode != "resident" or member > _SMALL_MEMBER:
        return False
    return available is None or values_bytes(container) + _WHILE_REPACKED * member <= available


def choose_mode(container: Container, available: int | None, *, optimize: bool) -> tuple[Mode, str]:
    """The mode, and why in a sentence.

    *available* bytes of memory, None if unknown; with *optimize* only resident will do.
    """
    values = values_bytes(container)
    if optimize:
        return "resident", "optimize asks for it"
    if available is None:
        return "resident", "how much memory there is could not be found out"
    room = f"half of the {_megabytes(available)} of memory available"
    if values <= SHARE * available:
        return "resident", f"{_megabytes(values)} of weights fit {room}"
    kind, graph = find_skeleton(container)
    if kind != "SKLF":
        return "resident", "the graph needs its weights as constants"
    try:
        codes = codes_bytes(container)
        coded_inputs(container, graph)
    except DataError:
        codes = values
    if codes <= SHARE * available:
        return (
            "compact",
            f"{_megabytes(codes)} of codes fit {room}, {_megabytes(values)} of values do not",
        )
    return (
        "streaming",
        f"neither {_megabytes(values)} of values nor {_megabytes(codes)} of codes fit {room}",
    )


def check_room(container: Container, mode: Mode, room: int | None) -> None:
    """Raise NotEnoughMemoryError where the weights cannot fit in *room* bytes, swap included.

    The system would rather end the process than refuse it memory. None: unknown, so not checked.
    """
    if mode == "resident":
        needed, what, instead = values_bytes(container), "values", "use mode compact or streaming"
    elif mode == "compact":
        needed, what, instead = codes_bytes(container), "codes", "use mode streaming"
    else:
        needed, what = member_bytes(container), "one member's values"
        instead = "decode its tensors one by one"
    if room is not None and needed > room:
        raise NotEnoughMemoryError(
            f"not enough memory: mode {mode} needs {_megabytes(needed)} for {what}, and "
            f"{_megabytes(room)} are available, swap included: {instead}, or end other programs"
        )


def member_bytes(container: Container) -> int:
    """Bytes of one member's decoded values."""
    return sum(
        _elements(info.shape) * numpy_type(info.dtype).itemsize for info in container.tensors
    )


def values_bytes(container: Container) -> int:
    """Bytes of all members' decoded values."""
    return sum(
        info.copies * _elements(info.shape) * numpy_type(info.dtype).itemsize
        for info in container.tensors
    )


def codes_bytes(container: Container) -> int:
    """Bytes of all members' codes, and of values where there are no codes."""
    return sum(
        info.copies * _elements(info.shape) * (1 if info.bits else numpy_type(info.dtype).itemsize)
        for info in container.tensors
    )


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
