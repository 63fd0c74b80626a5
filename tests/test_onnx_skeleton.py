"""The graph without its weights runs when they are fed to it, and takes them back unchanged."""

from __future__ import annotations

import re

import numpy as np
import onnx
import onnxruntime
import pytest

from edgeens.errors import DataError
from edgeens.onnx.members import load_members
from edgeens.onnx.skeleton import restore_member
from tests import onnx_graphs as graphs

CONSTANT_KINDS = {"quantised", "dynamically quantised", "quantised resize"}


def load(kind, folder, members=2):
    models = [graphs.KINDS[kind](seed) for seed in range(members)]
    ensemble = load_members(graphs.save(models, folder))
    ((section, graph),) = ensemble.skeletons.items()
    return models, ensemble, section, graph


def member_values(ensemble, member):
    return {t.name: t.values[min(member, t.copies - 1)] for t in ensemble.tensors}


def run(model, feeds, constants=None):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if constants:
        options.add_external_initializers(list(constants), list(constants.values()))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def on_device(ensemble, member):
    """The member's tensors as ONNX Runtime takes them."""
    make = onnxruntime.OrtValue
    types = {tensor.name: tensor.dtype for tensor in ensemble.tensors}
    return {
        name: make.ortvalue_from_numpy_with_onnx_type(np.array(array), 16)
        if types[name] == "bfloat16"
        else make.ortvalue_from_numpy(np.array(array))
        for name, array in member_values(ensemble, member).items()
    }


@pytest.mark.parametrize("kind", graphs.KINDS)
def test_a_restored_member_computes_what_the_file_did(tmp_path, kind):
    models, ensemble, _, graph = load(kind, tmp_path)
    feeds = graphs.random_inputs(models[0])
    results = []
    for member, model in enumerate(models):
        restored = restore_member(graph, member_values(ensemble, member))
        onnx.checker.check_model(restored, full_check=True)
        results.append(run(restored.SerializeToString(), feeds))
        for found, expected in zip(results[-1], run(model.SerializeToString(), feeds), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert any((a != b).any() for a, b in zip(*results, strict=True)), "members must differ"


@pytest.mark.parametrize("kind", graphs.KINDS)
def test_a_skeleton_computes_with_the_weights_that_it_is_given(tmp_path, kind):
    models, ensemble, section, graph = load(kind, tmp_path)
    assert section == ("SKLC" if kind in CONSTANT_KINDS else "SKLF")
    feeds = graphs.random_inputs(models[0])
    for member, model in enumerate(models):
        values = on_device(ensemble, member)
        found = run(graph, feeds, values) if section == "SKLC" else run(graph, feeds | values)
        for a, b in zip(found, run(model.SerializeToString(), feeds), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(set(graphs.KINDS) - CONSTANT_KINDS))
def test_every_tensor_of_the_container_is_a_graph_input(tmp_path, kind):
    models, ensemble, _, graph = load(kind, tmp_path)
    inputs = {
        value.name: value.type.tensor_type for value in onnx.load_from_string(graph).graph.input
    }
    own = set(graphs.random_inputs(models[0]))
    assert set(inputs) == own | {tensor.name for tensor in ensemble.tensors}
    for tensor in ensemble.tensors:
        number = onnx.TensorProto.DataType.Value(tensor.dtype.upper().replace("FLOAT32", "FLOAT"))
        assert inputs[tensor.name].elem_type == number
        assert tuple(dim.dim_value for dim in inputs[tensor.name].shape.dim) == tensor.shape


@pytest.mark.parametrize("kind", sorted(CONSTANT_KINDS))
def test_constants_lie_one_behind_the_other_in_the_order_of_the_records(tmp_path, kind):
    _, ensemble, _, graph = load(kind, tmp_path)
    sizes = {tensor.name: tensor.values[0].nbytes for tensor in ensemble.tensors}
    offset = 0
    outside = [t for t in onnx.load_from_string(graph).graph.initializer if t.external_data]
    assert [tensor.name for tensor in outside] == sorted(sizes, key=str.encode)
    for tensor in outside:
        place = {entry.key: entry.value for entry in tensor.external_data}
        length = sizes[tensor.name]
        assert place == {"location": "edgeens", "offset": str(offset), "length": str(length)}
        offset += length


def test_operators_from_outside_onnx_see_constants(tmp_path):
    model = graphs.mlp(0)
    model.graph.node[1].op_type, model.graph.node[1].domain = "Gelu", "com.microsoft"
    model.opset_import.add(domain="com.microsoft", version=1)
    assert list(load_members(graphs.save([model], tmp_path)).skeletons) == ["SKLC"]


def test_a_quantised_output_makes_the_weights_constants(tmp_path):
    text = """net (float[N, 12] x) => (uint8[N, 8] q) {
        y = MatMul (x, w)
        q = QuantizeLinear (y, s)
    }"""
    model = graphs.build(text, graphs.normal(0, w=(12, 8)) | {"s": np.array(0.1, np.float32)})
    assert list(load_members(graphs.save([model], tmp_path)).skeletons) == ["SKLC"]


def test_a_skeleton_holds_no_comments_and_no_weights(tmp_path):
    model = graphs.branches(0)
    conditional = next(node for node in model.graph.node if node.op_type == "If")
    secret = "/home/someone/model.py"
    messages = [model, model.graph, conditional, conditional.attribute[0]]
    messages += [conditional.attribute[0].g, conditional.attribute[0].g.node[0]]
    messages += [model.graph.input[0], model.graph.output[0], model.graph.initializer[0]]
    for message in messages:
        message.doc_string = secret
    model.metadata_props.add(key="source", value=secret)
    model.graph.metadata_props.add(key="source", value=secret)
    conditional.metadata_props.add(key="source", value=secret)
    inferred = onnx.shape_inference.infer_shapes(model)
    assert inferred.graph.value_info
    (graph,) = load_members(graphs.save([inferred], tmp_path)).skeletons.values()
    assert b"someone" not in graph
    skeleton = onnx.load_from_string(graph)
    assert not skeleton.graph.value_info
    assert not skeleton.metadata_props
    assert len(graph) < 1000


@pytest.mark.parametrize(("version", "kept"), [(3, 4), (8, 8), (10, 10), (13, 10)])
def test_a_skeleton_has_an_ir_version_that_old_runtimes_read(tmp_path, version, kept):
    model = graphs.mlp(0)
    model.ir_version = version
    (graph,) = load_members(graphs.save([model], tmp_path)).skeletons.values()
    skeleton = onnx.load_from_string(graph)
    assert skeleton.ir_version == kept
    assert skeleton.opset_import == model.opset_import


def test_the_same_files_give_the_same_bytes(tmp_path):
    assert load("cnn", tmp_path)[3] == load("cnn", tmp_path)[3]


def test_an_output_that_is_a_weight_gets_a_node_of_its_own(tmp_path):
    text = "net (float[N, 8] x) => (float[N, 8] y, float[8] b) { y = Add (x, b) }"
    models = [graphs.build(text, graphs.normal(seed, b=(8,))) for seed in (0, 1)]
    ensemble = load_members(graphs.save(models, tmp_path))
    assert [tensor.name for tensor in ensemble.tensors] == ["b_1"]
    feeds = graphs.random_inputs(models[0])
    for member, model in enumerate(models):
        found = run(ensemble.skeletons["SKLF"], feeds | on_device(ensemble, member))
        for a, b in zip(found, run(model.SerializeToString(), feeds), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["mlp", "quantised"])
def test_tensors_that_do_not_fit_the_graph_are_refused(tmp_path, kind):
    _, ensemble, _, graph = load(kind, tmp_path)
    values = member_values(ensemble, 0)
    biases = "b1" if kind == "mlp" else "b"
    cases = [
        ({"more": np.ones(2)}, "graph and tensors do not belong together: only the container has"),
        (
            {biases: np.ones(17, np.float32)},
            "has shape (17,) and type float32, but the graph needs",
        ),
        ({biases: np.ones(16)}, "type float64, but the graph needs (16,) and float32"),
    ]
    for wrong, words in cases:
        with pytest.raises(DataError, match=re.escape(words)):
            restore_member(graph, values | wrong)


def test_a_constant_that_the_container_lacks_is_refused(tmp_path):
    _, ensemble, _, graph = load("quantised", tmp_path)
    values = member_values(ensemble, 0)
    del values["ws"]
    with pytest.raises(DataError, match="do not belong together: only the graph has 'ws'"):
        restore_member(graph, values)
