"""The commands and the code of docs/EVALUATION.md run, and it names every corruption."""

from __future__ import annotations

import glob
import re
import shlex
import shutil
from pathlib import Path

import numpy as np

from edgeens.cli import main
from edgeens.datasets.corruptions import CORRUPTIONS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "EVALUATION.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_and_the_code_of_the_page_run(tmp_path, monkeypatch, capsys):
    skip = shutil.ignore_patterns("*.py*")
    shutil.copytree(ROOT / "edgeens" / "demo", tmp_path / "edgeens" / "demo", ignore=skip)
    monkeypatch.chdir(tmp_path)
    (commands,), (code,) = blocks("sh"), blocks("python")
    for command in commands.splitlines():
        name, *words = shlex.split(command)
        assert name == "edgeens"
        expanded = [part for word in words for part in (sorted(glob.glob(word)) or [word])]
        assert main(expanded) == 0, command
    assert (tmp_path / "report" / "report.html").stat().st_size > 100_000
    assert (tmp_path / "report" / "report.csv").read_text().count("The 4 members act") == 3
    exec(code, {})
    with np.load("foggy.npz") as written, np.load("edgeens/demo/digits_test.npz") as data:
        assert written["x"].shape == data["x"].shape
        assert not np.array_equal(written["x"], data["x"])
    assert main(["evaluate", "plain.eens", "--data", "foggy.npz"]) == 0


def test_the_page_names_every_corruption_and_option():
    assert [name for name in CORRUPTIONS if f"`{name}`" not in PAGE] == []
    options = ("members", "validation", "ood", "corrupt", "frost", "pixel-mean", "pixel-std",
               "seed", "data", "report")  # fmt: skip
    assert [name for name in options if f"--{name}" not in PAGE] == []
