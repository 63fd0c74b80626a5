"""The extension modules, compiled: edgeens._native, the C decoder, and edgeens._host, for encoding.

Build time only, called by setuptools (pyproject.toml names the class). The declarations that cffi
needs are cut out of the C headers, so there is no second copy of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cffi import FFI
from setuptools.command.build_ext import build_ext as setuptools_build_ext

NATIVE = Path("native")  # builds run in the root of the project

# Each module's headers, and the folders of its C files. The two share no code.
MODULES = {
    "edgeens._native": (
        (NATIVE / "include" / "edgeens.h", NATIVE / "reader" / "edgeens_reader.h"),
        (NATIVE / "src", NATIVE / "reader"),
    ),
    "edgeens._host": ((NATIVE / "host" / "edgeens_host.h",), (NATIVE / "host",)),
}

# The oldest Python whose stable ABI the module is built for, as pyproject.toml has it.
LIMITED_API = ("Py_LIMITED_API", "0x030B0000")

# No fused multiply-add: a value is one product with one rounding, the same on every machine.
UNIX_FLAGS = ["-std=c11", "-O3", "-g0", "-ffp-contract=off", "-fvisibility=hidden"]
MSVC_FLAGS = ["/std:c11", "/O2", "/fp:precise"]

# 64-bit ARM tells of its CRC instruction at compile time. All but the very first such processors
# have it, among them those of every 64-bit Raspberry Pi.
AARCH64_FLAGS = ["-march=armv8-a+crc"]


def declarations(header: str) -> str:
    """The part of a header between its two marks, as cffi reads it: macros without their values.

    The C compiler fills the values in; cffi itself cannot read all of their notations.
    """
    part = header.partition("/* [cffi begin] */")[2].partition("/* [cffi end] */")[0]
    if not part.strip():
        raise ValueError("the header lacks its marks [cffi begin] and [cffi end]")
    return re.sub(r"(?m)^(#define \w+) .*$", r"\1 ...", part)


def write_wrapper(module: str, path: Path) -> None:
    """Write the C source of the cffi wrapper of *module* at *path*, creating its folder."""
    headers, _ = MODULES[module]
    builder = FFI()
    for header in headers:
        builder.cdef(declarations(header.read_text(encoding="utf-8")))
    # Debian 12's cffi (1.15.1) calls alloca and counts on Python.h for its declaration, which is
    # gone from there with the limited API of 3.11.
    names = ["<stdlib.h>", *(f'"{header.name}"' for header in headers)]
    builder.set_source(module, "\n".join(f"#include {name}" for name in names))
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.emit_c_code(str(path))


def sources(module: str) -> list[str]:
    """The C files of *module*, relative to the root."""
    _, folders = MODULES[module]
    return sorted(path.as_posix() for folder in folders for path in folder.glob("*.c"))


class build_ext(setuptools_build_ext):  # type: ignore[misc]  # noqa: N801
    """Compiles the extensions of pyproject.toml, which lists no sources of its own."""

    def build_extension(self, ext: Any) -> None:
        """Write the wrapper into the build folder and compile it with the module's C files."""
        headers, _ = MODULES[ext.name]
        wrapper = Path(self.build_temp) / f"{ext.name.rpartition('.')[2]}.c"
        write_wrapper(ext.name, wrapper)
        ext.sources = [str(wrapper), *sources(ext.name)]
        ext.depends = [str(path) for path in NATIVE.glob("*/*.h")]
        ext.include_dirs = [str(header.parent) for header in headers]
        ext.define_macros = [LIMITED_API]
        ext.extra_compile_args = self._flags()
        super().build_extension(ext)

    def _flags(self) -> list[str]:
        if self.compiler.compiler_type == "msvc":
            return MSVC_FLAGS
        return UNIX_FLAGS + (AARCH64_FLAGS if self.plat_name == "linux-aarch64" else [])

    def get_source_files(self) -> list[str]:
        """What a source distribution has to hold beside the Python files."""
        native = sorted(path.as_posix() for path in NATIVE.rglob("*") if path.is_file())
        return [*native, "docs/SPEC.md"]
