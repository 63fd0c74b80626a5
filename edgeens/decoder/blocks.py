"""A tensor's blocks decoded by threads: the arguments of Container.decode, and its calls.

Between decoder.container and decoder.library.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.decoder.library import OpenFile, ffi, lib
from edgeens.errors import DataError
from edgeens.records import NUMPY_DTYPES, TensorInfo

Array = NDArray[Any]

FORMATS = {
    "values": (lib.EENS_AS_VALUES, None),
    "int8": (lib.EENS_AS_INT8, np.int8),
    "int16": (lib.EENS_AS_INT16, np.int16),
    "float32": (lib.EENS_AS_FLOAT32, np.float32),
    "float16": (lib.EENS_AS_FLOAT16, np.float16),
}

# The decoder writes its workspace before it reads it.
_uncleared = ffi.new_allocator(should_clear_after_alloc=False)

# Codes a thread must have to do before starting it pays (it costs some 0.1 ms).
_WORTH_A_THREAD = 1 << 17


def output_array(info: TensorInfo, as_: str, member: int | None, out: Array | None) -> Array:
    """*out*, if it fits what is asked for, or a new array.

    Raises DataError if it does not fit, or the tensor does not decode to *as_*.
    """
    if as_ not in FORMATS:
        raise DataError(f"as_ must be one of {', '.join(FORMATS)}, but is {as_!r}")
    if info.bits == 0 and as_ != "values":
        raise DataError(
            f"tensor {info.name!r} holds exact {info.dtype} values, which decode only as "
            f"'values', not {as_!r}"
        )
    dtype = np.dtype(FORMATS[as_][1] or NUMPY_DTYPES[info.dtype])
    shape = info.shape if member is not None else (info.copies, *info.shape)
    if out is None:
        return np.empty(shape, dtype)
    _check_output(out, shape, dtype)
    return out


def check_threads(threads: int) -> None:
    """Raise DataError if there are none."""
    if threads < 1:
        raise DataError(f"threads must be at least 1, but is {threads}")


def decode_blocks(
    file: OpenFile,
    record: Any,
    info: TensorInfo,
    *,
    member: int | None,
    as_: str,
    out: Array | None,
    workspace: int,
    threads: int,
) -> None:
    """All blocks of a tensor into *out*; None: nothing is written, everything is checked.

    *record*: the tensor's eens_tensor; *workspace*: bytes that a thread needs for it.
    """
    number = lib.EENS_ALL_MEMBERS if member is None else member
    elements = math.prod(info.shape)
    buffer = ffi.NULL if out is None else ffi.from_buffer(out, require_writable=True)
    width = 0 if out is None else out.itemsize

    def decode(begin: int, end: int) -> None:
        skip = begin * info.block_positions * width
        request = (begin, end - begin, number, FORMATS[as_][0], elements)
        room = 0 if out is None else len(buffer) - skip
        output = ffi.NULL if out is None else buffer + skip
        where = ffi.new("eens_where *", (info.index, -1, -1))
        own = _uncleared("char[]", workspace)
        arguments = (record, ffi.new("eens_request *", request), own, workspace)
        file.call(lib.eens_decode, *arguments, output, room, where, where=where)

    copies = info.copies if member is None else 1
    workers = max(1, min(threads, info.block_count, elements * copies // _WORTH_A_THREAD))
    if workers == 1:
        decode(0, info.block_count)
        return
    cuts = [info.block_count * i // workers for i in range(workers + 1)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(decode, cuts[:-1], cuts[1:]))


def _check_output(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray):
        given = type(out).__name__
    elif out.shape != shape or out.dtype != dtype:
        given = f"of shape {out.shape} and dtype {out.dtype}"
    elif not out.flags.c_contiguous:
        given = "not C-contiguous"
    elif not out.flags.writeable:
        given = "read-only"
    elif not out.flags.aligned:
        given = "not aligned for its type"
    else:
        return
    raise DataError(
        f"out must be a writable C-contiguous array of shape {shape} and dtype {dtype}, but is "
        f"{given}"
    )
