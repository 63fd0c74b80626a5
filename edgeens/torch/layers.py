"""Layers that compute all K members in one pass.

Between the weights and the user's forward code, which runs unchanged: members are part of the
batch. An activation has shape (B * K, ...), the member counting fastest, so to code that treats the
inputs of a batch alike (relu, pooling, flatten, view, cat, add, softmax) it is just a larger batch;
and a convolution sees it, without a copy, as (B, K * C, ...), one group of channels a member.
"""

from __future__ import annotations

from typing import Any

from edgeens.torch.package import F, nn, torch
from edgeens.torch.weights import MemberWeight, WeightFactory

Conv = (nn.Conv1d, nn.Conv2d)
BatchNorm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class EnsembleLayer(nn.Module):
    """A layer of K members; knows how to give one of them back.

    Attributes:
        members: K.
    """

    members: int

    def member(self, index: int, *, weight: Any = None) -> nn.Module:
        """An ordinary layer with the evaluation weights of member *index*.

        *weight*, if given, is used instead of this layer's own: all members', (K, *shape).
        """
        raise NotImplementedError


class EnsembleLinear(EnsembleLayer):
    """K Linear layers as one batched product."""

    def __init__(self, layers: list[nn.Module], weight: WeightFactory) -> None:
        """Hold *layers*, K of them."""
        super().__init__()
        self.members = len(layers)
        self.in_features = layers[0].in_features
        self.out_features = layers[0].out_features
        self.weight = weight(_stacked(layers, "weight"))
        self.bias = _stacked_parameter(layers, "bias")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B * K, ..., in) to (B * K, ..., out)."""
        batch, middle = _batch(x, self.members), x.shape[1:-1]
        vectors = x.reshape(batch, self.members, -1, self.in_features).transpose(0, 1)
        vectors = vectors.reshape(self.members, -1, self.in_features)
        matrices = self.weight().transpose(1, 2)
        if self.bias is None:
            outputs = torch.bmm(vectors, matrices)
        else:
            outputs = torch.baddbmm(self.bias.unsqueeze(1), vectors, matrices)
        outputs = outputs.reshape(self.members, batch, -1, self.out_features).transpose(0, 1)
        return outputs.reshape(batch * self.members, *middle, self.out_features)

    def member(self, index: int, *, weight: Any = None) -> nn.Module:
        """A Linear."""
        weights = self.weight() if weight is None else weight
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None)
        return _filled(layer, {"weight": weights, "bias": self.bias}, index)


class EnsembleConv(EnsembleLayer):
    """K convolutions as one, with K times the groups."""

    def __init__(self, layers: list[nn.Module], weight: WeightFactory) -> None:
        """Hold *layers*, K Conv1d or K Conv2d."""
        super().__init__()
        first: Any = layers[0]
        self.members = len(layers)
        self.in_channels = first.in_channels
        self.out_channels = first.out_channels
        self.kernel_size = first.kernel_size
        self.stride = first.stride
        self.padding = first.padding
        self.dilation = first.dilation
        self.groups = first.groups
        self.padding_mode = first.padding_mode
        self.weight = weight(_stacked(layers, "weight"))
        self.bias = _stacked_parameter(layers, "bias")
        self._class = type(first)
        # What Conv1d and Conv2d themselves pad by, where they do not pad with zeros.
        self._padded_by = list(first._reversed_padding_repeated_twice)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B * K, C_in, ...) to (B * K, C_out, ...)."""
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._padded_by, mode=self.padding_mode), 0
        convolve = F.conv1d if self._class is nn.Conv1d else F.conv2d
        outputs = convolve(
            _grouped(x, self.members),
            self.weight().flatten(0, 1),
            None if self.bias is None else self.bias.flatten(),
            stride=self.stride,
            padding=padding,
            dilation=self.dilation,
            groups=self.members * self.groups,
        )
        return _ungrouped(outputs, self.members)

    def member(self, index: int, *, weight: Any = None) -> nn.Module:
        """A Conv1d or Conv2d."""
        weights = self.weight() if weight is None else weight
        return _filled(self.blank(), {"weight": weights, "bias": self.bias}, index)

    def blank(self) -> nn.Module:
        """An ordinary convolution like these, its weights still random."""
        return self._class(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            bias=self.bias is not None,
            padding_mode=self.padding_mode,
        )


class EnsembleBatchNorm(EnsembleLayer):
    """K batch normalisations as one over K * C channels."""

    def __init__(self, layers: list[nn.Module]) -> None:
        """Hold *layers*, K of BatchNorm1d, BatchNorm2d or BatchNorm3d."""
        super().__init__()
        first: Any = layers[0]
        self.members = len(layers)
        self.num_features = first.num_features
        self._class = type(first)
        # An ordinary one inside, so that SyncBatchNorm.convert_sync_batchnorm finds it.
        self.norm = type(first)(
            self.members * first.num_features,
            eps=first.eps,
            momentum=first.momentum,
            affine=first.affine,
            track_running_stats=first.track_running_stats,
        )
        _flatten_into(self.norm, layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B * K, C, ...) to the same shape."""
        return _ungrouped(self.norm(_grouped(x, self.members)), self.members)

    def member(self, index: int, *, weight: Any = None) -> nn.Module:
        """A batch normalisation of the kind that was converted."""
        norm = self.norm
        layer = self._class(
            self.num_features,
            eps=norm.eps,
            momentum=norm.momentum,
            affine=norm.affine,
            track_running_stats=norm.track_running_stats,
        )
        return _sliced_from(norm, layer, index, self.num_features)


class EnsembleGroupNorm(EnsembleLayer):
    """K group normalisations as one with K times the groups."""

    def __init__(self, layers: list[nn.Module]) -> None:
        """Hold *layers*, K GroupNorm."""
        super().__init__()
        first: Any = layers[0]
        self.members = len(layers)
        self.num_channels = first.num_channels
        self.num_groups = first.num_groups
        self.norm = nn.GroupNorm(
            self.members * first.num_groups,
            self.members * first.num_channels,
            eps=first.eps,
            affine=first.affine,
        )
        _flatten_into(self.norm, layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B * K, C, ...) to the same shape."""
        return _ungrouped(self.norm(_grouped(x, self.members)), self.members)

    def member(self, index: int, *, weight: Any = None) -> nn.Module:
        """A GroupNorm."""
        norm = self.norm
        layer = nn.GroupNorm(self.num_groups, self.num_channels, eps=norm.eps, affine=norm.affine)
        return _sliced_from(norm, layer, index, self.num_channels)


class EnsembleLayerNorm(EnsembleLayer):
    """K layer normalisations: one normalisation, K gains and shifts."""

    def __init__(self, layers: list[nn.Module]) -> None:
        """Hold *layers*, K LayerNorm."""
        super().__init__()
        first: Any = layers[0]
        self.members = len(layers)
        self.normalized_shape = tuple(first.normalized_shape)
        self.eps = first.eps
        self.weight = _stacked_parameter(layers, "weight")
        self.bias = _stacked_parameter(layers, "bias")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B * K, ..., *normalized_shape) to the same shape."""
        y = F.layer_norm(x, self.normalized_shape, eps=self.eps)
        if self.weight is None:
            return y
        batch, spread = _batch(x, self.members), [1] * (x.ndim - 1 - len(self.normalized_shape))
        y = y.reshape(batch, self.members, *x.shape[1:])
        y = y * self.weight.reshape(self.members, *spread, *self.normalized_shape)
        if self.bias is not None:
            y = y + self.bias.reshape(self.members, *spread, *self.normalized_shape)
        return y.reshape(x.shape)

    def member(self, index: int, *, weight: Any = None) -> nn.Module:
        """A LayerNorm."""
        layer = nn.LayerNorm(
            self.normalized_shape,
            eps=self.eps,
            elementwise_affine=self.weight is not None,
            bias=self.bias is not None,
        )
        return _filled(layer, {"weight": self.weight, "bias": self.bias}, index)


def weight_of(layer: nn.Module) -> MemberWeight | None:
    """The weights that a method trains in *layer*; None for normalisations."""
    found = getattr(layer, "weight", None)
    return found if isinstance(found, MemberWeight) else None


def _batch(x: torch.Tensor, members: int) -> int:
    """B of an activation (B * K, ...)."""
    return int(x.shape[0]) // members


def _grouped(x: torch.Tensor, members: int) -> torch.Tensor:
    """(B * K, C, ...) as (B, K * C, ...)."""
    return x.reshape(_batch(x, members), members * x.shape[1], *x.shape[2:])


def _ungrouped(x: torch.Tensor, members: int) -> torch.Tensor:
    """(B, K * C, ...) as (B * K, C, ...)."""
    return x.reshape(x.shape[0] * members, x.shape[1] // members, *x.shape[2:])


def _stacked(layers: list[nn.Module], name: str) -> torch.Tensor:
    """All members' values of a parameter, (K, *shape)."""
    return torch.stack([getattr(layer, name).detach() for layer in layers])


def _stacked_parameter(layers: list[nn.Module], name: str) -> nn.Parameter | None:
    if getattr(layers[0], name) is None:
        return None
    return nn.Parameter(_stacked(layers, name))


@torch.no_grad()
def _filled(layer: nn.Module, values: dict[str, torch.Tensor | None], index: int) -> nn.Module:
    """*layer* with copies of member *index*'s values, (K, *shape) each, on their device."""
    for name, value in values.items():
        if value is not None:
            setattr(layer, name, nn.Parameter(value[index].detach().clone()))
    return layer


@torch.no_grad()
def _flatten_into(norm: nn.Module, layers: list[nn.Module]) -> None:
    """Put the state of K normalisations behind one another into one of K * C channels."""
    state = norm.state_dict()
    for name, first in layers[0].state_dict().items():
        parts = [layer.state_dict()[name] for layer in layers]
        state[name] = torch.cat(parts) if first.ndim else first.clone()
    norm.to(next(iter(state.values())).device if state else "cpu")
    norm.load_state_dict(state)


@torch.no_grad()
def _sliced_from(norm: nn.Module, layer: nn.Module, index: int, channels: int) -> nn.Module:
    """*layer* with the state of member *index* out of one of K * C channels."""
    state = {
        name: value[index * channels : (index + 1) * channels] if value.ndim else value
        for name, value in norm.state_dict().items()
    }
    if state:
        layer.to(next(iter(state.values())).device)
    layer.load_state_dict(state)
    return layer
