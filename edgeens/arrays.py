"""Arrays of outputs, labels and weights, checked at the door.

Last stage of the pipeline, before any figure is computed: uncertainty, metrics, calibration, ood
and diversity take every array they are given through here, so all of them refuse in the same words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeens.errors import DataError

Array = NDArray[Any]

# A float16 softmax over a thousand classes misses 1 by up to this; logits miss it by far more.
SUM_TOLERANCE = 1e-2

# Rounding of a float32 mean may lift a probability over 1 by less than this.
RANGE_TOLERANCE = 1e-6


def real_array(values: ArrayLike, name: str) -> Array:
    """`values` as a floating-point array that is not empty; whole numbers become float64.

    Raises DataError, which calls the array `name`, for anything else. The values are not looked at.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(
            f"{name} cannot form one array, because its parts have different shapes"
        ) from error
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} must be real numbers, but have dtype {array.dtype}")
    if array.size == 0:
        raise DataError(f"{name} must not be empty, but have shape {array.shape}")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def checked_array(values: ArrayLike, name: str, axes: tuple[str, ...]) -> Array:
    """`values` as a finite floating-point array whose axes are those named in `axes`.

    The name "..." stands for any number of axes. Raises DataError for a wrong number of axes and
    for NaN and infinite values.
    """
    array = real_array(values, name)
    least = len([axis for axis in axes if axis != "..."])
    if array.ndim < least or (array.ndim > least and "..." not in axes):
        wanted = ", ".join(axes) + ("," if len(axes) == 1 else "")
        raise DataError(f"{name} must have shape ({wanted}), but have shape {array.shape}")
    finite = np.isfinite(array)
    if not finite.all():
        first = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), array.shape))
        raise DataError(
            f"{name} hold {int((~finite).sum())} NaN or infinite values, the first at index "
            f"{first}; look at the model or the data that made them"
        )
    return array


def checked_probabilities(
    values: ArrayLike, axes: tuple[str, ...], *, class_axis: int | None
) -> Array:
    """`values` as probabilities that sum to 1 over `class_axis`; None: independent labels, no sum.

    Raises DataError for what `checked_array` refuses, for values outside 0..1 and for other sums.
    """
    array = checked_array(values, "probabilities", axes)
    low, high = float(array.min()), float(array.max())
    if low < 0.0 or high > 1.0 + RANGE_TOLERANCE:
        raise DataError(
            f"probabilities must lie in 0..1, but lie in {low:.6g}..{high:.6g}; if they are "
            "logits, apply edgeens.uncertainty.softmax or sigmoid first"
        )
    if class_axis is None:
        return array
    sums = array.sum(axis=class_axis, dtype=np.float64)
    worst = float(sums.flat[int(np.argmax(np.abs(sums - 1.0)))])
    if abs(worst - 1.0) > SUM_TOLERANCE:
        raise DataError(
            f"probabilities must sum to 1 over the class axis {class_axis}, but one sum is "
            f"{worst:.6g}; check the axis, or treat the labels as independent (multi-label)"
        )
    return array


def checked_labels(labels: ArrayLike, *, batch: int, classes: int) -> NDArray[np.intp]:
    """`labels` as `batch` class indices in 0..classes-1; raises DataError for anything else."""
    array = np.asarray(labels)
    if array.shape != (batch,):
        one_hot = array.size == batch * classes
        raise DataError(
            f"labels must have shape ({batch},), one class index for each input, but have shape "
            f"{array.shape}" + ("; of one-hot labels take the argmax" if one_hot else "")
        )
    if array.dtype.kind not in "iu":
        raise DataError(
            f"labels must be whole numbers, but have dtype {array.dtype}; if they are class "
            "indices, convert them with astype(numpy.int64)"
        )
    outside = (array < 0) | (array >= classes)
    if outside.any():
        first = int(np.argmax(outside))
        raise DataError(
            f"labels must lie in 0..{classes - 1}, but the label at index {first} is {array[first]}"
        )
    return array.astype(np.intp)


def checked_targets(values: ArrayLike, shape: tuple[int, ...]) -> Array:
    """`values` as finite targets of exactly the outputs' shape; raises DataError otherwise."""
    array = checked_array(values, "targets", ("...",))
    if array.shape != shape:
        raise DataError(
            f"targets must have the shape of the outputs, {shape}, but have shape {array.shape}"
        )
    return array
