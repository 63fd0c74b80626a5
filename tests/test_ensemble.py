"""Members as they come in: which of them are one and the same."""

from __future__ import annotations

import numpy as np

from edgeens.ensemble import Ensemble, MemberTensor


def ensemble(*values):
    """An ensemble of the tensors *values*, each (copies, *shape)."""
    members = max(len(each) for each in values)
    tensors = (MemberTensor(f"t{n}", each, each.dtype.name) for n, each in enumerate(values))
    return Ensemble(members, tuple(tensors))


def test_members_are_equal_only_if_they_are_in_every_tensor():
    scalars = np.float32([1, 1, 2, 1])
    late = np.zeros((4, 5000), np.float32)
    assert ensemble(scalars, late).equal_members() == [[0, 1, 3]]
    late[3, -1] = 1
    assert ensemble(scalars, late).equal_members() == [[0, 1]]
    late[:2, 0] = 0.0, -0.0  # equal numbers, other bytes
    assert ensemble(scalars, late).equal_members() == []


def test_nan_equals_itself_and_a_tensor_that_all_share_tells_nothing():
    shared = np.ones((1, 3), np.float32)
    assert ensemble(shared, np.full((2, 3), np.nan)).equal_members() == [[0, 1]]
    assert ensemble(shared, np.float64([[1], [2]])).equal_members() == []
    assert ensemble(shared).equal_members() == []


def test_there_may_be_several_groups():
    assert ensemble(np.int64([5, 6, 5, 6, 7])).equal_members() == [[0, 2], [1, 3]]
