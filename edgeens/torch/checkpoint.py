"""The state of a run on disk, from which it goes on exactly where it was.

Beside torch.training. Batches and random numbers are pure functions of (seed, step), so that the
step, the model, the optimizer and what was measured are all there is to keep.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeens.atomic import replacing
from edgeens.errors import DataError
from edgeens.torch.package import nn, torch

Row = dict[str, float]


@dataclass
class State:
    """How far a run is.

    Attributes:
        step: steps done.
        loss_sum: of the steps of this epoch, in this process.
        history: a row for each epoch that is over.
        best_nll: lowest validation NLL so far.
        best_epoch: number of its epoch, from 1; 0 before there is one.
        best_model: the model's state_dict after it.
        seconds: time spent.
    """

    step: int = 0
    loss_sum: float = 0.0
    history: list[Row] = field(default_factory=list)
    best_nll: float = float("inf")
    best_epoch: int = 0
    best_model: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def save_checkpoint(
    path: Path,
    state: State,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    run: Mapping[str, Any],
) -> None:
    """Write everything to *path* in one step; *run* says which run it belongs to.

    Raises:
        OSError: the file cannot be written.
    """
    content = {
        "run": dict(run),
        # asdict would copy the tensors.
        "state": {name: getattr(state, name) for name in asdict(State())},
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with replacing(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # After a failed write torch trips over its own archive, and hides why.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, run: Mapping[str, Any]
) -> State:
    """Put the kept state into *model* and *optimizer*.

    Raises:
        DataError: the file is damaged, or belongs to a run with other options.
        OSError: it cannot be read.
    """
    try:
        # weights_only: tensors and plain values, no code.
        content = torch.load(path, map_location="cpu", weights_only=True)
        kept, state = content["run"], State(**content["state"])
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{path} is no checkpoint of a run, or damaged; start anew without it"
        ) from error
    for name in sorted({*kept, *run}):
        if kept.get(name) != run.get(name):
            raise DataError(
                f"{path} belongs to a run with {name} {kept.get(name)}, not {run.get(name)}; "
                "resume with the same options, or start anew in another folder"
            )
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    return state
