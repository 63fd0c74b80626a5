"""One ordinary ONNX model says what a session says, in any ONNX Runtime, without edgeens."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from edgeens.cli import main
from edgeens.container.amend import with_last_section
from edgeens.decoder import Container
from edgeens.encoder import encode
from edgeens.errors import DataError
from edgeens.onnx.members import load_members
from edgeens.onnx.one_graph import write_one_graph
from edgeens.onnx.session import Session
from tests import onnx_graphs as graphs

MEMBERS = 3
CLASSIFIERS = ("mlp", "cnn", "segmentation", "loop", "constant nodes", "quantised")


def contain(kind, folder, **metadata):
    models = [graphs.KINDS[kind](seed) for seed in range(MEMBERS)]
    ensemble = load_members(graphs.save(models, folder))
    return models, Container.from_bytes(graphs.contain(ensemble, **metadata))


def run(path, feeds):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def assert_equal(found, prediction):
    for name, expected in {
        "mean_probs": prediction.mean,
        "member_probs": prediction.members,
        "predictive_entropy": prediction.predictive_entropy,
        "mutual_information": prediction.mutual_information,
        "disagreement": prediction.disagreement,
    }.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=2e-5, err_msg=name)


def classification(kind):
    axis = {"segmentation": 1}.get(kind, -1)
    return {"edgeens.task": "classification", "edgeens.class_axis": axis}


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_one_graph_says_what_a_session_says(tmp_path, kind):
    metadata = classification(kind) | {"edgeens.temperature": 1.5, "edgeens.classes": ["a", "b"]}
    models, container = contain(kind, tmp_path, **metadata)
    feeds = graphs.random_inputs(models[0])
    path = write_one_graph(container, tmp_path / "one.onnx")
    onnx.checker.check_model(str(path), full_check=True)
    with Session(container) as session:
        assert_equal(run(path, feeds), session.predict(feeds))
    notes = {item.key: item.value for item in onnx.load(str(path)).metadata_props}
    assert notes["edgeens.members"] == str(MEMBERS)
    assert notes["edgeens.classes"] == '["a", "b"]'


def test_int8_weights_are_the_codes_of_the_file(tmp_path):
    models, container = contain("cnn", tmp_path, **classification("cnn"))
    feeds = graphs.random_inputs(models[0])
    path = write_one_graph(container, tmp_path / "one.onnx", weights="int8")
    with Session(container) as session:
        assert_equal(run(path, feeds), session.predict(feeds))
    stored = {tensor.name: tensor for tensor in onnx.load(str(path)).graph.initializer}
    coded = [info for info in container.tensors if info.bits]
    assert coded
    for info in coded:
        for member in range(info.copies):
            codes = onnx.numpy_helper.to_array(stored[f"edgeens.codes/member_{member}/{info.name}"])
            np.testing.assert_array_equal(
                codes, container.decode(info.name, member=member, as_="int8")
            )


@pytest.mark.parametrize("grid", ["tensor", "channel"])
def test_inputs_of_matrices_of_codes_are_not_rounded(tmp_path, grid):
    """ONNX Runtime's MatMulNBits does so, and takes every matrix of codes that it recognises."""
    text = """net (float[N, 64] x) => (float[N, 10] logits) {
        a = Gemm (x, w1)
        h = Relu (a)
        logits = MatMul (h, w2)
    }"""
    model = graphs.build(text, graphs.normal(0, w1=(64, 128), w2=(128, 10)))
    encode(graphs.save([model], tmp_path), tmp_path / "f.eens", grid=grid)
    feeds = graphs.random_inputs(model)
    with Container.open(tmp_path / "f.eens") as container, Session(container) as session:
        path = write_one_graph(container, tmp_path / "one.onnx", weights="int8")
        found = run(path, feeds)["member_probs"]
        np.testing.assert_allclose(found, session.predict(feeds).members, atol=1e-6)


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_weights_beside_the_model_are_the_same_weights(tmp_path, weights):
    models, container = contain("cnn", tmp_path, **classification("cnn"))
    feeds = graphs.random_inputs(models[0])
    whole = run(write_one_graph(container, tmp_path / "one.onnx", weights=weights), feeds)
    path = write_one_graph(container, tmp_path / "two.onnx", weights=weights, external=True)
    onnx.checker.check_model(str(path), full_check=True)
    assert path.stat().st_size < (tmp_path / "two.onnx.data").stat().st_size
    for name, array in run(path, feeds).items():
        np.testing.assert_array_equal(array, whole[name])


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("kind", ["mlp", "cnn", "segmentation", "constant nodes"])
def test_a_slimmer_changes_neither_outputs_nor_codes(tmp_path, kind, weights):
    onnxslim = pytest.importorskip("onnxslim")
    models, container = contain(kind, tmp_path, **classification(kind))
    feeds = graphs.random_inputs(models[0])
    path = write_one_graph(container, tmp_path / "one.onnx", weights=weights)
    slim = tmp_path / "slim.onnx"
    onnxslim.slim(str(path), str(slim))
    onnx.checker.check_model(str(slim), full_check=True)
    expected = run(path, feeds)
    for name, found in run(slim, feeds).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert codes_of(slim) == codes_of(path)
    assert bool(codes_of(path)) == (weights == "int8")
    kept, made = ({i.key: i.value for i in onnx.load(p).metadata_props} for p in (slim, path))
    assert made.items() <= kept.items()


def codes_of(path):
    """The bytes of all int8 arrays of more than one element, sorted: names may change."""
    return sorted(
        onnx.numpy_helper.to_array(tensor).tobytes()
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims)
    )


def test_what_calibration_wrote_is_in_the_model(tmp_path):
    models, container = contain("mlp", tmp_path, **classification("mlp"))
    feeds = graphs.random_inputs(models[0])
    ensemble = load_members(graphs.save(models, tmp_path))
    data = graphs.contain(ensemble, **classification("mlp"))
    rule = {"order": [2, 0, 1], "temperatures": [3.0, 2.75, 2.5], "threshold": 0.01}
    payload = json.dumps({"edgeens.temperature": 2.5, "edgeens.early_exit": rule}).encode()
    sections = {kind: len(container.section(kind)) for kind in container.sections}
    calibrated = b"".join(with_last_section(data, sections, "CALI", payload))
    with Container.from_bytes(calibrated) as container:
        path = write_one_graph(container, tmp_path / "one.onnx")
        with Session(container) as session:
            assert session.temperature == 2.5
            assert_equal(run(path, feeds), session.predict(feeds))
    notes = {item.key: item.value for item in onnx.load(str(path)).metadata_props}
    assert notes["edgeens.temperature"] == "2.5"
    assert json.loads(notes["edgeens.early_exit"]) == rule


@pytest.mark.parametrize("name", ["o.txt", "model", "model.ONNX.gz"])
def test_an_ending_that_names_no_format_is_refused(tmp_path, capsys, name):
    with pytest.raises(SystemExit) as ended:
        main(["export", "f.eens", "-o", str(tmp_path / name)])
    assert ended.value.code == 2
    words = f"{tmp_path / name} ends neither in .onnx (ONNX) nor in .ort (ONNX Runtime's own"
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_ort_file_has_its_weights_inside(tmp_path, capsys):
    command = ["export", "f.eens", "-o", str(tmp_path / "f.ort"), "--external-data"]
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 2
    assert "an .ort file has its weights inside" in capsys.readouterr().err


def test_what_all_members_share_is_there_once(tmp_path):
    models = [graphs.mlp(seed) for seed in range(MEMBERS)]
    for model in models[1:]:
        graphs.initializer(model, "b1").CopyFrom(graphs.initializer(models[0], "b1"))
    ensemble = load_members(graphs.save(models, tmp_path))
    container = Container.from_bytes(graphs.contain(ensemble, **classification("mlp")))
    path = write_one_graph(container, tmp_path / "one.onnx")
    names = [tensor.name for tensor in onnx.load(str(path)).graph.initializer]
    assert names.count("b1") == 1
    assert sum(name.endswith("/w1") for name in names) == MEMBERS


def test_labels_and_regressions_have_outputs_of_their_own(tmp_path):
    models, container = contain("multilabel", tmp_path, **{"edgeens.task": "multilabel"})
    feeds = graphs.random_inputs(models[0])
    found = run(write_one_graph(container, tmp_path / "labels.onnx"), feeds)
    with Session(container) as session:
        assert_equal(found, session.predict(feeds))
    models, container = contain("regression", tmp_path, **{"edgeens.task": "regression"})
    feeds = graphs.random_inputs(models[0])
    found = run(write_one_graph(container, tmp_path / "numbers.onnx"), feeds)
    with Session(container) as session:
        prediction = session.predict(feeds)
    for name in ("mean", "members", "variance"):
        expected = getattr(prediction, name)
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)


def test_graphs_inside_the_graph_are_the_members_own(tmp_path):
    models, container = contain("branches", tmp_path, **{"edgeens.task": "regression"})
    feeds = graphs.random_inputs(models[0])
    found = run(write_one_graph(container, tmp_path / "one.onnx"), feeds)
    with Session(container) as session:
        np.testing.assert_allclose(
            found["members"], session.predict(feeds).members, rtol=1e-4, atol=1e-5
        )


def test_other_outputs_stay_by_member(tmp_path):
    models, container = contain("two heads", tmp_path, **{"edgeens.task": "classification"})
    feeds = graphs.random_inputs(models[0])
    found = run(write_one_graph(container, tmp_path / "one.onnx"), feeds)
    with Session(container) as session:
        others = session.predict(feeds).outputs
    assert others
    for name, expected in others.items():
        for member in range(MEMBERS):
            np.testing.assert_allclose(
                found[f"member_{member}/{name}"], expected[member], rtol=1e-4, atol=1e-5
            )


def test_the_command_writes_onnx_and_ort(tmp_path, capsys):
    models, container = contain("cnn", tmp_path, **classification("cnn"))
    feeds = graphs.random_inputs(models[0])
    file = tmp_path / "cnn.eens"
    ensemble = load_members(graphs.save(models, tmp_path))
    file.write_bytes(graphs.contain(ensemble, **classification("cnn")))
    assert main(["export", str(file), "-o", str(tmp_path / "a.onnx"), "--weights", "int8"]) == 0
    assert main(["export", str(file), "-o", str(tmp_path / "a.ort")]) == 0
    assert "a.ort" in capsys.readouterr().out
    with Session(container) as session:
        expected = session.predict(feeds)
    assert_equal(run(tmp_path / "a.onnx", feeds), expected)
    assert_equal(run(tmp_path / "a.ort", feeds), expected)


@pytest.mark.parametrize(
    ("kind", "metadata", "options", "message"),
    [
        ("cnn", {"edgeens.task": "ranking"}, {}, "does not say what its output means"),
        ("opset 11", {"edgeens.task": "classification"}, {}, "needs opset 13 or newer"),
        ("float16", {"edgeens.task": "classification"}, {"weights": "int8"}, "no codes"),
        (
            "cnn",
            {"edgeens.task": "classification", "edgeens.output": "nothing"},
            {},
            "no output 'nothing'",
        ),
    ],
)
def test_what_cannot_be_one_graph_is_refused(tmp_path, kind, metadata, options, message):
    _, container = contain(kind, tmp_path, **metadata)
    with pytest.raises(DataError, match=message):
        write_one_graph(container, tmp_path / "one.onnx", **options)
    assert not (tmp_path / "one.onnx").exists()
