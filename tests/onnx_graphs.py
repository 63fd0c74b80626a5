"""Small models of every kind that onnx.members must understand; a seed makes a member."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.parser import parse_model

from edgeens.coded import Section
from edgeens.container.writer import serialise
from edgeens.ensemble import Ensemble
from edgeens.quantize.tensors import quantize_ensemble

Arrays = dict[str, np.ndarray]


def build(text: str, stored: Arrays, *, opset: int = 17, ir: int = 8) -> ModelProto:
    """The model of a graph in ONNX's text form, with initializers."""
    model = parse_model(f'<ir_version: {ir}, opset_import: ["" : {opset}]>\n{text}')
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in stored.items()
    )
    return model


def normal(seed: int, **shapes: tuple[int, ...]) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        name: (0.3 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def mlp(seed: int, *, opset: int = 17, ir: int = 8) -> ModelProto:
    text = """net (float[N, 12] x) => (float[N, 5] logits) {
        a = Gemm <transB = 1> (x, w1, b1)
        h = Relu (a)
        logits = Gemm (h, w2, b2)
    }"""
    return build(text, normal(seed, w1=(16, 12), b1=(16,), w2=(16, 5), b2=(5,)), opset=opset, ir=ir)


def cnn(seed: int) -> ModelProto:
    text = """net (float[N, 3, 8, 8] x) => (float[N, 4] p) {
        a = Conv <pads = [1, 1, 1, 1]> (x, conv_w, conv_b)
        n = BatchNormalization (a, bn_scale, bn_shift, bn_mean, bn_var)
        r = Relu (n)
        g = GlobalAveragePool (r)
        f = Flatten (g)
        l = Gemm <transB = 1> (f, fc_w, fc_b)
        p = Softmax <axis = 1> (l)
    }"""
    vectors = dict.fromkeys(("conv_b", "bn_scale", "bn_shift", "bn_mean", "bn_var"), (16,))
    stored = normal(seed, conv_w=(16, 3, 3, 3), **vectors, fc_w=(4, 16), fc_b=(4,))
    stored["bn_var"] = np.abs(stored["bn_var"]) + np.float32(0.5)
    return build(text, stored)


def segmentation(seed: int) -> ModelProto:
    text = """net (float[N, 3, 6, 6] x) => (float[N, 4, 12, 12] logits) {
        a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        h = Relu (a)
        u = ConvTranspose <strides = [2, 2]> (h, w2, b2)
        v = ConvTranspose <group = 2> (u, w3)
        logits = Conv (v, w4)
    }"""
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 6, 2, 2), "b2": (6,)}
    return build(text, normal(seed, **shapes, w3=(6, 12, 1, 1), w4=(4, 24, 1, 1)))


def lstm(seed: int) -> ModelProto:
    text = """net (float[T, N, 6] x) => (float[N, 3] logits) {
        y, last, cell = LSTM <hidden_size = 8> (x, w, r, b)
        s = Squeeze (last, zero)
        logits = MatMul (s, out)
    }"""
    stored = normal(seed, w=(1, 32, 6), r=(1, 32, 8), b=(1, 64), out=(8, 3))
    return build(text, stored | {"zero": np.array([0])})


def embedding(seed: int) -> ModelProto:
    text = """net (int64[N, 7] ids) => (float[N, 20] logits) {
        e = Gather (table, ids)
        m = ReduceMean <axes = [1], keepdims = 0> (e)
        t = Transpose <perm = [1, 0]> (table)
        l = MatMul (m, t)
        logits = Add (l, bias)
    }"""
    return build(text, normal(seed, table=(20, 9), bias=(20,)))


def branches(seed: int) -> ModelProto:
    """If whose two bodies have initializers of the same names, and one gives out a constant."""
    text = """net (float[N, 8] x) => (float[N, 8] y, float[8] z) {
        s = ReduceSum <keepdims = 0> (x)
        c = Greater (s, zero)
        h, z = If (c) <
            then_branch = yes () => (float[N, 8] a, float[8] b) {
                wi = Identity (w)
                a = MatMul (x, wi)
                b = Identity (bias)
            },
            else_branch = no () => (float[N, 8] d, float[8] bias) {
                r = Reshape (x, shape)
                d = MatMul (r, w)
            }
        >
        y = Sigmoid (h)
    }"""
    model = build(text, {"zero": np.array(0, np.float32)})
    conditional = next(node for node in model.graph.node if node.op_type == "If")
    for offset, attribute in enumerate(conditional.attribute):
        stored = normal(seed + 1000 * offset, w=(8, 8), bias=(8,))
        if attribute.name == "else_branch":
            stored["shape"] = np.array([-1, 8])
        attribute.g.initializer.extend(
            numpy_helper.from_array(array, name) for name, array in stored.items()
        )
    return model


def loop(seed: int) -> ModelProto:
    text = """net (float[N, 8] x) => (float[N, 8] y) {
        y = Loop (trips, yes, x) <
            body = step (int64 i, bool c, float[N, 8] s) => (bool d, float[N, 8] t) {
                d = Identity (c)
                m = MatMul (s, w)
                t = Tanh (m)
            }
        >
    }"""
    model = build(text, {"trips": np.array(3), "yes": np.array(True)})
    body = model.graph.node[0].attribute[0].g
    body.initializer.append(numpy_helper.from_array(normal(seed, w=(8, 8))["w"], "w"))
    return model


def constant_nodes(seed: int) -> ModelProto:
    """All weights in Constant nodes, as exporters of before 2019 and of today write some."""
    model = mlp(seed)
    nodes = [
        helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in model.graph.initializer
    ]
    nodes += [
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Pow", ["logits_", "two"], ["logits"]),
    ]
    model.graph.node[-1].output[0] = "logits_"
    del model.graph.initializer[:]
    old = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:-1], *old, nodes[-1]])
    return model


def quantised(seed: int) -> ModelProto:
    """QDQ: int8 weights and uint8 activations, with scales and zero points."""
    text = """net (float[N, 12] x) => (float[N, 5] logits) {
        xq = QuantizeLinear (x, xs, xz)
        xd = DequantizeLinear (xq, xs, xz)
        wd = DequantizeLinear <axis = 0> (w, ws, wz)
        a = Gemm <transB = 1> (xd, wd, b)
        h = Relu (a)
        hq = QuantizeLinear (h, hs, hz)
        hd = DequantizeLinear (hq, hs, hz)
        logits = MatMul (hd, out)
    }"""
    rng = np.random.default_rng(seed)
    stored = normal(seed, b=(16,), out=(16, 5)) | {
        "w": rng.integers(-127, 128, (16, 12)).astype(np.int8),
        "ws": rng.uniform(0.001, 0.01, 16).astype(np.float32),
        "wz": np.zeros(16, np.int8),
        "xs": np.float32(rng.uniform(0.02, 0.04)),
        "xz": np.array(128, np.uint8),
        "hs": np.float32(0.02),
        "hz": np.array(rng.integers(0, 40), np.uint8),
    }
    return build(text, {name: np.asarray(array) for name, array in stored.items()})


def dynamically_quantised(seed: int) -> ModelProto:
    text = """net (float[N, 12] x) => (float[N, 5] logits) {
        q, s, z = DynamicQuantizeLinear (x)
        i = MatMulInteger (q, w, z)
        f = Cast <to = 1> (i)
        m = Mul (f, s)
        logits = Mul (m, ws)
    }"""
    rng = np.random.default_rng(seed)
    stored = {"w": rng.integers(-127, 128, (12, 5)).astype(np.int8)}
    return build(text, stored | {"ws": rng.uniform(0.001, 0.01, 5).astype(np.float32)})


def typed(seed: int, type_: str) -> ModelProto:
    """A MatMul in float16 or double."""
    text = f"""net ({type_}[N, 12] x) => ({type_}[N, 6] logits) {{
        m = MatMul (x, w)
        logits = Add (m, b)
    }}"""
    arrays = normal(seed, w=(12, 6), b=(6,))
    return build(text, {name: array.astype(type_) for name, array in arrays.items()})


def bfloat16(seed: int) -> ModelProto:
    """Weights in bfloat16, computed with in float32: ONNX Runtime's CPU kernels know no other."""
    text = """net (float[N, 12] x) => (float[N, 6] logits) {
        f = Cast <to = 1> (w)
        m = MatMul (x, f)
        logits = Add (m, b)
    }"""
    arrays = normal(seed, w=(12, 6), b=(6,))
    model = build(text, {"b": arrays["b"]})
    bits = (arrays["w"].view(np.uint32) >> 16).astype("<u2")
    tensor = TensorProto(name="w", data_type=TensorProto.BFLOAT16, dims=bits.shape)
    tensor.raw_data = bits.tobytes()
    model.graph.initializer.append(tensor)
    return model


def two_heads(seed: int) -> ModelProto:
    """Two inputs, three outputs, one weight that goes to two places."""
    text = """net (float[N, 9] left, float[N, 9] right)
            => (float[N, 8] features, float[N, 3] p, int64[N, 1] label) {
        a = MatMul (left, w)
        b = MatMul (right, w)
        features = Add (a, b)
        l = MatMul (features, head)
        p = Softmax (l)
        label = ArgMax <axis = 1> (l)
    }"""
    return build(text, normal(seed, w=(9, 8), head=(8, 3)))


def multilabel(seed: int) -> ModelProto:
    text = """net (float[N, 12] x) => (float[N, 6] p) {
        l = Gemm (x, w, b)
        p = Sigmoid (l)
    }"""
    return build(text, normal(seed, w=(12, 6), b=(6,)))


def regression(seed: int) -> ModelProto:
    text = """net (float[N, 12] x) => (float[N, 1] y) {
        a = Gemm (x, w, b)
        h = Tanh (a)
        y = MatMul (h, out)
    }"""
    return build(text, normal(seed, w=(12, 8), b=(8,), out=(8, 1)))


def resized(seed: int) -> ModelProto:
    """Upsampling whose factors are floats, and part of the architecture."""
    text = """net (float[N, 2, 4, 4] x) => (float[N, 5, 8, 8] logits) {
        a = Conv <pads = [1, 1, 1, 1]> (x, w)
        logits = Resize <mode = "nearest"> (a, , scales)
    }"""
    scales = np.array([1, 1, 2, 2], np.float32)
    return build(text, normal(seed, w=(5, 2, 3, 3)) | {"scales": scales})


def quantised_resize(seed: int) -> ModelProto:
    text = """net (float[N, 2, 4, 4] x) => (float[N, 5, 8, 8] logits) {
        d = DequantizeLinear (w, s)
        a = Conv <pads = [1, 1, 1, 1]> (x, d)
        logits = Resize <mode = "nearest"> (a, , scales)
    }"""
    rng = np.random.default_rng(seed)
    stored = {"w": rng.integers(-127, 128, (5, 2, 3, 3)).astype(np.int8)}
    stored["s"] = np.array(rng.uniform(0.001, 0.01), np.float32)
    return build(text, stored | {"scales": np.array([1, 1, 2, 2], np.float32)})


KINDS: dict[str, Callable[[int], ModelProto]] = {
    "mlp": mlp,
    "opset 11": lambda seed: mlp(seed, opset=11, ir=6),
    "cnn": cnn,
    "segmentation": segmentation,
    "lstm": lstm,
    "embedding": embedding,
    "branches": branches,
    "loop": loop,
    "constant nodes": constant_nodes,
    "quantised": quantised,
    "dynamically quantised": dynamically_quantised,
    "float16": lambda seed: typed(seed, "float16"),
    "double": lambda seed: typed(seed, "double"),
    "bfloat16": bfloat16,
    "two heads": two_heads,
    "multilabel": multilabel,
    "regression": regression,
    "resized": resized,
    "quantised resize": quantised_resize,
}


def random_inputs(model: ModelProto, seed: int = 0, rows: int = 3) -> Arrays:
    """Inputs that the model takes, by name; free dims become *rows*."""
    rng = np.random.default_rng(seed)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs: Arrays = {}
    for value in model.graph.input:
        if value.name not in stored:
            tensor = value.type.tensor_type
            shape = [dim.dim_value or rows for dim in tensor.shape.dim]
            dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            if dtype.kind == "f":
                inputs[value.name] = rng.standard_normal(shape).astype(dtype)
            else:
                inputs[value.name] = rng.integers(0, 20, shape).astype(dtype)
    return inputs


def save(models: list[ModelProto], folder: Path) -> list[Path]:
    paths = [folder / f"member_{number}.onnx" for number in range(len(models))]
    for model, path in zip(models, paths, strict=True):
        path.write_bytes(model.SerializeToString())
    return paths


def initializer(model: ModelProto, name: str) -> TensorProto:
    """The initializer to damage."""
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def replace_values(model: ModelProto, name: str, array: np.ndarray) -> None:
    initializer(model, name).CopyFrom(numpy_helper.from_array(array, name))


def external(models: list[ModelProto], folder: Path) -> list[Path]:
    """Like save, with the weights in a file beside each model."""
    paths = [folder / f"member_{number}.onnx" for number in range(len(models))]
    for model, path in zip(models, paths, strict=True):
        onnx.save(
            model,
            path,
            save_as_external_data=True,
            location=f"{path.name}.weights",
            size_threshold=0,
        )
    return paths


def contain(ensemble: Ensemble, *, exact: bool = False, **metadata: object) -> bytes:
    """The bytes of a container of *ensemble*, with 8-bit codes or exact values."""
    if exact:
        tensors = tuple(replace(tensor, quantise=False) for tensor in ensemble.tensors)
        ensemble = replace(ensemble, tensors=tensors)
    meta = Section("META", json.dumps(ensemble.metadata | metadata).encode())
    skeletons = [Section(kind, graph) for kind, graph in ensemble.skeletons.items()]
    coded = quantize_ensemble(ensemble, bits=8)
    return serialise(replace(coded, sections=(meta, *skeletons)))
