"""The service of docs/RASPBERRY_PI.md answers as the session does."""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from edgeens.encoder import encode
from edgeens.onnx.session import Session

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "edgeens" / "demo"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(port: int, x: np.ndarray, process: subprocess.Popen[bytes]) -> dict[str, list[float]]:
    body = io.BytesIO()
    np.save(body, x)
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}", body.getvalue()) as answer:
                return json.load(answer)
        except OSError:
            assert process.poll() is None, "the service ended"
            time.sleep(0.1)
    raise AssertionError("the service did not answer")


def test_the_service_of_the_page_answers_what_a_session_predicts(tmp_path):
    page = (ROOT / "docs" / "RASPBERRY_PI.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "serve.py").write_text(code)
    encode(sorted(DEMO.glob("member_*.onnx")), tmp_path / "model.eens")
    with np.load(DEMO / "digits_test.npz") as data:
        x = data["x"][:5]
    port = free_port()
    command = [sys.executable, str(tmp_path / "serve.py"), str(tmp_path / "model.eens"), str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        answer = post(port, x, process)
    finally:
        process.terminate()
        process.wait()
    with Session(tmp_path / "model.eens") as session:
        expected = session.predict(x)
    assert answer["class"] == expected.mean.argmax(axis=-1).tolist()
    np.testing.assert_allclose(answer["confidence"], expected.mean.max(axis=-1), atol=1e-6)
    np.testing.assert_allclose(answer["mutual_information"], expected.mutual_information, atol=1e-6)


@pytest.mark.parametrize("bits", ["64", "32"])
def test_the_page_says_how_to_build_on_a_board_in_words_that_the_boards_are_given(bits):
    script = [sys.executable, ROOT / ".ci" / "page_commands.py"]
    packages, commands = (
        subprocess.run([*script, what, bits], capture_output=True, text=True, check=True).stdout
        for what in ("packages", "commands")
    )
    assert {"gcc", "python3-dev", "python3-venv"} <= set(packages.strip().split(","))
    assert commands.splitlines()[-2].endswith("edgeens-*.tar.gz")
    assert "apt-get" not in commands
