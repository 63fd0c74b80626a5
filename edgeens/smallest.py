"""The smallest file within a budget: the search of quantize.budget, wired to real files.

Between encoder, which calls it, and trial, which judges whole files on validation data. Test data
has no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgeens.coded import CodedEnsemble, CodedTensor, Coder
from edgeens.container.choice import choose_method, choose_methods, coded_size
from edgeens.container.sizes import measure as measure_sizes
from edgeens.ensemble import Ensemble
from edgeens.errors import BudgetError
from edgeens.quantize.budget import (
    Budget,
    Choice,
    Found,
    Point,
    allocations,
    most_measurements,
    predict_losses,
    probed,
    search_budget,
)
from edgeens.quantize.candidates import Candidate, GridKind, tensor_candidates
from edgeens.quantize.tensors import InputsOf
from edgeens.trial import Trial

Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TensorChoice:
    """What was chosen for one tensor.

    Attributes:
        name: of the tensor.
        weights: of one member.
        grid: one scale a "tensor" or a "channel".
        width: bits of a code's range.
        step: of the grid, in units of the root mean square of the weights (of all members).
        bytes: of all members.
        bits_per_weight: bytes by weights.
        share: of the change of the predictions that is expected of all tensors.
        feedback: whether error feedback rounded it, for which its inputs must be known.
    """

    name: str
    weights: int
    grid: GridKind
    width: int
    step: float
    bytes: int
    bits_per_weight: float
    share: float
    feedback: bool


@dataclass(frozen=True)
class Smallest:
    """A search and its result.

    Attributes:
        budget: as it was asked for.
        point: the file that was chosen.
        points: all files measured, from the largest.
        tensors: what was chosen for each.
        rows: of validation data.
        float_nll, float_accuracy: of the float members on it.
    """

    budget: str
    point: Point
    points: tuple[Point, ...]
    tensors: tuple[TensorChoice, ...]
    rows: int
    float_nll: float | None
    float_accuracy: float | None


def find_smallest(
    ensemble: Ensemble,
    exact: CodedEnsemble,
    budget: Budget,
    trial: Trial,
    probe: Trial,
    *,
    inputs: InputsOf | None,
    grid: GridKind | None = None,
    method: Literal["auto", "plain"] = "auto",
    coder: Coder | None = None,
    progress: Step | None = None,
) -> tuple[CodedEnsemble, Smallest]:
    """The coded ensemble of the smallest file that keeps *budget*, and how it was found.

    For each tensor: a ladder of steps, each rounded (with error feedback where inputs are known)
    and coded for its bytes. The tensor alone is then put into the float ensemble at two of the
    steps, and the change of the mean prediction measured. A Lagrangian sweep over bytes and changes
    gives a row of allocations, and whole files along it are written, run and judged.

    Args:
        ensemble: K members; *exact*: the same with all tensors kept exactly, profile, sections.
        budget: to keep.
        trial: validation data, on which files are judged.
        probe: some rows, on which single tensors are.
        inputs: of the layers, on calibration data.
        grid, method, coder: the only ones to use; as in encode.
        progress: called with (what is done, steps done, steps in all, of which there may be fewer).

    Raises:
        BudgetError: the budget cannot be kept, or no tensor may be quantised, or there are no
            classes to judge by.
    """
    if budget.of_loss and trial.losses is None:
        raise BudgetError(
            f"the budget {budget.text} needs a model with classes or labels, but this is one of "
            f"{trial.task}: give a budget of size or bits"
        )
    work = _Work(ensemble, exact, inputs, method=method, coder=coder, progress=progress)
    candidates = work.candidates(("tensor", "channel") if grid is None else (grid,))
    work.expect(sum(len(probed(each)) for each in candidates))
    losses = predict_losses(
        candidates, lambda number, candidate: work.effect(number, candidate, probe)
    )
    choices = allocations(candidates, losses)
    work.expect(most_measurements(len(choices)))

    def file_of(choice: Choice) -> CodedEnsemble:
        return work.file_of([each[place] for each, place in zip(candidates, choice, strict=True)])

    def measure(choice: Choice, expected: float) -> Point:
        work.step("whole files")
        data, mean = trial.run(file_of(choice))
        bits = measure_sizes(data).bits_per_member_weight
        assert bits is not None  # some tensor has codes
        return Point(len(data), bits, predicted=expected, **trial.judge(mean, budget))

    found = search_budget(budget, choices, candidates, losses, measure=measure)
    return file_of(found.choice), Smallest(
        budget=budget.text,
        point=found.point,
        points=found.points,
        tensors=tuple(_described(candidates, work.known, found)),
        rows=len(trial.mean),
        float_nll=None if trial.losses is None else float(trial.losses.mean()),
        float_accuracy=None if trial.right is None else float(trial.right.mean()),
    )


class _Work:
    """The tensors that may be quantised, coded alone and together; counts what is done."""

    def __init__(
        self,
        ensemble: Ensemble,
        exact: CodedEnsemble,
        inputs: InputsOf | None,
        *,
        method: Literal["auto", "plain"],
        coder: Coder | None,
        progress: Step | None,
    ) -> None:
        """Arguments as for find_smallest."""
        self.known: list[bool] = []
        self._ensemble, self._exact, self._inputs = ensemble, exact, inputs
        self._method: Literal["auto", "plain"] = method
        self._coder = coder
        self._places = [n for n, tensor in enumerate(ensemble.tensors) if tensor.quantise]
        if not self._places:
            raise BudgetError("no tensor may be quantised, so nothing can be chosen: exclude less")
        self._progress = progress
        self._done, self._total = 0, len(self._places)

    def candidates(self, kinds: Sequence[GridKind]) -> list[list[Candidate]]:
        """Of each tensor, in their order; says in `known` whose inputs are."""
        found = []
        for place in self._places:
            tensor = self._ensemble.tensors[place]
            self.step(f"rounding {tensor.name}")
            layer = self._inputs(tensor.name) if self._inputs is not None else None
            self.known.append(layer is not None)
            fixed = self._coder == "fixed"
            found.append(
                tensor_candidates(
                    tensor, layer, size_of=self._size, kinds=kinds, fixed_widths=fixed
                )
            )
        return found

    def effect(self, number: int, candidate: Candidate, probe: Trial) -> float:
        """How far the predictions move if one tensor is coded so and all others are exact."""
        self.step(f"effect of {candidate.coded.name}")
        tensors = list(self._exact.tensors)
        tensors[self._places[number]] = candidate.coded
        _, mean = probe.run(replace(self._exact, tensors=tuple(tensors)))
        return probe.distance(mean)

    def file_of(self, chosen: Sequence[Candidate]) -> CodedEnsemble:
        """The file with these candidates, each stored in the smallest way."""
        tensors = list(self._exact.tensors)
        for place, candidate in zip(self._places, chosen, strict=True):
            tensors[place] = candidate.coded
        coded = replace(self._exact, tensors=tuple(tensors))
        return choose_methods(coded, method=self._method, coder=self._coder)

    def expect(self, steps: int) -> None:
        """So many steps are still to come, at most."""
        self._total = self._done + steps

    def step(self, label: str) -> None:
        """Say what is worked on next."""
        if self._progress is not None:
            self._progress(label, self._done, self._total)
        self._done += 1

    def _size(self, tensor: CodedTensor) -> int:
        profile, block_codes = self._exact.profile, self._exact.block_codes
        best = choose_method(
            tensor,
            self._exact.members,
            profile=profile,
            block_codes=block_codes,
            method=self._method,
            coder=self._coder,
        )
        return coded_size(best, self._exact.members, profile=profile, block_codes=block_codes)


def _described(
    candidates: Sequence[Sequence[Candidate]], known: Sequence[bool], found: Found
) -> Sequence[TensorChoice]:
    chosen = [of[place] for of, place in zip(candidates, found.choice, strict=True)]
    losses = [of[place] for of, place in zip(found.losses, found.choice, strict=True)]
    total = max(sum(losses), 1e-300)
    return [
        TensorChoice(
            name=each.coded.name,
            weights=int(each.coded.codes[0].size),
            grid=each.kind,
            width=each.grid.bits,
            step=_relative_step(each),
            bytes=each.bytes,
            bits_per_weight=each.bits_per_weight,
            share=loss / total,
            feedback=feedback,
        )
        for each, feedback, loss in zip(chosen, known, losses, strict=True)
    ]


def _relative_step(candidate: Candidate) -> float:
    """Root mean square of the steps by that of the decoded weights."""
    scale = candidate.grid.broadcast_scale(candidate.coded.codes.ndim - 1).astype(np.float64)
    weights = np.sqrt(np.mean(np.square(candidate.coded.codes * scale)))
    return float(np.sqrt(np.mean(np.square(scale))) / max(weights, 1e-300))
