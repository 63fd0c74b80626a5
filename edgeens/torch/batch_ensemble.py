"""BatchEnsemble: members share a matrix and differ by rank one (Wen et al. 2020).

A kind of MemberWeight, the baseline of Bits-Ensemble's Table IV and the subject of the calibration
study: W_k = W o (r_k s_k^T).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from edgeens.torch.package import nn, torch
from edgeens.torch.weights import CodedFactor, MemberWeight

FastStart = Literal["ones", "sign", "normal"]


class BatchEnsembleWeight(MemberWeight):
    """One matrix for all members, and two vectors, the fast weights, for each.

    r has shape (K, D_out), s (K, D_in); for a convolution in groups D_in counts the channels of one
    group. Biases and normalisations are the members' own. A file holds W once, and r and s exactly.
    """

    roles: ClassVar[dict[str, str]] = {"r": "fast", "s": "fast"}

    def __init__(self, slow: MemberWeight, *, members: int, start: FastStart) -> None:
        """Multiply what *slow* holds, (1, D_out, D_in, ...), by fast weights.

        Args:
            slow: the shared matrix.
            members: K.
            start: of the fast weights: "ones", random "sign"s, or "normal" with mean 1 and
                standard deviation 0.5; from torch's random generator.
        """
        super().__init__()
        self.slow = slow
        matrix = slow.factors()["weight"].detach()
        self.kernel_axes = matrix.ndim - 3
        self.r = nn.Parameter(_fast(matrix.new_ones(members, matrix.shape[1]), start))
        self.s = nn.Parameter(_fast(matrix.new_ones(members, matrix.shape[2]), start))

    def factors(self) -> dict[str, torch.Tensor]:
        """W, r and s."""
        return {"weight": self.slow.factors()["weight"], "r": self.r, "s": self.s}

    def product(self, factors: dict[str, torch.Tensor]) -> torch.Tensor:
        """W o (r s^T), the same for every position of a kernel."""
        weight, r, s = factors["weight"], factors["r"], factors["s"]
        kernel = [1] * self.kernel_axes
        r = r.reshape(*r.shape, 1, *kernel)
        s = s.reshape(*s.shape[:-1], 1, s.shape[-1], *kernel)
        return weight * r * s

    def coded(self) -> dict[str, CodedFactor]:
        """The codes of W, if it is on a grid."""
        return self.slow.coded()

    def rate(self) -> torch.Tensor | None:
        """That of W."""
        return self.slow.rate()


def _fast(ones: torch.Tensor, start: FastStart) -> torch.Tensor:
    if start == "sign":
        return ones - 2 * torch.bernoulli(ones / 2)
    if start == "normal":
        return nn.init.normal_(ones, mean=1.0, std=0.5)
    return ones
