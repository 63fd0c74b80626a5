"""The methods of training by name: what kind of weights each gives a layer, and its options.

Between convert, which asks for one, and the modules of weights. A function's keyword-only arguments
are the options of the method.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from edgeens.errors import MembersError
from edgeens.torch.package import torch
from edgeens.torch.uniform import Per, UniformWeight
from edgeens.torch.weights import FloatWeight, MemberWeight, WeightFactory, worth_a_grid


def independent() -> WeightFactory:
    """Members that share nothing, in float32: a deep ensemble."""
    return FloatWeight


def uniform(*, bits: int = 8, grid: Per = "tensor") -> WeightFactory:
    """Quantisation-aware training on uniform grids, rounding to nearest (Bits-Ensemble Eq. 1).

    Args:
        bits: width of a code, 2 to 8.
        grid: one scale a "tensor" or an output "channel".
    """
    if bits not in range(2, 9):
        raise MembersError(f"a uniform grid has 2 to 8 bits, not {bits}")
    check_choice("grid", grid, ("tensor", "channel"))

    def weight(values: torch.Tensor) -> MemberWeight:
        if not worth_a_grid(values):
            return FloatWeight(values)
        return UniformWeight(values, bits=bits, grid=grid)

    return weight


METHODS: dict[str, Callable[..., WeightFactory]] = {
    "independent": independent,
    "uniform": uniform,
}


def weight_factory(method: str, options: dict[str, Any]) -> WeightFactory:
    """What *method* makes of the weights of a layer.

    Raises:
        MembersError: the method does not exist, or has no such option, or not such a value.
    """
    if method not in METHODS:
        raise MembersError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
    known = inspect.signature(METHODS[method]).parameters
    for name in options:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise MembersError(f"the method {method!r} has no option {name!r}; it has {listed}")
    return METHODS[method](**options)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse a *value* that is not among the *choices* of an option."""
    if value not in choices:
        raise MembersError(f"{name} is one of {', '.join(choices)}, not {value!r}")
