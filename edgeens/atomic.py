"""Output files that are either complete or absent.

Used by everything that writes a file: the bytes go to a temporary name in the same folder, are
synced, and take the final name in one step. Until then an older file of that name stays whole.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that becomes *path* when the block ends without an exception.

    After any exception (a full disk, Ctrl-C) the temporary file is gone and *path* is as before.

    Raises:
        OSError: as the operating system reports it, with *path* as its file.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        error.filename = str(target)  # nobody asked for the temporary one
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _new_file_mode())
        os.replace(temporary, target)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        # A full disk names no file, and a rename the temporary one. (An error without a number
        # would lose its text to the name.)
        if isinstance(error, OSError) and error.errno and error.filename in (None, temporary):
            error.filename = str(target)
        raise
    _sync_folder(target.parent)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder *path*, made with its parents if need be.

    Raises:
        NotADirectoryError: a file has that name.
        OSError: it cannot be made.
    """
    folder = Path(path)
    if folder.is_file():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _new_file_mode() -> int:
    """Permissions that an ordinary open() would give: mkstemp's are for the owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where folders can be opened (not on Windows)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
