"""The smallest file that keeps a budget, or the best file of a size: which way for which tensor.

After quantize.candidates. Knows neither files nor models: what a choice costs in bytes and in loss
is asked of functions that the caller gives (edgeens.smallest). Ends after a number of questions
that is known before the first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from edgeens.errors import BudgetError
from edgeens.quantize.candidates import Candidate

Kind = Literal["size", "bits", "nll", "accuracy"]
Choice = tuple[int, ...]

# Files measured first, evenly in log size: the picture of the trade-off; bisection does the rest.
_FIRST_POINTS = 7
# Bits a weight of the two candidates at which a tensor's effect on the outputs is measured.
_PROBED = (3.0, 1.5)
# A loss has to keep the budget with this many standard errors to spare: the smallest of many files
# is chosen on the data that it is judged on, and luck would choose it otherwise. With one, the test
# NLL of one of six ensembles was above its budget (docs/DESIGN.md).
MARGIN = 2.0

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_FORMS = "size=2MB, bits=2.0, nll=+1% or accuracy=-0.2%"


@dataclass(frozen=True)
class Budget:
    """What a file may cost.

    Attributes:
        kind: "size" (bytes of the file), "bits" (per member weight, without graph and JSON), "nll"
            (rise, as a share of the float members' own) or "accuracy" (fall, as a share of the
            rows).
        limit: the most of it.
        text: as it was asked for.
    """

    kind: Kind
    limit: float
    text: str

    @property
    def of_loss(self) -> bool:
        """Whether it bounds the loss, not the size."""
        return self.kind in ("nll", "accuracy")


@dataclass(frozen=True)
class Point:
    """One file that was measured.

    Attributes:
        bytes: of the file.
        bits_per_member_weight: without graph and JSON.
        nll, accuracy: of the members' mean prediction on the validation data; None without it.
        change: rise of the NLL as a share, or fall of the accuracy, whichever the budget speaks of
            (the NLL for a budget of size); None without validation data.
        standard_error: of *change*, from the differences row by row.
        predicted: squared distance of the predictions from the float members', as the search
            expected it.
    """

    bytes: int
    bits_per_member_weight: float
    nll: float | None = None
    accuracy: float | None = None
    change: float | None = None
    standard_error: float | None = None
    predicted: float = 0.0


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        choice: for each tensor the number of its candidate.
        point: its file.
        points: every file that was measured, from the largest.
        losses: for each tensor and candidate the distance that was predicted.
    """

    choice: Choice
    point: Point
    points: tuple[Point, ...]
    losses: tuple[tuple[float, ...], ...]


def parse_budget(text: str) -> Budget:
    """The budget that *text* asks for: size=2MB, bits=2.0, nll=+1% or accuracy=-0.2%.

    KB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024. Raises BudgetError for anything else.
    """
    kind, _, value = text.strip().partition("=")
    if kind == "size" and (found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]i?B|B)?", value)):
        return _positive(Budget("size", float(found[1]) * _UNITS[(found[2] or "B").upper()], text))
    if kind == "bits" and re.fullmatch(r"\d+(\.\d+)?", value):
        return _positive(Budget("bits", float(value), text))
    sign = {"nll": r"\+?", "accuracy": r"-?"}.get(kind, "")
    if sign and (found := re.fullmatch(sign + r"(\d+(?:\.\d+)?)%", value)):
        return Budget("nll" if kind == "nll" else "accuracy", float(found[1]) / 100, text)
    raise BudgetError(f"the budget {text!r} cannot be read: write it as {_FORMS}")


def _positive(budget: Budget) -> Budget:
    if budget.limit <= 0:
        raise BudgetError(f"the budget {budget.text!r} leaves nothing: give more than 0")
    return budget


def predict_losses(
    candidates: Sequence[Sequence[Candidate]], measure: Callable[[int, Candidate], float]
) -> list[list[float]]:
    """The loss of each candidate of each tensor, were that tensor alone coded so.

    The loss is measured at two candidates a tensor, one coarse and one fine, and follows the error
    of the layer's output between and beyond them: in proportion to it where errors are small, by a
    power of it between the two.

    Args:
        candidates: of each tensor, by falling bytes.
        measure: loss of (number of the tensor, candidate), all other tensors exact; at least 0.

    Returns:
        Losses that rise along each tensor's candidates, like their errors.
    """
    losses = []
    for number, of_tensor in enumerate(candidates):
        probes = probed(of_tensor)
        measured = [max(measure(number, of_tensor[place]), 1e-12) for place in probes]
        measured = list(np.maximum.accumulate(measured))
        errors = np.array([max(each.error, 1e-300) for each in of_tensor])
        at, known = np.log(errors[probes]), np.log(measured)
        logs = np.log(errors)
        inside = np.interp(logs, at, known)
        beyond = np.minimum(logs - at[0], 0) + np.maximum(logs - at[-1], 0)
        losses.append([float(loss) for loss in np.exp(inside + beyond)])
    return losses


def probed(of_tensor: Sequence[Candidate]) -> list[int]:
    """The candidates of a tensor that are measured, the finer first; one or two."""
    bits = np.array([each.bits_per_weight for each in of_tensor])
    return sorted({int(np.abs(bits - wanted).argmin()) for wanted in _PROBED})


def allocations(
    candidates: Sequence[Sequence[Candidate]], losses: Sequence[Sequence[float]]
) -> list[Choice]:
    """Choices on the lower convex hull of (bytes, sum of losses), the finest first.

    Each is the best there is for some price of a byte: of every tensor the candidate with the least
    loss + price x bytes (Shoham and Gersho, 1988). Losses of tensors are taken to add up. There are
    at most as many as candidates.
    """
    hulls = [
        _hull([each.bytes for each in of_tensor], of_loss)
        for of_tensor, of_loss in zip(candidates, losses, strict=True)
    ]
    moves = []
    for number, hull in enumerate(hulls):
        for place, (here, there) in enumerate(pairwise(hull), start=1):
            saved = candidates[number][here].bytes - candidates[number][there].bytes
            moves.append(((losses[number][there] - losses[number][here]) / saved, number, place))
    at = [0] * len(hulls)
    found = [tuple(hull[0] for hull in hulls)]
    for _, number, place in sorted(moves):
        at[number] = place
        found.append(tuple(hull[i] for hull, i in zip(hulls, at, strict=True)))
    return found


def _hull(sizes: Sequence[int], losses: Sequence[float]) -> list[int]:
    """The lower convex hull of points with falling sizes and rising losses, from the largest."""
    hull: list[int] = []
    for new in range(len(sizes)):
        while hull and losses[new] <= losses[hull[-1]]:
            hull.pop()
        while len(hull) > 1:
            a, b = hull[-2:]
            before = (losses[b] - losses[a]) * (sizes[b] - sizes[new])
            after = (losses[new] - losses[b]) * (sizes[a] - sizes[b])
            if before < after:
                break
            hull.pop()
        hull.append(new)
    return hull


def most_measurements(choices: int) -> int:
    """The most files that search_budget measures among so many choices."""
    return min(choices, _FIRST_POINTS + math.ceil(math.log2(max(choices, 2))))


def search_budget(
    budget: Budget,
    choices: Sequence[Choice],
    candidates: Sequence[Sequence[Candidate]],
    losses: Sequence[Sequence[float]],
    *,
    measure: Callable[[Choice, float], Point],
) -> Found:
    """The smallest choice that keeps a budget of loss, or the finest that keeps one of size.

    A few choices over the whole range are measured first. Between the last that keeps the budget
    (or, for a size, does not) and the next that was measured, bisection follows. So a lucky file
    beyond the first unlucky one is not taken.

    Args:
        budget: to keep.
        choices: from the finest, as allocations made them.
        candidates, losses: of each tensor, as for allocations.
        measure: the file of (choice, predicted loss); asked at most most_measurements times.

    Raises:
        BudgetError: no choice keeps the budget; says how near the best one comes.
    """
    measured: dict[int, Point] = {}

    def keeps(number: int) -> bool:
        if number not in measured:
            expected = sum(of[i] for of, i in zip(losses, choices[number], strict=True))
            measured[number] = measure(choices[number], expected)
        return keeps_budget(budget, measured[number])

    first = _spread([_bytes(choice, candidates) for choice in choices])
    kept = [keeps(number) for number in first]
    # Left of the border between True and False for a loss, False and True for a size.
    change = next((i for i, each in enumerate(kept) if each != budget.of_loss), None)
    if change == 0 and budget.of_loss:
        raise _refusal(budget, measured[first[0]])
    if change is None and not budget.of_loss:
        raise _refusal(budget, measured[first[-1]])
    if change is None:
        chosen = first[-1]
    elif change == 0:
        chosen = first[0]
    else:
        low, high = first[change - 1], first[change]
        while high - low > 1:
            middle = (low + high) // 2
            if keeps(middle) == budget.of_loss:
                low = middle
            else:
                high = middle
        chosen = low if budget.of_loss else high
    points = tuple(measured[number] for number in sorted(measured))
    return Found(choices[chosen], measured[chosen], points, tuple(map(tuple, losses)))


def keeps_budget(budget: Budget, point: Point) -> bool:
    """Whether a file keeps the budget; a loss, with MARGIN standard errors to spare."""
    if budget.kind == "size":
        return point.bytes <= budget.limit
    if budget.kind == "bits":
        return point.bits_per_member_weight <= budget.limit
    assert point.change is not None
    return point.change + MARGIN * (point.standard_error or 0.0) <= budget.limit


def _bytes(choice: Choice, candidates: Sequence[Sequence[Candidate]]) -> int:
    return sum(of[i].bytes for of, i in zip(candidates, choice, strict=True))


def _spread(sizes: Sequence[int]) -> list[int]:
    """A few numbers of falling *sizes*, first and last among them, even in log size."""
    logs = np.log(np.maximum(sizes, 1))
    wanted = np.linspace(logs[0], logs[-1], _FIRST_POINTS)
    return sorted({int(np.abs(logs - each).argmin()) for each in wanted} | {0, len(sizes) - 1})


def _refusal(budget: Budget, best: Point) -> BudgetError:
    if budget.kind == "size":
        reached = f"the smallest file that was made takes {best.bytes} bytes"
        advice = "exclude fewer tensors, or use fewer members"
    elif budget.kind == "bits":
        reached = f"the smallest file that was made takes {best.bits_per_member_weight:.2f} bits"
        advice = "exclude fewer tensors: what is kept exactly counts too"
    else:
        sign = 100 if budget.kind == "nll" else -100
        change, spread = sign * (best.change or 0.0), 100 * (best.standard_error or 0.0)
        reached = (
            f"the best file that was made has {budget.kind}={change:+.2g}%, and the data leaves a "
            f"standard error of {spread:.2g}%, which has to fit in too"
        )
        advice = "give more validation data, or a looser budget"
    return BudgetError(f"the budget {budget.text} cannot be kept: {reached}; {advice}")
