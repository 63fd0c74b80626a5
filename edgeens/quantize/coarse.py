"""Which tensors one scale does not suit: scales of their channels would halve the rounding error.

Before quantize.grid, which fits the scales; the encoder tells the user which tensors got them.
"""

from __future__ import annotations

import math

import numpy as np

from edgeens.coded import CodedEnsemble
from edgeens.ensemble import Array, Ensemble

# Half the rounding error is a bit of each code. Of the networks tried, no MLP reaches 3.6 and no
# small CNN 3.4; first layers of ResNets, depthwise convolutions and autoencoders reach 4 to 35.
MOST = 4.0
# A channel so far below the largest is dead (training shrinks some to 1e-30): one scale would make
# it 0, and on a scale of its own its noise would fill 8 bits a weight.
DEAD = 2.0**-24


def live_channels(values: Array, channel_axis: int | None) -> Array | None:
    """*values* with dead channels set to 0, if one scale is coarse for them; None if it suits.

    A step s leaves a squared error of s^2 / 12 a weight, so with the largest weights beta_c of the
    live channels, one scale makes the squared error max(beta_c^2) / mean(beta_c^2) times that of
    scales a channel. From MOST on it is coarse.

    Args:
        values: floats, shape (copies, *shape), all members together. NaN and infinite weights make
            None, for fit_grid to refuse.
        channel_axis: axis of *shape* that counts output channels.
    """
    if channel_axis is None or values.size == 0:
        return None
    others = tuple(n for n in range(values.ndim) if n != channel_axis + 1)
    beta = np.maximum(values.max(axis=others), -values.min(axis=others)).astype(np.float64)
    live = beta > DEAD * beta.max()
    squares = np.square(beta[live] / beta.max())
    # fsum rounds once, so that every machine decides alike.
    if not squares.size or MOST * math.fsum(squares) > squares.size:
        return None
    shape = [1] * values.ndim
    shape[channel_axis + 1] = -1
    return values if live.all() else np.where(live.reshape(shape), values, values.dtype.type(0))


def channel_note(ensemble: Ensemble, coded: CodedEnsemble) -> tuple[str, ...]:
    """A sentence that names the tensors that got a scale a channel because one was coarse."""
    names = [
        tensor.name
        for tensor, codes in zip(ensemble.tensors, coded.tensors, strict=True)
        if codes.grid is not None and codes.grid.scale.size > 1 and tensor.given is None
    ]
    if not names:
        return ()
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return (
        f"{len(names)} of {len(coded.tensors)} tensors have a scale a channel ({listed}), because "
        "one scale would at least double their rounding error; --grid tensor makes a smaller file",
    )
