"""edgeens: ensembles of neural networks on edge devices.

The public names, loaded on first use: `import edgeens` needs none of torch, onnx, onnxruntime.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "CodedEnsemble": "coded",
    "Container": "decoder",
    "DataError": "errors",
    "EdgeensError": "errors",
    "Ensemble": "ensemble",
    "FormatError": "errors",
    "MembersError": "errors",
    "MissingPackageError": "errors",
    "Prediction": "uncertainty",
    "draw_members": "quantize.rounding",
    "encode": "encoder",
    "read_container": "container.reference",
    "share_bits": "quantize.sharing",
    "summarize": "uncertainty",
    "write_container": "container.writer",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the module that a public name lives in (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'edgeens' has no attribute {name!r}")
    return getattr(import_module(f"edgeens.{_HOMES[name]}"), name)
