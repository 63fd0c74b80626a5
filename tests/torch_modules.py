"""Modules that the tests of edgeens.torch convert, each a habit of users' forward code."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    """Functional code, a sum around two convolutions, a group of channels, a strided shortcut."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2, padding_mode="reflect")
        self.shortcut = nn.Conv2d(4, 8, 1, stride=2)
        self.group = nn.GroupNorm(4, 8)

    def forward(self, x):
        y = self.second(F.relu(self.norm(self.first(x))))
        return F.relu(self.group(y) + self.shortcut(x))


class Pictures(nn.Module):
    """A nested network with pooling, cat along channels, view and dropout; one layer used twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding="same", padding_mode="circular"))
        self.block = Residual()
        self.twice = nn.Conv2d(8, 8, 1)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(16 * 4, 12), nn.LayerNorm(12))
        self.out = nn.Linear(12, 10)

    def forward(self, x):
        x = self.block(F.relu(self.stem(x)))
        x = torch.cat([x, self.twice(self.twice(x))], dim=1)
        x = F.max_pool2d(x, 2)
        x = self.head(x.view(-1, 16 * 4))
        return self.out(torch.relu(x))


class Tokens(nn.Module):
    """Sequences: Conv1d, Linear on the last of three axes, attention without parameters."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv1d(3, 8, 3, padding=1)
        self.project = nn.Linear(8, 24)
        self.norm = nn.LayerNorm((6, 8))
        self.batch = nn.BatchNorm1d(6)
        self.out = nn.Linear(8, 5, bias=False)

    def forward(self, x):
        x = self.embed(x).transpose(1, 2)
        q, k, v = self.project(x).chunk(3, dim=-1)
        x = self.norm(x + F.scaled_dot_product_attention(q, k, v))
        return self.out(self.batch(x)).mean(1)


INPUTS = {Pictures: (8, 1, 8, 8), Tokens: (8, 3, 6)}


def trained(kind, seed):
    """A module whose weights and running statistics are its own, in evaluation mode."""
    generator_state = torch.get_rng_state()
    torch.manual_seed(seed)
    module = kind()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        module.train()
        module(torch.randn(INPUTS[kind]))
    torch.set_rng_state(generator_state)
    return module.eval()


def inputs(kind, seed=9):
    """A batch for *kind*."""
    return torch.randn(INPUTS[kind], generator=torch.Generator().manual_seed(seed))
