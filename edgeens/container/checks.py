"""What an ensemble must be before it is written: every rule of the format, in the maker's words.

First step of the writer. Whatever passes here becomes a file that a reader opens.
"""

from __future__ import annotations

import numpy as np

from edgeens.coded import CodedEnsemble, CodedTensor, Grid, Section
from edgeens.container.layout import (
    BLOCK_LIMITS,
    CODED_DTYPES,
    DTYPES,
    KNOWN_SECTIONS,
    MAX_DIMS,
    MAX_ELEMENTS,
    MAX_MEMBERS,
    MAX_NAME,
    MAX_PARENT_LEVELS,
    MAX_SECTIONS,
    MAX_SHARED_MEMBERS,
    MAX_TENSORS,
    METHODS,
    PREDICTORS,
)
from edgeens.errors import MembersError
from edgeens.json_object import read_object


def check_ensemble(coded: CodedEnsemble) -> None:
    """Raise MembersError, naming the tensor or section, if *coded* cannot be written."""
    if not 1 <= coded.members <= MAX_MEMBERS:
        raise MembersError(
            f"an ensemble has 1 to {MAX_MEMBERS} members, but this one has {coded.members}"
        )
    if coded.profile not in BLOCK_LIMITS:
        raise MembersError(f"profile is desktop or mcu, not {coded.profile!r}")
    limit = BLOCK_LIMITS[coded.profile]
    if coded.block_codes is not None and not 1 <= coded.block_codes <= limit:
        raise MembersError(
            f"block_codes is 1 to {limit} in the profile {coded.profile}, not {coded.block_codes}"
        )
    if len(coded.tensors) > MAX_TENSORS:
        raise MembersError(
            f"a file holds at most {MAX_TENSORS} tensors, but these are {len(coded.tensors)}"
        )
    seen = set()
    for tensor in coded.tensors:
        _check_name(tensor.name)
        if tensor.name in seen:
            raise MembersError(f"two tensors have the name {tensor.name!r}; rename one of them")
        seen.add(tensor.name)
        problem = _problem(tensor, coded.members)
        if problem:
            raise MembersError(f"tensor {tensor.name!r}: {problem}")
    _check_sections(coded.sections)


def _check_name(name: str) -> None:
    try:
        data = name.encode()
    except UnicodeEncodeError as error:
        raise MembersError(f"the tensor name {name!r} is not Unicode text; rename it") from error
    if not 1 <= len(data) <= MAX_NAME:
        raise MembersError(
            f"a tensor name has 1 to {MAX_NAME} bytes of UTF-8, but {name[:40]!r} has {len(data)}"
        )
    if any(byte < 0x20 or byte == 0x7F for byte in data):
        raise MembersError(f"the tensor name {name!r} holds a control character; rename it")


def _problem(tensor: CodedTensor, members: int) -> str | None:
    """What is wrong with a tensor, or None."""
    if tensor.dtype not in DTYPES:
        return f"the dtype {tensor.dtype!r} is not one of {', '.join(DTYPES)}"
    if tensor.codes.ndim < 1:
        return "the codes have no axis for the copies"
    wanted = (1,) if tensor.method == "drawn" else (1, members)
    if len(tensor.codes) not in wanted:
        return (
            f"it holds {len(tensor.codes)} copies, where {tensor.method} takes "
            f"{' or '.join(map(str, sorted(set(wanted))))}"
        )
    problem = _shape_problem(tensor.shape)
    if problem:
        return problem
    if tensor.grid is None:
        return _exact_problem(tensor)
    return (
        _grid_problem(tensor, tensor.grid)
        or _method_problem(tensor, tensor.grid, members)
        or _code_problem(tensor, tensor.grid)
    )


def _shape_problem(shape: tuple[int, ...]) -> str | None:
    if len(shape) > MAX_DIMS:
        return f"it has {len(shape)} dimensions, but a file takes at most {MAX_DIMS}"
    product = 1
    for dim in shape:
        product *= dim
        if max(dim, product) > MAX_ELEMENTS:
            return f"its shape {shape} has more than {MAX_ELEMENTS} elements; split it"
    return None


def _exact_problem(tensor: CodedTensor) -> str | None:
    if tensor.method != "raw" or tensor.digits != "none" or tensor.draw is not None:
        return f"without a grid its values are kept exactly, which {tensor.method} cannot"
    if tensor.coder != "fixed" or tensor.predictor != "none":
        return "without a grid its values are kept exactly, which takes no coder and no predictor"
    wanted = np.dtype(DTYPES[tensor.dtype].numpy)
    if tensor.codes.dtype.newbyteorder("=") != wanted.newbyteorder("="):
        return f"{tensor.dtype} values come as NumPy {wanted.name}, not {tensor.codes.dtype}"
    return None


def _grid_problem(tensor: CodedTensor, grid: Grid) -> str | None:
    if tensor.dtype not in CODED_DTYPES:
        return f"values of dtype {tensor.dtype} cannot lie on a grid; keep them exactly"
    if not 2 <= grid.bits <= 8:
        return f"a code has 2 to 8 bits, not {grid.bits}"
    if not -128 <= grid.zero_point <= 127:
        return f"the zero point {grid.zero_point} is outside -128..127"
    axis = grid.channel_axis
    if axis is not None and not 0 <= axis < len(tensor.shape):
        return f"the channel axis {axis} is outside its {len(tensor.shape)} dimensions"
    channels = {1} if axis is None or tensor.shape[axis] == 0 else {1, tensor.shape[axis]}
    scale = grid.scale
    if scale.dtype != np.float32 or scale.ndim != 1 or scale.size not in channels:
        return (
            f"its scale is float32 of shape {' or '.join(f'({n},)' for n in sorted(channels))}, "
            f"not {scale.dtype} of shape {scale.shape}"
        )
    fields = scale.view(np.uint32) >> np.uint32(23)
    bad = (fields < 1) | (fields > 246)
    if bad.any():
        value = scale[int(np.argmax(bad))]
        return f"the scale {value} is not a positive normal float32 below 2**120; rescale it"
    return None


def _method_problem(tensor: CodedTensor, grid: Grid, members: int) -> str | None:
    method, draw = tensor.method, tensor.draw
    if method not in METHODS:
        return f"the method {method!r} is not raw, plain, shared, joint or drawn"
    if (draw is None) == (method == "drawn"):
        return "a draw belongs to the method drawn, and to no other"
    if (tensor.digits == "none") == (method == "shared"):
        return "digits belong to the method shared, and to no other"
    if method == "raw" and grid.bits != 8:
        return f"raw codes have 8 bits, not {grid.bits}; use the method plain"
    if method == "shared":
        if not 2 <= members <= MAX_SHARED_MEMBERS or len(tensor.codes) != members:
            return (
                f"shared takes every copy of 2 to {MAX_SHARED_MEMBERS} members, but there are "
                f"{len(tensor.codes)} copies of {members} members; use the method plain"
            )
        if grid.bits != 8:
            return f"shared codes have 8 bits, not {grid.bits}; use the method plain"
        if tensor.digits not in ("balanced", "planes"):
            return f"digits are balanced or planes, not {tensor.digits!r}"
    problem = _coder_problem(tensor, members)
    if problem:
        return problem
    if draw is not None:
        if not 1 <= draw.parent_levels <= MAX_PARENT_LEVELS or not 0 <= draw.key < 1 << 64:
            return f"a draw has 1 to {MAX_PARENT_LEVELS} parent levels and a key of 64 bits"
        if grid.zero_point != 0:
            return f"drawn members have the zero point 0, not {grid.zero_point}"
    return None


def _coder_problem(tensor: CodedTensor, members: int) -> str | None:
    coder, joint = tensor.coder, tensor.method == "joint"
    if coder not in ("fixed", "entropy"):
        return f"the coder {coder!r} is not fixed or entropy"
    if coder == "entropy" and tensor.method not in ("plain", "joint", "drawn"):
        return f"the coder entropy is for plain, joint and drawn, not for {tensor.method}"
    if coder == "entropy" and tensor.codes.size == 0:
        return "it has no elements, so there is nothing for the coder entropy; use fixed"
    if joint and coder == "fixed":
        return "the method joint needs the coder entropy"
    if joint and (members < 2 or len(tensor.codes) != members):
        return (
            f"joint takes every copy of 2 members or more, but there are {len(tensor.codes)} "
            f"copies of {members} members; use the method plain"
        )
    if tensor.predictor not in PREDICTORS:
        return f"the predictor {tensor.predictor!r} is not none, first, mean or haar"
    if joint == (tensor.predictor == "none"):
        return "a predictor belongs to the method joint, and to no other"
    return None


def _code_problem(tensor: CodedTensor, grid: Grid) -> str | None:
    codes = tensor.codes
    if codes.dtype != np.int8:
        return f"codes come as NumPy int8, not {codes.dtype}"
    if codes.size == 0:
        return None
    least, largest = -grid.largest - 1, grid.largest
    if tensor.draw is not None:
        least, largest = -tensor.draw.parent_levels, tensor.draw.parent_levels
    elif tensor.digits == "balanced":
        least = -largest
    low, high = int(codes.min()), int(codes.max())
    if low < least or high > largest:
        return f"its codes lie in {low}..{high}, outside {least}..{largest}"
    return None


def _check_sections(sections: tuple[Section, ...]) -> None:
    if len(sections) >= MAX_SECTIONS:
        raise MembersError(
            f"a file holds at most {MAX_SECTIONS - 1} sections beside the digests, but these are "
            f"{len(sections)}"
        )
    seen = {"DGST"}
    for section in sections:
        legal = section.type.isascii() and (section.type.isupper() or section.type.isdigit())
        if len(section.type) != 4 or not section.type.isalnum() or not legal:
            raise MembersError(
                f"a section's type is four capital letters or digits, not {section.type!r}"
            )
        if section.type in seen:
            raise MembersError(
                f"the section {section.type} comes twice (the writer itself adds DGST)"
            )
        if section.critical and (section.type not in KNOWN_SECTIONS or "SIGN" in seen):
            raise MembersError(
                f"the section {section.type} cannot be critical: readers of version 1.0 would "
                "refuse the file"
            )
        if section.type in ("META", "CALI"):
            _check_object(section.type, section.payload)
        seen.add(section.type)


def _check_object(type_: str, payload: bytes) -> None:
    try:
        read_object(payload)
    except ValueError as error:
        raise MembersError(f"the section {type_} is not a JSON object in UTF-8: {error}") from error
