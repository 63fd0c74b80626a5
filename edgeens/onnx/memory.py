"""How much memory there is (mode "auto"), and giving back what is free.

Beside onnx.runtime. Linux only: elsewhere the amount is unknown, and nothing is decided by it.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = "max"


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Bytes that this process can still take without swapping; None if the system does not say.

    The lesser of what the kernel calls available and what the control group (v2), such as a
    container's or a service's, leaves.
    """
    found = [_of_kernel(meminfo), _of_group(cgroup)]
    known = [amount for amount in found if amount is not None]
    return min(known, default=None)


def free_swap_bytes(meminfo: Path = _MEMINFO) -> int:
    """Bytes of swap that nothing uses; 0 if the system does not say."""
    return _of_kernel(meminfo, "SwapFree:") or 0


def give_back_free() -> None:
    """Give the system the memory that was freed; glibc keeps blocks below 32 MiB for later.

    Repacking frees a copy of every weight: kept, they are as much again as the weights.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    """glibc's, None with another C library."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not there; no library to open (Windows)
        return None


def _of_kernel(meminfo: Path, key: str = "MemAvailable:") -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return None


def _of_group(cgroup: Path) -> int | None:
    try:
        most = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        used = (cgroup / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return None if most == _UNLIMITED else max(int(most) - int(used), 0)
