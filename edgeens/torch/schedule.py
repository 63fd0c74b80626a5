"""Learning rates over the course of training, as factors of the first: pure functions of a step."""

from __future__ import annotations

import math


def warm_cosine(step: int, *, steps: int, warmup: int) -> float:
    """Factor of the learning rate at *step*, from 0: a linear rise, then half a cosine to 0.

    Args:
        step: 0 to steps - 1.
        steps: in all.
        warmup: how many of them rise; the first is not 0.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def cyclic_cosine(step: int, *, steps: int, cycles: int) -> float:
    """Factor that falls from 1 to nearly 0 in each cycle (Huang et al., 2017, Eq. 2).

    Args:
        step: 0 to steps - 1.
        steps: in all; a cycle has ceil(steps / cycles) of them, the last one what is left.
        cycles: how many.
    """
    length = math.ceil(steps / cycles)
    return 0.5 * (1 + math.cos(math.pi * (step % length) / length))
