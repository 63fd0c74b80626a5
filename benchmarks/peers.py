"""What the same codes cost in other coders: the peers that the size benchmark compares with.

Third stage of the size benchmark; works on the codes that edgeens.quantize made, so that every
coder stores exactly the same ensemble.
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from edgeens.coded import CodedEnsemble, CodedTensor
from edgeens.container.choice import coded_size

Codes = NDArray[np.int8]


def coded_tensors(coded: CodedEnsemble) -> list[CodedTensor]:
    """The tensors that are on a grid, in the order that their codes are fed to the peers."""
    return [tensor for tensor in coded.tensors if tensor.grid is not None]


def compressed_sizes(coded: CodedEnsemble) -> Iterator[tuple[str, int | None]]:
    """Label and bytes of each general compressor at (nearly) its best; None: not installed.

    All codes go through it as one stream of bytes, once member after member within each tensor and
    once with the members' codes of a position side by side; the smaller result counts.
    """
    arrays = [tensor.codes for tensor in coded_tensors(coded)]
    after = b"".join(array.tobytes() for array in arrays)
    beside = b"".join(np.moveaxis(array, 0, -1).tobytes() for array in arrays)
    for label, (package, compress) in _COMPRESSORS.items():
        if find_spec(package) is None:
            yield label, None
        else:
            yield label, min(len(compress(after)), len(compress(beside)))


def entropy_bytes(coded: CodedEnsemble) -> int:
    """Order-0 entropy of each tensor's codes over all copies, in bytes, rounded up in the end.

    What an ideal coder with one exact table a tensor would need, the tables themselves being free.
    """
    return math.ceil(sum(_entropy_bits(tensor.codes) for tensor in coded_tensors(coded)) / 8)


def fixed_bytes(coded: CodedEnsemble) -> int | None:
    """The Bits-Ensemble layout at these codes: bases, patterns and digits in fixed widths 2/3/5.

    As written by the method shared with coder fixed (SPEC S8): 2 bits of base a member, a pattern
    and the digits of its clusters for each of the two levels, runs of levels, and block entries.
    None if a tensor's members have nothing to share.
    """
    tensors = coded_tensors(coded)
    if any(not 2 <= len(tensor.codes) <= 16 for tensor in tensors):
        return None
    return sum(
        coded_size(
            replace(tensor, method="shared", digits="balanced", coder="fixed", predictor="none"),
            coded.members,
        )
        for tensor in tensors
    )


def _entropy_bits(codes: Codes) -> float:
    counts = np.unique(codes, return_counts=True)[1]
    return float((counts * np.log2(codes.size / counts)).sum())


def _zstd(data: bytes) -> bytes:
    import zstandard

    packed: bytes = zstandard.ZstdCompressor(level=19).compress(data)
    return packed


def _brotli(data: bytes) -> bytes:
    packed: bytes = import_module("brotli").compress(data, quality=11, lgwin=24)
    return packed


def _lz4(data: bytes) -> bytes:
    packed: bytes = import_module("lz4.block").compress(
        data, mode="high_compression", compression=12
    )
    return packed


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9)


_COMPRESSORS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "lz4 -12": ("lz4", _lz4),
    "zstd -19": ("zstandard", _zstd),
    "brotli -11": ("brotli", _brotli),
    "xz -9": ("lzma", _xz),
}
COMPRESSORS: Sequence[str] = tuple(_COMPRESSORS)
