"""Algorithm 1 of Bits-Ensemble on tensors: runs of close digits, their means, and gradients.

The arithmetic under torch.sharing; quantize.runs is the same algorithm in NumPy.

The K members are K rows. A sorting network orders each column; two scans over the sorted rows, one
up and one down, give every gap the run that ends there and the one that begins there; the network
backwards undoes the sort. No branches, no tables, no one-hot array: every step is one elementwise
operation on small integers, for any K, on any device. torch.where and torch.sort are slower here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from edgeens.torch.package import torch

# Members whose doubled sum of digits, 2 * 7 * 8 + 7, still fits int8.
_NARROW_MEMBERS = 7
# Positions that one step works on, for each thread: a dozen rows of them fit a core's cache.
_CHUNK = 1 << 15


def chunks(positions: int, device: torch.device) -> Iterator[slice]:
    """Slices of positions to work on one after the other: on a GPU, all at once."""
    step = positions if device.type != "cpu" else _CHUNK * int(torch.get_num_threads())
    for start in range(0, positions, max(step, 1)):
        yield slice(start, min(start + step, positions))


def shared_means(digits: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
    """Algorithm 1: each digit becomes the mean of its run, rounded half away from zero.

    Args:
        digits: int8, shape (K, N), -8 to 8.
        reach: int8, shape (N,): a gap greater than this is a cut.

    Returns:
        int8, shape (K, N).
    """
    return Sorted(digits).means(reach)


def run_means(digits: torch.Tensor, reach: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """A g: the mean of *values*, (K, N) floats, over each digit's run; same shape.

    A is the symmetric projection that takes digits to their runs' means, so this is also the
    gradient of the digits, if *values* is that of the means (METHODS, differentiable sharing).
    """
    ordered = Sorted(digits)
    keeps = ordered.keeps(reach).to(values.dtype)
    carried = ordered.carried(values)
    totals = _run_totals(torch.stack([carried, torch.ones_like(carried)], 1), keeps)
    return ordered.unsorted(totals[:, 0] / totals[:, 1])


def toggle_gradient(
    digits: torch.Tensor,
    reach: torch.Tensor,
    lam: torch.Tensor,
    gradient: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """dL/dLambda of each position: the effect of toggling each cut, smoothed over Lambda.

    -sum over gaps t of sigma'((delta_t - Lambda) / T) / T * (m_L - m_R) / (n_L + n_R)
    * (G_L n_R - G_R n_L), where L and R are the runs that reach from gap t to the next cuts on
    either side, n their sizes, m their means and G the sums of the gradient. Gaps of 0 are left
    out: no Lambda parts equal digits, and which of them is left or right is arbitrary.

    Args:
        digits, reach: as in shared_means.
        lam: float32, shape (N,).
        gradient: of the loss for the digits, float32, shape (K, N).
        temperature: T > 0, in digit units.

    Returns:
        float32, shape (N,).
    """
    ordered = Sorted(digits)
    keeps = ordered.keeps(reach).float()
    rows, carried = ordered.rows.float(), ordered.carried(gradient)
    summed = torch.stack([rows, torch.ones_like(rows), carried], 1)
    # For each gap, what the part of a run that ends at it, and that begins at it, sums up to.
    left, right = summed[:-1].clone(), summed[1:].clone()
    last = len(keeps) - 1
    for t in range(last):
        left[t + 1].addcmul_(left[t], keeps[t])
        right[last - t - 1].addcmul_(right[last - t], keeps[last - t])
    (total_left, n_left, g_left), (total_right, n_right, g_right) = left.unbind(1), right.unbind(1)
    _, slopes = ordered.cuts(lam, temperature)
    # (m_L - m_R) n_L n_R, times G_L n_R - G_R n_L
    effect = (total_left * n_right).addcmul_(total_right, n_left, value=-1)
    effect.mul_((g_left * n_right).addcmul_(g_right, n_left, value=-1))
    effect.div_((n_left * n_right).mul_(n_left + n_right))
    return effect.mul_(slopes).sum(0)


class Sorted:
    """The digits of all positions in ascending order.

    Attributes:
        rows: (K, N), int8, or int16 where sums of K digits need it.
    """

    def __init__(self, digits: torch.Tensor, *, reversible: bool = True) -> None:
        """Sort *digits*, int8, (K, N); keep what was swapped if *reversible*."""
        narrow = len(digits) <= _NARROW_MEMBERS
        self.rows = digits.clone() if narrow else digits.to(torch.int16)
        self._network = sorting_network(len(digits))
        masks = torch.empty(
            (len(self._network) if reversible else 0, *digits.shape[1:]),
            dtype=torch.bool,
            device=digits.device,
        )
        rows = self.rows.unbind()
        for number, (i, j) in enumerate(self._network):
            if reversible:
                torch.gt(rows[i], rows[j], out=masks[number])
            low = torch.minimum(rows[i], rows[j])
            torch.maximum(rows[i], rows[j], out=rows[j])
            rows[i].copy_(low)
        self._swaps = masks.view(torch.int8)

    def keeps(self, reach: torch.Tensor) -> torch.Tensor:
        """For each gap, (K - 1, N), 1 where it keeps a run together and 0 where it is a cut."""
        gaps = self.rows[1:] - self.rows[:-1]
        return (gaps <= reach.to(gaps.dtype)).view(torch.int8).to(gaps.dtype)

    def means(self, reach: torch.Tensor) -> torch.Tensor:
        """Algorithm 1: as shared_means."""
        summed = torch.stack([self.rows, torch.ones_like(self.rows)], 1)
        totals = _run_totals(summed, self.keeps(reach))
        return self.unsorted(_rounded(totals[:, 0], totals[:, 1]))

    def cuts(self, lam: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each gap, (K - 1, N) float32: the smoothed cut sigma((delta - Lambda) / T), 0 for a
        gap of 0; and its slope in Lambda."""
        gaps = self.rows[1:] - self.rows[:-1]
        p = gaps.float().sub_(lam).mul_(1 / temperature).sigmoid_()
        p.mul_(gaps.clamp_(max=1).float())
        return p, (p * p).sub_(p).mul_(1 / temperature)

    def carried(self, values: torch.Tensor) -> torch.Tensor:
        """*values*, (K, N) floats, in the order that the digits were sorted to."""
        values = values.clone(memory_format=torch.contiguous_format)
        rows = values.unbind()
        for (i, j), mask in zip(self._network, self._swaps.to(values.dtype), strict=True):
            moved = (rows[j] - rows[i]).mul_(mask)
            rows[i].add_(moved)
            rows[j].sub_(moved)
        return values

    def unsorted(self, values: torch.Tensor) -> torch.Tensor:
        """*values*, (K, N), back in the order of the members; overwrites them."""
        rows = values.unbind()
        backwards = zip(self._network[::-1], self._swaps.to(values.dtype).flip(0), strict=True)
        for (i, j), mask in backwards:
            moved = (rows[j] - rows[i]).mul_(mask)
            rows[i].add_(moved)
            rows[j].sub_(moved)
        return values


@lru_cache
def sorting_network(members: int) -> tuple[tuple[int, int], ...]:
    """Comparators (i, j), i < j, that sort any *members* rows (Batcher's merge exchange)."""
    network = []
    p = 1
    while p < members:
        k = p
        while k:
            for j in range(k % p, members - k, 2 * k):
                for i in range(min(k, members - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        network.append((i + j, i + j + k))
            k //= 2
        p *= 2
    return tuple(network)


def _run_totals(summed: torch.Tensor, keeps: torch.Tensor) -> torch.Tensor:
    """For each sorted row of *summed*, (K, quantities, N), the sum over its whole run."""
    totals = summed.unbind()
    for t, keep in enumerate(keeps):
        totals[t + 1].add_(totals[t] * keep)
    for t in range(len(keeps) - 1, -1, -1):
        # The last row of a run has its total; the rows before it take that over.
        totals[t].add_((totals[t + 1] - totals[t]).mul_(keeps[t]))
    return summed


def _rounded(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """total / count, rounded half away from zero, int8.

    As (2 total + sign count) / (2 count), cut off by the conversion. Float32 does it exactly: with
    count <= 16 a quotient that is no integer is 1/32 or more away from one.
    """
    numerator = total.clamp(-1, 1).mul_(count).add_(total, alpha=2).float()
    return numerator.div_((2 * count).float()).to(torch.int8)
