"""ONNX files become one ensemble: which tensors leave the graph, and what is known of them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeens.onnx.members import load_members
from tests import onnx_graphs as graphs


def load(models, folder, **options):
    return load_members(graphs.save(models, folder), **options)


def tensors(ensemble):
    return {tensor.name: tensor for tensor in ensemble.tensors}


def two(make=graphs.mlp):
    return [make(0), make(1)]


def skeleton(ensemble):
    (graph,) = ensemble.skeletons.values()
    return onnx.ModelProto.FromString(graph)


# What is taken out, and how


def test_every_member_keeps_its_own_values(tmp_path):
    models = [graphs.mlp(seed) for seed in range(3)]
    found = tensors(load(models, tmp_path))
    assert set(found) == {"w1", "b1", "w2", "b2"}
    for member, model in enumerate(models):
        for name, tensor in found.items():
            expected = numpy_helper.to_array(graphs.initializer(model, name))
            np.testing.assert_array_equal(tensor.values[member], expected)


@pytest.mark.parametrize(
    ("kind", "axes"),
    [
        ("mlp", {"w1": 0, "w2": 1}),
        ("cnn", {"conv_w": 0, "fc_w": 0}),
        ("segmentation", {"w1": 0, "w2": 1, "w3": None, "w4": 0}),
        ("lstm", {"w": 1, "r": 1}),
        ("embedding", {"table": 0}),
        ("branches", {"w": 1, "w_1": 1}),
        ("loop", {"w": 1}),
        ("constant nodes", {"w1": 0, "w2": 1}),
        ("quantised", {"out": 1}),
        ("dynamically quantised", {}),
        ("float16", {"w": 1}),
        ("double", {"w": 1}),
        ("bfloat16", {"w": 1}),
        ("two heads", {"w": 1}),
        ("resized", {"w": 0}),
    ],
)
def test_weights_are_quantised_and_nothing_else(tmp_path, kind, axes):
    ensemble = load(two(graphs.KINDS[kind]), tmp_path)
    assert {t.name: t.channel_axis for t in ensemble.tensors if t.quantise} == axes
    assert all(t.channel_axis is None for t in ensemble.tensors if not t.quantise)


def test_a_weight_on_the_left_counts_channels_along_its_rows(tmp_path):
    text = """net (float[9, N] x) => (float[8, N] y) {
        a = MatMul (w1, x)
        b = Gemm (w2, a)
        y = Gemm <transA = 1> (w3, b)
    }"""
    shapes = {"w1": (8, 9), "w2": (10, 8), "w3": (10, 8)}
    models = [graphs.build(text, graphs.normal(seed, **shapes)) for seed in (0, 1)]
    found = tensors(load(models, tmp_path))
    assert {name: found[name].channel_axis for name in shapes} == {"w1": 0, "w2": 0, "w3": 1}


def test_a_weight_used_along_two_axes_has_no_channel_axis(tmp_path):
    text = """net (float[N, 9] x) => (float[N, 9] y) {
        a = MatMul (x, w)
        y = Gemm <transB = 1> (a, w)
    }"""
    models = [graphs.build(text, graphs.normal(seed, w=(9, 9))) for seed in (0, 1)]
    (weight,) = load(models, tmp_path).tensors
    assert weight.quantise
    assert weight.channel_axis is None


def test_excluded_weights_are_kept_exactly(tmp_path):
    models = two(graphs.cnn)
    assert tensors(load(models, tmp_path))["fc_w"].quantise
    found = tensors(load(models, tmp_path, exclude=["fc_?"]))
    assert not found["fc_w"].quantise
    assert found["conv_w"].quantise


def test_63_elements_are_no_weight_and_64_are(tmp_path):
    def matmul(seed, rows, columns):
        text = f"net (float[N, {rows}] x) => (float[N, {columns}] y) {{ y = MatMul (x, w) }}"
        return graphs.build(text, graphs.normal(seed, w=(rows, columns)))

    for rows, columns, weight in [(7, 9, False), (8, 8, True)]:
        models = [matmul(seed, rows, columns) for seed in (0, 1)]
        assert load(models, tmp_path).tensors[0].quantise is weight


def test_a_vector_is_no_weight(tmp_path):
    text = "net (float[N, 70] x) => (float[N] y) { y = MatMul (x, w) }"
    models = [graphs.build(text, graphs.normal(seed, w=(70,))) for seed in (0, 1)]
    assert not load(models, tmp_path).tensors[0].quantise


def test_a_tensor_that_all_members_share_is_held_once(tmp_path):
    models = two()
    graphs.initializer(models[1], "b1").CopyFrom(graphs.initializer(models[0], "b1"))
    found = tensors(load(models, tmp_path))
    assert found["b1"].values.shape == (1, 16)
    assert found["w1"].values.shape == (2, 16, 12)


def test_zero_and_minus_zero_are_different_values(tmp_path):
    models = two()
    graphs.replace_values(models[0], "b1", np.zeros(16, np.float32))
    graphs.replace_values(models[1], "b1", -np.zeros(16, np.float32))
    assert tensors(load(models, tmp_path))["b1"].copies == 2


def test_two_tensors_of_equal_content_stay_two(tmp_path):
    models = two()
    for model in models:
        graphs.replace_values(model, "b1", np.ones(16, np.float32))
        text = "net (float[N, 16] x) => (float[N, 16] z) { z = Add (x, extra) }"
        extra = graphs.build(text, {"extra": np.ones(16, np.float32)})
        extra.graph.node[0].input[0] = "h"
        model.graph.node.append(extra.graph.node[0])
        model.graph.output.append(extra.graph.output[0])
        model.graph.initializer.append(extra.graph.initializer[0])
    found = tensors(load(models, tmp_path))
    assert found["b1"].copies == found["extra"].copies == 1


def test_one_file_is_an_ensemble_of_one(tmp_path):
    ensemble = load([graphs.mlp(0)], tmp_path)
    assert ensemble.members == 1
    assert {tensor.copies for tensor in ensemble.tensors} == {1}
    assert set(tensors(ensemble)) == {"w1", "b1", "w2", "b2"}


def test_small_integers_and_scalars_that_members_share_stay_in_the_graph(tmp_path):
    ensemble = load(two(graphs.branches), tmp_path)
    assert "zero" not in tensors(ensemble)
    assert [tensor.name for tensor in skeleton(ensemble).graph.initializer] == ["zero"]
    conditional = next(n for n in skeleton(ensemble).graph.node if n.op_type == "If")
    kept = {a.name: [t.name for t in a.g.initializer] for a in conditional.attribute}
    assert kept == {"then_branch": [], "else_branch": ["shape"]}


def test_integers_that_differ_or_are_long_leave_the_graph_exactly(tmp_path):
    text = """net (float[N, 12] x) => (float[N, 4] y, float[N, 70] z) {
        y = Gather <axis = 1> (x, short)
        z = Gather <axis = 1> (x, long)
    }"""
    models = [
        graphs.build(text, {"short": np.arange(4) + seed, "long": np.arange(70) % 12})
        for seed in (0, 1)
    ]
    found = tensors(load(models, tmp_path))
    assert (found["short"].dtype, found["short"].copies) == ("int64", 2)
    assert (found["long"].dtype, found["long"].copies) == ("int64", 1)
    assert not found["short"].quantise


def test_bfloat16_is_held_as_bit_patterns(tmp_path):
    weight = tensors(load([graphs.bfloat16(0)], tmp_path))["w"]
    exact = graphs.normal(0, w=(12, 6), b=(6,))["w"]
    widened = (weight.values[0].astype(np.uint32) << 16).view(np.float32)
    assert weight.dtype == "bfloat16"
    assert weight.values.dtype == np.uint16
    np.testing.assert_allclose(widened, exact, rtol=2**-7)


@pytest.mark.parametrize(
    "type_", ["FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "INT64", "BOOL"]
)
def test_values_outside_raw_data_are_read_the_same(tmp_path, type_):
    number = TensorProto.DataType.Value(type_)
    model = graphs.build("net (float[N] x) => (float[N] y, float[70] z) {\n y = Relu (x) }", {})
    packed = helper.make_tensor("w", number, [70], np.arange(70) % 2)
    model.graph.initializer.append(packed)
    model.graph.node.append(helper.make_node("Cast", ["w"], ["z"], to=1))
    assert not packed.HasField("raw_data")
    (weight,) = load([model], tmp_path).tensors
    one = {"BFLOAT16": 0x3F80}.get(type_, 1)
    np.testing.assert_array_equal(weight.values[0], (np.arange(70) % 2) * one)


def test_external_data_is_read_from_the_folder_of_its_model(tmp_path, monkeypatch):
    models = two()
    inline = tensors(load(models, tmp_path))
    (tmp_path / "beside").mkdir()
    paths = graphs.external(models, tmp_path / "beside")
    assert all(path.stat().st_size < 1500 for path in paths)
    monkeypatch.chdir("/")
    for name, tensor in tensors(load_members(paths)).items():
        np.testing.assert_array_equal(tensor.values, inline[name].values)


def test_a_long_or_unprintable_name_is_replaced_everywhere(tmp_path):
    models = two()
    names = {"w1": "w" * 2000, "w2": "line\nbreak\x7f", "b1": "ü" * 600, "b2": "line_break_"}
    for model in models:
        for old, new in names.items():
            graphs.initializer(model, old).name = new
            for node in model.graph.node:
                node.input[:] = [new if name == old else name for name in node.input]
    ensemble = load(models, tmp_path)
    found = set(tensors(ensemble))
    assert len(found) == 4
    assert {"line_break_", "line_break__1"} < found
    assert all(len(name.encode()) <= 1024 and name.isprintable() for name in found)
    inputs = {value.name for value in skeleton(ensemble).graph.input}
    assert inputs == found | {"x"}
    assert found < {name for node in skeleton(ensemble).graph.node for name in node.input}


@pytest.mark.parametrize("name", ["shape", "r", "i"], ids=["constant", "result", "inner input"])
def test_a_tensor_from_a_branch_takes_no_name_of_its_neighbours(tmp_path, name):
    """*name* is taken in the other branch, or in the body of a loop."""
    models = two(graphs.branches)
    for model in models:
        model.graph.node.append(graphs.loop(0).graph.node[0])
        model.graph.node[-1].output[0] = "looped"
        model.graph.initializer.extend(graphs.loop(0).graph.initializer)
        conditional = next(node for node in model.graph.node if node.op_type == "If")
        body = next(a.g for a in conditional.attribute if a.name == "then_branch")
        bias = next(tensor for tensor in body.initializer if tensor.name == "bias")
        bias.name = name
        body.node[-1].input[0] = name
    assert f"{name}_1" in tensors(load(models, tmp_path))


# What may differ between files


def test_names_of_values_and_nodes_may_differ(tmp_path):
    models = two()
    for node in models[1].graph.node:
        node.name = f"other_{node.op_type}"
        node.input[:] = [name if name == "x" else f"p.{name}" for name in node.input]
        node.output[:] = [name if name == "logits" else f"p.{name}" for name in node.output]
    for tensor in models[1].graph.initializer:
        tensor.name = f"p.{tensor.name}"
    models[1].graph.initializer.reverse()
    found = tensors(load(models, tmp_path))
    assert set(found) == {"w1", "b1", "w2", "b2"}
    expected = numpy_helper.to_array(graphs.initializer(graphs.mlp(1), "w1"))
    np.testing.assert_array_equal(found["w1"].values[1], expected)


def test_comments_may_differ(tmp_path):
    models = two()
    node = models[1].graph.node[0]
    for message in (models[1], models[1].graph, node, node.attribute[0], models[1].graph.input[0]):
        message.doc_string = "other"
    assert load(models, tmp_path).members == 2


def test_a_tensor_that_only_one_file_uses_twice_becomes_two(tmp_path):
    text = "net (float[N, 9] x) => (float[N, 9] y) { a = Add (x, {0})\n y = Add (a, {1}) }"
    twice = graphs.build(text.replace("{0}", "b").replace("{1}", "b"), graphs.normal(0, b=(9,)))
    apart = graphs.build(
        text.replace("{0}", "c").replace("{1}", "d"), graphs.normal(1, c=(9,), d=(9,))
    )
    found = tensors(load([twice, apart], tmp_path))
    assert set(found) == {"b", "b_1"}
    np.testing.assert_array_equal(found["b"].values[0], found["b_1"].values[0])
    assert not np.array_equal(found["b"].values[1], found["b_1"].values[1])


def test_constants_may_be_nodes_in_one_file_and_initializers_in_another(tmp_path):
    models = [graphs.constant_nodes(0), graphs.constant_nodes(1)]
    for node in [node for node in models[1].graph.node if node.op_type == "Constant"]:
        tensor = node.attribute[0].t
        if node.output[0] == "two":
            tensor = numpy_helper.from_array(np.array(2, np.float32), "two")
        models[1].graph.initializer.append(tensor)
        models[1].graph.initializer[-1].name = node.output[0]
        models[1].graph.node.remove(node)
    assert set(tensors(load(models, tmp_path))) == {"w1", "b1", "w2", "b2"}


def test_initializers_that_are_also_inputs_are_weights(tmp_path):
    models = two()
    for model in models:
        model.ir_version = 3
        for tensor in model.graph.initializer:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            model.graph.input.append(value)
    ensemble = load(models, tmp_path)
    assert set(tensors(ensemble)) == {"w1", "b1", "w2", "b2"}
    assert len(skeleton(ensemble).graph.input) == 5


def test_unused_initializers_are_left_out(tmp_path):
    models = two()
    models[1].graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "left"))
    assert set(tensors(load(models, tmp_path))) == {"w1", "b1", "w2", "b2"}


def test_weights_are_found_behind_local_functions(tmp_path):
    def model(seed):
        text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        net (float[N, 12] x) => (float[N, 8] y) { y = local.dense (x, w) }
        <domain: "local", opset_import: ["" : 17]>
        dense (a, b) => (c) { d = MatMul (a, b)
            c = Relu (d) }"""
        parsed = onnx.parser.parse_model(text)
        weight = graphs.normal(seed, w=(12, 8))["w"]
        parsed.graph.initializer.append(numpy_helper.from_array(weight, "w"))
        return parsed

    ensemble = load([model(0), model(1)], tmp_path)
    assert tensors(ensemble)["w"].quantise
    assert list(ensemble.skeletons) == ["SKLF"]


def test_the_missing_package_is_named():
    code = """
import sys
sys.modules["onnx"] = None
from edgeens.errors import MissingPackageError
for module in ("members", "skeleton", "export"):
    try:
        __import__(f"edgeens.onnx.{module}")
    except MissingPackageError as error:
        print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == 3 * [
        "reading and writing ONNX files needs the package onnx, which is not installed; install "
        "the extra edgeens[onnx]"
    ]
