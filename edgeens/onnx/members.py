"""Files in: members of one architecture become an Ensemble.

First stage of the pipeline, before quantize. The files must agree in everything but the values of
their stored tensors; those values are taken out, and the graph without them becomes a section.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeens.ensemble import Ensemble
from edgeens.errors import MembersError
from edgeens.onnx.choice import choose_tensors
from edgeens.onnx.compare import check_same_graph
from edgeens.onnx.elements import FLOATS, NAMES
from edgeens.onnx.graph import walk_model
from edgeens.onnx.package import DecodeError, onnx
from edgeens.onnx.skeleton import build_skeleton
from edgeens.onnx.states import fill_graph
from edgeens.onnx.task import Shape, describe_output
from edgeens.onnx.weight_only import fold_weights
from edgeens.state_files import is_state_file, read_state

PathLike = str | os.PathLike[str]

MOST_MEMBERS = 64
MOST_METADATA_BYTES = 4096

# An absolute path, a path from the home folder, or a file URL: nobody else's business.
_PATH = re.compile(r"""(?:^|[\s"'=,;(\[])(?:~|[A-Za-z]:|file:)?[/\\]+\w""")


def load_members(
    paths: Sequence[PathLike],
    *,
    graph: PathLike | None = None,
    exclude: Sequence[str] = (),
    task: str | None = None,
    class_axis: int | None = None,
    output: str | None = None,
) -> Ensemble:
    """Read one ONNX file a member, or one file of weights a member and a *graph* for all.

    The models must have the same nodes in the same order, with the same attributes, inputs and
    outputs; only the values of their stored tensors may differ. Names of nodes and of inner values
    may differ too: tensors correspond by the places they go to, and are named as in the first file.

    Args:
        paths: 1 to 64 files; external data is read from the folder of its model.
        graph: an ONNX file whose initializers have the names of the tensors in *paths*, which are
            safetensors files or PyTorch state dicts then.
        exclude: patterns (*, ?, [...]) of the names of tensors that are kept exactly.
        task: "classification", "multilabel" or "regression", if the graph does not tell.
        class_axis: axis of the classes in the output, the batch axis being 0.
        output: name of the output that *task* speaks of; default: the first of floating point.

    Raises:
        MembersError: a file is not an ONNX model, the models differ, or hold what a container
            cannot; the message names the files and the place.
        OSError: a file cannot be read.
    """
    if not 1 <= len(paths) <= MOST_MEMBERS:
        raise MembersError(f"an ensemble has 1 to {MOST_MEMBERS} members, but {len(paths)} given")
    files = [os.fspath(path) for path in paths]
    models = _read_models(files, None if graph is None else os.fspath(graph))
    given = fold_weights(models)
    walks = [walk_model(model, file) for model, file in zip(models, files, strict=True)]
    for walk, file in zip(walks[1:], files[1:], strict=True):
        check_same_graph(walks[0], walk, files=(files[0], file))
    chosen = choose_tensors(walks, files=files, exclude=exclude, given=given)
    origin = _origin(models[0])
    skeletons = build_skeleton(walks[0], [weight for weight, _ in chosen])
    (skeleton,) = skeletons.values()
    described = _describe(skeleton, files[0], task=task, class_axis=class_axis, output=output)
    return Ensemble(
        members=len(files),
        tensors=tuple(tensor for _, tensor in chosen),
        skeletons=skeletons,
        metadata=described | origin,
    )


def _read_models(files: Sequence[str], graph: str | None) -> list[Any]:
    """A model a member, from files of both or of weights alone."""
    for file in files:
        if is_state_file(file) != (graph is not None):
            raise MembersError(
                f"{file} holds weights without a graph: give the graph as well, --graph MODEL.onnx"
                if graph is None
                else f"{file} is not a file of weights alone (.safetensors, .pt, .pth or .th), "
                "which a graph (--graph) goes with"
            )
    if graph is None:
        return [_read_model(file) for file in files]
    return fill_graph(
        _read_model(graph), [read_state(file) for file in files], graph=graph, files=files
    )


def _read_model(file: str) -> Any:
    """The ModelProto in *file*, in the form that walk_model needs."""
    try:
        model = onnx.ModelProto.FromString(Path(file).read_bytes())
    except DecodeError as error:
        raise MembersError(f"{file} is not an ONNX model: it cannot be parsed") from error
    if not model.graph.node or not model.graph.output or not model.opset_import:
        raise MembersError(f"{file} is not an ONNX model: it holds no graph with nodes and outputs")
    if len(model.functions):
        model = _inlined(model, file)
    _load_external_data(model, file)
    _check_interface(model.graph, file)
    stored = {tensor.name for tensor in model.graph.initializer}
    for index in reversed(range(len(model.graph.input))):
        if model.graph.input[index].name in stored:  # as IR versions below 4 had to list them
            del model.graph.input[index]
    _lift_constants(model.graph)
    return model


def _inlined(model: Any, file: str) -> Any:
    """The model with its local functions written out, so that weights reach their operators."""
    try:
        return onnx.inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        raise MembersError(
            f"{file} is not a valid ONNX model: its functions cannot be inlined"
        ) from error


def _load_external_data(model: Any, file: str) -> None:
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(Path(file).parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise MembersError(f"the external data of {file} cannot be read: {reason}") from error


def _check_interface(graph: Any, file: str) -> None:
    for value in [*graph.input, *graph.output]:
        if value.type.WhichOneof("value") not in ("tensor_type", None):
            raise MembersError(
                f"{value.name!r} of {file} is not a tensor: only tensors go in and out of an "
                "ensemble; export the model without sequences, maps and optional values"
            )


def _lift_constants(graph: Any) -> None:
    """Put the tensors of Constant nodes among the initializers too, also in graphs inside."""
    for node in graph.node:
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                _lift_constants(body)
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            for attribute in node.attribute:
                graph.initializer.extend(_constant(attribute, node.output[0]))


def _constant(attribute: Any, name: str) -> list[Any]:
    """The value of a Constant node as a tensor; none for a sparse value, which stays a node."""
    if attribute.name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(attribute.t)
        tensor.name = name
        return [tensor]
    kinds = {"float": onnx.TensorProto.FLOAT, "int": onnx.TensorProto.INT64}
    kinds["string"] = onnx.TensorProto.STRING
    kind = attribute.name.removeprefix("value_")
    if kind.rstrip("s") not in kinds:
        return []
    value = onnx.helper.get_attribute_value(attribute)
    dims, values = ([len(value)], value) if kind.endswith("s") else ([], [value])
    return [onnx.helper.make_tensor(name, kinds[kind.rstrip("s")], dims, values)]


def _describe(graph: bytes, file: str, **known: Any) -> dict[str, Any]:
    """What the model's outputs mean, as far as the graph without its weights tells."""
    model = onnx.ModelProto.FromString(graph)
    # Where inference fails, the declared shapes are all that is known.
    with suppress(onnx.shape_inference.InferenceError):
        model = onnx.shape_inference.infer_shapes(model)
    shapes: dict[str, Shape | None] = {}
    for value in model.graph.output:
        tensor = value.type.tensor_type
        if NAMES.get(tensor.elem_type) in FLOATS:
            dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
            shapes[value.name] = tuple(dims) if tensor.HasField("shape") else None
    return describe_output(walk_model(model, file), shapes, **known)


def _origin(model: Any) -> dict[str, Any]:
    """Who exported the model, and what it says about itself; nothing long, and no paths."""
    producer = f"{model.producer_name} {model.producer_version}".strip()
    origin: dict[str, Any] = {}
    if producer and len(producer) <= 200 and not _PATH.search(producer):
        origin["onnx.producer"] = producer
    properties = {
        item.key: item.value for item in model.metadata_props if not _PATH.search(item.value)
    }
    if properties and len(json.dumps(properties)) < MOST_METADATA_BYTES:
        origin["onnx.metadata"] = properties
    return origin
