"""The command line as its users meet it: exit codes, sentences, and what is left on the disk."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgeens.demo
from edgeens.cli import main
from edgeens.container.reference import read_container
from edgeens.decoder import Container, blocks

DEMO = Path(edgeens.demo.__file__).parent
MEMBERS = [str(DEMO / f"member_{k}.onnx") for k in range(4)]
DATA = str(DEMO / "digits_test.npz")


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "digits.eens"
    assert main(["encode", *MEMBERS, "-o", str(path)]) == 0
    return path


def run(capsys, *arguments):
    """Exit code, standard output, standard error of one command."""
    capsys.readouterr()
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


def test_encode_verify_run_evaluate_work_one_after_the_other(tmp_path, capsys):
    path = tmp_path / "f.eens"
    code, out, _ = run(capsys, "encode", *MEMBERS, "-o", path)
    assert code == 0
    assert "4 members, floating point" in out
    assert "this file" in out
    code, out, _ = run(capsys, "verify", path)
    assert code == 0
    assert out.startswith(f"{path}: good (4 members, 6 tensors, ")
    assert out.endswith("; checksums, digests)\n")
    np.save(tmp_path / "x.npy", np.load(DATA)["x"][:20])
    code, _, _ = run(
        capsys, "run", path, "--input", tmp_path / "x.npy", "-o", tmp_path / "o.npz", "--members"
    )
    assert code == 0
    with np.load(tmp_path / "o.npz") as written:
        assert set(written.files) == {
            "mean", "members", "predictive_entropy", "expected_entropy", "mutual_information",
            "disagreement",
        }  # fmt: skip
        assert written["members"].shape == (4, 20, 10)
        assert np.allclose(written["members"].mean(axis=0), written["mean"], atol=1e-6)
    code, out, _ = run(capsys, "evaluate", path, "--data", DATA, "--members", *MEMBERS, "--json")
    rows = json.loads(out)
    assert code == 0
    assert [row["model"] for row in rows] == [
        "4 float members", "one float member (mean of 4)", "4 members from the file",
    ]  # fmt: skip
    whole, single, ours = rows
    assert abs(ours["accuracy"] - whole["accuracy"]) <= 0.005
    assert abs(ours["NLL"] - whole["NLL"]) < 0.002
    assert whole["NLL"] < single["NLL"]
    assert single["AUROC MI"] is None
    assert ours["AUROC MI"] > 0.8


def test_members_are_not_written_unless_asked_for(encoded, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", input=np.load(DATA)["x"][:2])
    written = tmp_path / "o.npz"
    code, _, _ = run(capsys, "run", encoded, "--input", tmp_path / "x.npz", "-o", written)
    assert code == 0
    assert "members" not in np.load(written).files


def test_inspect_accounts_for_every_bit(encoded, capsys):
    code, out, _ = run(capsys, "inspect", encoded, "--json")
    found = json.loads(out)
    assert code == 0
    parts = ("header", "metadata", "pattern", "parameter", "table", "index", "exact", "section")
    assert sum(found[f"{part}_bits"] for part in parts) == 8 * found["file_bytes"]
    assert found["file_bytes"] == encoded.stat().st_size
    assert {"format_version", "members", "float32_bytes", "int8_bytes", "bits_per_member_weight",
            "workspace_bytes", "microcontroller"} <= set(found)  # fmt: skip
    assert {"name", "shape", "method", "coder", "bits", "copies", "file_bits"} <= set(
        found["tensors"][0]
    )
    code, out, _ = run(capsys, "inspect", encoded)
    assert code == 0
    assert "a device needs: flash" in out
    assert "a microcontroller (EENS_SMALL): a workspace of" in out
    with Container.open(encoded) as container:
        assert container.workspace_bytes > 0  # entropy-coded: its tables
        assert f"a workspace of {container.workspace_bytes:,} bytes".replace(",", " ") in out
    assert "dense.weight" in out


def test_drawn_members_stored_or_drawn_later_are_the_same(tmp_path, capsys):
    lean, fat = tmp_path / "lean.eens", tmp_path / "fat.eens"
    common = [MEMBERS[0], "--draw", 5, "--bits", 4, "--key", 99]
    assert run(capsys, "encode", *common, "-o", lean)[0] == 0
    assert run(capsys, "encode", *common, "--store-members", "-o", fat)[0] == 0
    with Container.open(lean) as a, Container.open(fat) as b:
        assert a.tensor("dense.weight").method == "drawn"
        assert b.tensor("dense.weight").method in ("plain", "joint")
        for name in a.names:
            for member in range(5):
                assert np.array_equal(a.decode(name, member=member), b.decode(name, member=member))
    assert lean.stat().st_size < fat.stat().st_size


def test_members_drawn_with_the_width_of_their_parent_are_alike_and_encode_says_so(
    tmp_path, capsys
):
    path, warning = tmp_path / "f.eens", "hardly differ, or not at all: draw with fewer (--bits)"
    code, *printed = run(capsys, "encode", MEMBERS[0], "--draw", 2, "--bits", 8, "-o", path)
    assert code == 0
    assert warning in " ".join(printed)
    with Container.open(path) as container:
        codes = container.decode("dense.weight", as_="int8")
        assert np.array_equal(codes[0], codes[1])
    _, *printed = run(capsys, "encode", MEMBERS[0], "--draw", 2, "--bits", 7, "-o", path)
    assert warning not in " ".join(printed)


@pytest.mark.parametrize(
    ("options", "method", "bits"),
    [
        (["--method", "shared"], "shared", 8),
        (["--method", "plain", "--bits", "3"], "plain", 3),
        (["--lambda4", "1.5", "--lambda8", "4.5"], "shared", 8),
        (["--lambda8", "auto"], "shared", 8),
        (["--profile", "mcu", "--block", "512", "--grid", "channel"], "plain", 8),
    ],
)
def test_options_reach_the_file(tmp_path, capsys, options, method, bits):
    path = tmp_path / "f.eens"
    assert run(capsys, "encode", *MEMBERS, *options, "-o", path)[0] == 0
    with Container.open(path) as container:
        container.verify()
        dense = container.tensor("dense.weight")
        assert (dense.method, dense.bits) == (method, bits)
        mcu = "--profile" in options
        assert container.profile == ("mcu" if mcu else "desktop")
        assert dense.block_positions == (128 if mcu else dense.block_positions)
        assert dense.scale_count == (10 if mcu or bits < 8 else 1)


def test_an_excluded_tensor_is_kept_exactly(tmp_path, capsys):
    path = tmp_path / "f.eens"
    assert run(capsys, "encode", *MEMBERS, "--exclude", "conv*", "-o", path)[0] == 0
    with Container.open(path) as container:
        assert container.tensor("conv2.weight").bits == 0
        assert container.tensor("dense.weight").bits == 8


def test_the_task_can_be_said(tmp_path, capsys):
    path = tmp_path / "f.eens"
    assert run(capsys, "encode", *MEMBERS, "-o", path, "--task", "regression")[0] == 0
    with Container.open(path) as container:
        assert container.metadata["edgeens.task"] == "regression"


def test_threads_do_not_change_the_bytes(tmp_path, capsys):
    one, two = tmp_path / "one.eens", tmp_path / "two.eens"
    assert run(capsys, "encode", *MEMBERS, "-o", one)[0] == 0
    assert run(capsys, "encode", *MEMBERS, "--threads", 2, "-o", two)[0] == 0
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("form", [[], ["--npz"]])
def test_decoding_on_several_threads_writes_the_same_files(
    encoded, tmp_path, capsys, monkeypatch, form
):
    monkeypatch.setattr(blocks, "_WORTH_A_THREAD", 1)
    for threads in (1, 3):
        folder = tmp_path / str(threads)
        assert run(capsys, "decode", encoded, "-o", folder, "--threads", threads, *form)[0] == 0
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "3" / path.name).read_bytes()


def test_predictions_on_several_threads_are_the_same(encoded, tmp_path, capsys):
    written, printed = [], []
    x = tmp_path / "x.npy"
    np.save(x, np.load(DATA)["x"][:50])
    for threads in (1, 2, 4):
        out = tmp_path / f"{threads}.npz"
        options = ["--threads", threads]
        assert run(capsys, "run", encoded, "--input", x, "-o", out, "--members", *options)[0] == 0
        with np.load(out) as arrays:
            written.append({name: arrays[name].tobytes() for name in arrays.files})
        code, rows, _ = run(capsys, "evaluate", encoded, "--data", DATA, "--json", *options)
        assert code == 0
        printed.append(rows)
    assert written[0] == written[1] == written[2]
    assert printed[0] == printed[1] == printed[2]


def test_decoded_members_come_out_as_onnx_and_as_arrays(encoded, tmp_path, capsys):
    code, out, _ = run(capsys, "decode", encoded, "-o", tmp_path / "a", "--npz")
    assert code == 0
    assert len(out.splitlines()) == 4
    code, _, _ = run(capsys, "decode", encoded, "-o", tmp_path / "b")
    assert code == 0
    assert sorted(os.listdir(tmp_path / "b")) == [f"member_{k}.onnx" for k in range(4)]
    with Container.open(encoded) as container, np.load(tmp_path / "a" / "member_2.npz") as arrays:
        assert set(arrays.files) == set(container.names)
        assert np.array_equal(arrays["conv1.weight"], container.decode("conv1.weight", member=2))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["encode", "a.onnx"], "required: -o/--output"),
        (["encode", "a", "b", "-o", "f", "--draw", "4"], "--draw takes exactly one model"),
        (["encode", "a", "-o", "f", "--store-members"], "belong to --draw"),
        (["encode", "a", "-o", "f", "--draw", "65"], "65 is not between 1 and 64"),
        (["encode", "a", "-o", "f", "--bits", "9"], "9 is not between 2 and 8"),
        (["encode", "a", "-o", "f", "--lambda4", "-1"], "neither `auto` nor a number"),
        (["encode", "a", "-o", "f", "--threads", "0"], "0 is not at least 1"),
        (["verify"], "required: FILE.eens"),
        (["calibrate", "f", "--data", "d", "--target-risk", "x"], "'x' is no share, such as 0.5%"),
        (["nonsense"], "invalid choice"),
    ],
)
def test_a_wrong_call_exits_with_2_and_says_why(capsys, arguments, text):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert text in err
    assert len(err.splitlines()) == 1  # not fifteen lines of usage
    assert re.fullmatch(r"edgeens( \w+)?: .*; `edgeens( \w+)? --help` tells the options\n", err)


def test_a_folder_in_the_place_of_an_output_file_is_named(encoded, tmp_path, capsys):
    folder = tmp_path / "folder.onnx"
    folder.mkdir()
    np.save(tmp_path / "x.npy", np.load(DATA)["x"][:2])
    for call in (
        ["encode", *MEMBERS],
        ["run", encoded, "--input", tmp_path / "x.npy"],
        ["export", encoded],
    ):
        code, _, err = run(capsys, *call, "-o", folder)
        assert (code, err) == (1, f"edgeens: {folder}: Is a directory\n")


@pytest.mark.parametrize("option", [[], ["--npz"]])
def test_a_file_in_the_place_of_an_output_folder_is_named(encoded, tmp_path, capsys, option):
    (tmp_path / "file").write_bytes(b"")
    code, _, err = run(capsys, "decode", encoded, "-o", tmp_path / "file", *option)
    assert (code, err) == (1, f"edgeens: {tmp_path / 'file'}: Not a directory\n")


def test_a_member_given_twice_is_told(tmp_path, capsys):
    code, out, _ = run(capsys, "encode", *MEMBERS, MEMBERS[1], "-o", tmp_path / "f.eens")
    assert code == 0
    told = "members 1, 4 hold the same weights, so they count as one: was a file given twice?"
    assert told in out
    assert (
        "was a file given twice"
        not in run(capsys, "encode", *MEMBERS[:2], "-o", tmp_path / "f.eens")[1]
    )
    assert (
        "was a file given twice"
        not in run(capsys, "encode", MEMBERS[0], "-o", tmp_path / "f.eens")[1]
    )


def test_a_model_without_a_weight_to_quantise_is_told(tmp_path, capsys):
    code, out, _ = run(capsys, "encode", *MEMBERS, "--exclude", "*", "-o", tmp_path / "f.eens")
    assert code == 0
    assert "every tensor is kept exactly, so the file is hardly smaller" in out


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("no.onnx", None, "no.onnx: No such file or directory"),
        ("bad.onnx", b"hello", "ONNX Runtime cannot load .*bad.onnx: [A-Z]"),
    ],
)
def test_float_members_that_cannot_be_read_are_named(
    encoded, tmp_path, capsys, name, content, text
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, _, err = run(capsys, "evaluate", encoded, "--data", DATA, "--members", tmp_path / name)
    assert code == 1
    assert re.search(text, err)
    assert len(err.splitlines()) == 1


def test_data_of_no_rows_and_of_too_few_is_told(encoded, tmp_path, capsys):
    data = np.load(DATA)
    for rows, command, text in (
        (0, "evaluate", "input 'input' is empty: it has shape (0, 1, 8, 8)"),
        (1, "calibrate", "d.npz holds 1 row: calibration needs at least 2, and hundreds to say"),
    ):
        np.savez(tmp_path / "d.npz", x=data["x"][:rows], y=data["y"][:rows])
        code, _, err = run(capsys, command, encoded, "--data", tmp_path / "d.npz")
        assert code == 1
        assert text in err


@pytest.mark.parametrize("command", ["inspect", "verify", "run", "evaluate", "decode"])
def test_a_missing_file_exits_with_1_and_is_named(tmp_path, capsys, command):
    rest = {
        "run": ["--input", DATA, "-o", tmp_path / "o.npz"],
        "evaluate": ["--data", DATA],
        "decode": ["-o", tmp_path / "d"],
    }.get(command, [])
    code, _, err = run(capsys, command, tmp_path / "no.eens", *rest)
    assert code == 1
    assert "no.eens" in err
    assert "No such file" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_damaged_file_exits_with_1_and_says_what_is_wrong(encoded, tmp_path, capsys, command):
    data = bytearray(encoded.read_bytes())
    cases = {
        "not an edgeens container": b"hello world, this is a text file" * 4,
        "the file is shorter than it says": bytes(data[:-1]),
        "the file is longer than it says": bytes(data) + b"x",
        "the major version is not one this decoder knows": bytes(data[:8] + b"\x02" + data[9:]),
        "checksum mismatch in the head": bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:]),
    }
    for text, content in cases.items():
        path = tmp_path / "bad.eens"
        path.write_bytes(content)
        code, _, err = run(capsys, command, path)
        assert code == 1
        assert text in err
        assert str(path) in err
        assert len(err.splitlines()) == 1


def test_a_flipped_bit_in_a_block_is_found_and_placed(encoded, tmp_path, capsys):
    with Container.open(encoded) as container:
        sections = container.sections
    assert set(sections) >= {"META", "SKLF", "DGST"}
    data = bytearray(encoded.read_bytes())
    (dense,) = (t for t in read_container(bytes(data)).tensors if t.name == "dense.weight")
    _, end, _ = dense.blocks[-1]
    data[end - 1] ^= 4
    path = tmp_path / "bad.eens"
    path.write_bytes(data)
    code, _, err = run(capsys, "verify", path)
    assert code == 1
    assert "checksum mismatch in a block" in err
    assert "'dense.weight'" in err


def test_a_failed_encode_leaves_the_old_file(encoded, tmp_path, capsys):
    path = tmp_path / "f.eens"
    path.write_bytes(b"precious")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    code, _, err = run(capsys, "encode", MEMBERS[0], tmp_path / "broken.onnx", "-o", path)
    assert code == 1
    assert "broken.onnx" in err
    assert path.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["broken.onnx", "f.eens"]


def test_an_existing_file_is_replaced_without_being_asked(encoded, tmp_path, capsys):
    path = tmp_path / "f.eens"
    path.write_bytes(b"old")
    assert run(capsys, "encode", *MEMBERS, "-o", path)[0] == 0
    assert path.read_bytes() == encoded.read_bytes()


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((2, 1, 8, 9), np.float32), r"\(batch, 1, 8, 8\)"),
        (np.zeros((2, 1, 8), np.float32), r"must have shape \(batch, 1, 8, 8\)"),
        (np.zeros((2, 1, 8, 8), np.int64), "float32"),
    ],
)
def test_an_input_of_the_wrong_shape_or_type_says_what_was_expected(
    encoded, tmp_path, capsys, array, text
):
    np.save(tmp_path / "x.npy", array)
    code, _, err = run(
        capsys, "run", encoded, "--input", tmp_path / "x.npy", "-o", tmp_path / "o.npz"
    )
    assert code == 1
    assert "input" in err
    assert re.search(text, err)
    assert not (tmp_path / "o.npz").exists()


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        (
            {"x": np.zeros((2, 1, 8, 8), np.float32)},
            "has no array y (labels); it holds x: write it with numpy.savez(FILE, x=..., y=...)",
        ),
        ({"y": np.zeros(2, np.int64)}, "has no array x"),
    ],
)
def test_data_that_lacks_an_array_is_named(encoded, tmp_path, capsys, arrays, text):
    np.savez(tmp_path / "d.npz", **arrays)
    code, _, err = run(capsys, "evaluate", encoded, "--data", tmp_path / "d.npz")
    assert code == 1
    assert text in err


def test_a_pickle_is_refused_unread(encoded, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.array([object()], dtype=object), allow_pickle=True)
    code, _, err = run(capsys, "run", encoded, "--input", tmp_path / "x.npy", "-o", tmp_path / "o")
    assert code == 1
    assert "not a NumPy file (.npy or .npz) of plain arrays" in err


def test_the_demo_runs_and_shows_the_three_models(capsys):
    code, out, _ = run(capsys, "demo")
    assert code == 0
    for text in ("this file", "4 float members", "4 members from the file", "AUROC MI", "good"):
        assert text in out


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_an_interrupted_encode_leaves_no_half_file(tmp_path):
    path = tmp_path / "f.eens"
    path.write_bytes(b"old")
    code = (
        "import os, signal, sys, time, edgeens.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in background has none
        "def slow(fd):\n"
        "    print('writing', flush=True)\n"
        "    while True: time.sleep(0.01)\n"
        "os.fsync = slow\n"
        "sys.exit(edgeens.cli.main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "encode", *MEMBERS, "-o", str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "writing\n"
    assert len(os.listdir(tmp_path)) == 2  # the temporary file is there ...
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "interrupted" in err
    assert os.listdir(tmp_path) == ["f.eens"]  # ... and gone
    assert path.read_bytes() == b"old"


def test_help_tells_every_command(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in ("encode", "inspect", "verify", "decode", "run", "evaluate", "demo"):
        assert command in out
        assert run(capsys, command, "--help")[0] == 0
