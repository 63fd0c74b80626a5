"""The package onnx, or a sentence that says how to get it.

Beside the pipeline: members, skeleton and export read and write ONNX files; the session does not.
"""

from __future__ import annotations

from edgeens.errors import MissingPackageError

try:
    import onnx
    import onnx.external_data_helper
    import onnx.inliner
    import onnx.numpy_helper
    import onnx.shape_inference
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
except ImportError as error:
    raise MissingPackageError(
        f"reading and writing ONNX files needs the package {error.name}, which is not installed; "
        "install the extra edgeens[onnx]"
    ) from error

__all__ = ["DecodeError", "onnx"]
