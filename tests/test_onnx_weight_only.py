"""Models whose weights alone are quantised keep their codes, and run like models of floats."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgeens.decoder import Container
from edgeens.encoder import encode
from edgeens.errors import MembersError
from edgeens.onnx.members import load_members
from edgeens.onnx.one_graph import write_one_graph
from edgeens.onnx.session import Session
from tests import onnx_graphs as graphs


def weight_only(seed, *, grids=0):
    """A convolution on int8 channels, a layer on uint8 with a zero point, an int32 bias."""
    text = """net (float[N, 4, 6, 6] x) => (float[N, 10] logits) {
        wd = DequantizeLinear <axis = 0> (w, ws, wz)
        bd = DequantizeLinear (b, bs)
        a = Conv (x, wd, bd)
        r = Relu (a)
        f = Flatten (r)
        vd = DequantizeLinear (v, vs, vz)
        logits = Gemm (f, vd)
    }"""
    rng, on = np.random.default_rng(seed), np.random.default_rng(grids)
    stored = {
        "w": rng.integers(-127, 128, (8, 4, 3, 3)).astype(np.int8),
        "ws": on.uniform(0.001, 0.01, 8).astype(np.float32),
        "wz": np.zeros(8, np.int8),
        "b": rng.integers(-(10**5), 10**5, 8).astype(np.int32),
        "bs": np.float32(on.uniform(1e-6, 2e-6)),
        "v": rng.integers(0, 256, (128, 10)).astype(np.uint8),
        "vs": np.float32(on.uniform(0.001, 0.01)),
        "vz": np.array(on.integers(100, 150), np.uint8),
    }
    return graphs.build(text, {name: np.asarray(array) for name, array in stored.items()})


def expected_logits(model, x):
    """What ONNX Runtime makes of the model as it came, without its own quantised kernels."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("mode", ["resident", "compact", "streaming"])
def test_members_compute_what_their_files_do_in_every_mode(tmp_path, mode):
    models = [weight_only(seed) for seed in range(3)]
    encode(graphs.save(models, tmp_path), tmp_path / "f.eens")
    x = graphs.random_inputs(models[0])["x"]
    with Session(tmp_path / "f.eens", mode=mode) as session:
        found = session.predict_members(x)["logits"]
    for logits, model in zip(found, models, strict=True):
        np.testing.assert_allclose(logits, expected_logits(model, x), rtol=1e-5, atol=1e-5)


def test_codes_scales_and_zero_points_are_those_of_the_model(tmp_path):
    model = weight_only(0)
    encode(graphs.save([model], tmp_path), tmp_path / "f.eens")
    stored = {name: numpy_helper.to_array(graphs.initializer(model, name)) for name in "wv"}
    zero = int(numpy_helper.to_array(graphs.initializer(model, "vz")))
    with Container.open(tmp_path / "f.eens") as container:
        infos = {info.name: info for info in container.tensors}
        assert infos["bd"].bits == 0  # 8 bits do not hold its codes
        np.testing.assert_array_equal(container.decode("wd", member=0, as_="int8"), stored["w"])
        codes = container.decode("vd", member=0, as_="int8")
        np.testing.assert_array_equal(codes.astype(int) + 128, stored["v"])
        assert infos["vd"].zero_point == zero - 128
        assert infos["wd"].scale_count == 8
        path = write_one_graph(container, tmp_path / "one.onnx", weights="int8")
    onnx.checker.check_model(str(path), full_check=True)
    x = graphs.random_inputs(model)["x"]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["member_probs"], {"x": x})
    logits = expected_logits(model, x)
    expected = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(found[0], expected / expected.sum(1, keepdims=True), atol=1e-5)


def test_members_on_different_grids_stay_as_they_are(tmp_path):
    models = [weight_only(seed, grids=seed) for seed in range(2)]
    ensemble = load_members(graphs.save(models, tmp_path))
    assert list(ensemble.skeletons) == ["SKLC"]
    assert {tensor.dtype for tensor in ensemble.tensors} >= {"int8", "uint8"}


def test_a_model_with_quantised_activations_stays_as_it_is(tmp_path):
    ensemble = load_members(graphs.save([graphs.quantised(0)], tmp_path))
    assert list(ensemble.skeletons) == ["SKLC"]


def test_fewer_bits_round_the_values_and_not_the_codes(tmp_path):
    encode(graphs.save([weight_only(0)], tmp_path), tmp_path / "f.eens", bits=4)
    with Container.open(tmp_path / "f.eens") as container:
        bits = {info.name: info.bits for info in container.tensors}
    assert bits == {"wd": 4, "vd": 4, "bd": 0}


def test_drawing_from_a_model_without_weights_to_round_is_refused(tmp_path):
    models = graphs.save([graphs.dynamically_quantised(0)], tmp_path)
    with pytest.raises(MembersError, match="all drawn members would be the same"):
        encode(models, tmp_path / "f.eens", draw=4)
    models = graphs.save([weight_only(0)], tmp_path)
    encoding = encode(models, tmp_path / "f.eens", draw=4)
    assert any("hardly differ" in note for note in encoding.notes)
    assert not encode(models, tmp_path / "f.eens", draw=4, bits=4).notes
    with Container.open(tmp_path / "f.eens") as container:
        assert not np.array_equal(
            container.decode("vd", member=0), container.decode("vd", member=1)
        )
