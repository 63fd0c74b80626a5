"""An Ensemble's tensors as a CodedEnsemble's: on a grid, or kept exactly.

First pass of quantize; sharing and joint coding then work on the codes it makes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgeens.coded import CodedEnsemble, CodedTensor, Grid
from edgeens.ensemble import Array, Ensemble, GivenCodes, LayerInputs, MemberTensor
from edgeens.errors import MembersError
from edgeens.quantize.coarse import live_channels
from edgeens.quantize.feedback import code_with_feedback
from edgeens.quantize.grid import Clip, fit_grid, quantize

Progress = Callable[[str, int, int], None]
InputsOf = Callable[[str], LayerInputs | None]

# How the values of a type (S4.2) are held, little-endian; bfloat16 has no NumPy type.
_HELD_AS: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "double": np.dtype("<f8"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "int8": np.dtype("i1"),
    "int16": np.dtype("<i2"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
    "uint8": np.dtype("u1"),
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
    "uint64": np.dtype("<u8"),
    "bool": np.dtype("?"),
}
_FLOATS = ("float32", "double", "float16", "bfloat16")

# The widest codes whose range is clipped: beyond, the wider files that a finer step makes were no
# better on any of six ensembles (docs/DESIGN.md, "Which weights are clipped").
CLIPPED_BITS = 4


def quantize_ensemble(
    ensemble: Ensemble,
    *,
    bits: int = 8,
    per_channel: bool | None = False,
    clip: Clip | None = None,
    inputs: InputsOf | None = None,
    rate: float = 0.0,
    progress: Progress | None = None,
) -> CodedEnsemble:
    """Put the tensors that may be quantised on grids, and keep the others exactly.

    At 8 bits a tensor that came with codes keeps them, whatever else is asked for.

    Args:
        ensemble: K members' tensors.
        bits: width of a code, 2 to 8.
        per_channel: a scale for each output channel, where a tensor has them, else one a tensor;
            None: for tensors for which one is coarse (coarse.live_channels).
        clip: as in fit_grid; None takes "mse" up to CLIPPED_BITS, where a step is what hurts, and
            "minmax" above; but with *inputs* always "minmax": feedback makes good a wide step, not
            a clipped weight.
        inputs: gives a tensor's inputs on calibration data by its name, or None where there are
            none. Those tensors are rounded with error feedback, the others to nearest. Asked once
            for each tensor to quantise, in their order.
        rate: as in code_with_feedback; for tensors that have inputs.
        progress: called after each tensor with its name, how many are done, and of how many.

    Returns:
        The same tensors in the same order: int8 codes with method "plain", or the exact values,
        little-endian, with method "raw". No sections: they come from the skeletons and metadata.

    Raises:
        MembersError: a tensor to quantise holds NaN or infinite weights, or is not of floats; a
            tensor's copies are neither 1 nor K; its type is unknown or not that of its values; or
            *bits* is out of range.
    """
    coded = []
    for done, tensor in enumerate(ensemble.tensors, start=1):
        if tensor.values.ndim == 0 or tensor.copies not in (1, ensemble.members):
            raise MembersError(
                f"tensor {tensor.name!r} has shape {tensor.values.shape}; its first axis must "
                f"count 1 or {ensemble.members} copies, one for each member"
            )
        if tensor.quantise and tensor.given is not None and bits == 8:
            coded.append(_given_tensor(tensor, tensor.given))
        elif tensor.quantise:
            layer = inputs(tensor.name) if inputs is not None else None
            coded.append(_plain_tensor(tensor, bits, per_channel, clip, layer, rate))
        else:
            coded.append(exact_tensor(tensor))
        if progress is not None:
            progress(tensor.name, done, len(ensemble.tensors))
    return CodedEnsemble(ensemble.members, tuple(coded))


def exact_tensor(tensor: MemberTensor) -> CodedTensor:
    """The tensor kept exactly: method "raw", its values little-endian, NaN and infinity included.

    Raises:
        MembersError: the tensor's type is unknown or not that of its values.
    """
    return CodedTensor(tensor.name, tensor.dtype, _held(tensor))


def float_values(tensor: MemberTensor) -> Array:
    """The tensor's values as floats, shape (copies, *shape): bfloat16 as float32, others as held.

    Raises:
        MembersError: the tensor's type is not a float type or not that of its values.
    """
    values = _held(tensor)
    if tensor.dtype not in _FLOATS:
        raise MembersError(
            f"tensor {tensor.name!r} has type {tensor.dtype!r}; only floats can be quantised, so "
            "exclude it from quantisation to keep it exactly"
        )
    if tensor.dtype == "bfloat16":
        # A bfloat16 is the upper half of a float32.
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values


def _plain_tensor(
    tensor: MemberTensor,
    bits: int,
    per_channel: bool | None,
    clip: Clip | None,
    layer: LayerInputs | None,
    rate: float,
) -> CodedTensor:
    """The tensor of all members as codes on one grid."""
    if clip is None:
        clip = "mse" if bits <= CLIPPED_BITS and layer is None else "minmax"
    values = float_values(tensor)
    if per_channel is None:
        live = live_channels(values, tensor.channel_axis)
        per_channel = live is not None
        values = values if live is None else live
    grid = fit_grid(
        values,
        bits=bits,
        channel_axis=tensor.channel_axis,
        per_channel=per_channel,
        clip=clip,
        name=tensor.name,
    )
    if layer is None:
        codes = quantize(values, grid)
    else:
        codes = code_with_feedback(values, grid, layer, rate=rate)
    return CodedTensor(tensor.name, tensor.dtype, codes, grid, "plain")


def _given_tensor(tensor: MemberTensor, given: GivenCodes) -> CodedTensor:
    """The tensor of all members with the codes it came with."""
    axis = tensor.channel_axis if given.channel_axis is None else given.channel_axis
    grid = Grid(8, given.scale, axis, given.zero_point)
    return CodedTensor(tensor.name, tensor.dtype, given.codes, grid, "plain")


def _held(tensor: MemberTensor) -> Array:
    """The tensor's values, contiguous and little-endian, once their type is right."""
    held = _HELD_AS.get(tensor.dtype)
    if held is None:
        raise MembersError(
            f"tensor {tensor.name!r} has type {tensor.dtype!r}, which a file cannot hold; convert "
            f"it to one of {', '.join(_HELD_AS)}"
        )
    if tensor.values.dtype.newbyteorder("<") != held:
        raise MembersError(
            f"tensor {tensor.name!r} is said to be {tensor.dtype!r}, so its array must be of type "
            f"{held.name}, not {tensor.values.dtype.name}"
        )
    return np.ascontiguousarray(tensor.values, dtype=held)
