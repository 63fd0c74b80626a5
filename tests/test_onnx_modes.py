"""Every mode gives the same predictions, shares and frees memory, and says why it was chosen."""

from __future__ import annotations

import gc
import os
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgeens.decoder import Container
from edgeens.encoder import encode
from edgeens.errors import DataError, FormatError
from edgeens.onnx import engine, modes, opening
from edgeens.onnx.forms import codes_name, with_codes
from edgeens.onnx.loaded import coded_inputs
from edgeens.onnx.members import load_members
from edgeens.onnx.memory import available_bytes
from edgeens.onnx.modes import choose_mode, codes_bytes, member_bytes, values_bytes
from edgeens.onnx.session import Session
from tests import onnx_graphs as graphs

MEMBERS = 3
MODES = ("resident", "compact", "streaming")
CONSTANTS = dict.fromkeys(
    ["quantised", "dynamically quantised", "quantised resize"], "weights as constants"
)
UNFIT = {
    "compact": {
        **CONSTANTS,
        "opset 11": "opset 13 or newer, but this one has opset 11",
        **dict.fromkeys(["float16", "double", "bfloat16"], "no tensor of the file has codes"),
    },
    "streaming": CONSTANTS,
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modes")
    paths = graphs.save([graphs.cnn(seed) for seed in range(MEMBERS)], folder)
    encode(paths, folder / "cnn.eens")
    return folder / "cnn.eens"


@pytest.fixture(scope="module")
def feeds():
    return graphs.random_inputs(graphs.cnn(0), rows=4)


def outputs(path, feeds, *, optimize=False, **options):
    with Session(path, optimize=optimize, **options) as session:
        return session.predict_members(feeds)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_gives_bit_for_bit_the_same(file, feeds, mode):
    expected = outputs(file, feeds, mode="resident")
    found = outputs(file, feeds, mode=mode, threads=2)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("kind", graphs.KINDS)
def test_repacked_weights_give_the_same_but_for_the_order_of_sums(tmp_path, kind):
    models = [graphs.KINDS[kind](seed) for seed in range(MEMBERS)]
    data = graphs.contain(load_members(graphs.save(models, tmp_path)))
    inputs = graphs.random_inputs(models[0])
    expected = outputs(Container.from_bytes(data), inputs, mode="resident")
    found = outputs(Container.from_bytes(data), inputs, mode="resident", optimize=True)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)


def test_small_members_are_repacked_unless_the_caller_says_otherwise(file, monkeypatch):
    def repacked(**options):
        with Session(file, **options) as session:
            return not session._members._feeds[0]

    assert repacked(mode="resident")
    assert repacked()
    assert not repacked(optimize=False)
    assert not repacked(mode="compact")
    assert not repacked(mode="streaming")
    with Container.open(file) as container:
        weights, needed = member_bytes(container), (MEMBERS + 4) * member_bytes(container)
    monkeypatch.setattr(opening, "available_bytes", lambda: needed)
    assert repacked(mode="resident")
    monkeypatch.setattr(opening, "available_bytes", lambda: needed - 1)
    assert not repacked(mode="resident")
    monkeypatch.setattr(opening, "available_bytes", lambda: None)
    monkeypatch.setattr(modes, "_SMALL_MEMBER", weights)
    assert repacked()
    monkeypatch.setattr(modes, "_SMALL_MEMBER", weights - 1)
    assert not repacked()
    assert repacked(optimize=True)


def test_sessions_share_what_was_repacked_only_if_they_run_alike(file):
    options = [{}, {"threads": 2}, {"threads": 2 * MEMBERS}, {"optimize": False}]
    opened = [Session(file, **each) for each in options]
    kept = [session._members._kept for session in opened]
    assert kept[0] is kept[1]  # a thread a member in both
    assert len({id(each) for each in kept}) == 3
    for session in opened:
        session.close()


def test_an_onnx_runtime_that_nobody_tested_keeps_its_constants(file, feeds, monkeypatch):
    def constants(session):
        return [values for _, values in session._members._kept.members]

    with Session(file, optimize=True) as session:
        assert constants(session) == [{}] * MEMBERS  # tests above fail if it does not copy them
        expected = session.predict_members(feeds)
    monkeypatch.setattr(engine, "_COPIES_CONSTANTS", (1, 19))
    with Session(file, optimize=True) as session:
        kept = constants(session)
        places = {value.data_ptr() for member in kept for value in member.values()}
        assert len(kept) == MEMBERS
        assert len(places) == MEMBERS * len(kept[0])
        for name, array in session.predict_members(feeds).items():
            np.testing.assert_array_equal(array, expected[name])
    for unknown in ("none", "2.0.1", "1.19.2"):
        monkeypatch.setattr(engine, "_COPIES_CONSTANTS", (1, 31))
        monkeypatch.setattr("onnxruntime.__version__", unknown)
        with Session(file, optimize=True) as session:
            assert all(constants(session))


@pytest.mark.parametrize("kind", graphs.KINDS)
@pytest.mark.parametrize("mode", ["compact", "streaming"])
def test_a_mode_runs_a_graph_or_says_why_not(tmp_path, kind, mode):
    models = [graphs.KINDS[kind](seed) for seed in range(MEMBERS)]
    container = Container.from_bytes(graphs.contain(load_members(graphs.save(models, tmp_path))))
    inputs = graphs.random_inputs(models[0])
    with Session(container, mode="resident", optimize=False) as session:
        expected = session.predict_members(inputs)
    if kind in UNFIT[mode]:
        with pytest.raises(DataError, match=UNFIT[mode][kind]):
            Session(container, mode=mode)
        return
    with Session(container, mode=mode) as session:
        for name, array in session.predict_members(inputs).items():
            np.testing.assert_array_equal(array, expected[name])


def test_members_come_in_any_order_and_from_many_threads_when_they_stream(file, feeds):
    expected = outputs(file, feeds, mode="resident")
    with Session(file, mode="streaming") as session, ThreadPoolExecutor(4) as pool:
        for found in pool.map(session.predict_members, [feeds] * 8):
            for name, array in expected.items():
                np.testing.assert_array_equal(found[name], array)


def test_sessions_on_one_file_share_the_decoded_weights_until_the_last_closes(file):
    first, second = Session(file, mode="resident"), Session(file, mode="resident")
    kept = weakref.ref(first._members._kept)
    assert second._members._kept is first._members._kept
    first.close()
    gc.collect()
    assert kept() is not None
    second.close()
    gc.collect()
    assert kept() is None


def test_sessions_on_a_replaced_file_do_not_share(file, tmp_path):
    path = tmp_path / "replaced.eens"
    shutil.copy(file, path)
    with Session(path, mode="resident") as first:
        other = tmp_path / "new.eens"
        shutil.copy(file, other)
        os.replace(other, path)
        with Session(path, mode="resident") as second:
            assert second._members._kept is not first._members._kept


def test_a_session_that_streams_goes_on_with_the_file_it_opened(file, feeds, tmp_path):
    path = tmp_path / "replaced.eens"
    shutil.copy(file, path)
    expected = outputs(file, feeds, mode="resident")
    with Session(path, mode="streaming") as session:
        other = tmp_path / "new.eens"
        other.write_bytes(b"something else")
        os.replace(other, path)
        for name, array in session.predict_members(feeds).items():
            np.testing.assert_array_equal(array, expected[name])


def test_a_file_that_is_cut_off_while_it_streams_is_one_clear_error(file, feeds, tmp_path):
    path = tmp_path / "cut.eens"
    shutil.copy(file, path)
    with Session(path, mode="streaming") as session:
        os.truncate(path, 100)
        with pytest.raises(FormatError, match=r"cut\.eens: the file was cut off while it was open"):
            session.predict_members(feeds)


def test_bytes_that_change_while_a_file_streams_are_refused(file, feeds, tmp_path):
    path = tmp_path / "changed.eens"
    shutil.copy(file, path)
    with Session(path, mode="streaming") as session:
        data = bytearray(path.read_bytes())
        with Container.from_bytes(bytes(data)) as container:
            sections = sum(section.size + 20 for section in container.sections.values())
        data[len(data) - sections - 3] ^= 1  # the last block
        with open(path, "r+b") as changed:
            changed.write(data)
        with pytest.raises(FormatError, match="checksum"):
            session.predict_members(feeds)


def test_codes_are_inputs_of_one_byte(file):
    with Container.open(file) as container:
        graph = container.section("SKLF")
        coded = coded_inputs(container, graph)
        assert set(coded) == {info.name for info in container.tensors if info.bits}
        assert all(codes_name(name).encode() in with_codes(graph, coded) for name in coded)
        assert codes_bytes(container) < values_bytes(container) / 2  # it has many exact values


def test_a_damaged_graph_is_refused(file):
    with Container.open(file) as container:
        graph = container.section("SKLF")
        coded = coded_inputs(container, graph)
    with pytest.raises(FormatError, match="SKLF is not an ONNX model"):
        with_codes(graph[:-1], coded)


def test_auto_takes_the_first_mode_that_fits_half_of_the_memory(file):
    with Container.open(file) as container:
        values, codes = values_bytes(container), codes_bytes(container)
        assert choose_mode(container, None, optimize=False)[0] == "resident"
        mode, reason = choose_mode(container, 2 * values, optimize=False)
        assert (mode, "of weights fit" in reason) == ("resident", True)
        assert choose_mode(container, 2 * values - 1, optimize=False)[0] == "compact"
        assert choose_mode(container, 2 * codes, optimize=False)[0] == "compact"
        assert choose_mode(container, 2 * codes - 1, optimize=False)[0] == "streaming"
        assert choose_mode(container, 1, optimize=True)[0] == "resident"


def test_the_memory_of_the_kernel_and_of_the_control_group_are_read(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  900 kB\nMemAvailable:  400 kB\n")
    assert available_bytes(meminfo, tmp_path) == 400 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert available_bytes(meminfo, tmp_path) == 400 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    assert available_bytes(meminfo, tmp_path) == 4000
    assert available_bytes(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("provider", ["CUDAExecutionProvider", ("CUDAExecutionProvider", {})])
def test_a_provider_that_does_not_start_is_refused(file, monkeypatch, provider):
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: there)
    words = "'CUDAExecutionProvider' did not start, so that the model would run with CPUExec"
    with pytest.raises(DataError, match=words):
        Session(file, providers=[provider, "CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "fast"}, "the mode 'fast' is not one of auto, resident, compact, streaming"),
        ({"mode": "compact", "optimize": True}, "optimize is for mode resident, not compact"),
        ({"providers": ["FooExecutionProvider"]}, "has no provider 'FooExecutionProvider'; it has"),
    ],
)
def test_what_cannot_be_is_refused(file, options, message):
    with pytest.raises(DataError, match=message):
        Session(file, **options)
