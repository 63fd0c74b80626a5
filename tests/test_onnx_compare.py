"""Files that do not form an ensemble are refused in words that say which, and where they differ."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeens.errors import MembersError
from edgeens.onnx.members import load_members
from tests import onnx_graphs as graphs


def two(make=graphs.mlp):
    return [make(0), make(1)]


def refusal(models, folder, **options):
    with pytest.raises(MembersError) as caught:
        load_members(graphs.save(models, folder), **options)
    return str(caught.value).replace(f"{folder}/", "")


def test_the_number_of_members_is_1_to_64(tmp_path):
    with pytest.raises(MembersError, match="1 to 64 members, but 0 given"):
        load_members([])
    path = graphs.save([graphs.regression(0)], tmp_path)[0]
    assert load_members([path] * 64).members == 64
    with pytest.raises(MembersError, match="1 to 64 members, but 65 given"):
        load_members([path] * 65)


@pytest.mark.parametrize("content", [b"", b"\x00\x01garbage", b"\x08\x08", b"# Text\n"])
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(MembersError, match=r"other\.onnx is not an ONNX model"):
        load_members([path])


def test_a_file_cut_short_is_refused(tmp_path):
    path = graphs.save([graphs.mlp(0)], tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MembersError, match=r"member_0\.onnx is not an ONNX model"):
        load_members([path])


def test_a_missing_file_is_an_operating_system_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_members([tmp_path / "nowhere.onnx"])


def test_missing_and_short_external_data_is_refused(tmp_path):
    paths = graphs.external(two(), tmp_path)
    data = tmp_path / "member_1.onnx.weights"
    data.write_bytes(data.read_bytes()[:50])
    with pytest.raises(MembersError, match=r"member_1\.onnx"):
        load_members(paths)
    data.unlink()
    with pytest.raises(MembersError, match=r"the external data of .*member_1\.onnx cannot be read"):
        load_members(paths)


def _swap_operator(model):
    model.graph.node[1].op_type = "Tanh"


def _change_attribute(model):
    model.graph.node[0].attribute[0].i = 0


def _drop_attribute(model):
    del model.graph.node[0].attribute[:]


def _reshape(model):
    graphs.replace_values(model, "b1", np.ones((1, 16), np.float32))


def _retype(model):
    graphs.replace_values(model, "b1", np.ones(16, np.float64))


def _rename_input(model):
    model.graph.input[0].name = model.graph.node[0].input[0] = "image"


def _resize_input(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 13


def _fix_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _rename_output(model):
    model.graph.output[0].name = model.graph.node[-1].output[0] = "scores"


def _rewire(model):
    model.graph.node[2].input[0] = "a"


def _from_value(model):
    model.graph.node[2].input[2] = "a"


def _opset(model):
    model.opset_import[0].version = 16


def _add_node(model):
    model.graph.node.append(helper.make_node("Relu", ["a"], ["unused"]))


def _second_output(model):
    model.graph.node[1].output.append("mask")


def _drop_bias(model):
    del model.graph.node[0].input[2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_swap_operator, "at node 1 (Relu ''), the operator is Relu in {}, but Tanh in {}"),
        (_change_attribute, "at node 0 (Gemm ''), the attribute 'transB' is 1 in {}, but 0 in {}"),
        (_drop_attribute, "the attribute 'transB' is 1 in {}, but absent in {}"),
        (
            _reshape,
            "at node 0 (Gemm ''), input 2 is the initializer 'b1' (float32 [16]) in {}, but the "
            "initializer 'b1' (float32 [1, 16]) in {}",
        ),
        (_retype, "(float32 [16]) in {}, but the initializer 'b1' (double [16]) in {}"),
        (_rename_input, "the name of input 0 is 'x' in {}, but 'image' in {}"),
        (
            _resize_input,
            "the type of input 'x' is float32 [?, 12] in {}, but float32 [?, 13] in {}",
        ),
        (_fix_batch, "the type of input 'x' is float32 [?, 12] in {}, but float32 [1, 12] in {}"),
        (_rename_output, "the name of output 0 is 'logits' in {}, but 'scores' in {}"),
        (_rewire, "at node 2 (Gemm ''), input 0 is the value 'h' in {}, but the value 'a' in {}"),
        (_from_value, "(float32 [5]) in {}, but the value 'a' in {}"),
        (_opset, "the operator set ai.onnx is version 17 in {}, but version 16 in {}"),
        (
            _add_node,
            "at the graph's outputs, the next step is the graph's outputs in {}, but node 3 "
            "(Relu '') in {}",
        ),
        (_second_output, "at node 1 (Relu ''), output 1 is absent in {}, but present in {}"),
        (_drop_bias, "input 2 is the initializer 'b1' (float32 [16]) in {}, but absent in {}"),
    ],
)
def test_the_first_difference_is_named(tmp_path, change, words):
    models = two()
    change(models[1])
    text = refusal(models, tmp_path)
    assert text.startswith("member_1.onnx and member_0.onnx are not members of one ensemble: at ")
    assert words.format("member_0.onnx", "member_1.onnx") in text


def test_a_difference_inside_a_branch_is_named(tmp_path):
    models = two(graphs.branches)
    conditional = next(node for node in models[1].graph.node if node.op_type == "If")
    body = next(a.g for a in conditional.attribute if a.name == "else_branch")
    body.node[1].op_type = "Mul"
    assert "at else_branch of node 2 (If ''), node 1 (MatMul ''), the operator" in refusal(
        models, tmp_path
    )


def test_a_value_that_nothing_defines_is_named(tmp_path):
    model = graphs.mlp(0)
    model.graph.node[2].input[0] = "ghost"
    assert refusal([model], tmp_path) == (
        "member_0.onnx is not a valid ONNX model: node 2 (Gemm '') uses 'ghost', which no node "
        "before it, input or initializer defines"
    )


def test_data_that_does_not_fill_its_dims_is_named(tmp_path):
    models = two()
    graphs.initializer(models[1], "w2").raw_data += b"1234"
    assert refusal(models, tmp_path) == (
        "member_1.onnx is not a valid ONNX model: the data of initializer 'w2' does not fill its "
        "dims [16, 5]"
    )


def _labels(number):
    text = "net (float[N, 4] x) => (float[N, 4] y, string[2] names) {\n y = Relu (x) }"
    model = graphs.build(text, {})
    names = helper.make_tensor("labels", TensorProto.STRING, [2], [b"a", str(number).encode()])
    model.graph.initializer.append(names)
    model.graph.node.append(helper.make_node("Identity", ["labels"], ["names"]))
    return model


def _sparse(number):
    model = graphs.build("net (float[N, 4] x) => (float[N, 4] y) { y = MatMul (x, s) }", {})
    values = numpy_helper.from_array(np.array([number], np.float32), "s")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([5])), [4, 4])
    model.graph.sparse_initializer.append(sparse)
    return model


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_labels, "initializer 'labels' is of a type that a container cannot hold, so"),
        (_sparse, "initializer 's' is sparse, so"),
    ],
)
def test_what_a_container_cannot_hold_must_not_differ(tmp_path, make, words):
    ensemble = load_members(graphs.save([make(1), make(1)], tmp_path))
    assert not ensemble.tensors
    graph = onnx.ModelProto.FromString(ensemble.skeletons["SKLF"]).graph
    assert len(graph.initializer) + len(graph.sparse_initializer) == 1
    text = refusal([make(1), make(2)], tmp_path)
    assert words in text
    assert text.endswith("it differs between member_0.onnx and member_1.onnx")


def test_shapes_of_a_quantised_model_must_not_differ(tmp_path):
    models = two(graphs.quantised_resize)
    graphs.replace_values(models[1], "scales", np.array([1, 1, 3, 3], np.float32))
    assert refusal(models, tmp_path) == (
        "initializer 'scales' may set a shape, so it must be the same in all members of a "
        "quantised model, but it differs between member_0.onnx and member_1.onnx"
    )


def test_a_pattern_that_matches_nothing_is_refused(tmp_path):
    assert refusal([graphs.mlp(0)], tmp_path, exclude=["w?", "fc*"]) == (
        "the pattern 'fc*' matches no tensor; there are b1, b2, w1, w2 ..."
    )


def test_sequences_are_refused(tmp_path):
    text = "net (float[N] x) => (seq(float[N]) y) { y = SequenceConstruct (x) }"
    assert refusal([graphs.build(text, {})], tmp_path).startswith(
        "'y' of member_0.onnx is not a tensor: only tensors go in and out of an ensemble"
    )
