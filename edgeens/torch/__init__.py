"""PyTorch at the edge of edgeens: a module becomes K members in one, and its weights a file.

`convert` makes the ensemble, the user trains it, `write_ensemble` stores it.
"""

from __future__ import annotations

from edgeens.torch.convert import convert, members_from_modules
from edgeens.torch.ensemble import EnsembleModule
from edgeens.torch.export import coded_ensemble, write_ensemble, write_members

__all__ = [
    "EnsembleModule",
    "coded_ensemble",
    "convert",
    "members_from_modules",
    "write_ensemble",
    "write_members",
]
