"""Imports point one way, and frameworks stay at the edges (docs/DESIGN.md, "Rooms")."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "edgeens"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each room may import from edgeens, besides itself. A room is a subpackage or a module.
ROOMS = {
    "errors": set(),
    "json_object": set(),
    "ensemble": set(),
    "coded": set(),
    "atomic": set(),
    "state_files": {"errors"},
    "progress": set(),
    "tables": set(),
    "records": set(),
    "arrays": {"errors"},
    "uncertainty": {"errors", "arrays"},
    "metrics": {"errors", "arrays", "uncertainty"},
    "calibration": {"errors", "arrays", "uncertainty"},
    "ood": {"errors", "arrays", "uncertainty"},
    "diversity": {"errors", "arrays", "uncertainty"},
    "quantize": {"errors", "ensemble", "coded"},
    "container": {"errors", "coded", "atomic", "json_object", "_host"},
    "decoder": {"errors", "json_object", "records", "_native"},
    "early_exit": {"errors", "arrays", "uncertainty"},
    "exit_curve": {"errors", "arrays", "uncertainty", "metrics", "calibration", "early_exit"},
    "selective": {"errors", "arrays"},
    "intervals": set(),
    "onnx": {
        *("errors", "ensemble", "coded", "decoder", "records", "uncertainty", "atomic"),
        *("early_exit", "state_files"),
    },
    "data": {"errors", "atomic", "decoder", "uncertainty"},
    "datasets": {"errors", "atomic"},
    "torch": {
        *("errors", "ensemble", "coded", "quantize", "container", "decoder", "onnx", "atomic"),
        *("encoder", "progress", "datasets", "metrics", "calibration"),
    },
    "methods": {"errors", "coded", "quantize", "container"},
    "size_table": {"coded", "container", "quantize", "tables"},
}
TOP = {
    *("__init__", "cli", "encoder", "smallest", "trial", "curve", "evaluate", "show", "demo"),
    *("calibrate", "exit_picture", "_native_build", "__main__", "outputs", "judge", "judged"),
    *("compare", "compare_files", "compare_tables", "shift"),
    *("report", "report_page", "report_pictures"),
}

# The only rooms that may import a framework at all.
FRAMEWORKS = {
    "torch": {"torch", "demo/train_members", "state_files"},
    "onnx": {"onnx"},
    "onnxruntime": {"onnx", "demo/train_members"},
    "cffi": {"_native_build"},
    "safetensors": {"state_files"},
    "sklearn": {"demo/train_members"},
    "ivon": {"torch/sampling/ivon"},
    "zstandard": {"size_table"},
    "matplotlib": {"curve", "exit_picture", "report_pictures", "torch/picture"},
    "PIL": {"datasets/corruption_digital", "datasets/corruption_weather"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_room_allows(path):
    own = room(path)
    if own in TOP:
        return
    assert own in ROOMS, f"{own} is a new room: say in ROOMS what it may import"
    rooms = {str(room_) for room_ in (*ROOMS, *TOP, "_native", "_host")}
    used = {name.split(".")[1] for name in imported(path) if name.startswith("edgeens.")} & rooms
    assert used <= ROOMS[own] | {own}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_is_imported_only_at_its_edge(framework):
    importers = {
        str(path.relative_to(PACKAGE).with_suffix(""))
        for path in MODULES
        if any(name.split(".")[0] == framework for name in imported(path))
    }
    allowed = FRAMEWORKS[framework]
    assert {name for name in importers if not {name, name.split("/")[0]} & allowed} == set()


def test_the_two_decoders_share_nothing_but_errors():
    assert "decoder" not in {
        part
        for path in (PACKAGE / "container").glob("*.py")
        for name in imported(path)
        for part in name.split(".")
    }
    assert not any(
        name.startswith("edgeens.container")
        for path in (PACKAGE / "decoder").glob("*.py")
        for name in imported(path)
    )


def test_importing_edgeens_loads_no_framework():
    code = (
        "import sys, edgeens; edgeens.Container; edgeens.summarize; "
        "print({'torch', 'onnx', 'onnxruntime'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


def test_a_session_needs_no_onnx_package():
    code = (
        "import sys; sys.modules['onnx'] = None; "
        "import edgeens.onnx.session, edgeens.data; print('ok')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "ok", result.stderr
