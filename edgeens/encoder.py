"""From members' files to one container, in one call: the whole encoder side of the pipeline."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgeens import __version__
from edgeens.coded import CodedEnsemble, Coder, Profile, Section
from edgeens.container.choice import choose_methods
from edgeens.container.sizes import Sizes, measure
from edgeens.container.writer import write_container
from edgeens.curve import save_curve
from edgeens.data import load_labelled, load_unlabelled
from edgeens.ensemble import Ensemble
from edgeens.errors import BudgetError, MembersError
from edgeens.methods import Lambda, settle_methods
from edgeens.quantize.budget import Budget, parse_budget
from edgeens.quantize.coarse import channel_note
from edgeens.quantize.rounding import draw_members
from edgeens.quantize.tensors import exact_tensor, quantize_ensemble
from edgeens.size_table import SizeRow, size_rows
from edgeens.smallest import Smallest, find_smallest
from edgeens.trial import Trial, can_compare, load_probe, verdict

if TYPE_CHECKING:
    from edgeens.onnx.capture import LayerCapture

PathLike = str | os.PathLike[str]
Task = Literal["classification", "multilabel", "regression"]
Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Encoding:
    """What an encoding produced.

    Attributes:
        sizes: of the parts of the file.
        rows: the file beside the baselines.
        notes: sentences that the user should read: what could not be done as asked for, and
            whether the members differ enough.
        search: the trade-off and the choice, for a budget.
        written: files beside the container.
    """

    sizes: Sizes
    rows: list[SizeRow]
    notes: tuple[str, ...] = ()
    search: Smallest | None = None
    written: tuple[Path, ...] = ()


def encode(
    members: Sequence[PathLike],
    path: PathLike,
    *,
    graph: PathLike | None = None,
    task: Task | None = None,
    method: Literal["auto", "plain", "shared"] = "auto",
    bits: int = 8,
    lambda4: Lambda | None = None,
    lambda8: Lambda | None = None,
    grid: Literal["auto", "tensor", "channel"] = "auto",
    exclude: Sequence[str] = (),
    profile: Profile = "desktop",
    block: int | None = None,
    threads: int = 1,
    draw: int | None = None,
    key: int = 0,
    store_members: bool = False,
    calibration: PathLike | None = None,
    rate: float = 0.0,
    coder: Coder | None = None,
    budget: str | None = None,
    data: PathLike | None = None,
    progress: Step | None = None,
) -> Encoding:
    """Encode members, or one model from which members are drawn, into *path*.

    Args:
        members: files of one architecture, ONNX unless there is a *graph*; exactly one with *draw*.
        graph: an ONNX file whose initializers have the names of the members' tensors; the members
            are safetensors files or PyTorch state dicts then.
        task: "classification", "multilabel" or "regression", where the graph does not tell it or
            misleads: a regression of several values ends like a classifier.
        path: the file to write; an older one stays whole until the new one is complete.
        method: "plain" (each member's codes), "shared" (Bits-Ensemble digits), or "auto": for each
            tensor the smallest of plain, shared and joint at equal codes.
        bits: width of the codes, 2 to 8; "shared" needs 8.
        lambda4, lambda8: how far digits may lie apart and still share, in digit units; below 1
            only equal digits share, which is lossless and what None means. "auto" for one of them
            chooses both, tensor by tensor, within a weight error of 5 %. Sharing with loss makes
            the method "shared".
        grid: one scale a "tensor" or an output "channel". "auto": at 8 bits a scale a channel for
            tensors where that halves the rounding error, one a tensor for the others; a channel
            below 8 bits and for drawn members; what is better for a budget.
        exclude: patterns (*, ?) of tensor names that are kept exactly.
        profile: "desktop", or "mcu" for small builds of the C decoder (EENS_SMALL): at most 4096
            codes a block, and no coder split.
        block: most codes in a block, or None for the profile's own.
        threads: workers of the writer; the bytes do not depend on it.
        draw: number of members to draw by stochastic rounding from the one model given (LPE-BSR).
        key: names the draws.
        store_members: store the drawn members instead of parent and key.
        coder: "fixed" (fields of one width) or "entropy" (prefix codes) for all tensors that can
            have it; None: whatever is smaller, tensor by tensor. "shared" is always fixed.
        calibration: .npy or .npz with inputs of the model (labels are not used): the members run
            on them, and weights are rounded so that the outputs of layers, not the weights
            themselves, stay close (error feedback). Not with *draw*, which rounds at random.
        rate: with *calibration*, how much error to accept for codes that an entropy coder makes
            short; 0 is none, and was as good as any on the ensembles measured (docs/DESIGN.md).
        budget: find the smallest file that keeps "nll=+1%" (over the float members on *data*) or
            "accuracy=-0.2%" (of all rows), or the best one within "size=2MB" or "bits=2.0" (per
            member weight); *bits* and *rate* have no say then. Points measured on the way are
            written beside *path*, as .curve.json and, with matplotlib, .curve.png.
        data: .npz with x and y, held out from training and not the test set: what a budget is
            judged on. A budget of size or bits can do with *calibration* alone.
        progress: called with (what is being worked on, steps done, steps in all).

    Raises:
        BudgetError: the budget cannot be read or kept.
        DataError: the calibration data does not fit the model, or holds NaN.
        MembersError: the members do not form an ensemble, or hold NaN or infinite weights.
        MissingPackageError: the package onnx, or safetensors or torch for such members, is not
            installed.
        OSError: a file cannot be read or written.
    """
    from edgeens.onnx.members import load_members

    wanted = None if budget is None else parse_budget(budget)
    _check_options(wanted, draw=draw, data=data, calibration=calibration)
    ensemble = load_members(members, graph=graph, exclude=exclude, task=task)
    if draw is not None and not any(tensor.quantise for tensor in ensemble.tensors):
        raise MembersError(
            "no tensor of the model can be rounded, so all drawn members would be the same: it has "
            "no weights in floating point, or all are excluded"
        )
    notes: tuple[str, ...] = ()
    if draw is not None and bits == 8:
        notes += (
            "members are drawn from a parent of 8 bits, so with 8 bits they hardly differ, or not "
            "at all: draw with fewer (--bits)",
        )
    notes += _doubtful(ensemble)
    exact = _exact(ensemble, profile=profile, block=block)
    inputs = _layer_inputs(ensemble, calibration, None if wanted else progress)
    notes += _plainly_rounded(ensemble, inputs)
    if wanted is not None and inputs is None:
        notes += (
            "without calibration all weights are rounded to nearest; --calibration X.npz (inputs "
            "alone) rounds with error feedback, and smaller files keep the same budget",
        )
    labelled = None if data is None else load_labelled(data)
    probe = None
    if wanted is not None or (draw is None and can_compare(ensemble)):
        probe = load_probe(exact, labelled, calibration, threads=threads)
    notes += () if probe is None else verdict(probe)
    search = None
    if wanted is not None and probe is not None:
        if method == "shared" or (lambda4, lambda8) != (None, None):
            raise MembersError(
                "a budget does not share bits: leave out lambda4, lambda8 and shared"
            )
        trial = probe
        if labelled is not None:
            trial = Trial(exact, labelled.x, labelled.y, threads=threads)
        coded, search = find_smallest(
            ensemble,
            exact,
            wanted,
            trial,
            probe,
            inputs=inputs,
            grid=None if grid == "auto" else grid,
            method=method,
            coder=coder,
            progress=progress,
        )
    elif draw is None:
        coded = quantize_ensemble(
            ensemble,
            bits=bits,
            per_channel=None if grid == "auto" and bits == 8 else grid != "tensor",
            inputs=inputs,
            rate=rate,
            progress=progress,
        )
        notes += channel_note(ensemble, coded) if grid == "auto" and bits == 8 else ()
        coded = replace(exact, tensors=coded.tensors)
        coded = settle_methods(coded, method=method, lambda4=lambda4, lambda8=lambda8, coder=coder)
    else:
        coded = draw_members(
            ensemble,
            members=draw,
            bits=bits,
            key=key,
            per_channel=grid != "tensor",
            store_members=store_members,
            progress=progress,
        )
        coded = replace(exact, members=coded.members, tensors=coded.tensors)
        coded = choose_methods(coded, coder=coder)
    encoding = write_coded(coded, path, threads=threads)
    written = () if search is None else tuple(save_curve(search, Path(path)))
    return replace(encoding, notes=notes, search=search, written=written)


def write_coded(coded: CodedEnsemble, path: PathLike, *, threads: int = 1) -> Encoding:
    """Write *coded* to *path* with *threads* workers, and say how large its parts became.

    Raises:
        OSError: the file cannot be written.
    """
    write_container(coded, path, threads=threads)
    sizes = measure(Path(path).read_bytes())
    return Encoding(sizes=sizes, rows=size_rows(coded, sizes))


def _check_options(
    budget: Budget | None,
    *,
    draw: int | None,
    data: PathLike | None,
    calibration: PathLike | None,
) -> None:
    if draw is not None and calibration is not None:
        raise MembersError("drawn members are rounded at random: leave out the calibration data")
    if budget is None:
        return
    if draw is not None:
        raise BudgetError("drawn members have one size: leave out the budget, or do not draw")
    if data is None and budget.of_loss:
        raise BudgetError(
            f"the budget {budget.text} is judged on validation data: give --data D.npz with x and "
            "y, held out from training and not the test set"
        )
    if data is None and calibration is None:
        raise BudgetError(
            f"the budget {budget.text} needs inputs to see what each tensor does to the "
            "predictions: give --calibration X.npz or --data D.npz"
        )


def _exact(ensemble: Ensemble, *, profile: Profile, block: int | None) -> CodedEnsemble:
    """Every tensor as it came, with the sections and limits of the file."""
    tensors = tuple(map(exact_tensor, ensemble.tensors))
    return CodedEnsemble(
        ensemble.members,
        tensors,
        sections=file_sections(ensemble),
        profile=profile,
        block_codes=block,
    )


def _doubtful(ensemble: Ensemble) -> tuple[str, ...]:
    """What can be encoded, but is hardly what was meant."""
    notes = [
        f"members {', '.join(map(str, group))} hold the same weights, so they count as one: was "
        "a file given twice?"
        for group in ensemble.equal_members()
    ]
    if not any(tensor.quantise for tensor in ensemble.tensors):
        notes.append(
            "every tensor is kept exactly, so the file is hardly smaller: the model has no weights "
            "in floating point, or all are excluded"
        )
    return tuple(notes)


def _plainly_rounded(ensemble: Ensemble, inputs: LayerCapture | None) -> tuple[str, ...]:
    """Which tensors calibration could not help."""
    if inputs is None:
        return ()
    watched = set(inputs.watched)
    left = [t.name for t in ensemble.tensors if t.quantise and t.name not in watched]
    if not left:
        return ()
    count = len(watched) + len(left)
    return (
        f"{len(left)} of {count} tensors are rounded to nearest, without error feedback, because "
        f"what they are multiplied with cannot be captured: {', '.join(left)}",
    )


def _layer_inputs(
    ensemble: Ensemble, calibration: PathLike | None, progress: Step | None
) -> LayerCapture | None:
    """What the tensors are multiplied with on the calibration data, if there is any."""
    if calibration is None:
        return None
    from edgeens.onnx.capture import LayerCapture

    return LayerCapture(ensemble, load_unlabelled(calibration), progress=progress)


def file_sections(ensemble: Ensemble) -> tuple[Section, ...]:
    """Description and graph, in the order of the file; the writer adds the digests."""
    metadata = {"edgeens.generator": f"edgeens {__version__}", **ensemble.metadata}
    text = json.dumps(metadata, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    graphs = (Section(kind, payload) for kind, payload in ensemble.skeletons.items())
    return (Section("META", text.encode()), *graphs)
