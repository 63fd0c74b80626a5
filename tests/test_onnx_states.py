"""Weights without a graph, put into a graph that has their names."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeens.cli import main
from edgeens.decoder import Container
from edgeens.encoder import encode
from edgeens.errors import MembersError, MissingPackageError
from edgeens.onnx.members import load_members
from tests import onnx_graphs as graphs

safetensors = pytest.importorskip("safetensors.numpy")

MEMBERS = 3


def weights(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def write(folder, *states):
    paths = [folder / f"member_{k}.safetensors" for k in range(len(states))]
    for path, state in zip(paths, states, strict=True):
        safetensors.save_file(
            {name: np.ascontiguousarray(array) for name, array in state.items()}, path
        )
    return paths


@pytest.fixture
def models():
    return [graphs.mlp(seed) for seed in range(MEMBERS)]


@pytest.fixture
def graph(models, tmp_path):
    """Another model of the architecture: its own weights must not get into the file."""
    path = tmp_path / "graph.onnx"
    path.write_bytes(graphs.mlp(99).SerializeToString())
    return path


def assert_same_ensembles(found, expected):
    assert found.members == expected.members
    assert found.skeletons == expected.skeletons
    for a, b in zip(found.tensors, expected.tensors, strict=True):
        assert (a.name, a.dtype, a.channel_axis, a.quantise) == (
            b.name,
            b.dtype,
            b.channel_axis,
            b.quantise,
        )
        np.testing.assert_array_equal(a.values, b.values)


def test_weights_and_a_graph_make_the_file_that_models_make(tmp_path, models, graph):
    states = write(tmp_path, *map(weights, models))
    encode(graphs.save(models, tmp_path), tmp_path / "models.eens")
    encode(states, tmp_path / "states.eens", graph=graph)
    assert (tmp_path / "states.eens").read_bytes() == (tmp_path / "models.eens").read_bytes()


def test_the_command_takes_weights_and_a_graph(tmp_path, models, graph, capsys):
    states = [str(path) for path in write(tmp_path, *map(weights, models))]
    output = str(tmp_path / "f.eens")
    assert main(["encode", *states, "--graph", str(graph), "-o", output]) == 0
    with Container.open(output) as container:
        assert container.members == MEMBERS
    assert main(["encode", states[0], "--graph", str(graph), "--draw", "4", "-o", output]) == 0
    assert main(["encode", *states, "-o", output]) == 1
    assert "give the graph as well, --graph MODEL.onnx" in capsys.readouterr().err


def test_a_prefix_of_all_names_may_be_missing_in_the_graph(tmp_path, models, graph):
    renamed = [
        {f"module.net.{name}": array for name, array in weights(model).items()} for model in models
    ]
    assert_same_ensembles(
        load_members(write(tmp_path, *renamed), graph=graph),
        load_members(graphs.save(models, tmp_path)),
    )


def test_a_matrix_that_the_exporter_transposed_is_known_by_its_values(tmp_path, models):
    """The graph was exported from member 1, and calls its transposed w2 by a name of its own."""
    states = []
    for model in models:
        state = weights(model)
        state["fc.weight"] = state.pop("w2").T
        states.append(state)
    exported = onnx.ModelProto()
    exported.CopyFrom(models[1])
    graphs.initializer(exported, "w2").name = "onnx::MatMul_7"
    exported.graph.node[-1].input[1] = "onnx::MatMul_7"
    path = tmp_path / "graph.onnx"
    path.write_bytes(exported.SerializeToString())
    found = load_members(write(tmp_path, *states), graph=path)
    values = {tensor.name: tensor.values for tensor in found.tensors}
    for member, model in enumerate(models):
        np.testing.assert_array_equal(values["onnx::MatMul_7"][member], weights(model)["w2"])
    for state in states[1:2]:
        state["fc.weight"] = state["fc.weight"] + np.float32(1)
    with pytest.raises(
        MembersError, match=r"lacks onnx::MatMul_7 .* has renamed what it transposed"
    ):
        load_members(write(tmp_path, *states), graph=path)


def test_half_precision_becomes_float32_exactly(tmp_path, models, graph):
    halves = {name: array.astype(np.float16) for name, array in weights(models[0]).items()}
    found = load_members(write(tmp_path, halves), graph=graph)
    for tensor in found.tensors:
        assert tensor.dtype == "float32"
        np.testing.assert_array_equal(tensor.values[0], halves[tensor.name].astype(np.float32))


def test_bfloat16_becomes_float32_exactly(tmp_path, models, graph):
    bits = {
        name: (array.view(np.uint32) >> 16).astype("<u2")
        for name, array in weights(models[0]).items()
    }
    header, data = {}, b""
    for name, array in bits.items():
        span = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": "BF16", "shape": array.shape, "data_offsets": span}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path = tmp_path / "half.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    found = load_members([path], graph=graph)
    for tensor in found.tensors:
        expected = (bits[tensor.name].astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_array_equal(tensor.values[0], expected)


def test_counters_and_tied_weights_may_be_left_over(tmp_path, models, graph):
    state = weights(models[0])
    state |= {"bn.num_batches_tracked": np.array(7), "decoder.weight": state["w1"]}
    assert_same_ensembles(
        load_members(write(tmp_path, state), graph=graph),
        load_members(graphs.save(models[:1], tmp_path)),
    )


def damaged(state, damage):
    state = dict(state)
    damage(state)
    return state


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("b1"), r"the file lacks b1 float32 \[16\]$"),
        (lambda s: s.update(extra=s["w1"] + 1), r"the graph lacks extra float32 \[16, 12\]$"),
        (
            lambda s: s.update(w1=s["w1"].T),
            r"w1 \(float32 \[16, 12\] in the graph, float32 \[12, 16\] in the file\)",
        ),
        (lambda s: s.update(w1=s["w1"].astype(float)), r"double \[16, 12\] in the file\)"),
        (
            lambda s: s.update({"bn.running_mean": np.ones(16, np.float32)}),
            r"folded normalisations into .*: export the graph from one of these files' models, ",
        ),
        (dict.clear, r"the file lacks w1 "),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, models, graph, damage, message):
    states = [weights(model) for model in models]
    states[1] = damaged(states[1], damage)
    with pytest.raises(MembersError, match=rf"^.*member_1\.safetensors does not fit .*{message}"):
        load_members(write(tmp_path, *states), graph=graph)


def test_models_do_not_go_with_a_graph(tmp_path, models, graph):
    with pytest.raises(MembersError, match="is not a file of weights alone"):
        load_members(graphs.save(models, tmp_path), graph=graph)


def test_what_is_no_safetensors_file_is_said(tmp_path, graph):
    path = tmp_path / "no.safetensors"
    path.write_bytes(b"weights")
    with pytest.raises(MembersError, match=r"no\.safetensors is not a safetensors file"):
        load_members([path], graph=graph)


@pytest.mark.parametrize(
    ("package", "file", "extra"),
    [("safetensors", "m.safetensors", "safetensors"), ("torch", "m.pt", "torch")],
)
def test_a_missing_package_is_named_with_its_extra(
    tmp_path, graph, monkeypatch, package, file, extra
):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / file).write_bytes(b"")
    with pytest.raises(MissingPackageError, match=rf"install the extra edgeens\[{extra}\]"):
        load_members([tmp_path / file], graph=graph)
