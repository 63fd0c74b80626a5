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
from itertools import pairwise

from edgeens.torch.package import torch

Rows = list[torch.Tensor]
Swaps = list[tuple[int, int, torch.Tensor]]

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
    rows, swaps = _sorted(digits)
    keeps = _keeps(rows, reach)
    totals = _run_totals(rows, keeps)
    counts = _run_totals([torch.ones_like(row) for row in rows], keeps)
    means = [_rounded(total, count) for total, count in zip(totals, counts, strict=True)]
    return torch.stack(_unsorted(means, swaps))


def run_means(digits: torch.Tensor, reach: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """A g: the mean of *values*, (K, N) floats, over each digit's run; same shape.

    A is the symmetric projection that takes digits to their runs' means, so this is also the
    gradient of the digits, if *values* is that of the means (METHODS, differentiable sharing).
    """
    rows, swaps = _sorted(digits)
    keeps = _keeps(rows, reach)
    counts = _run_totals([torch.ones_like(row) for row in rows], keeps)
    floats = [keep.to(values.dtype) for keep in keeps]
    totals = _run_totals(_carried(list(values), swaps), floats)
    return torch.stack(
        _unsorted([total / count for total, count in zip(totals, counts, strict=True)], swaps)
    )


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
    rows, swaps = _sorted(digits)
    keeps = _keeps(rows, reach)
    floats = [keep.float() for keep in keeps]
    ones = [torch.ones_like(row) for row in rows]
    carried = _carried(list(gradient), swaps)
    left_total, right_total = _half_totals(rows, keeps)
    left_count, right_count = _half_totals(ones, keeps)
    left_gradient, right_gradient = _half_totals(carried, floats)
    result = torch.zeros_like(lam)
    for t in range(len(rows) - 1):
        n_left, n_right = left_count[t].float(), right_count[t].float()
        means = torch.addcmul(
            left_total[t].float().mul_(n_right), right_total[t].float(), n_left, value=-1
        )  # (m_L - m_R) n_L n_R
        sums = torch.addcmul(
            left_gradient[t] * n_right, right_gradient[t], n_left, value=-1
        )  # G_L n_R - G_R n_L
        p, parts = _smoothed(rows[t + 1] - rows[t], lam, temperature)
        slope = torch.addcmul(p, p, p, value=-1).mul_(parts)
        sizes = n_left * n_right
        sizes.mul_(n_left.add_(n_right))
        result.addcmul_(means.mul_(sums).mul_(slope), sizes.reciprocal_(), value=-1)
    return result.mul_(1 / temperature)


def expected_cuts(
    digits: torch.Tensor, lam: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """E[clusters] - 1 of each position, sum over gaps of sigma((delta - Lambda) / T), and its slope
    in Lambda; both float32, shape (N,). Arguments, and gaps of 0, as in toggle_gradient."""
    rows, _ = _sorted(digits, reversible=False)
    expected, slope = torch.zeros_like(lam), torch.zeros_like(lam)
    for low, high in pairwise(rows):
        p, parts = _smoothed(high - low, lam, temperature)
        p.mul_(parts)
        expected.add_(p)
        slope.add_(torch.addcmul(p, p, p, value=-1), alpha=-1 / temperature)
    return expected, slope


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


def _sorted(digits: torch.Tensor, *, reversible: bool = True) -> tuple[Rows, Swaps]:
    """Rows in ascending order in each column, and the masks of what was swapped."""
    narrow = len(digits) <= _NARROW_MEMBERS
    rows = list(digits if narrow else digits.to(torch.int16))
    swaps = []
    for i, j in sorting_network(len(rows)):
        if reversible:
            swaps.append((i, j, _mask(rows[i] > rows[j], rows[i].dtype)))
        rows[i], rows[j] = torch.minimum(rows[i], rows[j]), torch.maximum(rows[i], rows[j])
    return rows, swaps


def _carried(rows: Rows, swaps: Swaps) -> Rows:
    """*rows* in the order that the digits were sorted to; overwrites nothing."""
    rows = list(rows)
    for i, j, mask in swaps:
        moved = (rows[j] - rows[i]).mul_(mask)
        rows[i], rows[j] = rows[i] + moved, rows[j] - moved
    return rows


def _unsorted(rows: Rows, swaps: Swaps) -> Rows:
    """Rows back in the order of the members; overwrites *rows*."""
    for i, j, mask in reversed(swaps):
        moved = (rows[j] - rows[i]).mul_(mask)
        rows[i].add_(moved)
        rows[j].sub_(moved)
    return rows


def _keeps(rows: Rows, reach: torch.Tensor) -> Rows:
    """For each gap 1 where it keeps a run together, 0 where it is a cut."""
    reach = reach.to(rows[0].dtype)
    return [_mask((high - low) <= reach, rows[0].dtype) for low, high in pairwise(rows)]


def _half_totals(rows: Rows, keeps: Rows) -> tuple[Rows, Rows]:
    """For each gap, the sums over the part of a run that ends at it and that begins at it."""
    left, right = [rows[0]], [rows[-1]]
    for row, keep in zip(rows[1:-1], keeps[:-1], strict=True):
        left.append((left[-1] * keep).add_(row))
    for row, keep in zip(rows[-2:0:-1], keeps[:0:-1], strict=True):
        right.append((right[-1] * keep).add_(row))
    return left, right[::-1]


def _run_totals(rows: Rows, keeps: Rows) -> Rows:
    """For each sorted row, the sum over its whole run."""
    totals = [rows[0]]
    for row, keep in zip(rows[1:], keeps, strict=True):
        totals.append((totals[-1] * keep).add_(row))
    for t in range(len(rows) - 2, -1, -1):
        # The last row of a run has its total; the rows before it take that over.
        totals[t] = (totals[t + 1] - totals[t]).mul_(keeps[t]).add_(totals[t])
    return totals


def _smoothed(
    gap: torch.Tensor, lam: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """sigma((gap - Lambda) / T), and 1 where the gap is above 0, else 0; float32."""
    p = gap.float().sub_(lam).mul_(1 / temperature).sigmoid_()
    return p, gap.clamp_(max=1).float()


def _rounded(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """total / count, rounded half away from zero, int8.

    As (2 total + sign count) / (2 count), cut off by the conversion. Float32 does it exactly: with
    count <= 16 a quotient that is no integer is 1/32 or more away from one.
    """
    numerator = total.clamp(-1, 1).mul_(count).add_(total, alpha=2)
    return (numerator.float() / (2 * count).float()).to(torch.int8)


def _mask(condition: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 and 1 of *dtype*."""
    narrow = condition.view(torch.int8)
    return narrow if dtype == torch.int8 else narrow.to(dtype)
