"""Decoded members are ordinary ONNX files that compute what the session does."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from edgeens.decoder import Container
from edgeens.errors import DataError
from edgeens.onnx import export
from edgeens.onnx.export import write_members
from edgeens.onnx.members import load_members
from edgeens.onnx.session import Session
from tests import onnx_graphs as graphs


def container_of(kind, folder, **options):
    models = [graphs.KINDS[kind](seed) for seed in range(2)]
    models[0].metadata_props.add(key="labels", value="cat, dog")
    ensemble = load_members(graphs.save(models, folder))
    return models, Container.from_bytes(graphs.contain(ensemble, **options))


def run(path, feeds):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


@pytest.mark.parametrize("limit", [None, 100], ids=["inside", "beside"])
@pytest.mark.parametrize("kind", ["cnn", "branches", "quantised", "bfloat16", "float16"])
def test_exported_members_compute_what_the_session_does(tmp_path, monkeypatch, kind, limit):
    if limit is not None:
        monkeypatch.setattr(export, "MOST_INSIDE", limit)
    models, container = container_of(kind, tmp_path)
    paths = write_members(container, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["member_0.onnx", "member_1.onnx"]
    beside = [f"{path.name}.data" for path in paths] if limit is not None else []
    written = sorted(path.name for path in paths[0].parent.iterdir())
    assert written == sorted([*beside, "member_0.onnx", "member_1.onnx"])
    feeds = graphs.random_inputs(models[0])
    with Session(container) as session:
        expected = session.predict_members(feeds)
    for member, path in enumerate(paths):
        onnx.checker.check_model(str(path), full_check=True)
        for found, name in zip(run(path, feeds), expected, strict=True):
            np.testing.assert_allclose(found, expected[name][member], rtol=1e-4, atol=1e-5)


def test_exact_values_come_back_bit_for_bit(tmp_path):
    models, container = container_of("mlp", tmp_path, exact=True)
    for model, path in zip(models, write_members(container, tmp_path / "out"), strict=True):
        written = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
        assert written.keys() == {"w1", "b1", "w2", "b2"}
        for tensor in model.graph.initializer:
            assert written[tensor.name].raw_data == tensor.raw_data


def test_what_the_model_said_about_itself_is_in_every_file(tmp_path):
    _, container = container_of("mlp", tmp_path)
    for path in write_members(container, tmp_path / "out"):
        properties = {item.key: item.value for item in onnx.load(path).metadata_props}
        assert properties == {"labels": "cat, dog"}


def test_an_older_file_stays_whole_until_the_new_one_is(tmp_path, monkeypatch):
    _, container = container_of("mlp", tmp_path)
    (path, _) = write_members(container, tmp_path / "out")
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        write_members(container, tmp_path / "out")
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 2


def test_a_container_without_a_graph_has_no_models(tmp_path):
    ensemble = load_members(graphs.save([graphs.mlp(0)], tmp_path))
    ensemble.skeletons.clear()
    container = Container.from_bytes(graphs.contain(ensemble))
    with pytest.raises(DataError, match="the file holds weights but no graph"):
        write_members(container, tmp_path / "out")
