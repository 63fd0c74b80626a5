"""The methods of training by name: what kind of weights each gives a layer, and its options.

Between convert, which asks for one, and the modules of weights. A function's keyword-only arguments
are the options of the method.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from edgeens.errors import MembersError
from edgeens.torch.batch_ensemble import BatchEnsembleWeight, FastStart
from edgeens.torch.bayesian_bits import BayesianBitsWeight
from edgeens.torch.low_rank import Start, low_rank
from edgeens.torch.package import torch
from edgeens.torch.sharing import SharedWeight, Surrogate
from edgeens.torch.uniform import Per, UniformWeight
from edgeens.torch.weights import FloatWeight, MemberWeight, WeightFactory, worth_a_grid


def independent() -> WeightFactory:
    """Members that share nothing, in float32: a deep ensemble."""
    return FloatWeight


def uniform(*, bits: int = 8, grid: Per = "tensor") -> WeightFactory:
    """Quantisation-aware training on uniform grids, rounding to nearest (Bits-Ensemble Eq. 1).

    A factor of `regularizer()` in the loss trains for few bits after the entropy coder too.

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


def shared(
    *,
    grid: Per = "tensor",
    levels: int = 3,
    lambda4: float = 0.5,
    lambda8: float = 4.5,
    learned: bool = True,
    lambda_parts: int = 8,
    temperature: float = 0.5,
    surrogate: Surrogate = "exact",
    sigma: float = 0.5,
) -> WeightFactory:
    """Bits sharing at 8 bits (Bits-Ensemble Algorithm 1 and Section III), for 2 to 16 members.

    Args:
        grid: one scale a "tensor" or an output "channel".
        levels: 3 for the digits of 2, 3 and 5 bits, or 2 to drop the deepest (codes are then
            multiples of 17). The first is never shared.
        lambda4, lambda8: Lambda at the second and third level, in digit units, or where it starts
            if it is learned; gaps are integers, so below 1 nothing is lost.
        learned: Lambda learns, one for each output channel and level. Only with a factor of
            `regularizer()` in the loss does that save bits: the task alone drives it down.
        lambda_parts: Lambda learns from one of so many equal parts of a channel's positions, drawn
            anew at each step, which stands for all: it costs less, and its gradient is noisier
            but not biased. 1 is all positions; no part has fewer than 64.
        temperature: of the smoothed comparison with Lambda, in digit units.
        surrogate: "exact" is the hard operator with the exact effect of toggling a cut; "paper"
            trains through the printed sigmoid and RBF one-hot, and evaluates with the hard one.
        sigma: width of the kernels of surrogate "paper".
    """
    check_choice("grid", grid, ("tensor", "channel"))
    check_choice("surrogate", surrogate, ("exact", "paper"))
    if levels not in (2, 3):
        raise MembersError(f"shared weights have 2 or 3 levels of digits, not {levels}")
    if lambda_parts not in range(1, 65):
        raise MembersError(f"lambda_parts must be 1 to 64, not {lambda_parts}")
    for name, value in {"lambda4": lambda4, "lambda8": lambda8}.items():
        if not value >= 0:
            raise MembersError(f"{name} must be a number >= 0, not {value}")
    for name, value in {"temperature": temperature, "sigma": sigma}.items():
        if not value > 0:
            raise MembersError(f"{name} must be a number > 0, not {value}")

    def weight(values: torch.Tensor) -> MemberWeight:
        if not 2 <= len(values) <= 16:
            raise MembersError(f"bits can be shared by 2 to 16 members, not {len(values)}")
        if not worth_a_grid(values):
            return FloatWeight(values)
        return SharedWeight(
            values,
            grid=grid,
            levels=levels,
            lambda4=lambda4,
            lambda8=lambda8,
            learned=learned,
            lambda_parts=lambda_parts,
            temperature=temperature,
            surrogate=surrogate,
            sigma=sigma,
        )

    return weight


def lowrank(
    *,
    rank: int | None = None,
    start: Start = "random",
    bits: int | None = None,
    grid: Per = "tensor",
) -> WeightFactory:
    """Low-rank layers W = U V^T (Bits-Ensemble Eq. 21), where two factors are smaller than W.

    Args:
        rank: mu, the latent width; None: max(D_out, D_in) / 8 for convolutions, / 4 for Linear.
        start: of the factors: "random", normal with deviation (2 / (fan_in mu))^(1/4), or "svd",
            as near to the module's weights as this rank can be.
        bits: width of the factors' codes, 2 to 8, or None for float32.
        grid: one scale a "tensor" or a "channel" (a row of U or V).
    """
    factor = independent() if bits is None else uniform(bits=bits, grid=grid)
    return _low_rank(rank, start, factor)


def lowrank_shared(
    *, rank: int | None = None, start: Start = "random", **sharing: Any
) -> WeightFactory:
    """Low-rank layers whose factors share bits (Bits-Ensemble Eq. 22).

    Args:
        rank, start: as in lowrank.
        sharing: the options of shared; an output channel is a row of U or V.
    """
    return _low_rank(rank, start, shared(**sharing))


def batchensemble(
    *, init: FastStart = "sign", bits: int | None = None, grid: Per = "tensor"
) -> WeightFactory:
    """BatchEnsemble: W_k = W o (r_k s_k^T) (Wen et al. 2020).

    Args:
        init: of the fast weights r and s: "ones", random "sign"s, or "normal" with mean 1 and
            standard deviation 0.5.
        bits: width of the codes of W, 2 to 8, or None for float32; r and s are always float32.
        grid: one scale a "tensor" or an output "channel".
    """
    check_choice("init", init, ("ones", "sign", "normal"))
    slow = independent() if bits is None else uniform(bits=bits, grid=grid)

    def weight(values: torch.Tensor) -> MemberWeight:
        if not (values == values[:1]).all():
            raise MembersError(
                "the members of BatchEnsemble share their matrices, but those of the modules "
                "differ; convert one module"
            )
        return BatchEnsembleWeight(slow(values[:1].clone()), members=len(values), start=init)

    return weight


def bayesianbits() -> WeightFactory:
    """BayesianBits: a tensor's width, 2 to 32 bits, learned by gates (van Baalen et al. 2020).

    Only with a factor of `regularizer()` in the loss do gates shut.
    """

    def weight(values: torch.Tensor) -> MemberWeight:
        return BayesianBitsWeight(values) if worth_a_grid(values) else FloatWeight(values)

    return weight


def _low_rank(rank: int | None, start: Start, factor: WeightFactory) -> WeightFactory:
    check_choice("start", start, ("random", "svd"))
    if rank is not None and rank < 1:
        raise MembersError(f"rank must be at least 1, not {rank}")
    return partial(low_rank, rank=rank, start=start, factor=factor)


METHODS: dict[str, Callable[..., WeightFactory]] = {
    "independent": independent,
    "uniform": uniform,
    "shared": shared,
    "lowrank": lowrank,
    "lowrank-shared": lowrank_shared,
    "batchensemble": batchensemble,
    "bayesianbits": bayesianbits,
}


def weight_factory(method: str, options: dict[str, Any]) -> WeightFactory:
    """What *method* makes of the weights of a layer.

    Raises:
        MembersError: the method does not exist, or has no such option, or not such a value.
    """
    if method not in METHODS:
        raise MembersError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
    known = list(inspect.signature(METHODS[method]).parameters)
    if method == "lowrank-shared":
        known[-1:] = list(inspect.signature(shared).parameters)
    for name in options:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise MembersError(f"the method {method!r} has no option {name!r}; it has {listed}")
    return METHODS[method](**options)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse a *value* that is not among the *choices* of an option."""
    if value not in choices:
        raise MembersError(f"{name} is one of {', '.join(choices)}, not {value!r}")
