"""What a model's output means is read from its graph, and the caller may know better."""

from __future__ import annotations

import pytest

from edgeens.errors import MembersError
from edgeens.onnx.members import load_members
from tests import onnx_graphs as graphs


def load(model, folder, **options):
    return load_members(graphs.save([model], folder), **options)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mlp", ("classification", "logits", "logits", -1)),
        ("cnn", ("classification", "p", "probabilities", 1)),
        ("segmentation", ("classification", "logits", "logits", 1)),
        ("resized", ("classification", "logits", "logits", 1)),
        ("multilabel", ("multilabel", "p", "probabilities", None)),
        ("regression", ("regression", "y", None, None)),
        ("two heads", ("classification", "features", "logits", -1)),
    ],
)
def test_the_task_is_read_from_the_last_operator(tmp_path, kind, expected):
    metadata = load(graphs.KINDS[kind](0), tmp_path).metadata
    keys = ("edgeens.task", "edgeens.output", "edgeens.output_kind", "edgeens.class_axis")
    assert tuple(metadata.get(key) for key in keys) == expected


@pytest.mark.parametrize(
    ("opset", "operator", "expected"),
    [
        (17, "LogSoftmax", ("classification", "logits", -1)),
        (17, "Softmax", ("classification", "probabilities", -1)),
        (11, "Softmax", ("classification", "probabilities", 1)),
        (17, "Softmax <axis = 1>", ("classification", "probabilities", 1)),
        (17, "Tanh", ("regression", None, None)),
        (17, "Identity", ("classification", "logits", -1)),
    ],
)
def test_an_activation_at_the_end_decides_the_task(tmp_path, opset, operator, expected):
    text = f"""net (float[N, 12] x) => (float[N, 5] y) {{
        l = MatMul (x, w)
        z = {operator} (l)
        y = Identity (z)
    }}"""
    model = graphs.build(text, graphs.normal(0, w=(12, 5)), opset=opset, ir=6)
    metadata = load(model, tmp_path).metadata
    keys = ("edgeens.task", "edgeens.output_kind", "edgeens.class_axis")
    assert tuple(metadata.get(key) for key in keys) == expected


def test_an_undeclared_output_shape_is_inferred(tmp_path):
    model = graphs.regression(0)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert load(model, tmp_path).metadata["edgeens.task"] == "regression"


def test_an_output_of_unknown_width_has_no_task_until_it_is_given(tmp_path):
    text = "net (float[N, C] x) => (float[N, C] y) { y = Add (x, b) }"
    model = graphs.build(text, graphs.normal(0, b=(1,)))
    assert "edgeens.task" not in load(model, tmp_path).metadata
    assert load(model, tmp_path, task="regression").metadata["edgeens.task"] == "regression"


def test_the_caller_knows_better(tmp_path):
    model = graphs.two_heads(0)
    metadata = load(model, tmp_path, output="p", task="classification", class_axis=1).metadata
    assert metadata["edgeens.output"] == "p"
    assert metadata["edgeens.output_kind"] == "probabilities"
    assert metadata["edgeens.class_axis"] == 1
    metadata = load(model, tmp_path, task="regression").metadata
    assert metadata["edgeens.task"] == "regression"
    assert "edgeens.class_axis" not in metadata


def test_the_origin_travels_without_paths(tmp_path):
    model = graphs.mlp(0)
    model.producer_name, model.producer_version = "trainer", "1.2"
    properties = {
        "labels": "cat, dog",
        "home": "see https://example.org/a/b and 1/2",
        "where": "from '/home/someone/x.py'",
        "windows": r"C:\Users\someone",
        "url": "file:///home/someone",
    }
    for key, value in properties.items():
        model.metadata_props.add(key=key, value=value)
    metadata = load(model, tmp_path).metadata
    assert metadata["onnx.producer"] == "trainer 1.2"
    assert set(metadata["onnx.metadata"]) == {"labels", "home"}
    model.metadata_props.add(key="long", value="x" * 5000)
    assert "onnx.metadata" not in load(model, tmp_path).metadata


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "ranking"}, "the task 'ranking' is not one of classification, multilabel, reg"),
        ({"output": "q"}, "the output 'q' does not exist; the model has features, p, label"),
        ({"output": "label"}, "the output 'label' is not a floating-point tensor"),
        ({"class_axis": 2}, "class axis 2 does not exist in the output 'features' of shape"),
        ({"class_axis": 0}, "class axis 0 does not exist"),
    ],
)
def test_a_task_that_the_model_cannot_have_is_refused(tmp_path, options, words):
    with pytest.raises(MembersError) as caught:
        load(graphs.two_heads(0), tmp_path, **options)
    assert words in str(caught.value)
