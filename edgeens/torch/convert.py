"""Any module of ordinary layers becomes an ensemble of K members that runs in one pass.

First stage of edgeens.torch: replaces the layers that hold parameters and leaves all else as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from edgeens.errors import MembersError
from edgeens.torch.ensemble import Batch, EnsembleModule
from edgeens.torch.layers import (
    BatchNorm,
    Conv,
    EnsembleBatchNorm,
    EnsembleConv,
    EnsembleGroupNorm,
    EnsembleLayer,
    EnsembleLayerNorm,
    EnsembleLinear,
)
from edgeens.torch.methods import check_choice, weight_factory
from edgeens.torch.package import nn, torch
from edgeens.torch.weights import WeightFactory

MOST_MEMBERS = 64

_WEIGHTED: dict[type[Any], Callable[..., EnsembleLayer]] = {
    nn.Linear: EnsembleLinear,
    **dict.fromkeys(Conv, EnsembleConv),
}
_NORMS: dict[type[Any], Callable[..., EnsembleLayer]] = {
    **dict.fromkeys(BatchNorm, EnsembleBatchNorm),
    nn.GroupNorm: EnsembleGroupNorm,
    nn.LayerNorm: EnsembleLayerNorm,
}
_CONVERTIBLE = ", ".join(kind.__name__ for kind in (*_WEIGHTED, *_NORMS))


def convert(
    module: nn.Module,
    *,
    members: int,
    method: str = "independent",
    batch: Batch = "repeat",
    fresh: bool = False,
    **options: Any,
) -> EnsembleModule:
    """Make an ensemble of *members* members out of one module, which stays as it is.

    Layers are replaced wherever they are nested; forward code runs unchanged, as long as it treats
    the inputs of a batch alike. All members start with the module's weights.

    Args:
        module: of Linear, Conv1d, Conv2d, BatchNorm, GroupNorm, LayerNorm and of anything without
            parameters; float32.
        members: K, 1 to 64.
        method: how weights are held and trained: "independent", "uniform", "shared", "lowrank",
            "lowrank-shared", "batchensemble" or "bayesianbits".
        batch: what a member sees in training: "split", its own K-th of the batch, or "repeat",
            all of it. In evaluation always all of it.
        fresh: draw every member's parameters anew, with each layer's own reset_parameters and
            torch's random generator. Copies of one module that see the same data stay copies.
        options: of the method; the function of its name in edgeens.torch.methods documents them.

    Raises:
        MembersError: a layer cannot be converted (named with the reason), or *members*, *method*,
            *batch* or an option is not one that exists.
    """
    if not 1 <= members <= MOST_MEMBERS:
        raise MembersError(f"an ensemble has 1 to {MOST_MEMBERS} members, not {members}")
    modules = [module] * members
    if fresh:
        check_convertible(module)
        # BatchEnsemble's members share what is drawn; its fast weights tell them apart.
        drawn = [copy.deepcopy(module) for _ in range(1 if method == "batchensemble" else members)]
        for each in drawn:
            _reset(each)
        modules = drawn * (members // len(drawn))
    return members_from_modules(modules, method=method, batch=batch, **options)


def members_from_modules(
    modules: Sequence[nn.Module],
    *,
    method: str = "independent",
    batch: Batch = "repeat",
    **options: Any,
) -> EnsembleModule:
    """Make an ensemble out of modules of one architecture, trained apart; they stay as they are.

    Args:
        modules: one a member. What is not a parameter or a running statistic (forward code,
            dropout rates, constant buffers) is taken from the first.
        method, batch, options: as in convert.

    Raises:
        MembersError: as convert does, and if the modules' layers or shapes differ.
    """
    check_choice("batch", batch, ("split", "repeat"))
    if not 1 <= len(modules) <= MOST_MEMBERS:
        raise MembersError(f"an ensemble has 1 to {MOST_MEMBERS} members, not {len(modules)}")
    factory = weight_factory(method, options)
    first = modules[0]
    check_convertible(first)
    if any(other is not first for other in modules):
        _check_same(modules)
    layers = [dict(module.named_modules(remove_duplicate=False)) for module in modules]
    memo: dict[int, Any] = {}
    with torch.no_grad():
        for name, layer in first.named_modules():
            if type(layer) in _WEIGHTED or type(layer) in _NORMS:
                memo[id(layer)] = _replacement([named[name] for named in layers], factory)
    ensemble = EnsembleModule(
        copy.deepcopy(first, memo), members=len(modules), method=method, batch=batch
    )
    return ensemble.train(first.training)


def check_convertible(module: nn.Module) -> None:
    """Refuse the first layer that cannot be held for several members.

    Raises:
        MembersError: names the layer, its type and the reason.
    """
    owners: dict[int, str] = {}
    for name, layer in module.named_modules():
        reason = _obstacle(layer)
        if reason is not None:
            raise MembersError(
                f"cannot convert layer {name!r} of type {type(layer).__name__}: {reason}"
            )
        for attribute, parameter in layer.named_parameters(recurse=False):
            other = owners.setdefault(id(parameter), name)
            if other != name:
                raise MembersError(
                    f"cannot convert layer {name!r} of type {type(layer).__name__}: its "
                    f"{attribute} is also a parameter of layer {other!r}; use one layer twice, or "
                    "give each its own"
                )


def _obstacle(layer: nn.Module) -> str | None:
    """Why *layer* cannot be converted; None if it can."""
    own = dict(layer.named_parameters(recurse=False))
    kind = type(layer)
    convertible = kind in _WEIGHTED or kind in _NORMS
    if any(isinstance(value, nn.parameter.UninitializedParameter) for value in own.values()):
        return "its parameters have no shape yet; run the module once before converting it"
    if own and not convertible:
        bases = [base.__name__ for base in (*_WEIGHTED, *_NORMS) if isinstance(layer, base)]
        if bases:
            return f"it is not {bases[0]} itself but a kind of it, whose forward may differ"
        return (
            f"it has parameters of its own ({', '.join(own)}), and those of several members can be "
            f"held only in {_CONVERTIBLE}"
        )
    if not convertible and getattr(layer, "running_mean", None) is not None:
        return f"its running statistics can be held for several members only in {_CONVERTIBLE}"
    if convertible and (layer._forward_pre_hooks or layer._forward_hooks):
        return "it has hooks, which would see all members at once; remove them first"
    other = {parameter.dtype for parameter in own.values()} - {torch.float32}
    if other:
        return f"it has parameters of {other.pop()}, and members are trained in torch.float32"
    return None


def _check_same(modules: Sequence[nn.Module]) -> None:
    """Refuse modules whose layers or shapes differ from the first one's."""
    expected = _outline(modules[0])
    for number, module in enumerate(modules[1:], start=1):
        outline = _outline(module)
        for name in sorted(expected.keys() | outline.keys()):
            if expected.get(name) != outline.get(name):
                raise MembersError(
                    f"module {number} is not of the architecture of module 0: {name!r} is "
                    f"{outline.get(name, 'missing')}, not {expected.get(name, 'there at all')}"
                )


def _outline(module: nn.Module) -> dict[str, str]:
    """Types of all layers and shapes of all parameters and buffers, in words."""
    outline = {
        name: type(layer).__name__ for name, layer in module.named_modules(remove_duplicate=False)
    }
    for name, value in module.state_dict().items():
        outline[name] = f"of shape {tuple(value.shape)}"
    return outline


def _replacement(layers: list[nn.Module], factory: WeightFactory) -> EnsembleLayer:
    kind = type(layers[0])
    if kind in _WEIGHTED:
        return _WEIGHTED[kind](layers, factory)
    return _NORMS[kind](layers)


def _reset(module: nn.Module) -> None:
    """Draw all parameters anew, in the order of the layers."""
    for layer in module.modules():
        if type(layer) in _WEIGHTED or type(layer) in _NORMS:
            layer.reset_parameters()
