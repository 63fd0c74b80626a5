"""Patterns, which say which members share a digit, and their fields (S8).

Between container.host, which finds them, and the pattern streams of container.parameters. A pattern
is the restricted-growth string of the partition that equality makes of the members: each member
names the cluster it belongs to, clusters being numbered as they appear.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgeens.container.layout import rest_widths


def pattern_fields(strings: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The field of each pattern; *strings* has shape (K, n), the result shape (n,).

    The first four members are one index into the list of all strings of their length, the others
    3 or 4 bits each behind it.
    """
    members = len(strings)
    first = min(members, 4)
    index = np.zeros(strings.shape[1], np.uint8)
    for member in range(first):
        index = index << 2 | strings[member]
    fields = _indices(first)[index].astype(np.uint64)
    shift = {2: 1, 3: 3, 4: 4}[first]
    for member, width in enumerate(rest_widths(members), start=4):
        fields |= strings[member].astype(np.uint64) << np.uint64(shift)
        shift += width
    return fields


@cache
def _indices(length: int) -> NDArray[np.uint8]:
    """Place in the list, by the string's members as 2 bits each, member 0 the most significant."""
    indices = np.zeros(4**length, np.uint8)
    for place, string in enumerate(growth_strings(length)):
        key = 0
        for cluster in string:
            key = key << 2 | cluster
        indices[key] = place
    return indices


def growth_strings(length: int) -> list[tuple[int, ...]]:
    """All restricted-growth strings of *length* members, in lexicographic order."""
    strings: list[tuple[int, ...]] = [(0,)]
    for _ in range(length - 1):
        strings = [(*string, cluster) for string in strings for cluster in range(max(string) + 2)]
    return strings
