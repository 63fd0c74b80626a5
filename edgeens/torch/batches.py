"""Which pictures a training step sees: a pure function of (seed, step).

Between datasets and torch.training. So a run that was killed goes on with the very batch it would
have seen, and every process of a distributed run knows which part of it is its own.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgeens.datasets.images import Images
from edgeens.errors import DataError
from edgeens.torch.augment import random_crop, random_flip
from edgeens.torch.package import torch
from edgeens.torch.processes import Share

Purpose = Literal["order", "augment", "noise", "weights"]
_PURPOSES = ("order", "augment", "noise", "weights")


def derived_seed(seed: int, purpose: Purpose, *numbers: int) -> int:
    """63 bits that belong to (seed, purpose, numbers) and are independent of all others."""
    words = np.random.SeedSequence([seed, _PURPOSES.index(purpose), *numbers]).generate_state(2)
    return (int(words[0]) << 31) ^ int(words[1])


class Batches:
    """The batches of a run.

    Each member has an order of its own, so that a step gives it *batch* pictures and an epoch every
    picture once (but for a rest smaller than a batch), as if it were trained alone.
    """

    def __init__(
        self,
        images: Images,
        *,
        members: int,
        batch: int,
        seed: int,
        crop_padding: int = 0,
        flip: bool = False,
        device: torch.device | None = None,
        share: Share | None = None,
    ) -> None:
        """Put the pictures on the device.

        Args:
            images: to train on.
            members: K, each with its own order.
            batch: pictures a member and step, over all processes.
            seed: names the run.
            crop_padding: largest random shift, in pixels.
            flip: whether to mirror half of the pictures.
            device: where the batches go; default: the CPU.
            share: of this process; default: everything.

        Raises:
            DataError: a batch does not divide into the processes' parts, or there are no pictures.
        """
        self._share = share or Share()
        if not len(images.y):
            raise DataError("there are no pictures to train on; allow more of them")
        self._batch = min(batch, len(images.y))
        if self._batch % self._share.processes:
            raise DataError(
                f"a batch of {self._batch} pictures does not divide into {self._share.processes} "
                "equal parts; start another number of processes"
            )
        self._x = torch.tensor(images.x).to(device or "cpu")
        self._y = torch.tensor(images.y).to(device or "cpu")
        self._members = members
        self._seed = seed
        self._crop_padding = crop_padding
        self._flip = flip
        self._orders: tuple[int, torch.Tensor] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return len(self._y) // self._batch

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures and labels of *step*: float32 (K * part, channels, rows, columns), (K, part).

        The first *part* pictures are the first member's, and so on. *part* is a process's share of
        the batch.
        """
        epoch, within = divmod(step, self.steps_per_epoch)
        chosen = self._order(epoch)[:, within * self._batch : (within + 1) * self._batch]
        x = self._augmented(self._x[chosen.flatten()], step)
        part = self._batch // self._share.processes
        mine = slice(self._share.rank * part, (self._share.rank + 1) * part)
        x = x.unflatten(0, (self._members, self._batch))[:, mine].flatten(0, 1)
        return x.to(torch.float32) / 255, self._y[chosen[:, mine]]

    def _order(self, epoch: int) -> torch.Tensor:
        """The order of the pictures in an epoch, int64 (K, n)."""
        if self._orders is None or self._orders[0] != epoch:
            orders = []
            for member in range(self._members):
                generator = torch.Generator()
                generator.manual_seed(derived_seed(self._seed, "order", epoch, member))
                orders.append(torch.randperm(len(self._y), generator=generator))
            self._orders = (epoch, torch.stack(orders).to(self._y.device))
        return self._orders[1]

    def _augmented(self, x: torch.Tensor, step: int) -> torch.Tensor:
        """The whole batch's draws in every process, so that its parts fit together."""
        generator = torch.Generator().manual_seed(derived_seed(self._seed, "augment", step))
        if self._crop_padding:
            x = random_crop(x, padding=self._crop_padding, generator=generator)
        return random_flip(x, generator=generator) if self._flip else x
