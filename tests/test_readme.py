"""What the README shows is what happens: its code runs, its tables are what the commands print."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks import report
from edgeens import show
from edgeens.cli import _parser
from edgeens.decoder import Container
from edgeens.encoder import encode
from edgeens.evaluate import evaluate

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "edgeens" / "demo"
MEMBERS = sorted(DEMO.glob("member_*.onnx"))
README = (ROOT / "README.md").read_text()


RESULTS = ROOT / "benchmarks" / "results"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the README's relative paths mean what they say."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(DEMO, folder / "edgeens" / "demo", ignore=shutil.ignore_patterns("*.py*"))
    return folder


def test_the_python_and_the_c_of_the_readme_run_and_agree(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (python,), (c,) = blocks("python"), blocks("c")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(python, {})
    labels = np.load(DEMO / "digits_test.npz")["y"][:5]
    bits, classes, *_ = printed.getvalue().splitlines()
    assert re.fullmatch(r"\d\.\d\d bits per member weight", bits)
    assert classes == str(labels)

    (folder / "program.c").write_text(c)
    sources = [str(path) for path in (ROOT / "native" / "src").glob("*.c")]
    command = ["cc", "-Wall", "-Werror", f"-I{ROOT}/native/include", "program.c", *sources]
    subprocess.run([*command, "-o", "program"], check=True)
    result = subprocess.run(
        ["./program", "digits.eens"], capture_output=True, text=True, check=True
    )
    with Container.open("digits.eens") as container:
        first = float(container.decode("dense.weight")[0, 0, 0])
    assert result.stdout == f"ok: weight 0 of member 0 is {first:g}\n"


def test_every_command_of_the_readme_exists():
    commands = re.findall(r"^edgeens (.*?)(?:\s+#.*)?$", "\n".join(blocks("sh")), re.MULTILINE)
    assert len(commands) >= 7
    for command in commands:
        _parser().parse_args(command.split())


def test_the_tables_of_the_readme_are_those_of_the_demo(tmp_path):
    encoding = encode(MEMBERS, tmp_path / "digits.eens")
    sizes, metrics = blocks("text")
    assert sizes.strip() == show.size_table(encoding)
    rows = evaluate(tmp_path / "digits.eens", DEMO / "digits_test.npz", MEMBERS)
    printed = show.evaluation(rows).splitlines()
    for shown, now in zip(metrics.strip().splitlines(), printed, strict=True):
        figure = re.compile(r"-?\d+\.\d+")
        assert figure.sub("N", shown) == figure.sub("N", now)
        # ONNX Runtime's kernels differ between machines in the last digits of float32.
        assert np.allclose(
            [float(x) for x in figure.findall(shown)],
            [float(x) for x in figure.findall(now)],
            atol=0.005,
        )


def test_the_figures_of_the_benchmarks_are_those_that_were_saved():
    saved = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    decoded = saved["decode"]["decode"]
    for table in (
        report.size_table(saved["sizes"]["ensembles"]),
        report.entropy_table(decoded),
        report.way_table(decoded),
        report.trained_table(saved["decode"]["trained"]),
        report.encode_table(saved["encode"]["encode"]),
        report.instruction_table(saved["instructions"]["decode"]),
        report.start_table(saved["runtime"]["runtime"], networks=report.LARGE),
        report.latency_table(saved["runtime"]["runtime"], members=4),
        report.early_exit_table(saved["early_exit"]["ensembles"]),
    ):
        assert table in README
    assert f"({saved['decode']['machine']};" in README
    page = (ROOT / "docs" / "RASPBERRY_PI.md").read_text()
    assert report.cycle_table(saved["instructions"]["decode"]) in page


def test_every_picture_and_result_of_the_readme_is_there():
    named = re.findall(r"\((benchmarks/results/[^)]*)\)", README)
    assert len(named) >= 7
    assert [name for name in named if not (ROOT / name).is_file()] == []
