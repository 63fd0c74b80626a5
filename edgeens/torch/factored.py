"""A member's layer as its file has it: its parameters are the stored factors, their product a node.

Between layers and export; load_member gives layers with the product multiplied.
"""

from __future__ import annotations

from edgeens.torch.layers import EnsembleConv, EnsembleLayer, EnsembleLinear, weight_of
from edgeens.torch.package import F, nn, torch
from edgeens.torch.weights import MemberWeight


class _Factored(nn.Module):
    """The factors and the bias of one member's layer, as parameters."""

    def __init__(
        self, weight: MemberWeight, factors: dict[str, torch.Tensor], bias: torch.Tensor | None
    ) -> None:
        super().__init__()
        self._names = list(factors)
        for name, factor in factors.items():
            self.register_parameter(name, nn.Parameter(factor.clone()))
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias.clone()))
        # In a tuple it is no submodule, whose parameters would be exported too.
        self._source = (weight,)

    def multiplied(self) -> torch.Tensor:
        """The layer's weight."""
        return self._source[0].product({name: getattr(self, name) for name in self._names})


class FactoredLinear(_Factored):
    """A Linear whose weight is a product."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out)."""
        return F.linear(x, self.multiplied(), self.bias)


class FactoredConv(_Factored):
    """A convolution whose weight is a product."""

    settings: tuple[nn.Module, ...] = ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C_in, ...) to (B, C_out, ...)."""
        # What Conv1d and Conv2d themselves call; the one in settings lends its stride and padding.
        return self.settings[0]._conv_forward(x, self.multiplied(), self.bias)


def stored_layer(layer: EnsembleLayer, index: int) -> nn.Module:
    """Member *index* of *layer* as its file has it."""
    weight = weight_of(layer)
    factors = {} if weight is None else weight.factors()
    if weight is None or list(factors) == ["weight"]:
        return layer.member(index)
    own = {name: factor[index if len(factor) > 1 else 0] for name, factor in factors.items()}
    assert isinstance(layer, EnsembleLinear | EnsembleConv)
    bias = None if layer.bias is None else layer.bias[index]
    if isinstance(layer, EnsembleLinear):
        return FactoredLinear(weight, own, bias)
    convolution = FactoredConv(weight, own, bias)
    convolution.settings = (layer.blank(),)
    return convolution
