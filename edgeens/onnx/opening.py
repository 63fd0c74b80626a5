"""From a file to members that are ready to run: which mode, with how many threads, repacked or not.

Between decoder.Container and onnx.session, over onnx.modes and onnx.runtime.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from edgeens.decoder import Container
from edgeens.errors import DataError, NotEnoughMemoryError
from edgeens.onnx.loaded import file_identity
from edgeens.onnx.memory import available_bytes, free_swap_bytes
from edgeens.onnx.modes import check_room, choose_mode, repacks
from edgeens.onnx.runtime import MODES, Members, Mode


@dataclass(frozen=True)
class Opened:
    """Members that are ready to run.

    Attributes:
        members: of the file.
        mode: of running.
        reason: why that mode, in a sentence.
        workers: members that run at a time.
        metadata: the file's, its calibration included.
        container: what is to be closed after the members, if anything is.
    """

    members: Members
    mode: Mode
    reason: str
    workers: int
    metadata: dict[str, Any]
    container: Container | None = None

    def close(self) -> None:
        """Let go of the weights and of the file."""
        self.members.close()
        if self.container is not None:
            self.container.close()


def open_members(
    source: str | os.PathLike[str] | Container,
    *,
    mode: str,
    optimize: bool | None,
    threads: int,
    providers: Sequence[Any] | None,
) -> Opened:
    """Decode the members of a file; arguments and errors as of `onnx.session.Session`."""
    if threads < 1:
        raise DataError(f"a session has at least 1 thread, not {threads}")
    if mode not in ("auto", *MODES):
        raise DataError(f"the mode {mode!r} is not one of auto, {', '.join(MODES)}")
    if optimize and mode not in ("auto", "resident"):
        raise DataError(f"optimize is for mode resident, not {mode}")
    if isinstance(source, Container):
        return _load(source, mode, optimize, threads, providers)
    container = Container.open(source)
    try:
        identity = file_identity(source)
        opened = _load(container, mode, optimize, threads, providers, identity, own=True)
    except BaseException:
        container.close()
        raise
    if opened.container is None:
        container.close()
    return opened


def _load(
    container: Container,
    mode: str,
    optimize: bool | None,
    threads: int,
    providers: Sequence[Any] | None,
    identity: tuple[object, ...] | None = None,
    *,
    own: bool = False,
) -> Opened:
    available = available_bytes()
    if mode == "auto":
        chosen, reason = choose_mode(container, available, optimize=bool(optimize))
    else:
        chosen, reason = cast(Mode, mode), "asked for"
    check_room(container, chosen, None if available is None else available + free_swap_bytes())
    if optimize is None:
        optimize = repacks(container, chosen, available)
    # Members of one file are decoded into one place when they stream, so one runs at a time.
    workers = 1 if chosen == "streaming" else min(threads, container.members)
    try:
        members = Members(
            container,
            mode=chosen,
            optimize=optimize,
            threads=threads // workers,
            decoders=threads,
            providers=providers,
            identity=identity,
        )
    except MemoryError as error:
        raise NotEnoughMemoryError(
            f"not enough memory for the weights in mode {chosen} ({error}): use mode "
            "compact or streaming, or end other programs"
        ) from error
    kept = container if own and chosen == "streaming" else None
    return Opened(
        members, chosen, reason, workers, container.metadata | container.calibration, kept
    )
