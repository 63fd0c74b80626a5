"""A trained ensemble as ONNX files, one a member, and as one container.

Last stage of edgeens.torch. The container's tensors are, to the bit, those that the evaluation
forward pass computes with: codes are taken from it, not rounded again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.atomic import make_folder
from edgeens.coded import CodedEnsemble, CodedTensor, Coder, Profile
from edgeens.container.choice import choose_methods
from edgeens.encoder import Encoding, file_sections, write_coded
from edgeens.ensemble import MemberTensor
from edgeens.errors import MembersError
from edgeens.onnx.members import load_members
from edgeens.quantize.grid import dequantize
from edgeens.quantize.tensors import exact_tensor
from edgeens.torch.ensemble import EnsembleModule, member_weights
from edgeens.torch.factored import stored_layer
from edgeens.torch.onnx_file import write_onnx
from edgeens.torch.weights import CodedFactor

PathLike = str | os.PathLike[str]


def write_members(
    model: EnsembleModule,
    directory: PathLike,
    *,
    example_input: Any,
    input_names: Sequence[str] = ("input",),
    output_names: Sequence[str] = ("output",),
) -> list[Path]:
    """Write each member as member_0.onnx, member_1.onnx, ... in *directory*; return the paths.

    The weights in them are those of the evaluation forward pass; where they are products
    (low-rank, BatchEnsemble), the graph multiplies the stored factors.

    Args:
        model: the ensemble, on any device.
        directory: made if need be.
        example_input: a tensor (B, ...), or a tuple of what the module takes, to trace it with.
        input_names, output_names: of the graph; the first axis of each is the batch, of any size.

    Raises:
        MembersError: a member cannot be exported; the message has the exporter's reason.
    """
    folder = make_folder(directory)
    written = []
    for index in range(model.members):
        member = model.member_module(index, partial(stored_layer, index=index))
        path = folder / f"member_{index}.onnx"
        write_onnx(
            member,
            path,
            example_input=example_input,
            input_names=input_names,
            output_names=output_names,
        )
        written.append(path)
    return written


def coded_ensemble(
    model: EnsembleModule,
    *,
    example_input: Any,
    coder: Coder | None = None,
    profile: Profile = "desktop",
    block: int | None = None,
    input_names: Sequence[str] = ("input",),
    output_names: Sequence[str] = ("output",),
) -> CodedEnsemble:
    """The trained ensemble as a file holds it: codes, exact tensors, graph and description.

    Every tensor keeps its codes, each with the method and coder that store them in the fewest
    bytes; decoded, it is bit for bit what the evaluation forward pass computes with.

    Args:
        model: the ensemble.
        example_input, input_names, output_names: as in write_members.
        coder: the only one to use, or None for either.
        profile: limits that the file keeps to.
        block: most codes in a block, or None for the profile's own.

    Raises:
        MembersError: as write_members does; or the weights are NaN or too large; or a tensor of
            the graph is not one of the model's.
    """
    with tempfile.TemporaryDirectory() as scratch:
        paths = write_members(
            model,
            scratch,
            example_input=example_input,
            input_names=input_names,
            output_names=output_names,
        )
        ensemble = load_members(paths)
    factors = _Factors(model)
    tensors = tuple(factors.coded(tensor) for tensor in ensemble.tensors)
    factors.check_all_used()
    coded = CodedEnsemble(
        model.members,
        tensors,
        sections=file_sections(ensemble),
        profile=profile,
        block_codes=block,
    )
    return choose_methods(coded, coder=coder)


def write_ensemble(
    model: EnsembleModule,
    path: PathLike,
    *,
    example_input: Any,
    coder: Coder | None = None,
    profile: Profile = "desktop",
    block: int | None = None,
    threads: int = 1,
    input_names: Sequence[str] = ("input",),
    output_names: Sequence[str] = ("output",),
) -> Encoding:
    """Write the trained ensemble to the container *path*; returns sizes and their table.

    Args:
        model, example_input, coder, profile, block: as in coded_ensemble.
        path: the file to write; an older one stays whole until the new one is complete.
        threads: workers of the writer; the bytes do not depend on it.
        input_names, output_names: as in write_members.

    Raises:
        MembersError: as coded_ensemble does.
        OSError: the file cannot be written.
    """
    coded = coded_ensemble(
        model,
        example_input=example_input,
        coder=coder,
        profile=profile,
        block=block,
        input_names=input_names,
        output_names=output_names,
    )
    return write_coded(coded, path, threads=threads)


@dataclass(eq=False)
class _Found:
    """A factor of the model, its decoded values, and whether the graph has it."""

    label: str
    factor: CodedFactor
    values: NDArray[np.float32]
    used: bool = False


class _Factors:
    """The coded factors of a model, found by their values.

    By values and not by names: the exporter merges equal tensors of a member and names them anew,
    and only equal values are what an exact file needs.
    """

    def __init__(self, model: EnsembleModule) -> None:
        self._members = model.members
        training = model.training
        model.eval()
        self._by_shape: dict[tuple[int, ...], list[_Found]] = {}
        for layer, weight in member_weights(model.module).items():
            for name, factor in weight.coded().items():
                values = dequantize(factor.codes, factor.grid)
                found = _Found(f"{layer}.{name}".lstrip("."), factor, values)
                self._by_shape.setdefault(values.shape[1:], []).append(found)
        model.train(training)

    def coded(self, tensor: MemberTensor) -> CodedTensor:
        """*tensor* of the graph as codes if it is a factor on a grid, else exactly."""
        for found in self._by_shape.get(tensor.shape, []):
            if all(
                _same_bytes(_copy(tensor.values, k), _copy(found.values, k))
                for k in range(self._members)
            ):
                found.used = True
                codes = found.factor.codes[:1] if tensor.copies == 1 else found.factor.codes
                return CodedTensor(tensor.name, "float32", codes, found.factor.grid, "plain")
        return exact_tensor(tensor)

    def check_all_used(self) -> None:
        """Refuse a graph in which a quantised weight is not found as it was trained."""
        for group in self._by_shape.values():
            for found in group:
                if not found.used and not any(
                    np.array_equal(found.values, other.values) for other in group if other.used
                ):
                    raise MembersError(
                        f"the exported graph has no tensor {found.label!r}: a layer that the "
                        "forward pass does not use cannot be stored"
                    )


def _copy(values: NDArray[Any], member: int) -> NDArray[Any]:
    return values[member if len(values) > 1 else 0]


def _same_bytes(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()
