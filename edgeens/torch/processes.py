"""One process or several: what torchrun says, and who does what.

Beside torch.training. Every process runs the same code on its part of each batch; the first one
alone looks at the validation pictures and writes files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edgeens.errors import DataError
from edgeens.torch.package import torch


@dataclass(frozen=True)
class Share:
    """The part of the work that one process has.

    Attributes:
        rank: number of the process, from 0.
        processes: how many there are.
    """

    rank: int = 0
    processes: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def sum(self, value: float) -> float:
        """The sum of *value* over all processes, in each of them."""
        if self.processes == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64, device=_meeting_place())
        torch.distributed.all_reduce(total)
        return float(total.item())

    def agree(self, value: float) -> float:
        """The first process's *value*, in each of them."""
        return self.sum(value if self.first else 0.0)


@contextmanager
def joined(device: str) -> Iterator[tuple[Share, torch.device]]:
    """Take part in the run: the share of this process, and the device it computes on.

    Under torchrun the processes are joined by NCCL on GPUs, one GPU a process, and by gloo on CPUs;
    otherwise this process is alone.

    Args:
        device: "auto" (a GPU if there is one), or a name that torch knows, such as "cpu".

    Raises:
        DataError: there is no such device.
    """
    chosen = _device(device)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        yield Share(), chosen
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Share(torch.distributed.get_rank(), processes), chosen
        # The first process holds what the others meet at: it must not be gone before they are done.
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"there is no device {name!r} here ({reason}); leave out --device"
        ) from error
    return chosen


def _meeting_place() -> str:
    """Where tensors must lie for the processes to exchange them."""
    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
