"""Colour pictures packed without loss: differences of the planes, MED prediction, xz.

A form of CIFAR that is a sixth smaller than PNG. Read by datasets.cifar10. An unpacked file is
kept in a cache folder, because unpacking 50 000 pictures takes about ten seconds.
"""

from __future__ import annotations

import hashlib
import lzma
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeens.atomic import replacing
from edgeens.errors import DataError

_PLANES = 3  # as stored: G, R - G, B - G, each modulo 256


def cache_folder() -> Path:
    """Where unpacked arrays are kept: $XDG_CACHE_HOME/edgeens/datasets, by default ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgeens" / "datasets"


def read_packed(path: Path, *, size: int = 32, cache: Path | None = None) -> NDArray[np.uint8]:
    """The pictures in *path*, uint8 (n, 3, size, size), red, green, blue.

    Args:
        path: an xz file of the residuals, plane by plane.
        size: rows and columns of a picture.
        cache: folder for the unpacked array, named by the SHA-256 of *path*'s bytes; default:
            cache_folder().

    Raises:
        DataError: the file is damaged or of another size.
        OSError: it cannot be read, or the cache cannot be written.
    """
    data = path.read_bytes()
    home = cache_folder() if cache is None else cache
    kept = home / f"{hashlib.sha256(data).hexdigest()[:32]}.npy"
    if kept.is_file():
        try:
            array: NDArray[np.uint8] = np.load(kept, allow_pickle=False)
            return array
        except (ValueError, EOFError):
            pass  # a cache is no source: unpack again
    try:
        residuals = np.frombuffer(lzma.decompress(data), np.uint8)
    except (lzma.LZMAError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); get it again") from error
    if residuals.size == 0 or residuals.size % (_PLANES * size * size):
        raise DataError(
            f"{path} holds {residuals.size} bytes, no whole number of {size} x {size} pictures "
            "in three planes; get it again"
        )
    pictures = unpack(residuals.reshape(_PLANES, -1, size, size))
    home.mkdir(parents=True, exist_ok=True)
    with replacing(kept) as file:
        np.save(file, pictures)
    return pictures


def unpack(residuals: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures (n, 3, rows, columns), red, green, blue, from residuals (3, n, rows, columns).

    A plane's value is residual + MED (median of west, north and west + north - northwest: the
    predictor of JPEG-LS, ISO 14495-1), clipped to between west and north. Missing neighbours are
    those that exist: the first row knows west alone, the first column north alone, the first
    pixel is predicted as 0. The planes are green, red - green and blue - green. The predictions of
    the differences use their true values, -255 to 255, which green and the residual decide.
    """
    # Pixels first, pictures last: each step below is one operation on a contiguous row.
    planes = np.ascontiguousarray(residuals.transpose(0, 2, 3, 1)).astype(np.int16)
    green = planes[0]
    _undo_prediction(green, np.zeros_like(green))
    for plane in planes[1:]:
        _undo_prediction(plane, green)
    colours = np.stack([planes[1] + green, green, planes[2] + green])
    return np.ascontiguousarray(colours.astype(np.uint8).transpose(3, 0, 1, 2))


def _undo_prediction(plane: NDArray[np.int16], base: NDArray[np.int16]) -> None:
    """Replace residuals (rows, columns, n) by values v with v + base in 0..255, in place."""
    rows, columns, _ = plane.shape
    nothing = np.zeros_like(plane[0, 0])
    for y in range(rows):
        for x in range(columns):
            west = plane[y, x - 1] if x else None
            north = plane[y - 1, x] if y else None
            if west is None or north is None:
                edge = north if west is None else west
                predicted = nothing if edge is None else edge
            else:
                low, high = np.minimum(west, north), np.maximum(west, north)
                predicted = np.clip(west + north - plane[y - 1, x - 1], low, high)
            plane[y, x] = (plane[y, x] + predicted + base[y, x] & 255) - base[y, x]
