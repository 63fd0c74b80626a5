"""What `inspect` says a microcontroller needs is what the small build of the C decoder says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgeens.coded import CodedEnsemble
from edgeens.container.footprint import footprint
from edgeens.container.sizes import measure
from edgeens.container.writer import serialise
from edgeens.show import inspection
from tests.vector_entropy import entropy

ROOT = Path(__file__).parents[1]
VECTORS = sorted((ROOT / "tests" / "vectors" / "good").glob("*.eens"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """The program native/test/workspace.c of a small build."""
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        pytest.skip("no C compiler")
    program = tmp_path_factory.mktemp("workspace") / "workspace"
    sources = sorted((ROOT / "native" / "src").glob("*.c"))
    subprocess.run(
        [compiler, "-O1", "-ffp-contract=off", "-DEENS_SMALL", f"-I{ROOT}/native/include",
         str(ROOT / "native" / "test" / "workspace.c"), *map(str, sources), "-o", str(program)],
        check=True,
    )  # fmt: skip
    return program


def test_the_workspace_is_that_of_the_small_build(workspace):
    for path in VECTORS:
        done = subprocess.run([workspace, path], check=True, capture_output=True, text=True)
        needs = footprint(path.read_bytes())
        expected = [needs.in_memory_bytes, needs.callback_bytes]
        assert list(map(int, done.stdout.split())) == expected, path.name


@pytest.mark.parametrize(
    ("name", "switches"),
    [
        ("mcu", {"EENS_NO_DRAWN", "EENS_NO_ENTROPY"}),
        ("joint", {"EENS_NO_SHARED", "EENS_NO_DRAWN", "EENS_NO_FILTER"}),
        ("filtered_mcu", {"EENS_NO_SHARED"}),
        ("split_cut", {"EENS_NO_SHARED", "EENS_NO_DRAWN"}),
    ],
)
def test_the_switches_are_those_of_what_the_file_does_not_use(name, switches):
    path = ROOT / "tests" / "vectors" / "good" / f"{name}.eens"
    assert set(footprint(path.read_bytes()).switches) == switches


def test_tensors_of_coder_split_are_refused_and_the_others_counted_alone():
    split = np.random.default_rng(0).integers(-100, 100, (2, 1 << 14)).astype(np.int8)
    coded = CodedEnsemble(2, (entropy("big", split), entropy("small", split[:, :500] & 1)))
    alone = CodedEnsemble(2, (entropy("small", split[:, :500] & 1),))
    needs, expected = footprint(serialise(coded)), footprint(serialise(alone))
    assert needs.refused == ("big",)
    assert expected.refused == ()
    assert (needs.callback_bytes, needs.block_positions) == (expected.callback_bytes, 500)
    assert "EENS_NO_FILTER" in expected.switches
    assert "EENS_NO_FILTER" not in needs.switches


def test_inspect_says_that_a_microcontroller_needs_the_mcu_profile():
    codes = np.random.default_rng(0).integers(-100, 100, (2, 1 << 14)).astype(np.int8)
    tensors = (entropy("big", codes), entropy("small", codes[:, :500] & 1))
    for profile, sentence in (
        ("desktop", "lacks the coder split of 1 of 2 tensors: encode with --profile mcu"),
        ("mcu", "(EENS_SMALL): a workspace of"),
    ):
        data = serialise(CodedEnsemble(2, tensors, profile=profile))
        assert sentence in inspection(measure(data), 0, footprint(data))


def test_a_block_is_counted_in_values_of_one_member():
    path = ROOT / "tests" / "vectors" / "good" / "mcu.eens"
    assert footprint(path.read_bytes()).block_positions == 1024


MCU_BYTES = 12 * 1024 - 512 - 208  # of 12 KiB: less the stack and the structs of `make size`


@pytest.mark.parametrize("method", ["plain", "joint"])
@pytest.mark.parametrize(("members", "values"), [(2, 256), (2, 32), (64, 256)])
def test_the_longest_codewords_of_the_mcu_profile_fit_in_12_kib(method, members, values):
    # Zeros, then a block of what is rare among them: codewords as long as the profile allows.
    positions = 4096 // members
    rng = np.random.default_rng(0)
    rare = rng.integers(0, values, (members, positions)) - values // 2
    codes = np.concatenate([np.zeros((members, 40 * positions), int), rare], axis=1)
    options = {"predictor": "first"} if method == "joint" else {}
    tensor = entropy("w", codes.astype(np.int8)[:, None], 8, method, **options)
    coded = CodedEnsemble(members, (tensor,), profile="mcu")
    assert footprint(serialise(coded)).callback_bytes <= MCU_BYTES
