"""Other forms of a container's graph, made from section SKLF without the package onnx.

Between onnx.runtime, which reads the section, and its sessions. In SKLF the weights are inputs of
the graph (SPEC S11). Here they become constants that ONNX Runtime is handed separately, or int8
codes and scales with a DequantizeLinear in front of each use. The graph is edited as protobuf
fields; what is not understood is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgeens.decoder import Container
from edgeens.errors import FormatError
from edgeens.onnx.elements import NUMBERS

_SECTION = 15  # SPEC S12: a section is malformed

# Fields of ONNX's messages, by their numbers in onnx.proto.
_MODEL_GRAPH, _MODEL_OPSET = 7, 8
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_OUTPUT = 2
_EXTERNAL = 1
_INT = 2

_VARINT, _BYTES = 0, 2  # wire types

DEQUANTIZE_OPSET = 13  # the first whose DequantizeLinear knows an axis


@dataclass(frozen=True)
class Codes:
    """How a weight is fed as codes.

    Attributes:
        shape: of the weight.
        axis: of its scales, or None for one scale.
        scales: how many.
        zero_point: the code of 0; 0 where there are several scales.
    """

    shape: tuple[int, ...]
    axis: int | None
    scales: int
    zero_point: int = 0


def coded_tensors(container: Container) -> dict[str, Codes]:
    """The tensors that a graph can take as codes: float32, with the code 0 for 0 or one scale."""
    return {
        info.name: Codes(
            info.shape,
            info.channel_axis if info.scale_count > 1 else None,
            info.scale_count,
            info.zero_point,
        )
        for info in container.tensors
        if info.bits and info.dtype == "float32" and (info.zero_point == 0 or info.scale_count == 1)
    }


def codes_name(name: str) -> str:
    """The input that takes a weight's codes."""
    return f"edgeens.codes/{name}"


def scales_name(name: str) -> str:
    """The input that takes a weight's scales."""
    return f"edgeens.scales/{name}"


def zero_point_name(value: int) -> str:
    """The initializer with this zero point.

    It is said although it may be 0: where it is left out, ONNX Runtime 1.20 moves the node behind a
    Gather and puts a QuantizeLinear there, whose type it then gets wrong.
    """
    return f"edgeens.zero_point/{value}"


def opset(model: bytes) -> int:
    """Version of ONNX's own operators in a ModelProto; 1 if it does not say."""
    for number, value in _fields(model):
        if number == _MODEL_OPSET and isinstance(value, bytes):
            found = dict(_fields(value))
            if found.get(1, b"") == b"":
                version = found.get(2, 1)
                return version if isinstance(version, int) else 1
    return 1


def graph_inputs(model: bytes) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Element type, as ONNX numbers it, and shape of a ModelProto's inputs; -1 for an open dim.

    Raises FormatError for a damaged graph.
    """
    inputs = (
        value
        for number, value in _fields(_part(model, _MODEL_GRAPH))
        if number == _GRAPH_INPUT and isinstance(value, bytes)
    )
    return {_name(value): _tensor_type(value) for value in inputs}


def with_codes(model: bytes, weights: Mapping[str, Codes]) -> bytes:
    """The graph with int8 codes and float32 scales as inputs in place of these float32 weights.

    `codes_name` and `scales_name` name the new inputs. The values are those of the decoder: one
    product of scale and code (SPEC S4.4). Needs opset 13; raises FormatError for a damaged graph.
    """
    nodes, inputs = [], []
    zeros = {weight.zero_point for weight in weights.values() if weight.axis is None}
    for name, weight in weights.items():
        inputs.append(_value_info(codes_name(name), NUMBERS["int8"], weight.shape))
        scales = () if weight.axis is None else (weight.scales,)
        inputs.append(_value_info(scales_name(name), NUMBERS["float32"], scales))
        nodes.append(_dequantize(name, weight))
    constants = [_zero_point(value) for value in sorted(zeros)]
    return _edited(model, weights, first_nodes=nodes, inputs=inputs, initializers=constants)


def with_constants(model: bytes, weights: Mapping[str, tuple[int, tuple[int, ...]]]) -> bytes:
    """The graph with these inputs as initializers whose data lie elsewhere.

    *weights* are element type (as ONNX numbers it) and shape by name. ONNX Runtime gets their
    values through SessionOptions.add_external_initializers. Raises FormatError for a damaged graph.
    """
    tensors = [_external(name, dtype, shape) for name, (dtype, shape) in weights.items()]
    return _edited(model, weights, first_nodes=(), inputs=(), initializers=tensors)


def with_inner_outputs(model: bytes) -> bytes:
    """The graph with every node's results as outputs too, without type and shape.

    Raises FormatError for a damaged graph.
    """
    return b"".join(
        _field(number, value + _inner_outputs(value))
        if number == _MODEL_GRAPH and isinstance(value, bytes)
        else _field(number, value)
        for number, value in _fields(model)
    )


def _inner_outputs(graph: bytes) -> bytes:
    known: set[bytes] = {b""}
    inner: dict[bytes | int, None] = {}  # in the order of the nodes
    for number, value in _fields(graph):
        if number == _GRAPH_OUTPUT and isinstance(value, bytes):
            known.add(_name(value).encode())
        if number == _GRAPH_NODE and isinstance(value, bytes):
            inner |= {name: None for field, name in _fields(value) if field == _NODE_OUTPUT}
    return b"".join(_field(_GRAPH_OUTPUT, _field(1, name)) for name in inner if name not in known)


def _edited(
    model: bytes,
    gone: Mapping[str, object],
    *,
    first_nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    initializers: Sequence[bytes],
) -> bytes:
    """The model without the inputs *gone*, and with what is new in its graph."""
    parts = []
    for number, value in _fields(model):
        if number == _MODEL_GRAPH and isinstance(value, bytes):
            value = _edited_graph(value, gone, first_nodes, inputs, initializers)
        parts.append(_field(number, value))
    return b"".join(parts)


def _edited_graph(
    graph: bytes,
    gone: Mapping[str, object],
    first_nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    initializers: Sequence[bytes],
) -> bytes:
    parts = [_field(_GRAPH_NODE, node) for node in first_nodes]
    for number, value in _fields(graph):
        if number == _GRAPH_INPUT and isinstance(value, bytes) and _name(value) in gone:
            continue
        parts.append(_field(number, value))
    parts += [_field(_GRAPH_INPUT, value) for value in inputs]
    parts += [_field(_GRAPH_INITIALIZER, tensor) for tensor in initializers]
    return b"".join(parts)


def _name(value_info: bytes) -> str:
    return _part(value_info, 1).decode()


def _tensor_type(value_info: bytes) -> tuple[int, tuple[int, ...]]:
    tensor = _part(_part(value_info, 2), 1)
    dtype = dict(_fields(tensor)).get(1)
    dims = [
        dict(_fields(dim)).get(1) for _, dim in _fields(_part(tensor, 2)) if isinstance(dim, bytes)
    ]
    return (
        dtype if isinstance(dtype, int) else 0,
        tuple(dim if isinstance(dim, int) else -1 for dim in dims),
    )


def _part(message: bytes, number: int) -> bytes:
    """The message in a field, empty if there is none."""
    value = dict(_fields(message)).get(number)
    return value if isinstance(value, bytes) else b""


def _value_info(name: str, dtype: int, shape: Sequence[int]) -> bytes:
    dims = b"".join(_field(1, _field(1, size)) for size in shape)
    tensor_type = _field(1, dtype) + _field(2, dims)
    return _field(1, name.encode()) + _field(2, _field(1, tensor_type))


def _zero_point(value: int) -> bytes:
    raw = value.to_bytes(1, signed=True)
    name = zero_point_name(value).encode()
    return _field(2, NUMBERS["int8"]) + _field(8, name) + _field(9, raw)


def _dequantize(name: str, weight: Codes) -> bytes:
    node = _field(1, codes_name(name).encode()) + _field(1, scales_name(name).encode())
    if weight.axis is None:
        node += _field(1, zero_point_name(weight.zero_point).encode())
    node += _field(2, name.encode()) + _field(4, b"DequantizeLinear")
    if weight.axis is not None:
        node += _field(5, _field(1, b"axis") + _field(3, weight.axis) + _field(20, _INT))
    return node


def _external(name: str, dtype: int, shape: Sequence[int]) -> bytes:
    place = _field(1, b"location") + _field(2, b"edgeens")
    tensor = b"".join(_field(1, size) for size in shape) + _field(2, dtype)
    return tensor + _field(8, name.encode()) + _field(13, place) + _field(14, _EXTERNAL)


def _field(number: int, value: bytes | int) -> bytes:
    """One field: an int is a varint, bytes are length-delimited."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    """Seven bits a byte, low ones first; negative numbers as 64 bits."""
    number &= (1 << 64) - 1
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of each field; ONNX's models and graphs have varints and bytes only."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        if key & 7 == _VARINT:
            value, at = _read_varint(message, at)
            yield key >> 3, value
        elif key & 7 == _BYTES:
            size, at = _read_varint(message, at)
            if size > len(message) - at:
                raise _damaged()
            yield key >> 3, message[at : at + size]
            at += size
        else:
            raise _damaged()


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        number |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return number, at
    raise _damaged()


def _damaged() -> FormatError:
    return FormatError(_SECTION, "the section SKLF is not an ONNX model; encode the file again")
