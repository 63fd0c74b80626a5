"""What training minimises, as a module: so DistributedDataParallel sees every use of a parameter.

Inside torch.training, around the ensemble.
"""

from __future__ import annotations

from edgeens.torch.ensemble import EnsembleModule
from edgeens.torch.package import F, nn, torch


class Objective(nn.Module):
    """Cross-entropy of the members, and the method's own term.

    The sum over the members where each has its own weights, which is then what training each alone
    would minimise; the mean where they share them (BatchEnsemble), so that the shared weights' step
    does not grow with K. The method's term counts as often: *rate* weighs it against the loss of
    one member.
    """

    def __init__(self, model: EnsembleModule, *, rate: float, autocast: torch.dtype | None) -> None:
        """Wrap *model*; *autocast* is the type to compute in on a GPU, or None for float32."""
        super().__init__()
        self.model = model
        self._rate = rate
        self._autocast = autocast
        self._factor = 1 if model.method == "batchensemble" else model.members

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The objective, and the members' mean cross-entropy for the log; both scalars.

        Args:
            x: float32 (K * n, ...), the first n are the first member's, and so on.
            labels: int64 (K, n).
        """
        with torch.autocast(x.device.type, self._autocast, enabled=self._autocast is not None):
            logits = self.model(x)
        loss = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())
        objective = loss
        if self._rate:
            objective = loss + self._rate * self.model.regularizer()
        return self._factor * objective, loss.detach()
