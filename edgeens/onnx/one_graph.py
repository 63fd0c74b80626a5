"""A container as one ordinary ONNX model: all members, their mean and their uncertainties.

Beside onnx.export, which writes one file a member. The model runs in any ONNX Runtime without
edgeens: the members are branches of one graph with the same inputs, and what Prediction says is
computed behind them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from edgeens.atomic import replacing
from edgeens.decoder import Container
from edgeens.errors import DataError
from edgeens.onnx.elements import NUMBERS, Array, numpy_type
from edgeens.onnx.forms import (
    DEQUANTIZE_OPSET,
    Codes,
    coded_tensors,
    codes_name,
    scales_name,
    zero_point_name,
)
from edgeens.onnx.graph import Proto, all_nodes
from edgeens.onnx.judgement import judge
from edgeens.onnx.package import onnx
from edgeens.onnx.runtime import find_skeleton
from edgeens.onnx.skeleton import IR_VERSIONS, locate

MOST_INSIDE = (1 << 31) - (1 << 26)  # a protobuf ends at 2 GiB; graph and headers need some of it
_PAGE = 4096  # ONNX recommends offsets in external data that can be mapped

_FIRST_AXIS = "edgeens.first_axis"

Form = Literal["float32", "int8"]


def write_one_graph(
    container: Container,
    path: str | os.PathLike[str],
    *,
    weights: Form = "float32",
    external: bool = False,
) -> Path:
    """Write *container* as one .onnx file; it is either complete or absent.

    Args:
        container: with a graph and a task.
        path: of the model.
        weights: "float32" values, or "int8" codes with DequantizeLinear: exactly the file's codes,
            a quarter of the bytes.
        external: put the weights into a file beside the model, PATH.data; needed above 2 GiB.

    Returns:
        The path. Outputs of a classifier: `mean_probs` (batch, ..., C), `member_probs`
        (K, batch, ..., C), `predictive_entropy`, `mutual_information`, `disagreement` (batch, ...).

    Raises:
        DataError: the container has no graph or no task, its operators are too old, the weights
            have no codes, or the model is too large for one file.
        FormatError: the container is damaged.
        OSError: a file cannot be written.
    """
    target = Path(path)
    kind, skeleton = find_skeleton(container)
    model = onnx.ModelProto.FromString(skeleton)
    _check_opset(model)
    coded = {} if weights == "float32" else _coded(container, kind)
    guarded = _guarded(model.graph, coded)
    tensors = list(_stored(container, coded, guarded))
    _branch_out(model, container, coded, guarded)
    judge(model, container.members, container.metadata | container.calibration)
    _describe(model, container)
    size = sum(array.nbytes for _, _, array in tensors)
    if size > MOST_INSIDE and not external:
        raise DataError(
            f"{size / 2**30:.1f} GiB of weights do not fit one .onnx file, which ends at 2 GiB: "
            "write them beside it (external data), or as int8"
        )
    if external:
        _write_beside(model, tensors, target)
    else:
        for name, dtype, array in tensors:
            model.graph.initializer.add(
                name=name, data_type=dtype, dims=array.shape, raw_data=array.tobytes()
            )
    with replacing(target) as file:
        file.write(model.SerializeToString(deterministic=True))
    return target


def _check_opset(model: Proto) -> None:
    for version in model.opset_import:
        if version.domain in ("", "ai.onnx") and version.version < DEQUANTIZE_OPSET:
            raise DataError(
                f"one graph with uncertainties needs opset {DEQUANTIZE_OPSET} or newer, but the "
                f"members have opset {version.version}: convert them with onnx.version_converter "
                "and encode again, or export the members one by one"
            )


def _coded(container: Container, kind: str) -> dict[str, Codes]:
    coded = coded_tensors(container) if kind == "SKLF" else {}
    if not coded:
        raise DataError("no weight of the file can be int8: it has no codes; export float32")
    return coded


def _guarded(graph: Proto, coded: Mapping[str, Codes]) -> set[str]:
    """The matrices whose codes ONNX Runtime must not see as what MatMul multiplies with.

    Newer versions make MatMulNBits of DequantizeLinear and MatMul, and of Gemm without transB,
    which rounds the *inputs* to 8 bits: logits move by half a percent. Codes of three axes and a
    Squeeze behind them, which moves nothing, keep them from it.
    """
    safe: dict[str, bool] = {}
    for node in all_nodes(graph):
        transposed = any(item.name == "transB" and item.i for item in node.attribute)
        for index, name in enumerate(node.input):
            fine = node.op_type == "Gemm" and index == 1 and transposed
            safe[name] = safe.get(name, True) and fine
    return {
        name for name, codes in coded.items() if len(codes.shape) == 2 and not safe.get(name, True)
    }


def _copy_name(name: str, member: int, copies: int) -> str:
    """What the members share has one name; the rest a name each."""
    return name if copies == 1 else f"member_{member}/{name}"


def _stored(
    container: Container, coded: dict[str, Codes], guarded: Collection[str]
) -> Iterator[tuple[str, int, Array]]:
    """Name, ONNX's number of the type, and values of every initializer."""
    for info in container.tensors:
        for member in range(info.copies):
            name = _copy_name(info.name, member, info.copies)
            if info.name not in coded:
                array = container.decode(info.name, member=member)
                yield name, NUMBERS[info.dtype], array.astype(numpy_type(info.dtype), copy=False)
                continue
            codes = container.decode(info.name, member=member, as_="int8")
            codes = codes[np.newaxis] if info.name in guarded else codes
            yield codes_name(name), NUMBERS["int8"], codes
        if info.name in coded:
            scales = container.scales(info.name)
            yield (
                scales_name(info.name),
                NUMBERS["float32"],
                (scales if coded[info.name].axis is not None else scales.reshape(())),
            )


def _branch_out(
    model: Proto, container: Container, coded: dict[str, Codes], guarded: Collection[str]
) -> None:
    """Give *model* K copies of its nodes in place of one, and an output a member for each output.

    The weights are no inputs any more; what is the same in all members is there once.
    """
    graph = model.graph
    copies = {info.name: info.copies for info in container.tensors}
    branch = onnx.GraphProto()
    branch.CopyFrom(graph)
    _drop(graph.input, copies)
    _drop(graph.initializer, copies)
    del graph.node[:], graph.output[:]
    common = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    common |= {tensor.values.name for tensor in graph.sparse_initializer}
    common |= {name for name, count in copies.items() if count == 1}
    for value in sorted({codes.zero_point for codes in coded.values() if codes.axis is None}):
        zero = onnx.numpy_helper.from_array(np.array(value, np.int8), zero_point_name(value))
        graph.initializer.append(zero)
    if guarded:
        first = onnx.numpy_helper.from_array(np.zeros(1, np.int64), _FIRST_AXIS)
        graph.initializer.append(first)
    for name, codes in coded.items():
        for member in range(copies[name]):
            own = _copy_name(name, member, copies[name])
            graph.node.extend(_dequantize(name, own, codes, guarded=name in guarded))
    for member in range(container.members):
        own = onnx.GraphProto()
        own.CopyFrom(branch)
        _rename(own, f"member_{member}/", common)
        graph.node.extend(own.node)
        graph.output.extend(own.output)


def _dequantize(name: str, own: str, codes: Codes, *, guarded: bool) -> Iterator[Proto]:
    """The nodes that make the weight *own*, a copy of *name*."""
    inputs, options, output = [codes_name(own), scales_name(name)], {}, own
    if codes.axis is None:
        inputs.append(zero_point_name(codes.zero_point))
    else:
        options = {"axis": codes.axis + guarded}
    if guarded:
        output = f"edgeens.plane/{own}"
    yield onnx.helper.make_node("DequantizeLinear", inputs, [output], **options)
    if guarded:
        yield onnx.helper.make_node("Squeeze", [output, _FIRST_AXIS], [own])


def _rename(graph: Proto, prefix: str, common: set[str]) -> None:
    """Put *prefix* before every name of a graph and of the graphs inside it but those in common.

    ONNX wants names to be unique over a graph and all that it holds, so no name is meant twice.
    """

    def renamed(name: str) -> str:
        return name if not name or name in common else prefix + name

    for node in graph.node:
        node.name = prefix + node.name if node.name else ""
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        for attribute in node.attribute:
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                _rename(inner, prefix, common)
    for value in [*graph.input, *graph.output, *graph.initializer]:
        value.name = renamed(value.name)


def _drop(field: Proto, names: Mapping[str, int]) -> None:
    """Take the items of these names out of a repeated field."""
    for index in reversed(range(len(field))):
        if field[index].name in names:
            del field[index]


def _describe(model: Proto, container: Container) -> None:
    """What the file's metadata say, as metadata of the model: strings, or JSON."""
    known = {"edgeens.members": container.members, **container.metadata, **container.calibration}
    for key, value in known.items():
        if key.startswith("edgeens."):
            text = value if isinstance(value, str) else json.dumps(value)
            model.metadata_props.add(key=key, value=text)
    for key, value in container.metadata.get("onnx.metadata", {}).items():
        model.metadata_props.add(key=key, value=str(value))
    low, high = IR_VERSIONS
    model.ir_version = min(max(model.ir_version, low), high)


def _write_beside(model: Proto, tensors: Sequence[tuple[str, int, Array]], target: Path) -> None:
    """Write the weights to a file of their own, and say in the model where they are."""
    data = target.with_name(f"{target.name}.data")
    offset = 0
    with replacing(data) as file:
        for name, dtype, array in tensors:
            file.write(bytes(-offset % _PAGE))
            offset += -offset % _PAGE
            tensor = model.graph.initializer.add(name=name, data_type=dtype, dims=array.shape)
            locate(tensor, data.name, offset, array.nbytes)
            file.write(array.tobytes())
            offset += array.nbytes
