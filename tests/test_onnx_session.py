"""A session gives what the decoded members give one by one, and says what its input should be."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from edgeens.decoder import Container
from edgeens.errors import DataError, EdgeensError, FormatError, MissingPackageError
from edgeens.onnx.members import load_members
from edgeens.onnx.session import Session
from edgeens.uncertainty import sigmoid, softmax
from tests import onnx_graphs as graphs

MEMBERS = 3


def ensemble_of(make, folder, **options):
    models = [make(seed) for seed in range(MEMBERS)]
    return models, load_members(graphs.save(models, folder), **options)


def exact_session(make, folder, *, metadata=None, options=None, **known):
    models, ensemble = ensemble_of(make, folder, **known)
    data = graphs.contain(ensemble, exact=True, **(metadata or {}))
    return models, Session(Container.from_bytes(data), **(options or {}))


def run_one_by_one(models, feeds):
    """Every member's outputs by name, each (K, ...), from plain ONNX Runtime sessions."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    outputs = []
    for model in models:
        plain = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        outputs.append(plain.run(None, feeds))
    names = [value.name for value in models[0].graph.output]
    return {name: np.stack([arrays[i] for arrays in outputs]) for i, name in enumerate(names)}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", graphs.KINDS)
def test_a_session_equals_the_members_run_one_by_one(tmp_path, kind, threads):
    models, session = exact_session(graphs.KINDS[kind], tmp_path, options={"threads": threads})
    feeds = graphs.random_inputs(models[0])
    expected = run_one_by_one(models, feeds)
    with session:
        assert session.members == MEMBERS
        assert session.input_names == list(feeds)
        assert session.output_names == list(expected)
        found = session.predict_members(feeds)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["cnn", "quantised", "bfloat16"])
def test_codes_are_decoded_as_the_container_does(tmp_path, kind):
    _, ensemble = ensemble_of(graphs.KINDS[kind], tmp_path)
    container = Container.from_bytes(graphs.contain(ensemble))
    decoded = tuple(
        replace(tensor, values=container.decode(tensor.name).reshape(tensor.values.shape))
        for tensor in ensemble.tensors
    )
    feeds = graphs.random_inputs(graphs.KINDS[kind](0))
    exact = Container.from_bytes(graphs.contain(replace(ensemble, tensors=decoded), exact=True))
    with Session(container) as session, Session(exact) as reference:
        for name, array in session.predict_members(feeds).items():
            np.testing.assert_array_equal(array, reference.predict_members(feeds)[name])


def test_logits_become_probabilities(tmp_path):
    models, session = exact_session(graphs.mlp, tmp_path)
    feeds = graphs.random_inputs(models[0])
    with session:
        prediction = session.predict(feeds["x"])
    expected = softmax(run_one_by_one(models, feeds)["logits"])
    assert prediction.task == session.task == "classification"
    np.testing.assert_allclose(prediction.members, expected, atol=1e-5)
    np.testing.assert_allclose(prediction.mean, expected.mean(axis=0), atol=1e-5)
    assert prediction.mutual_information.shape == (3,)


def test_probabilities_stay_probabilities(tmp_path):
    models, session = exact_session(graphs.cnn, tmp_path)
    feeds = graphs.random_inputs(models[0])
    with session:
        members = session.predict(feeds).members
    np.testing.assert_allclose(members, run_one_by_one(models, feeds)["p"], atol=1e-5)


def test_a_temperature_divides_logits_only(tmp_path):
    cold = {"metadata": {"edgeens.temperature": 2.5}}
    models, session = exact_session(graphs.mlp, tmp_path, **cold)
    feeds = graphs.random_inputs(models[0])
    with session:
        expected = softmax(run_one_by_one(models, feeds)["logits"] / 2.5)
        np.testing.assert_allclose(session.predict(feeds).members, expected, atol=1e-5)
    models, session = exact_session(graphs.cnn, tmp_path, **cold)
    feeds = graphs.random_inputs(models[0])
    with session:
        expected = run_one_by_one(models, feeds)["p"]
        np.testing.assert_allclose(session.predict(feeds).members, expected, atol=1e-5)


def test_segmentation_has_its_classes_on_axis_1(tmp_path):
    models, session = exact_session(graphs.segmentation, tmp_path)
    with session:
        prediction = session.predict(graphs.random_inputs(models[0]))
    assert prediction.mean.shape == (3, 4, 12, 12)
    assert prediction.predictive_entropy.shape == (3, 12, 12)
    np.testing.assert_allclose(prediction.mean.sum(axis=1), 1, atol=1e-5)


def test_the_caller_may_move_the_class_axis(tmp_path):
    models, session = exact_session(graphs.segmentation, tmp_path, options={"class_axis": -1})
    with session:
        prediction = session.predict(graphs.random_inputs(models[0]))
    assert prediction.predictive_entropy.shape == (3, 4, 12)


def test_multilabel_and_regression_have_their_own_figures(tmp_path):
    models, session = exact_session(graphs.multilabel, tmp_path)
    with session:
        prediction = session.predict(graphs.random_inputs(models[0]))
    assert prediction.task == "multilabel"
    assert prediction.mutual_information.shape == (3, 6)
    models, session = exact_session(graphs.regression, tmp_path)
    with session:
        prediction = session.predict(graphs.random_inputs(models[0]))
    assert prediction.task == "regression"
    assert prediction.variance.shape == (3, 1)


def test_multilabel_logits_go_through_the_sigmoid(tmp_path):
    models, session = exact_session(graphs.mlp, tmp_path, options={"task": "multilabel"})
    feeds = graphs.random_inputs(models[0])
    with session:
        members = session.predict(feeds).members
    np.testing.assert_allclose(members, sigmoid(run_one_by_one(models, feeds)["logits"]), atol=1e-5)


def test_other_outputs_come_along(tmp_path):
    models, session = exact_session(graphs.two_heads, tmp_path, output="p")
    feeds = graphs.random_inputs(models[0])
    with session:
        prediction = session.predict(feeds)
    assert prediction.members.shape == (MEMBERS, 3, 3)
    assert set(prediction.outputs) == {"features", "label"}
    assert prediction.outputs["label"].dtype == np.int64
    assert prediction.outputs["features"].shape == (MEMBERS, 3, 8)


@pytest.mark.parametrize("kind", ["cnn", "quantised"])
def test_batches_change_nothing(tmp_path, kind):
    models, session = exact_session(graphs.KINDS[kind], tmp_path)
    feeds = graphs.random_inputs(models[0], rows=7)
    with session:
        whole = session.predict(feeds)
        for batch in (1, 3, 7, 100):
            parts = session.predict(feeds, batch=batch)
            np.testing.assert_allclose(parts.members, whole.members, atol=1e-6)


def test_a_model_for_one_size_of_batch_takes_multiples_of_it(tmp_path):
    def fixed(seed):
        model = graphs.mlp(seed)
        for value in (model.graph.input[0], model.graph.output[0]):
            value.type.tensor_type.shape.dim[0].dim_value = 2
        return model

    _, session = exact_session(fixed, tmp_path)
    free, reference = exact_session(graphs.mlp, tmp_path)
    x = graphs.random_inputs(free[0], rows=6)["x"]
    with session, reference:
        expected = reference.predict(x).mean
        np.testing.assert_allclose(session.predict(x).mean, expected, atol=1e-6)
        np.testing.assert_allclose(session.predict(x[:2]).mean, expected[:2], atol=1e-6)
        with pytest.raises(
            DataError, match="takes 2 rows at a time, so the rows of input 'x' must"
        ):
            session.predict(x[:5])


@pytest.mark.parametrize("kind", ["cnn", "quantised"])
def test_weights_live_as_long_as_the_session(tmp_path, kind):
    models, ensemble = ensemble_of(graphs.KINDS[kind], tmp_path)
    path = tmp_path / "members.eens"
    path.write_bytes(graphs.contain(ensemble, exact=True))
    feeds = graphs.random_inputs(models[0])
    with Session(path) as session:
        path.unlink()
        before = session.predict(feeds).members
        gc.collect()
        scratch = [np.full(100_000, np.nan, np.float32) for _ in range(100)]
        np.testing.assert_array_equal(session.predict(feeds).members, before)
        del scratch


def test_a_session_may_be_used_by_many_threads(tmp_path):
    models, session = exact_session(graphs.cnn, tmp_path, options={"threads": 2})
    inputs = [graphs.random_inputs(models[0], seed) for seed in range(20)]
    with session, ThreadPoolExecutor(4) as pool:
        expected = [session.predict(feeds).members for feeds in inputs]
        for found, alone in zip(pool.map(session.predict, inputs), expected, strict=True):
            np.testing.assert_array_equal(found.members, alone)


def test_a_member_uses_its_own_weights_only(tmp_path):
    models, session = exact_session(graphs.mlp, tmp_path, options={"optimize": False})
    feeds = graphs.random_inputs(models[0])
    with session:
        before = session.predict_members(feeds)["logits"]
        weights = session._members._feeds
        assert weights[0]["b2"] is not weights[1]["b2"]
        weights[1]["b2"].update_inplace(np.zeros(5, np.float32))
        after = session.predict_members(feeds)["logits"]
    changed = [not np.array_equal(before[k], after[k]) for k in range(MEMBERS)]
    assert changed == [False, True, False]


def test_a_shared_tensor_is_in_memory_once(tmp_path):
    models = [graphs.mlp(seed) for seed in range(MEMBERS)]
    for model in models[1:]:
        graphs.initializer(model, "b1").CopyFrom(graphs.initializer(models[0], "b1"))
    ensemble = load_members(graphs.save(models, tmp_path))
    with Session(Container.from_bytes(graphs.contain(ensemble)), optimize=False) as session:
        places = [
            {name: value.data_ptr() for name, value in member.items()}
            for member in session._members._feeds
        ]
        assert places[0]["b1"] == places[2]["b1"]
        assert places[0]["w1"] != places[2]["w1"]


# Refusals


@pytest.fixture
def session(tmp_path):
    with exact_session(graphs.cnn, tmp_path)[1] as opened:
        yield opened


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (
            np.zeros((1, 3, 8, 8)),
            "input 'x' must be float32, but is float64; convert it with astype(",
        ),
        (np.zeros((3, 8, 8), "f4"), "'x' must have shape (N, 3, 8, 8), but has shape (3, 8, 8)"),
        (np.zeros((1, 8, 8, 3), "f4"), "must have shape (N, 3, 8, 8), but has shape (1, 8, 8, 3)"),
        (np.zeros((0, 3, 8, 8), "f4"), "is empty: it has shape (0, 3, 8, 8)"),
        ({"y": np.zeros(1)}, "the input 'x' is missing; the model takes x, but was given y"),
        (
            {"x": np.zeros(1), "z": np.zeros(1)},
            "the input 'z' does not exist; the model takes x, but was given x, z",
        ),
    ],
)
def test_an_input_that_does_not_fit_is_refused(session, x, words):
    with pytest.raises(DataError, match=re.escape(words)):
        session.predict(x)


def test_several_inputs_need_names_and_one_length_to_be_cut(tmp_path):
    models, session = exact_session(graphs.two_heads, tmp_path)
    feeds = graphs.random_inputs(models[0])
    with session:
        with pytest.raises(DataError, match=r"has 2 inputs \(left, right\): give arrays by name"):
            session.predict(feeds["left"])
        feeds["right"] = feeds["right"][:1]
        with pytest.raises(DataError, match=r"one common length .* \(left: 3, right: 1\)"):
            session.predict(feeds, batch=2)


def test_an_output_without_batch_axis_cannot_be_cut(tmp_path):
    models, session = exact_session(graphs.branches, tmp_path)
    feeds = graphs.random_inputs(models[0])
    with session:
        assert session.predict(feeds, batch=3).outputs["z"].shape == (MEMBERS, 8)
        with pytest.raises(DataError, match="the output 'z' has no batch axis"):
            session.predict(feeds, batch=2)
        with pytest.raises(DataError, match="a batch has at least 1 row, not 0"):
            session.predict(feeds, batch=0)


def test_the_runtime_s_own_refusal_is_passed_on(tmp_path):
    models, session = exact_session(graphs.two_heads, tmp_path)
    feeds = graphs.random_inputs(models[0])
    feeds["right"] = feeds["right"][:2]
    with session, pytest.raises(DataError, match=r"^ONNX Runtime cannot run the model: .*Add"):
        session.predict(feeds)


def test_an_unknown_task_has_to_be_given(tmp_path):
    text = "net (float[N, C] x) => (float[N, C] y) { y = Add (x, b) }"
    _, session = exact_session(lambda s: graphs.build(text, graphs.normal(s, b=(1,))), tmp_path)
    with session:
        assert session.task is None
        assert session.predict_members(np.ones((2, 5), np.float32))["y"].shape == (MEMBERS, 2, 5)
        with pytest.raises(DataError, match="does not say what its output means: give the session"):
            session.predict(np.ones((2, 5), np.float32))


@pytest.mark.parametrize(
    ("metadata", "options", "words"),
    [
        ({}, {"task": "ranking"}, "the task 'ranking' is not one of classification, multilabel"),
        ({}, {"class_axis": 0}, "class axis 0 is not an axis behind the batch axis 0"),
        ({}, {"threads": 0}, "a session has at least 1 thread, not 0"),
        (
            {"edgeens.output": "q"},
            {},
            "the file speaks of the output 'q', but the graph has logits",
        ),
        ({"edgeens.temperature": 0}, {}, "the temperature 0 is not a positive number"),
        ({"edgeens.temperature": "hot"}, {}, "the temperature 'hot' is not a positive number"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(tmp_path, metadata, options, words):
    with pytest.raises(DataError, match=re.escape(words)):
        exact_session(graphs.mlp, tmp_path, metadata=metadata, options=options)


def test_a_container_without_a_graph_cannot_run(tmp_path):
    _, ensemble = ensemble_of(graphs.mlp, tmp_path)
    data = graphs.contain(replace(ensemble, skeletons={}))
    with pytest.raises(DataError, match="the file holds weights but no graph"):
        Session(Container.from_bytes(data))


def test_a_graph_that_does_not_fit_its_tensors_is_refused(tmp_path):
    _, ensemble = ensemble_of(graphs.mlp, tmp_path)
    other = ensemble_of(graphs.cnn, tmp_path)[1]
    data = graphs.contain(replace(ensemble, skeletons=other.skeletons))
    with pytest.raises(FormatError, match="the section SKLF has no graph input 'b1' of float32"):
        Session(Container.from_bytes(data))
    data = graphs.contain(replace(ensemble, skeletons={"SKLF": b"no graph"}))
    with pytest.raises(FormatError, match="the section SKLF is not an ONNX model; encode the file"):
        Session(Container.from_bytes(data))
    unknown = onnx.ModelProto.FromString(ensemble.skeletons["SKLF"])
    unknown.graph.node[0].op_type = "Guess"
    skeletons = {"SKLF": unknown.SerializeToString()}
    data = graphs.contain(replace(ensemble, skeletons=skeletons))
    with pytest.raises(DataError, match=r"^ONNX Runtime [0-9.]+ cannot load the model: "):
        Session(Container.from_bytes(data))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_closed_session_says_so(tmp_path, threads):
    models, session = exact_session(graphs.mlp, tmp_path, options={"threads": threads})
    session.close()
    session.close()
    with pytest.raises(EdgeensError, match="the session is closed; open it again"):
        session.predict(graphs.random_inputs(models[0]))


def test_the_missing_runtime_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        MissingPackageError, match=r"needs the package onnxruntime.* not for 32-bit ARM"
    ):
        exact_session(graphs.mlp, tmp_path)


def test_a_session_runs_without_the_package_onnx(tmp_path):
    _, ensemble = ensemble_of(graphs.mlp, tmp_path)
    path = tmp_path / "members.eens"
    path.write_bytes(graphs.contain(ensemble))
    code = f"""
import sys
sys.modules["onnx"] = None
import numpy
from edgeens.onnx.session import Session
print(Session({str(path)!r}).predict(numpy.ones((2, 12), "f4")).mean.shape)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "(2, 5)\n"
