"""Every block of docs/GUIDES.md is a program that runs, where the packages it shows are there."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from pathlib import Path

import pytest

from edgeens.cli import _parser
from edgeens.decoder import Container

GUIDES = (Path(__file__).parents[1] / "docs" / "GUIDES.md").read_text()


def blocks():
    """(section, number in it, code) of all blocks."""
    for section in GUIDES.split("\n## ")[1:]:
        title = section.partition("\n")[0]
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", section, re.DOTALL)):
            yield title, number, code


def run(title, number, folder, monkeypatch):
    """What a block prints."""
    (code,) = (code for *place, code in blocks() if place == [title, number])
    monkeypatch.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own
        exec(code, {})
    with Container.open(folder / "net.eens") as container:
        assert container.members == 4
        assert any(info.bits == 8 for info in container.tensors)
    return printed.getvalue().splitlines()[-1]


TORCH = [
    ("PyTorch", 0, "(2, 10)"),
    ("PyTorch", 1, "(3, 10)"),
    ("Weights alone: state dicts and safetensors", 0, "(2, 10)"),
]


@pytest.mark.torch
@pytest.mark.parametrize(("title", "number", "shape"), TORCH)
def test_the_guides_of_pytorch_run(title, number, shape, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    assert run(title, number, tmp_path, monkeypatch) == shape


def test_the_guide_of_scikit_learn_runs(tmp_path, monkeypatch):
    pytest.importorskip("skl2onnx")
    assert float(run("scikit-learn", 0, tmp_path, monkeypatch)) > 0.9


def test_the_guide_of_keras_runs(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow", reason="no TensorFlow: it takes 2 GB, so no gate installs it")
    pytest.importorskip("tf2onnx")
    assert run("TensorFlow and Keras", 0, tmp_path, monkeypatch) == "(3, 10)"


def test_every_command_exists():
    (section,) = (part for part in GUIDES.split("\n## ") if "```sh" in part)
    commands = re.findall(r"^edgeens (.*?)(?:\s+#.*)?$", section, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        _parser().parse_args(command.split())


def test_every_block_has_a_test():
    tested = {(title, number) for title, number, _ in TORCH}
    tested |= {("scikit-learn", 0), ("TensorFlow and Keras", 0)}
    assert {(title, number) for title, number, _ in blocks()} == tested
