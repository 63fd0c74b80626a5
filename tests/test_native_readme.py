"""The programs of native/README.md are compiled, run, and compared with the Python decoder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgeens.decoder import Container
from edgeens.encoder import encode

ROOT = Path(__file__).parents[1]
MEMBERS = sorted((ROOT / "edgeens" / "demo").glob("member_*.onnx"))
PAGE = (ROOT / "native" / "README.md").read_text()
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
NAME = "dense.weight"

# What the page leaves to its reader: a caller that prints the first and the last value.
C_CALLER = """
#include <stdio.h>
int main(int count, char **arguments) {
    static unsigned char data[1 << 20], workspace[1 << 18];
    static float output[5120];
    FILE *stream = fopen(arguments[count - 1], "rb");
    size_t size = fread(data, 1, sizeof data, stream);
    eens_status status =
        load_member(data, size, 3, workspace, sizeof workspace, output, 5120);
    printf("%s %.9g %.9g\\n", eens_strerror(status), (double)output[0], (double)output[5119]);
    return 0;
}
"""
CPP_CALLER = """
#include <fstream>
#include <iostream>
#include <iterator>
int main(int, char **arguments) {
    std::ifstream stream(arguments[1], std::ios::binary);
    std::string data{std::istreambuf_iterator<char>(stream), {}};
    auto values = all_members(std::as_bytes(std::span(data)), "dense.weight");
    std::cout.precision(9);
    std::cout << values.size() << " " << values.front() << " " << values.back() << "\\n";
}
"""


def block(language, place=0):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[place]


def run(*command, folder):
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The bundled digits for a desktop and for a microcontroller, and the decoder in two builds."""
    folder = tmp_path_factory.mktemp("native_readme")
    encode(MEMBERS, folder / "digits.eens")
    encode(MEMBERS, folder / "mcu.eens", profile="mcu")
    sources = [str(path) for path in (ROOT / "native" / "src").glob("*.c")]
    for build in ("-UEENS_SMALL", "-DEENS_SMALL"):
        (folder / build).mkdir()
        run("cc", "-c", "-O1", build, f"-I{ROOT}/native/include", *sources, folder=folder / build)
    return folder


def program(folder, compiler, text, *options, build):
    source = folder / ("program.c" if compiler == "cc" else "program.cpp")
    source.write_text(text)
    objects = [str(path) for path in (folder / build).glob("*.o")]
    run(compiler, *WARNINGS, *options, f"-I{ROOT}/native/include", str(source), *objects,
        "-o", "program", folder=folder)  # fmt: skip


def test_the_file_in_memory_gives_one_member(folder):
    text = block("c").replace('"fc.weight", 9', f'"{NAME}", {len(NAME)}') + C_CALLER
    program(folder, "cc", text, build="-UEENS_SMALL")
    with Container.open(folder / "digits.eens") as container:
        values = container.decode(NAME, member=3).ravel()
    assert run("./program", "digits.eens", folder=folder) == (
        f"ok {values[0]:.9g} {values[-1]:.9g}\n"
    )


def test_the_file_behind_a_callback_gives_the_sums_within_12_kib(folder):
    program(folder, "cc", block("c", 1), build="-DEENS_SMALL")
    *sums, status = run("./program", "mcu.eens", folder=folder).splitlines()
    assert status == "ok"
    with Container.open(folder / "mcu.eens") as container:
        for line in sums:
            name, printed = line.rsplit(" ", 1)
            values = container.decode(name, member=0)
            assert float(printed) == pytest.approx(values.sum(dtype=np.float64), abs=1e-6)
    assert NAME in {line.split()[0] for line in sums}


def test_cpp_gives_all_members(folder):
    program(folder, "c++", block("cpp") + CPP_CALLER, "-std=c++20", build="-UEENS_SMALL")
    with Container.open(folder / "digits.eens") as container:
        values = container.decode(NAME).ravel()
    assert run("./program", "digits.eens", folder=folder) == (
        f"{values.size} {values[0]:.9g} {values[-1]:.9g}\n"
    )
