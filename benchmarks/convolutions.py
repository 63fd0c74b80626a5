"""ONNX files of nothing but convolutions: drawn weights in the form that `edgeens encode` takes.

Under benchmarks.ensembles and benchmarks.encode.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_convolutions(path: Path, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Write one convolution after the other, with *weights*, each (outputs, inputs, 3, 3)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    values = ["x", *(f"after {name}" for name in weights)]
    ends = pairwise(values)
    nodes = [
        helper.make_node("Conv", [given, name], [result])
        for name, (given, result) in zip(weights, ends, strict=True)
    ]
    first, last = next(iter(weights.values())), list(weights.values())[-1]
    sizes = {"x": (None, first.shape[1], None, None), values[-1]: (None, len(last), None, None)}
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items()
    )
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "convolutions", [x], [y], tensors)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, str(path))
