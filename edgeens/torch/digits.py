"""8-bit codes in training as digits: split, shared in a closed loop, joined (METHODS 1 and 2).

Between torch.uniform, which rounds to codes, and torch.sharing. quantize.digits and
quantize.sharing do the same in NumPy, after training.
"""

from __future__ import annotations

from typing import NamedTuple

from edgeens.torch.package import torch
from edgeens.torch.runs import shared_means

# Digits of a code n = 85 a + 17 b + c, and the size of their alphabets.
WEIGHT4, WEIGHT8 = 17, 1
ALPHABET4, ALPHABET8 = 5, 17
_WIDEST8 = 8


class SharedDigits(NamedTuple):
    """What sharing made of codes (K, N); int8, the same shape each.

    Attributes:
        codes: 85 a + 17 b + c of the shared digits.
        digits4: b before it was shared.
        digits8: c before it was shared: what the shared b leaves of the code. None if dropped.
    """

    codes: torch.Tensor
    digits4: torch.Tensor
    digits8: torch.Tensor | None


def share_codes(
    codes: torch.Tensor, reach4: torch.Tensor, reach8: torch.Tensor | None
) -> SharedDigits:
    """Share eps4 (b), then eps8 (c), taken again as what is left: c = clamp(n - 85 a - 17 b).

    Args:
        codes: float32 integers, shape (K, N), -127 to 127; overwritten.
        reach4, reach8: int8, shape (N,): the widest gap within a run of b and c; None for *reach8*
            drops c, which leaves multiples of 17.
    """
    whole = codes.to(torch.int8)
    # 17 is odd: no ties, and the nearest halves are 1/34 away, far above the product's error.
    level4 = codes.mul_(1 / 17).round_().to(torch.int8)
    base = (level4 > 2).view(torch.int8) - (level4 < -2).view(torch.int8)
    digits4 = level4 - 5 * base
    shared4 = shared_means(digits4, reach4)
    joined = 85 * base + WEIGHT4 * shared4
    if reach8 is None:
        return SharedDigits(joined, digits4, None)
    # Fits int8: |n - 85 a| is at most 42 and |17 b| at most 34.
    digits8 = whole.sub_(joined).clamp_(-_WIDEST8, _WIDEST8)
    return SharedDigits(joined.add_(shared_means(digits8, reach8)), digits4, digits8)


def reach_of(lam: torch.Tensor) -> torch.Tensor:
    """The largest integer gap that is not greater than Lambda; int8. Lambda counts from 0 up."""
    # 16 is the widest gap there is.
    return lam.detach().clamp(0, 2 * _WIDEST8).floor().to(torch.int8)
