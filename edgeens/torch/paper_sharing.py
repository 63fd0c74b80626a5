"""Bits sharing as Bits-Ensemble prints it (Eq. 14-19), for fidelity: sigmoid compare, RBF one-hot.

Beside torch.sharing, whose operator is exact and faster. This one costs a K x positions x K array,
and its RBF one-hot is either off in the forward pass (wide) or without gradient (narrow). Only used
in training; evaluation and files always hold what Algorithm 1 gives.
"""

from __future__ import annotations

from itertools import accumulate

from edgeens.torch.package import torch


def paper_means(
    digits: torch.Tensor, lam: torch.Tensor, *, temperature: float, sigma: float
) -> torch.Tensor:
    """The relaxed mean of each digit's run.

    p = sigmoid((delta - Lambda) / T), rounded with a straight-through gradient (Eq. 14 as printed
    falls with delta); q = its cumulative sum after a first 0; C = exp(-(q - j)**2 / (2 sigma**2))
    (Eq. 17); M = C' e / sum C (Eq. 15); R' = C M (Eq. 16), mapped back (Eq. 19).

    Args:
        digits: float32, shape (K, N).
        lam: Lambda, shape (N,).
        temperature: T of the compare function, in digit units.
        sigma: width of the kernels.

    Returns:
        float32, shape (K, N).
    """
    ordered, index = digits.sort(dim=0, stable=True)
    beyond = ordered.diff(dim=0) - lam.clamp(min=0)
    soft = torch.sigmoid(beyond / temperature)
    hard = (beyond > 0).float()
    cuts = soft + (hard - soft).detach()
    # Not cumsum, which has no deterministic form on a GPU.
    runs = torch.stack(list(accumulate(cuts, initial=torch.zeros_like(lam))))
    centres = torch.arange(len(digits), device=digits.device, dtype=digits.dtype)
    one_hot = torch.exp(-((runs.unsqueeze(-1) - centres) ** 2) / (2 * sigma**2))
    # A run that does not exist has no weight either: 0 / tiny, not 0 / 0.
    sizes = one_hot.sum(0).clamp(min=torch.finfo(digits.dtype).tiny)
    means = (ordered.unsqueeze(-1) * one_hot).sum(0) / sizes
    return torch.empty_like(digits).scatter(0, index, (one_hot * means).sum(-1))
