"""Random changes of training pictures, on tensors of any device.

Inside torch.batches: every draw comes from the generator given, on the CPU, so that a batch is the
same on every device and in every process.
"""

from __future__ import annotations

from edgeens.torch.package import F, torch


def random_crop(images: torch.Tensor, *, padding: int, generator: torch.Generator) -> torch.Tensor:
    """Move each picture by up to *padding* pixels along both axes; zeros come in.

    Args:
        images: (n, channels, rows, columns), any type.
        padding: largest shift; all (2 * padding + 1)^2 shifts are equally likely.
        generator: of the CPU.
    """
    n, _, rows, columns = images.shape
    shifts = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator).to(images.device)
    y = (torch.arange(rows, device=images.device) + shifts[0])[:, :, None]
    x = (torch.arange(columns, device=images.device) + shifts[1])[:, None, :]
    padded = F.pad(images, (padding,) * 4).movedim(1, -1)
    picture = torch.arange(n, device=images.device)[:, None, None]
    return padded[picture, y, x].movedim(-1, 1).contiguous()


def random_flip(images: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Mirror each picture (n, channels, rows, columns) left to right with probability 1/2."""
    mirrored = torch.randint(0, 2, (len(images), 1, 1, 1), generator=generator).to(images.device)
    return torch.where(mirrored.bool(), images.flip(-1), images)
