"""Which of a model's constants leave the graph for the container, and which may be quantised.

Between onnx.compare, which made sure that the members' places correspond, and onnx.skeleton.
Floating-point tensors leave, and integers that are long or differ between members; small integers
that all members share are part of the architecture (shapes, axes, zero points) and stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from edgeens.ensemble import GivenCodes, MemberTensor
from edgeens.errors import MembersError
from edgeens.onnx.elements import FLOATS, NAMES, Array, tensor_values
from edgeens.onnx.graph import Place, Stored, Walk
from edgeens.onnx.skeleton import Weight, needs_constants
from edgeens.onnx.weights import LEAST_ELEMENTS, channel_axes

MOST_NAME_BYTES = 1024  # SPEC S4.1
MOST_DIMS = 8  # SPEC S4

# Inputs that set the shape of the output: part of the architecture, although they are floats.
_SHAPING = {("Resize", 1), ("Resize", 2), ("Upsample", 1)}

Use = tuple[Place, int]


@dataclass(frozen=True, eq=False)
class _Group:
    """The constants that the members have at the same places; those of member 0 name it."""

    stored: tuple[Stored, ...]
    uses: list[Use]
    values: tuple[Array, ...] = ()

    @property
    def name(self) -> str:
        return self.stored[0].name


def choose_tensors(
    walks: Sequence[Walk],
    *,
    files: Sequence[str],
    exclude: Sequence[str],
    given: Sequence[Mapping[str, GivenCodes]],
) -> list[tuple[Weight, MemberTensor]]:
    """Every tensor for the container: as the graph knows it, and as the encoder gets it.

    *given* are the codes that each member's initializers have already, by name.

    Tensors that match a pattern of *exclude* (*, ?, [...]) are kept exactly. Raises MembersError
    for a pattern that matches nothing, and for tensors that differ between members although a
    container, or ONNX Runtime, cannot have that.
    """
    staying: list[_Group] = []
    leaving: list[_Group] = []
    for group in (_with_values(group, files) for group in _groups(walks)):
        (leaving if group.values and not _stays(group) else staying).append(group)
    names = _Names(walks[0], [group.name for group in staying])
    constants = needs_constants(walks[0])
    chosen = []
    leaving.reverse()
    while leaving:  # popped, so that no more than one group's values are in memory twice
        group = leaving.pop()
        if constants:
            _check_shapes_agree(group, files)
        codes = _given_codes(group, given)
        chosen.append(_leaving(group, names.give(group.name), walks[0], exclude, codes))
    for pattern in exclude:
        if not any(fnmatchcase(weight.name, pattern) for weight, _ in chosen):
            listed = ", ".join(sorted(weight.name for weight, _ in chosen)[:10])
            raise MembersError(f"the pattern {pattern!r} matches no tensor; there are {listed} ...")
    return chosen


def _groups(walks: Sequence[Walk]) -> Iterator[_Group]:
    """One group for every combination of constants that the members have at a place.

    So a tensor that one file uses at two places, and another file holds twice, becomes two.
    """
    groups: dict[tuple[int, ...], _Group] = {}
    for places in zip(*(walk.places for walk in walks), strict=True):
        for index, source in enumerate(places[0].sources):
            if isinstance(source, Stored):
                stored: tuple[Any, ...] = tuple(place.sources[index] for place in places)
                key = tuple(id(item) for item in stored)
                group = groups.setdefault(key, _Group(stored, []))
                group.uses.append((places[0], index))
    yield from groups.values()


def _with_values(group: _Group, files: Sequence[str]) -> _Group:
    """The group with the members' values; without, if its type must stay in the graph."""
    first = group.stored[0]
    if first.sparse or first.tensor.data_type not in NAMES or len(first.tensor.dims) > MOST_DIMS:
        _check_unchanging(group, files)
        return group
    values = []
    for stored, file in zip(group.stored, files, strict=True):
        try:
            values.append(tensor_values(stored.tensor))
        except ValueError as error:
            raise MembersError(
                f"{file} is not a valid ONNX model: the data of initializer {stored.name!r} does "
                f"not fill its dims {list(stored.tensor.dims)}"
            ) from error
    return _Group(group.stored, group.uses, tuple(values))


def _check_unchanging(group: _Group, files: Sequence[str]) -> None:
    contents = [_bare_content(stored) for stored in group.stored]
    for content, file in zip(contents, files, strict=True):
        if content != contents[0]:
            kind = "sparse" if group.stored[0].sparse else "of a type that a container cannot hold"
            raise MembersError(
                f"initializer {group.name!r} is {kind}, so it must be the same in all members, but "
                f"it differs between {files[0]} and {file}"
            )


def _bare_content(stored: Stored) -> bytes:
    """Everything about a constant but its name."""
    bare = type(stored.tensor)()
    bare.CopyFrom(stored.tensor)
    values = bare.values if stored.sparse else bare
    values.ClearField("name")
    values.ClearField("doc_string")
    return bytes(bare.SerializeToString(deterministic=True))


def _stays(group: _Group) -> bool:
    """Whether the tensor is part of the architecture: shared by all members, and no weight."""
    if not _equal(group.values):
        return False
    first = group.values[0]
    if NAMES[group.stored[0].tensor.data_type] not in FLOATS:
        return first.size < LEAST_ELEMENTS
    return first.ndim == 0 or _sets_a_shape(group)


def _sets_a_shape(group: _Group) -> bool:
    return any((place.operator, index) in _SHAPING for place, index in group.uses)


def _check_shapes_agree(group: _Group, files: Sequence[str]) -> None:
    """Refuse what ONNX Runtime reads for shapes, which it cannot do from a container's tensor."""
    int64 = NAMES[group.stored[0].tensor.data_type] == "int64"
    if _sets_a_shape(group) or (int64 and group.values[0].size < LEAST_ELEMENTS):
        others = zip(group.values, files, strict=True)
        file = next(file for values, file in others if not _equal((group.values[0], values)))
        raise MembersError(
            f"initializer {group.name!r} may set a shape, so it must be the same in all members of "
            f"a quantised model, but it differs between {files[0]} and {file}"
        )


def _given_codes(group: _Group, given: Sequence[Mapping[str, GivenCodes]]) -> GivenCodes | None:
    """The codes of all copies, if every member's tensor has some (on one grid: weight_only)."""
    names = [stored.name for stored in group.stored]
    found = [codes[name] for codes, name in zip(given, names, strict=True) if name in codes]
    if len(found) < len(names):
        return None
    copies = found[:1] if _equal(group.values) else found
    return replace(found[0], codes=np.concatenate([each.codes for each in copies]))


def _leaving(
    group: _Group, name: str, walk: Walk, exclude: Sequence[str], given: GivenCodes | None
) -> tuple[Weight, MemberTensor]:
    first = group.values[0]
    dtype = NAMES[group.stored[0].tensor.data_type]
    axes: set[int | None] = set()
    if dtype in FLOATS and first.ndim >= 2 and first.size >= LEAST_ELEMENTS:
        axes = channel_axes(group.uses, first.ndim, walk)
    values = first[np.newaxis] if _equal(group.values) else np.stack(group.values)
    tensor = MemberTensor(
        name=name,
        values=values,
        dtype=dtype,
        channel_axis=next(iter(axes)) if len(axes) == 1 else None,
        quantise=bool(axes) and not any(fnmatchcase(name, pattern) for pattern in exclude),
        given=given,
    )
    return Weight(name, dtype, first.shape, group.uses), tensor


def _equal(values: Sequence[Array]) -> bool:
    """Whether all arrays hold the same bytes, so that -0.0 and NaN are told apart like numbers."""
    first = np.ascontiguousarray(values[0]).reshape(-1).view(np.uint8)
    return all(
        np.array_equal(first, np.ascontiguousarray(other).reshape(-1).view(np.uint8))
        for other in values[1:]
    )


class _Names:
    """Gives out names that a container can hold and that nothing else in the graph has."""

    def __init__(self, walk: Walk, staying: Sequence[str]) -> None:
        self._taken = set(staying)
        for place in walk.places:
            self._taken |= {value.name for value in place.graph.input}
            self._taken |= {value.name for value in place.graph.output}
            if place.node is not None:
                self._taken |= set(place.node.output)

    def give(self, name: str) -> str:
        """*name*, or one close to it."""
        base = _storable(name)
        candidate, number = base, 0
        while candidate in self._taken:
            number += 1
            candidate = f"{base}_{number}"
        self._taken.add(candidate)
        return candidate


def _storable(name: str) -> str:
    """*name* without control characters and short enough for a suffix to fit behind it."""
    clean = "".join("_" if ord(char) < 0x20 or ord(char) == 0x7F else char for char in name)
    raw = clean.encode()
    if len(raw) <= MOST_NAME_BYTES - 24:
        return clean
    digest = hashlib.sha256(raw).hexdigest()[:16]
    return raw[: MOST_NAME_BYTES - 48].decode(errors="ignore") + "_" + digest
