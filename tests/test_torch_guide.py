"""The code of docs/TORCH.md runs, and names what exists."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edgeens.decoder import Container  # noqa: E402
from edgeens.torch.methods import METHODS  # noqa: E402

pytestmark = pytest.mark.torch
GUIDE = (Path(__file__).parents[1] / "docs" / "TORCH.md").read_text()


def test_the_code_of_the_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
            exec(block, names)
    lines = printed.getvalue().splitlines()
    assert re.fullmatch(r"\d+\.\d\d bits per member weight", lines[0])
    assert lines[1] == "(4, 8, 3) (4, 32, 3)"
    assert lines[2] == "['weight', 'lambda'] {'0.weight': 8, '5.weight': 8}"
    with Container.open("trained.eens") as container:
        assert container.members == 4
        assert {info.bits for info in container.tensors} == {0, 4}


def test_the_table_of_methods_names_them_all_and_their_options():
    rows = re.findall(r"^\| `([\w-]+)` \|[^|]*\|([^|]*)\|$", GUIDE, re.MULTILINE)
    rows = [row for row in rows if row[0] != "method"]
    assert [name for name, _ in rows] == list(METHODS)
    for name, options in rows:
        known = set(inspect.signature(METHODS[name]).parameters)
        assert set(re.findall(r"`(\w+)`", options)) - {"shared"} <= known
