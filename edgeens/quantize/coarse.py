"""Tensors that one scale does not suit: most of their channels are far smaller than the largest.

After quantize.tensors; the encoder tells the user, who may want a scale a channel.
"""

from __future__ import annotations

import numpy as np

from edgeens.coded import CodedEnsemble
from edgeens.ensemble import Ensemble
from edgeens.quantize.tensors import float_values

# Of the networks tried, a MobileNet and an autoencoder have such tensors, and outputs that are off
# by 13 and 7 % at 8 bits; MLPs, CNNs, ResNets and a vision transformer have none, and are off by
# 0.3 to 6 %.
LIMIT = 0.05


def coarse_note(ensemble: Ensemble, coded: CodedEnsemble) -> tuple[str, ...]:
    """A sentence that names the tensors with one scale whose channels are mostly far too small."""
    names = coarse_tensors(ensemble, coded)
    if not names:
        return ()
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return (
        f"one scale a tensor is coarse for most channels of {len(names)} of {len(coded.tensors)} "
        f"tensors ({listed}): "
        "a scale a channel (--grid channel) stays closer, and costs some bytes",
    )


def coarse_tensors(ensemble: Ensemble, coded: CodedEnsemble) -> list[str]:
    """Names of tensors with one scale whose rounding errors are large in most channels.

    A weight that is rounded to multiples of s is off by s / sqrt(12), root mean square; more than
    LIMIT times the weights of the median channel is large. Channels of zeros do not count.
    """
    names = []
    for tensor, codes in zip(ensemble.tensors, coded.tensors, strict=True):
        grid = codes.grid
        if grid is None or grid.scale.size > 1 or tensor.channel_axis is None or tensor.given:
            continue
        values = float_values(tensor)
        others = tuple(n for n in range(values.ndim) if n != tensor.channel_axis + 1)
        rms = np.sqrt(np.mean(np.square(values, dtype=np.float64), axis=others))
        rms = rms[rms > 0]
        if rms.size and float(grid.scale[0]) / np.sqrt(12) > LIMIT * np.median(rms):
            names.append(tensor.name)
    return names
