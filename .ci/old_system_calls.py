"""Runs a command that finds no system call younger than Linux 4.11: `old_system_calls.py CMD ...`.

Debian's and Ubuntu's proot (5.1) knows none of these and would hand their paths on as they are, out
of the folder that it shows as the root. Programs, QEMU among them, fall back on the older calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

# statx, openat2 and faccessat2 on x86-64.
ABSENT = (332, 437, 439)

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # instructions of classic BPF
ALLOW, FAIL = 0x7FFF0000, 0x00050000


def instruction(code: int, value: int, jump: int = 0) -> bytes:
    """One, which skips *jump* others where the comparison holds."""
    return struct.pack("=HBBI", code, jump, 0, value)


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def hide(numbers: tuple[int, ...]) -> None:
    """Let these system calls fail as unknown, in this process and all that it becomes."""
    tests = [
        instruction(JUMP_IF_EQUAL, number, jump=len(numbers) - i)
        for i, number in enumerate(numbers)
    ]
    ends = [instruction(RETURN, ALLOW), instruction(RETURN, FAIL | errno.ENOSYS)]
    code = b"".join((instruction(LOAD_NUMBER, 0), *tests, *ends))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)
    ):
        raise OSError(ctypes.get_errno(), "this kernel filters no system calls (seccomp)")


if __name__ == "__main__":
    hide(ABSENT)
    os.execvp(sys.argv[1], sys.argv[1:])
