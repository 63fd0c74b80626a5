"""`make size`: the table of what the decoder takes, and its budget."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "native" / "test" / "size.py"
_spec = importlib.util.spec_from_file_location("native_size", PATH)
assert _spec is not None
assert _spec.loader is not None
size = importlib.util.module_from_spec(_spec)
sys.modules["native_size"] = size
_spec.loader.exec_module(size)


def _graph(path: Path, frames: dict[str, str], calls: list[tuple[str, str]]) -> list[Path]:
    nodes = [
        f'node: {{ title: "{name}" label: "{name}\\n{frame}" }}' for name, frame in frames.items()
    ]
    edges = [f'edge: {{ sourcename: "{a}" targetname: "{b}" }}' for a, b in calls]
    (path / "x.ci").write_text("\n".join(nodes + edges))
    return [path / "x.ci"]


def test_the_stack_is_that_of_the_deepest_way_without_the_caller(tmp_path):
    frames = {"firmware": "100 bytes (static)", "a": "8 bytes (static)", "b": "40 bytes (static)"}
    calls = [("firmware", "a"), ("a", "memcpy"), ("a", "b"), ("firmware", "b")]
    assert size._most_stack(_graph(tmp_path, frames, calls)) == 48


def test_recursion_is_refused(tmp_path):
    frames = {"firmware": "0 bytes (static)", "a": "8 bytes (static)"}
    with pytest.raises(SystemExit, match="recursion: firmware -> a -> a"):
        size._most_stack(_graph(tmp_path, frames, [("firmware", "a"), ("a", "a")]))


def test_a_frame_of_no_fixed_size_is_refused(tmp_path):
    frames = {"firmware": "0 bytes (static)", "a": "8 bytes (dynamic)"}
    with pytest.raises(SystemExit, match="a has a frame of no fixed size"):
        size._most_stack(_graph(tmp_path, frames, []))


@pytest.fixture
def budget(tmp_path, monkeypatch):
    path = tmp_path / "budget.txt"
    path.write_text("# core\nCortex-M4 fixed 4000 100 5000 600 300\n")
    monkeypatch.setattr(size, "BUDGET", path)
    monkeypatch.setattr(size, "ROOT", tmp_path)
    monkeypatch.setattr(size.shutil, "which", lambda name: name)
    monkeypatch.delenv("CI", raising=False)
    return path


def test_what_is_over_the_budget_is_named(budget, monkeypatch, capsys):
    monkeypatch.setattr(size, "_measure", lambda core, profile: (4000, 100, 5000, 600, 301))
    assert size.main() == 1
    assert "Cortex-M4, fixed: stack is 301, the budget 300" in capsys.readouterr().out


def test_what_is_within_the_budget_passes(budget, monkeypatch, capsys):
    monkeypatch.setattr(size, "_measure", lambda core, profile: (4000, 100, 5000, 600, 300))
    assert size.main() == 0
    assert "OVER" not in capsys.readouterr().out


def test_a_missing_compiler_is_skipped_with_its_package_and_fails_in_ci(
    budget, monkeypatch, capsys
):
    monkeypatch.setattr(size.shutil, "which", lambda name: None)
    assert size.main() == 0
    assert "apt-get install gcc-arm-none-eabi" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    assert size.main() == 1


def test_every_profile_and_core_has_a_budget():
    lines = [line.split()[:2] for line in size.BUDGET.read_text().splitlines() if line[:1] == "C"]
    assert sorted(map(tuple, lines)) == sorted(
        (core, profile) for core in size.CORES for profile in size.PROFILES
    )
