"""What goes into each weight on calibration data, against vectors taken out by hand."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import edgeens.demo
from edgeens.cli import main
from edgeens.encoder import encode
from edgeens.errors import DataError, MembersError
from edgeens.onnx.capture import LayerCapture
from edgeens.onnx.files import run_files
from edgeens.onnx.members import load_members
from edgeens.onnx.products import Layout
from edgeens.onnx.session import Session
from tests import onnx_graphs as graphs

DEMO = Path(edgeens.demo.__file__).parent
MEMBERS = [str(DEMO / f"member_{k}.onnx") for k in range(4)]


def capture(tmp_path, models, x, **options) -> LayerCapture:
    return LayerCapture(load_members(graphs.save(models, tmp_path)), x, **options)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def gram(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    return vectors.T @ vectors


def im2col(x, kernel, *, strides, dilations, pads, groups):
    """Every patch of every group, one by one: (groups, patches, channels / groups * kernel)."""
    half = len(pads) // 2
    padded = np.pad(x, [(0, 0), (0, 0), *zip(pads[:half], pads[half:], strict=True)])
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    starts = [
        range(0, size - window + 1, stride)
        for size, window, stride in zip(padded.shape[2:], reach, strides, strict=True)
    ]
    patches = []
    for image in padded:
        for corner in itertools.product(*starts):
            cut = [
                slice(a, a + window, d)
                for a, window, d in zip(corner, reach, dilations, strict=True)
            ]
            patches.append(image[(slice(None), *cut)].reshape(groups, -1))
    return np.stack(patches, axis=1)


CONVOLUTIONS = {
    "plain": {"kernel": (3, 3)},
    "1 x 1": {"kernel": (1, 1)},
    "oblong": {"kernel": (2, 5), "pads": (0, 2, 1, 1)},
    "strides": {"kernel": (3, 3), "strides": (2, 3), "pads": (1, 1, 1, 1)},
    "dilations": {"kernel": (3, 2), "dilations": (2, 3), "pads": (2, 1, 2, 2)},
    "grouped": {"kernel": (3, 3), "groups": 2, "pads": (1, 1, 1, 1)},
    "depthwise": {"kernel": (3, 3), "groups": 6, "strides": (2, 2), "pads": (1, 0, 0, 1)},
    "all at once": {"kernel": (3, 2), "strides": (2, 1), "dilations": (1, 2), "groups": 3},
    "one dimension": {"kernel": (5,), "strides": (2,), "pads": (2, 2), "sizes": (17,)},
    "three dimensions": {"kernel": (2, 3, 2), "sizes": (5, 6, 4), "pads": (0, 1, 0, 1, 1, 0)},
}


def convolution(seed: int, attributes: dict, *, kernel, sizes, groups: int) -> onnx.ModelProto:
    """Relu before a convolution of 6 channels to 12, so that an inner value is what goes in."""
    node = helper.make_node("Conv", ["h", "w"], ["y"], group=groups, **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6, *sizes])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 12, *[None] * len(sizes)])
    weights = graphs.normal(seed, w=(12, 6 // groups, *kernel))
    stored = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["h"]), node], "g", [x], [y], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("chunk_bytes", [1, 20_000])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_sees_the_patches_taken_out_by_hand(tmp_path, name, chunk_bytes, monkeypatch):
    monkeypatch.setattr(Layout, "chunk_bytes", chunk_bytes)
    options = dict(CONVOLUTIONS[name])
    kernel = options.pop("kernel")
    sizes, groups = options.pop("sizes", (9, 8)), options.pop("groups", 1)
    attributes = {key: list(value) for key, value in options.items()}
    models = [convolution(s, attributes, kernel=kernel, sizes=sizes, groups=groups) for s in (0, 1)]
    x = normal(5, 11, 6, *sizes)
    found = capture(tmp_path, models, x)("w")
    ones = (1,) * len(kernel)
    patches = im2col(
        relu(x),
        kernel,
        strides=options.get("strides", ones),
        dilations=options.get("dilations", ones),
        pads=options.get("pads", (0,) * 2 * len(kernel)),
        groups=groups,
    )
    expected = np.stack([gram(each) for each in patches])
    assert found.grams.shape == (2, groups, *expected.shape[1:])
    assert found.grams.dtype == np.float64
    assert found.order == tuple(range(2 + len(kernel)))
    for member in found.grams:
        assert np.allclose(member, expected, rtol=1e-10)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_automatic_padding_is_that_of_the_runtime(tmp_path, mode, strides):
    """The patches times the kernel are what ONNX Runtime computes."""
    attributes = {"auto_pad": mode, "strides": list(strides)}
    model = convolution(0, attributes, kernel=(4, 3), sizes=(9, 8), groups=1)
    x = normal(6, 7, 6, 9, 8)
    found = capture(tmp_path, [model], x)("w")
    y = run_files([tmp_path / "member_0.onnx"], x)["y"][0]
    kernel = onnx.numpy_helper.to_array(model.graph.initializer[0]).reshape(12, -1)
    energy = (y.astype(np.float64) ** 2).sum(axis=(0, 2, 3))
    assert np.allclose(np.diag(kernel @ found.grams[0, 0] @ kernel.T), energy, rtol=1e-4)


def test_each_member_sees_what_its_own_layers_before_made(tmp_path):
    x = normal(1, 300, 12)
    models = [graphs.mlp(seed) for seed in range(3)]
    inputs = capture(tmp_path, models, x)
    assert inputs.watched == ["w1", "w2"]
    first, second = inputs("w1"), inputs("w2")
    assert (first.order, second.order) == ((0, 1), (1, 0))
    for member, model in enumerate(models):
        stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        hidden = relu(x @ stored["w1"].T + stored["b1"])
        assert np.allclose(first.grams[member, 0], gram(x), rtol=1e-10)
        assert np.allclose(second.grams[member, 0], gram(hidden), rtol=1e-4)


PRODUCTS = {
    "Gemm, second": ("y = Gemm (x, w)", (10, 8), "rows", (1, 0)),
    "Gemm, second, turned": ("y = Gemm <transB = 1> (x, w)", (8, 10), "rows", (0, 1)),
    "Gemm, other turned": ("y = Gemm <transA = 1> (x, w)", (20, 8), "columns", (1, 0)),
    "Gemm, first": ("y = Gemm (w, x)", (8, 20), "columns", (0, 1)),
    "Gemm, first, turned": ("y = Gemm <transA = 1> (w, x)", (20, 8), "columns", (1, 0)),
    "Gemm, first, other turned": ("y = Gemm <transB = 1> (w, x)", (8, 10), "rows", (0, 1)),
    "MatMul, second": ("y = MatMul (x, w)", (10, 8), "rows", (1, 0)),
    "MatMul, first": ("y = MatMul (w, x)", (8, 20), "columns", (0, 1)),
    "through Transpose": ("t = Transpose (w) y = MatMul (x, t)", (8, 10), "rows", (0, 1)),
    "through Cast": ("t = Cast <to = 1> (w) y = MatMul (x, t)", (10, 8), "rows", (1, 0)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_other_factor_of_a_product_is_found_whichever_way_it_lies(tmp_path, name):
    nodes, shape, vectors, order = PRODUCTS[name]
    text = f"net (float[20, 10] x) => (float[A, B] y) {{ {nodes} }}"
    model = graphs.build(text, {"w": normal(2, *shape)})
    x = normal(3, 20, 10)
    found = capture(tmp_path, [model], x)("w")
    assert found.order == order
    assert np.allclose(found.grams[0, 0], gram(x if vectors == "rows" else x.T), rtol=1e-6)


def test_a_product_with_many_axes_sees_every_vector(tmp_path):
    text = "net (float[N, 4, 5, 10] x) => (float[N, 4, 5, 8] y) { y = MatMul (x, w) }"
    x = normal(3, 6, 4, 5, 10)
    found = capture(tmp_path, [graphs.build(text, {"w": normal(2, 10, 8)})], x)("w")
    assert np.allclose(found.grams[0, 0], gram(x.reshape(-1, 10)), rtol=1e-10)


def test_a_tensor_that_two_layers_use_sees_the_inputs_of_both(tmp_path):
    x = {"left": normal(0, 30, 9), "right": normal(1, 30, 9)}
    found = capture(tmp_path, [graphs.two_heads(0), graphs.two_heads(1)], x)("w")
    for member in found.grams[:, 0]:
        assert np.allclose(member, gram(x["left"]) + gram(x["right"]), rtol=1e-10)


@pytest.mark.parametrize(
    ("kind", "watched"),
    [
        ("embedding", []),  # the table is also the data of Gather
        ("lstm", []),  # the product's weight has fewer than 64 elements
        ("branches", []),  # the weights belong to graphs inside a node
        ("loop", []),
        ("segmentation", ["w1", "w4"]),  # the others are weights of ConvTranspose
        ("cnn", ["conv_w", "fc_w"]),
        ("constant nodes", ["w1", "w2"]),
        ("double", ["w"]),
        ("float16", ["w"]),
        ("bfloat16", ["w"]),
        ("quantised", ["out"]),
    ],
)
def test_what_cannot_be_watched_is_left_to_plain_rounding(tmp_path, kind, watched):
    model = graphs.KINDS[kind](0)
    inputs = capture(tmp_path, [model], graphs.random_inputs(model, rows=12))
    assert inputs.watched == watched
    assert all(inputs(name).grams.any() for name in watched)
    assert inputs("no such tensor") is None


def test_a_tensor_used_as_two_different_matrices_is_not_watched(tmp_path):
    text = """net (float[N, 9] x) => (float[N, 9] y) {
        a = MatMul (x, w)
        y = Gemm <transB = 1> (a, w)
    }"""
    model = graphs.build(text, {"w": normal(0, 9, 9)})
    assert capture(tmp_path, [model], normal(1, 5, 9)).watched == []


def test_memory_is_bounded_by_passes_that_find_the_same(tmp_path):
    models, x = [graphs.mlp(seed) for seed in range(2)], normal(1, 3000, 12)
    runs = []
    one = capture(tmp_path, models, x)
    two = capture(
        tmp_path, models, x, most_bytes=8 * 2 * 16**2, progress=lambda *seen: runs.append(seen)
    )
    for name in ("w1", "w2"):
        assert np.array_equal(one(name).grams, two(name).grams)
    assert runs == [("calibration", 0, 2), ("calibration", 1, 2)] * 2
    too_little = capture(tmp_path, models, x, most_bytes=8 * 2 * 16**2 - 1)
    assert too_little.watched == ["w1"]
    assert too_little("w2") is None


def test_runs_of_a_few_rows_add_up(tmp_path, monkeypatch):
    model, x = graphs.cnn(0), normal(1, 40, 3, 8, 8)
    whole = capture(tmp_path, [model], x)("fc_w").grams
    monkeypatch.setattr("edgeens.onnx.capture._RUN_BYTES", 5000)
    assert np.allclose(capture(tmp_path, [model], x)("fc_w").grams, whole, rtol=1e-5)


def test_inputs_without_a_common_length_run_at_once(tmp_path):
    text = """net (float[N, 10] x, float factor) => (float[N, 8] y) {
        h = Mul (x, factor)
        y = MatMul (h, w)
    }"""
    model = graphs.build(text, {"w": normal(2, 10, 8)})
    x = normal(3, 50, 10)
    found = capture(tmp_path, [model], {"x": x, "factor": np.array(2, np.float32)})("w")
    assert np.allclose(found.grams[0, 0], gram(2 * x), rtol=1e-6)


def test_a_model_of_fixed_batches_takes_a_multiple_of_them(tmp_path):
    text = "net (float[4, 10] x) => (float[4, 8] y) { y = MatMul (x, w) }"
    model, x = graphs.build(text, {"w": normal(2, 10, 8)}), normal(3, 20, 10)
    found = capture(tmp_path, [model], x)("w")
    assert np.allclose(found.grams[0, 0], gram(x), rtol=1e-6)
    with pytest.raises(DataError, match=r"^the model takes 4 rows at a time.*but there are 18$"):
        capture(tmp_path, [model], x[:18])


def _with_nan(x: np.ndarray) -> np.ndarray:
    x[3, 5] = np.nan
    return x


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (_with_nan(normal(0, 8, 12)), "^the calibration data holds NaN in input 'x'; remove it$"),
        (normal(0, 8, 13), r"^input 'x' must have shape \(N, 12\), but has shape \(8, 13\)$"),
        (normal(0, 8, 12).astype(np.float64), "^input 'x' must be float32, but is float64"),
        ({"z": normal(0, 8, 12)}, "^the input 'x' is missing; the model takes x, but was given z$"),
    ],
)
def test_calibration_data_that_does_not_fit_is_refused(tmp_path, x, text):
    with pytest.raises(DataError, match=text):
        capture(tmp_path, [graphs.mlp(0)], x)


def test_values_that_overflow_inside_are_refused_by_the_tensor_they_reach(tmp_path):
    text = "net (float[N, 10] x) => (float[N, 8] y) { h = Exp (x) y = MatMul (h, w) }"
    model = graphs.build(text, {"w": normal(2, 10, 8)})
    inputs = capture(tmp_path, [model], np.full((8, 10), 1000, np.float32))
    with pytest.raises(DataError, match=r"inputs of tensor 'w' become NaN or infinite; repair"):
        inputs("w")


def demo_file(tmp_path, *options: str) -> Path:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.eens"
    assert (
        main(["encode", *MEMBERS, "-o", str(path), "--bits", "3", "--coder", "fixed", *options])
        == 0
    )
    return path


def test_calibration_on_the_command_line_brings_the_outputs_closer(tmp_path, capsys):
    """Judged on digits that the calibration did not see, by the outputs of the members' files."""
    calibration = ("--calibration", str(DEMO / "digits_validation.npz"))
    x = np.load(DEMO / "digits_test.npz")["x"]
    (expected,) = run_files(MEMBERS, x).values()
    lost = []
    for options in [(), calibration]:
        with Session(demo_file(tmp_path, "--grid", "channel", *options)) as session:
            (found,) = session.predict_members(x).values()
        lost.append(float(np.square(found - expected).mean()))
    plain, calibrated = lost
    assert calibrated < 0.5 * plain
    capsys.readouterr()


def test_calibration_gives_the_same_bytes_twice(tmp_path, capsys):
    options = ("--calibration", str(DEMO / "digits_validation.npz"))
    one, two = demo_file(tmp_path, *options), demo_file(tmp_path, *options)
    assert one != two
    assert one.read_bytes() == two.read_bytes()
    capsys.readouterr()


def test_calibration_data_with_nan_leaves_no_file(tmp_path, capsys):
    x = np.load(DEMO / "digits_validation.npz")["x"].copy()
    x.flat[7] = np.nan
    np.savez(tmp_path / "bad.npz", x=x)
    path = tmp_path / "f.eens"
    arguments = ["encode", *MEMBERS, "-o", str(path), "--calibration", str(tmp_path / "bad.npz")]
    assert main(arguments) == 1
    assert "edgeens: the calibration data holds NaN in input" in capsys.readouterr().err
    assert not path.exists()


def test_drawn_members_take_no_calibration(tmp_path, capsys):
    arguments = [
        "encode",
        MEMBERS[0],
        "-o",
        str(tmp_path / "f"),
        "--draw",
        "4",
        "--calibration",
        "x",
    ]
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "--draw rounds at random: leave out --calibration" in capsys.readouterr().err
    with pytest.raises(MembersError, match=r"^drawn members are rounded at random: leave out"):
        encode(MEMBERS[:1], tmp_path / "f", draw=4, calibration="x.npz")
