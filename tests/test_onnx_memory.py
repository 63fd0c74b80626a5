"""Long batches are run in pieces that fit the memory, and too little memory is one clear error."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from edgeens.decoder import Container
from edgeens.early_exit import EarlyExit
from edgeens.encoder import encode
from edgeens.errors import DataError, EdgeensError, NotEnoughMemoryError
from edgeens.onnx import opening, pieces
from edgeens.onnx.members import load_members
from edgeens.onnx.memory import _malloc_trim, free_swap_bytes, give_back_free
from edgeens.onnx.modes import check_room, codes_bytes, member_bytes, values_bytes
from edgeens.onnx.session import Session
from tests import onnx_graphs as graphs

MEMBERS = 3
ROWS = 7
MLP_ROW = 4 * (16 + 16 + 5)  # bytes: the results of Gemm, Relu and Gemm


def contained(kind, folder):
    models = [graphs.KINDS[kind](seed) for seed in range(MEMBERS)]
    return models, graphs.contain(load_members(graphs.save(models, folder)))


@pytest.fixture
def memory(monkeypatch):
    """Sets how much memory there seems to be; inputs of any size count as large."""
    monkeypatch.setattr(pieces, "_SMALL", 0)
    return lambda amount: monkeypatch.setattr(pieces, "available_bytes", lambda: amount)


def rows_run(opened, x):
    """The rows of every run of member 0, and its outputs."""
    run, rows = opened._members.run, []

    def watched(member, feeds):
        if member == 0:
            rows.append(len(next(iter(feeds.values()))))
        return run(member, feeds)

    opened._members.run = watched
    return rows, opened.predict_members(x)


def test_a_batch_is_cut_into_as_many_rows_as_fit_half_of_the_memory(tmp_path, memory):
    models, data = contained("mlp", tmp_path)
    x = graphs.random_inputs(models[0], rows=ROWS)
    for rows, expected in [(1, [1] * 7), (3, [3, 3, 1]), (6, [6, 1]), (7, [7])]:
        memory(2 * MLP_ROW * rows)
        with Session(Container.from_bytes(data)) as opened:
            assert rows_run(opened, x)[0] == expected
        memory(2 * MLP_ROW * rows * 2)  # two members run at a time
        with Session(Container.from_bytes(data), threads=2) as opened:
            assert rows_run(opened, x)[0] == expected


def test_a_row_too_large_for_the_memory_is_run_alone(tmp_path, memory):
    models, data = contained("mlp", tmp_path)
    memory(1)
    with Session(Container.from_bytes(data)) as opened:
        assert rows_run(opened, graphs.random_inputs(models[0], rows=2))[0] == [1, 1]


def test_small_batches_and_those_of_a_given_size_ask_for_no_memory(tmp_path, monkeypatch):
    models, data = contained("mlp", tmp_path)
    monkeypatch.setattr(pieces, "available_bytes", lambda: pytest.fail("asked"))
    x = graphs.random_inputs(models[0], rows=ROWS)
    with Session(Container.from_bytes(data)) as opened:
        assert rows_run(opened, x)[0] == [ROWS]
        monkeypatch.setattr(pieces, "_SMALL", 0)
        opened.predict(x, batch=4)


def test_a_closed_session_says_so_for_a_long_batch_too(tmp_path, memory):
    models, data = contained("mlp", tmp_path)
    opened = Session(Container.from_bytes(data))
    opened.close()
    memory(1)
    with pytest.raises(EdgeensError, match="the session is closed; open it again"):
        opened.predict(graphs.random_inputs(models[0], rows=ROWS))


@pytest.mark.parametrize("kind", graphs.KINDS)
@pytest.mark.parametrize("mode", ["resident", "compact", "streaming"])
def test_cutting_changes_nothing(tmp_path, memory, kind, mode):
    models, data = contained(kind, tmp_path)
    x = graphs.random_inputs(models[0], rows=4)
    try:
        opened = Session(Container.from_bytes(data), mode=mode)
    except DataError:
        return  # test_onnx_modes has the reasons
    with opened:
        memory(None)
        whole = opened.predict_members(x)
        memory(1)
        rows, cut = rows_run(opened, x)
        assert rows == ([4] if kind in ("branches", "lstm") else [1] * 4)
        for name, array in whole.items():
            # Scales that are found at run time come from all rows of a run.
            atol = 0.05 if kind == "dynamically quantised" else 1e-6
            np.testing.assert_allclose(cut[name], array, rtol=1e-5, atol=atol)


def test_an_early_exit_keeps_to_the_memory_too(tmp_path, memory):
    models, data = contained("mlp", tmp_path)
    x = graphs.random_inputs(models[0], rows=ROWS)
    rule = EarlyExit((1, 0, 2), (1.0, 1.0, 1.0), 0.0)
    memory(2 * MLP_ROW * 2)
    with Session(Container.from_bytes(data)) as opened:
        run, rows = opened._members.run, []
        opened._members.run = lambda member, feeds: (
            rows.append(len(feeds["x"])) or run(member, feeds)
        )
        opened.predict(x, early_exit=rule)
    assert rows == [2, 2, 2, 1] * MEMBERS


WIDTH = 2048  # of the layer below, 16.8 MB as float32


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Four members of one large layer."""
    folder = tmp_path_factory.mktemp("large")
    text = "net (float[N, 2048] x) => (float[N, 2048] y) { y = MatMul (x, w) }"
    levels = np.array([-0.5, 0.0, 0.5], np.float32)
    picked = [np.random.default_rng(seed).integers(0, 3, (WIDTH, WIDTH)) for seed in range(4)]
    paths = graphs.save([graphs.build(text, {"w": levels[each]}) for each in picked], folder)
    path = folder / "large.eens"
    path.write_bytes(graphs.contain(load_members(paths)))
    return path


RESIDENT = """
import re
import numpy as np
import onnxruntime
from edgeens.onnx.session import Session
def kilobytes(key):
    return int(re.search(key + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
before = kilobytes("VmRSS")
"""


def printed(code):
    result = subprocess.run(
        [sys.executable, "-c", RESIDENT + code], capture_output=True, text=True, check=True
    )
    return int(result.stdout) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what is resident")
def test_memory_does_not_grow_from_run_to_run(large):
    code = f"""
with Session({str(large)!r}, mode="compact") as session:
    for _ in range(8):
        session.predict_members(np.zeros((1, {WIDTH}), "f4"))
    print(kilobytes("VmHWM") - before)
"""
    layer = 4 * WIDTH**2  # one multiplied by its scales; codes are as large
    assert printed(code) <= 3 * layer + 20e6


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what is resident")
def test_most_memory_of_a_large_batch_is_given_back(tmp_path):
    path = tmp_path / "members.eens"
    path.write_bytes(contained("cnn", tmp_path)[1])
    code = f"""
with Session({str(path)!r}, mode="resident") as session:
    x = np.zeros((20_000, 3, 8, 8), "f4")
    session.predict_members(x[:1])
    before = kilobytes("VmRSS")
    session.predict_members(x, batch=len(x))
    print(kilobytes("VmRSS") - before)
"""
    assert printed(code) < 120e6  # 170 MB without; the part of the arena with the outputs stays


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what is resident")
@pytest.mark.parametrize(
    ("mode", "share", "members"),
    [("resident", 1.15, 4), ("compact", 0.4, 4), ("streaming", 1.3, 1)],
)
def test_a_mode_takes_no_more_memory_than_it_says(large, mode, members, share):
    code = f"""
with Session({str(large)!r}, mode={mode!r}) as session:
    session.predict_members(np.zeros((1, {WIDTH}), "f4"))
    print(kilobytes("VmHWM") - before)
"""
    weights = share * members * 4 * WIDTH**2
    assert weights / 2 < printed(code) <= weights + 20e6


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what is resident")
@pytest.mark.parametrize(("key", "more"), [("VmRSS", 0), ("VmHWM", 4)], ids=["then", "meanwhile"])
def test_repacked_weights_take_no_more_than_others_once_they_are_repacked(large, key, more):
    code = f"""
with Session({str(large)!r}, mode="resident", optimize=True) as session:
    session.predict_members(np.zeros((1, {WIDTH}), "f4"))
    print(kilobytes({key!r}) - before)
"""
    member = 4 * WIDTH**2
    assert 4 * member < printed(code) <= (1.15 * 4 + more) * member + 20e6


def test_a_c_library_without_trim_keeps_what_was_freed(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    _malloc_trim.cache_clear()
    assert _malloc_trim() is None
    give_back_free()
    _malloc_trim.cache_clear()


# Too little memory


def test_a_mode_whose_weights_cannot_fit_is_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = tmp_path / "members.eens"
    path.write_bytes(contained("cnn", tmp_path)[1])
    with Container.open(path) as container:
        sizes = {
            "resident": (values_bytes(container), "values, .*: use mode compact or streaming, or"),
            "compact": (codes_bytes(container), "codes, .*: use mode streaming, or"),
            "streaming": (member_bytes(container), "one member's values, .*: decode its tensors"),
        }
        for mode, (size, words) in sizes.items():
            check_room(container, mode, size)
            check_room(container, mode, None)
            with pytest.raises(NotEnoughMemoryError, match=f"mode {mode} needs 0.0 MB for {words}"):
                check_room(container, mode, size - 1)
    monkeypatch.setattr(opening, "available_bytes", lambda: 10)
    monkeypatch.setattr(opening, "free_swap_bytes", lambda: 20)
    with pytest.raises(NotEnoughMemoryError, match=r"mode streaming .* 0\.0 MB are available"):
        Session(path)
    monkeypatch.setattr(opening, "free_swap_bytes", lambda: 1 << 20)
    Session(path).close()


def test_free_swap_is_read_from_the_kernel(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemAvailable:  400 kB\nSwapFree:  7 kB\n")
    assert free_swap_bytes(meminfo) == 7 * 1024
    assert free_swap_bytes(tmp_path / "none") == 0


def test_decoding_without_memory_is_one_clear_error(tmp_path, monkeypatch):
    _, data = contained("mlp", tmp_path)

    def refuse(*arguments, **options):
        raise MemoryError("Unable to allocate 1. GiB")

    monkeypatch.setattr(Container, "decode", refuse)
    words = r"not enough memory for the weights in mode resident \(Unable to allocate 1\. GiB\)"
    with pytest.raises(NotEnoughMemoryError, match=words):
        Session(Container.from_bytes(data), mode="resident")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("optimize", [True, False])  # with ONNX Runtime's arena and without
def test_a_run_without_memory_is_one_clear_error(tmp_path, optimize):
    paths = graphs.save([graphs.cnn(seed) for seed in range(MEMBERS)], tmp_path)
    encode(paths, tmp_path / "cnn.eens")
    code = f"""
import re, resource
import numpy as np
from edgeens.onnx.session import Session
session = Session({str(tmp_path / "cnn.eens")!r}, mode="resident", optimize={optimize})
x = np.zeros((300_000, 3, 8, 8), "f4")
session.predict(x[:1])
status = open("/proc/self/status").read()
size = int(re.search(r"VmSize:\\s+(\\d+)", status)[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20),) * 2)
try:
    session.predict(x, batch=len(x))
except Exception as error:
    print(type(error).__name__, error)
session.predict(x[:1])
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    words = (
        "NotEnoughMemoryError not enough memory to run the model on so many rows: give a smaller"
    )
    assert re.match(words, result.stdout), result.stdout + result.stderr
