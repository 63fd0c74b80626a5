"""A small vision transformer for MNIST, to export a published checkpoint to ONNX.

Patches of 4 x 4, width 64, 6 blocks, 4 heads of 64, ReLU: what vit_mnist_gpu.pt of
github.com/researchase/vit-mnist-explorations holds. Names are those of its tensors.
"""

from __future__ import annotations

from pathlib import Path

from edgeens.torch.onnx_file import write_onnx
from edgeens.torch.package import F, nn, torch

_PATCHES, _WIDTH, _HEADS, _BLOCKS = 7, 64, 4, 6


class Attention(nn.Module):  # type: ignore[misc]
    """Self-attention of 4 heads over (n, tokens, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(_WIDTH, 3 * _HEADS * _WIDTH, bias=False)
        self.to_out = nn.Sequential(nn.Linear(_HEADS * _WIDTH, _WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = (part.unflatten(-1, (_HEADS, _WIDTH)) for part in self.to_qkv(x).chunk(3, dim=-1))
        q, k, v = (part.transpose(1, 2) for part in heads)
        mixed = torch.softmax(q @ k.transpose(-1, -2) / _WIDTH**0.5, dim=-1) @ v
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):  # type: ignore[misc]
    """64-128-64."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Linear(_WIDTH, 128), nn.ReLU(), nn.Identity(), nn.Linear(128, _WIDTH))
        self.net = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Normed(nn.Module):  # type: ignore[misc]
    """A residual branch behind a layer norm."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(_WIDTH)
        self.fn = fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fn(self.norm(x))


class Transformer(nn.Module):  # type: ignore[misc]
    """The blocks."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [nn.Sequential(Normed(Attention()), Normed(FeedForward())) for _ in range(_BLOCKS)]
        self.layers = nn.Sequential(*blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class VisionTransformer(nn.Module):  # type: ignore[misc]
    """(n, 1, 28, 28) to logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.to_patch_embedding = nn.Sequential(nn.Identity(), nn.Linear(16, _WIDTH))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.pos_embedding = nn.Parameter(torch.zeros(1, _PATCHES**2 + 1, _WIDTH))
        self.transformer = Transformer()
        self.mlp_head = nn.Sequential(nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = F.pixel_unshuffle(x, 4).flatten(2).transpose(1, 2)
        tokens = self.to_patch_embedding(patches)
        first = self.cls_token.expand(x.shape[0], -1, -1)
        tokens = torch.cat([first, tokens], dim=1) + self.pos_embedding
        return self.mlp_head(self.transformer(tokens)[:, 0])


def export(checkpoint: Path, path: Path) -> None:
    """Write the network with the weights in *checkpoint* to the ONNX file *path*."""
    network = VisionTransformer().eval()
    network.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
    write_onnx(
        network,
        path,
        example_input=torch.zeros(2, 1, 28, 28),
        output_names=("logits",),
        folded=True,
    )
