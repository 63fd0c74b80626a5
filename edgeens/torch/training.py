"""Train an ensemble of classifiers: schedule, validation, early stop, checkpoints, processes.

Between torch.convert, which makes the ensemble, and torch.export, which stores it. The same seed
gives the same weights on the same machine, whether or not the run was killed and resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens import metrics
from edgeens.datasets.images import Images
from edgeens.errors import DataError
from edgeens.torch.batches import Batches, derived_seed
from edgeens.torch.checkpoint import Row, State, load_checkpoint, save_checkpoint
from edgeens.torch.ensemble import EnsembleModule
from edgeens.torch.objective import Objective
from edgeens.torch.package import nn, torch
from edgeens.torch.processes import Share
from edgeens.torch.recipes import Plan
from edgeens.torch.runlog import RunLog
from edgeens.torch.schedule import warm_cosine

Step = Callable[[str, int, int], None]

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_SECONDS = 60.0  # a kill loses at most this much work
_MOMENTUM = 0.9
_FORWARD = 500  # pictures at a time where there is no gradient


def fit(
    model: EnsembleModule,
    plan: Plan,
    *,
    training: Images,
    validation: Images,
    seed: int,
    rate: float,
    device: torch.device,
    share: Share,
    folder: Path,
    run: Mapping[str, Any],
    progress: Step,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> list[Row]:
    """Train *model* in place; it ends with the weights of the lowest validation NLL.

    If *folder* has a checkpoint of the run, training goes on from there, to the same end.

    Args:
        model: an ensemble whose batch is split, so that each member sees pictures of its own.
        plan: how to train.
        training, validation: pictures to train on, and others to stop on.
        seed: of the order of the pictures, their augmentation, and the method's random numbers.
        rate: factor of the method's own term of the loss.
        device: to compute on; GPUs that know bfloat16 compute products in it.
        share: of this process.
        folder: for the checkpoint and the log; the same for all processes.
        run: plain values that name the run; a checkpoint of another run is refused.
        progress: called with (what is being trained, steps done, steps in all).
        checkpoint_seconds: how often the state is saved at most; with several processes at the
            end of an epoch only.

    Returns:
        A row an epoch: epoch, step, learning_rate, train_loss (mean over members, in nats),
        validation_nll (of the mean probabilities), validation_accuracy, seconds.

    Raises:
        DataError: the checkpoint is damaged, or of another run; or the training diverged.
    """
    model.to(device)
    batches = Batches(
        training,
        members=model.members,
        batch=plan.batch,
        seed=seed,
        crop_padding=plan.crop_padding,
        flip=plan.flip,
        device=device,
        share=share,
    )
    optimizer = _optimizer(model, plan)
    kept = folder / CHECKPOINT
    state = load_checkpoint(kept, model, optimizer, run) if kept.is_file() else State()
    log = RunLog(folder, resumed_at=len(state.history)) if share.first else None
    objective: nn.Module = Objective(model, rate=rate, autocast=_autocast_type(device))
    if share.processes > 1:
        objective = nn.parallel.DistributedDataParallel(objective)
    per_epoch = batches.steps_per_epoch
    total = plan.epochs * per_epoch
    # A run that is cut short, to try something, must not spend itself on warming up.
    warmup = min(round(plan.warmup_epochs * per_epoch), total // 10)
    losses = torch.tensor(state.loss_sum, dtype=torch.float64, device=device)
    started, saved = time.monotonic() - state.seconds, time.monotonic()
    while state.step < total and not _stopped(state, plan):
        factor = warm_cosine(state.step, steps=total, warmup=warmup)
        losses += _train_step(objective, optimizer, batches, state.step, factor=factor, seed=seed)
        state.step += 1
        progress(_label(state, plan), state.step, total)
        ended = state.step % per_epoch == 0
        if ended:
            loss = share.sum(losses.item()) / share.processes / per_epoch
            _end_epoch(model, state, validation, share, rate=factor * plan.learning_rate, loss=loss)
            losses.zero_()
        state.seconds = time.monotonic() - started
        if ended:
            state.history[-1]["seconds"] = round(state.seconds, 1)
        if log is not None and ended:
            log.write(state.history)
        over = state.step == total or (ended and _stopped(state, plan))
        due = over or time.monotonic() - saved >= checkpoint_seconds
        # Within an epoch, several processes have sums of the loss that the file has no place for.
        if share.first and due and (ended or share.processes == 1):
            state.loss_sum = losses.item()
            save_checkpoint(kept, state, model, optimizer, run)
            saved = time.monotonic()
    if log is not None:
        log.close()
    model.load_state_dict(state.best_model)
    model.eval()
    return state.history


@torch.no_grad()
def member_logits(model: nn.Module, images: Images, device: torch.device) -> NDArray[np.float32]:
    """What the members of *model* in evaluation mode answer: float32 (K, n, classes)."""
    model.eval()
    parts = []
    for start in range(0, len(images.y), _FORWARD):
        x = torch.from_numpy(images.part(start, start + _FORWARD).floats()).to(device)
        parts.append(model(x).float().cpu().numpy())
    return np.concatenate(parts, axis=1)


def mean_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean over the members, (n, classes), of softmax of logits (K, n, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    weights = np.exp(shifted)
    mean: NDArray[np.float64] = (weights / weights.sum(axis=-1, keepdims=True)).mean(axis=0)
    return mean


def _train_step(
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    step: int,
    *,
    factor: float,
    seed: int,
) -> torch.Tensor:
    """One step; returns the members' mean loss on this process's part of the batch."""
    objective.train()
    # The same in every process: random gates and the like belong to weights, not to pictures.
    torch.manual_seed(derived_seed(seed, "noise", step))
    for group in optimizer.param_groups:
        group["lr"] = factor * group["highest_lr"]
    x, labels = batches.at(step)
    optimizer.zero_grad()
    value, loss = objective(x, labels)
    value.backward()
    optimizer.step()
    return loss


def _end_epoch(
    model: EnsembleModule,
    state: State,
    validation: Images,
    share: Share,
    *,
    rate: float,
    loss: float,
) -> None:
    """Judge the model on the validation pictures, add the row, and keep the model if it is best.

    Only the first process looks; the others take its figures, so that all stop at the same step.
    """
    nll = accuracy = 0.0
    if share.first:
        logits = member_logits(model, validation, _device_of(model))
        if not np.isfinite(logits).all():
            raise DataError(
                f"training diverged in epoch {len(state.history) + 1} (outputs are infinite or "
                "NaN); try another seed, or more bits"
            )
        probabilities = mean_probabilities(logits)
        nll = metrics.nll(probabilities, validation.y)
        accuracy = metrics.accuracy(probabilities, validation.y)
    nll, accuracy = share.agree(nll), share.agree(accuracy)
    epoch = len(state.history) + 1
    state.history.append(
        {
            "epoch": epoch,
            "step": state.step,
            "learning_rate": rate,
            "train_loss": loss,
            "validation_nll": nll,
            "validation_accuracy": accuracy,
        }
    )
    if nll < state.best_nll or not state.best_model:
        state.best_nll, state.best_epoch = nll, epoch
        state.best_model = {
            name: value.detach().cpu().clone() for name, value in model.state_dict().items()
        }


def _stopped(state: State, plan: Plan) -> bool:
    """Whether the validation NLL has not fallen for too long."""
    return len(state.history) - state.best_epoch >= plan.patience


def _optimizer(model: EnsembleModule, plan: Plan) -> torch.optim.Optimizer:
    groups = model.parameter_groups(lr=plan.learning_rate, weight_decay=plan.weight_decay)
    for group in groups:
        group["highest_lr"] = group["lr"]
    if plan.optimizer == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=_MOMENTUM, nesterov=True)


def _autocast_type(device: torch.device) -> torch.dtype | None:
    """bfloat16 on GPUs that have it: it needs no scaling of the loss, as float16 would."""
    good = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if good else None


def _device_of(model: nn.Module) -> torch.device:
    device: torch.device = next(model.parameters()).device
    return device


def _label(state: State, plan: Plan) -> str:
    """For the progress bar: the epoch, and how good the last one was."""
    epoch = min(len(state.history) + 1, plan.epochs)
    last = state.history[-1] if state.history else None
    known = f", validation NLL {last['validation_nll']:.4f}" if last else ""
    return f"epoch {epoch}/{plan.epochs}{known}"
