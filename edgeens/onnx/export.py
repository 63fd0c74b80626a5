"""Decoded members as ordinary ONNX files, which need nothing of edgeens any more.

Beside the end of the pipeline: for tools that want constant weights, and to look into a container.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeens.atomic import make_folder, replacing
from edgeens.decoder import Container
from edgeens.onnx.elements import Array
from edgeens.onnx.runtime import find_skeleton
from edgeens.onnx.skeleton import locate, restore_member

# A protobuf ends at 2 GiB; the graph and the headers of the tensors need some of it.
MOST_INSIDE = (1 << 31) - (1 << 26)
_PAGE = 4096  # ONNX recommends offsets in external data that can be mapped


def write_members(
    container: Container, directory: str | os.PathLike[str], *, threads: int = 1
) -> list[Path]:
    """Write each member of *container* as member_0.onnx, member_1.onnx, ... in *directory*.

    Weights above 2 GiB a member go to member_0.onnx.data, ... beside the model. A file is either
    complete or absent; the folder is made if need be. *threads* is as in Container.decode. Returns
    the paths of the models.

    Raises:
        DataError: the container holds no graph, or one that does not fit its tensors.
        FormatError: the container is damaged.
        OSError: a file cannot be written.
    """
    folder = make_folder(directory)
    _, skeleton = find_skeleton(container)
    written = []
    for member in range(container.members):
        tensors = {
            info.name: container.decode(info.name, member=member, threads=threads)
            for info in container.tensors
        }
        path = folder / f"member_{member}.onnx"
        if sum(array.nbytes for array in tensors.values()) > MOST_INSIDE:
            model = _with_data_beside(skeleton, tensors, path)
        else:
            model = restore_member(skeleton, tensors)
        for key, value in container.metadata.get("onnx.metadata", {}).items():
            model.metadata_props.add(key=key, value=str(value))
        with replacing(path) as file:
            file.write(model.SerializeToString(deterministic=True))
        written.append(path)
    return written


def _with_data_beside(skeleton: bytes, tensors: Mapping[str, Array], path: Path) -> Any:
    """The model, its weights in a file of their own, which is written first."""
    data = path.with_name(f"{path.name}.data")
    model = restore_member(skeleton, tensors, filled=False)
    with replacing(data) as file:
        offset = 0
        for tensor in model.graph.initializer:
            if tensor.name in tensors:
                array = tensors[tensor.name]
                file.write(bytes(-offset % _PAGE))
                offset += -offset % _PAGE
                locate(tensor, data.name, offset, array.nbytes)
                file.write(array.data)
                offset += array.nbytes
    return model
