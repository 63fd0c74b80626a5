"""K members in one module: inputs are given to all of them, outputs come back apart.

What convert returns and the user trains; export makes the file of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Literal

from edgeens.errors import DataError, MembersError
from edgeens.torch.layers import EnsembleLayer
from edgeens.torch.package import nn, torch
from edgeens.torch.weights import MemberWeight

Batch = Literal["split", "repeat"]


class EnsembleModule(nn.Module):
    """K members that run in one pass.

    Attributes:
        module: the converted module; inside it, members are part of the batch (torch.layers).
        members: K.
        method: the name of the method that its weights are trained with.
        batch: what a member sees in training: "split", its own K-th of the batch, or "repeat",
            all of it. In evaluation always all of it.
    """

    def __init__(self, module: nn.Module, *, members: int, method: str, batch: Batch) -> None:
        """Wrap a *module* whose layers hold *members* members; convert does."""
        super().__init__()
        self.module = module
        self.members = members
        self.method = method
        self.batch = batch

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Run all members.

        Args:
            inputs, named: as the original module takes them. Every tensor in them, also in lists,
                tuples and dicts, has a batch axis first, (B, ...); anything else is passed on.

        Returns:
            What the original module returns, every tensor in it with the member first: (K, B, ...),
            or (K, B / K, ...) in training with the batch split.

        Raises:
            DataError: B is not a multiple of K although it has to be split, or an output has not
                one row for each member and input.
        """
        spread = self._split if self.training and self.batch == "split" else self._repeat
        outputs = self.module(*_mapped(inputs, spread), **_mapped(named, spread))
        return _mapped(outputs, self._apart)

    def regularizer(self) -> torch.Tensor:
        """The method's own term of the loss, to be added with a factor; a scalar, 0 without one.

        For uniform grids the entropy of the codes; for shared bits the expected number of stored
        bits at the shared levels (METHODS: rate term); for BayesianBits the expected cost of its
        gates. All in bits a member weight: means over the weights that have such a term.
        """
        terms, elements = [], 0
        for weight in member_weights(self.module).values():
            rate = weight.rate()
            if rate is not None:
                terms.append(rate)
                elements += weight.size
        if not terms:
            return torch.zeros((), device=next(self.parameters()).device)
        return torch.stack(terms).sum() / elements

    def parameter_groups(
        self,
        *,
        lr: float,
        weight_decay: float = 0.0,
        fast_multiplier: float = 1.0,
        lambda_multiplier: float = 10.0,
        gate_multiplier: float = 10.0,
    ) -> list[dict[str, Any]]:
        """Groups of parameters for an optimizer of torch.optim.

        Args:
            lr: learning rate of weights, biases and normalisations.
            weight_decay: of the same; Lambda, gates and fast weights are never decayed.
            fast_multiplier: learning rate of BatchEnsemble's fast weights, in lr.
            lambda_multiplier: of Lambda, in lr. Lambda counts digit steps, so it has a longer way
                to go than weights.
            gate_multiplier: of BayesianBits' gates, in lr.
        """
        rates = {
            "weight": (lr, weight_decay),
            "fast": (lr * fast_multiplier, 0.0),
            "lambda": (lr * lambda_multiplier, 0.0),
            "gate": (lr * gate_multiplier, 0.0),
        }
        by_role: dict[str, list[nn.Parameter]] = {role: [] for role in rates}
        seen = set()
        for module in self.modules():
            roles = module.roles if isinstance(module, MemberWeight) else {}
            for name, parameter in module.named_parameters(recurse=False):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    by_role[roles.get(name, "weight")].append(parameter)
        return [
            {"params": by_role[role], "lr": rate, "weight_decay": decay, "name": role}
            for role, (rate, decay) in rates.items()
            if by_role[role]
        ]

    def bit_widths(self) -> dict[str, int]:
        """Bits of a stored code by the name of its tensor; 32 where floats are stored exactly."""
        widths = {}
        for layer, weight in member_weights(self.module).items():
            coded = weight.coded()
            for factor in weight.factors():
                name = f"{layer}.{factor}".lstrip(".")
                widths[name] = coded[factor].grid.bits if factor in coded else 32
        return widths

    def load_member(self, index: int) -> nn.Module:
        """Member *index* as an ordinary module with its evaluation weights, products multiplied.

        Raises:
            MembersError: there is no such member.
        """
        return self.member_module(index, lambda layer: layer.member(index))

    @torch.no_grad()
    def member_module(
        self, index: int, ordinary: Callable[[EnsembleLayer], nn.Module]
    ) -> nn.Module:
        """A copy of the module in evaluation mode, each of its layers replaced by *ordinary* of it.

        Raises:
            MembersError: there is no member *index*.
        """
        if not 0 <= index < self.members:
            raise MembersError(
                f"there is no member {index}: the members are 0 to {self.members - 1}"
            )
        training = self.training
        self.eval()
        try:
            memo = {
                id(layer): ordinary(layer)
                for layer in self.module.modules()
                if isinstance(layer, EnsembleLayer)
            }
            member: nn.Module = copy.deepcopy(self.module, memo)
        finally:
            self.train(training)
        return member.eval()

    def _repeat(self, x: torch.Tensor) -> torch.Tensor:
        """(B, ...) as (B * K, ...), the member counting fastest."""
        repeated = x.unsqueeze(1).expand(len(x), self.members, *x.shape[1:])
        return repeated.reshape(len(x) * self.members, *x.shape[1:])

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, ...) in another order: part k of the batch at the places of member k."""
        if len(x) % self.members:
            raise DataError(
                f"a batch of {len(x)} inputs cannot be split among {self.members} members; drop "
                'the last batch, or convert with batch="repeat"'
            )
        parts = x.reshape(self.members, len(x) // self.members, *x.shape[1:])
        return parts.transpose(0, 1).reshape(x.shape)

    def _apart(self, y: torch.Tensor) -> torch.Tensor:
        """(B * K, ...) as (K, B, ...)."""
        if y.ndim == 0 or len(y) % self.members:
            raise DataError(
                f"an output of shape {tuple(y.shape)} cannot be told apart among {self.members} "
                "members: the module must return one row for each input of the batch"
            )
        return y.reshape(len(y) // self.members, self.members, *y.shape[1:]).transpose(0, 1)


def member_weights(module: nn.Module) -> dict[str, MemberWeight]:
    """The weights of a converted module by the names of their layers; factors are not listed."""
    found: dict[str, MemberWeight] = {}
    for name, layer in _layers(module):
        weight = getattr(layer, "weight", None)
        if isinstance(weight, MemberWeight):
            found[name] = weight
    return found


def _layers(module: nn.Module) -> Iterator[tuple[str, EnsembleLayer]]:
    for name, layer in module.named_modules():
        if isinstance(layer, EnsembleLayer):
            yield name, layer


def _mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """*value* with every tensor in it changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named tuple
        return type(value)(*(_mapped(item, change) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(_mapped(item, change) for item in value)
    return value
