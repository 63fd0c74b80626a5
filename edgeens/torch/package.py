"""PyTorch, or a sentence that says how to get it.

Beside the pipeline: every other module of edgeens.torch takes torch from here.
"""

from __future__ import annotations

from edgeens.errors import MissingPackageError

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    raise MissingPackageError(
        "training with edgeens.torch needs PyTorch, which is not installed; "
        "install the extra edgeens[torch]"
    ) from error

__all__ = ["F", "nn", "torch"]
