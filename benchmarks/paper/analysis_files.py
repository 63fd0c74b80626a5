"""What the shared codes of Bits-Ensemble's Table II really take in a file of ours.

Inside benchmarks.paper.analysis. Codes end at 8 bits and means are rounded to digits, so there are
no files of the levels eps16 and eps32, nor of grids that differ between members.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.paper.analysis_members import Members, member_modules
from benchmarks.paper.digit_levels import fit_lambda
from edgeens import metrics
from edgeens.coded import CodedEnsemble
from edgeens.container.choice import choose_methods
from edgeens.datasets.images import Images
from edgeens.encoder import file_sections, write_coded
from edgeens.onnx.members import load_members
from edgeens.quantize.digits import split_balanced
from edgeens.quantize.sharing import drop_level8, share_codes
from edgeens.quantize.tensors import exact_tensor, quantize_ensemble

Codes = NDArray[np.int8]

_LOSSLESS = 0.5  # gaps are integers
_JOINED = 17.0  # above any gap of eps8


def measure_files(members: Members, test: Images, *, chosen: list[float]) -> list[dict[str, Any]]:
    """Rows: name, bytes of the whole file, bits a member weight, accuracy of what it decodes to.

    Args:
        members: of one seed.
        test: pictures for the accuracy.
        chosen: the two Lambdas of the last column of Table II.
    """
    from edgeens.torch import members_from_modules
    from edgeens.torch.export import write_members
    from edgeens.torch.package import torch

    with tempfile.TemporaryDirectory() as scratch:
        ensemble = load_members(
            write_members(
                members_from_modules(member_modules(members)),
                scratch,
                example_input=torch.zeros(1, *test.x.shape[1:]),
                output_names=("logits",),
            )
        )
    coded = replace(quantize_ensemble(ensemble), sections=file_sections(ensemble))
    forms = {
        "full precision": replace(coded, tensors=tuple(map(exact_tensor, ensemble.tensors))),
        "8 bits, nothing shared": coded,
        "eps8": _each(coded, _share_eps8),
        "eps4 & eps8": _each(
            coded, lambda codes: share_codes(codes, lambda4=chosen[0], lambda8=chosen[1])
        ),
        "4 bits, nothing shared": _each(coded, drop_level8),
        "eps4": _each(coded, _share_eps4),
    }
    weights = sum(int(tensor.codes.size) for tensor in coded.tensors if tensor.grid is not None)
    return [{"name": name, **_measured(form, test, weights)} for name, form in forms.items()]


def _each(coded: CodedEnsemble, change: Callable[[Codes], Codes]) -> CodedEnsemble:
    """The ensemble with *change* applied to the codes of each tensor."""
    return replace(
        coded,
        tensors=tuple(
            tensor if tensor.grid is None else replace(tensor, codes=change(tensor.codes))
            for tensor in coded.tensors
        ),
    )


def _share_eps8(codes: Codes) -> Codes:
    _, _, c = split_balanced(codes)
    return share_codes(codes, lambda4=_LOSSLESS, lambda8=_median_distance(c))


def _share_eps4(codes: Codes) -> Codes:
    _, b, _ = split_balanced(codes)
    shared = share_codes(drop_level8(codes), lambda4=_median_distance(b), lambda8=_JOINED)
    return drop_level8(shared)  # what eps8 would mend of eps4


def _median_distance(digits: Codes) -> float:
    return fit_lambda(digits.reshape(len(digits), -1).astype(np.float64), "pairs")


def _measured(coded: CodedEnsemble, test: Images, weights: int) -> dict[str, Any]:
    from edgeens.torch.results import file_logits
    from edgeens.torch.training import mean_probabilities

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "shared.eens"
        write_coded(choose_methods(coded), path)
        size = path.stat().st_size
        accuracy = metrics.accuracy(mean_probabilities(file_logits(path, test)), test.y)
    return {"bytes": size, "bits_mw": 8 * size / weights, "accuracy": accuracy}
