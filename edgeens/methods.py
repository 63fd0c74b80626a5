"""The method of each tensor: what the caller's method, Lambdas and coder mean for its codes.

In the encoder, between the rounding to codes and the writer.
"""

from __future__ import annotations

from typing import Literal

from edgeens.coded import CodedEnsemble, Coder
from edgeens.container.choice import choose_methods
from edgeens.errors import MembersError
from edgeens.quantize.sharing import share_bits

Lambda = float | Literal["auto"]

LOSSLESS_LAMBDA = 0.5  # gaps are integers: below 1, only equal digits share


def settle_methods(
    coded: CodedEnsemble,
    *,
    method: str,
    lambda4: Lambda | None,
    lambda8: Lambda | None,
    coder: Coder | None,
) -> CodedEnsemble:
    """Give each tensor its method, sharing bits first where that was asked for.

    Args:
        coded: every tensor exact or with the codes of its members.
        method: "plain", "shared" or "auto", as for encoder.encode.
        lambda4, lambda8: how far digits may lie apart and still share; None: not at all.
        coder: "fixed" or "entropy" for all tensors that can have it; None: whatever is smaller.

    Raises:
        MembersError: these cannot go together, or bits cannot be shared by so many members or at
            such a width.
    """
    if "auto" in (lambda4, lambda8):
        if not {lambda4, lambda8} <= {"auto", None}:
            raise MembersError("one Lambda is `auto`, the other a number: let both be `auto`")
        lambda4 = lambda8 = "auto"
    lambda4 = LOSSLESS_LAMBDA if lambda4 is None else lambda4
    lambda8 = LOSSLESS_LAMBDA if lambda8 is None else lambda8
    lossy = any(value == "auto" or value >= 1 for value in (lambda4, lambda8))
    if method == "plain":
        if lossy:
            raise MembersError("sharing (lambda4, lambda8) is not possible with the method plain")
        return choose_methods(coded, method="plain", coder=coder)
    if method == "shared" or lossy:
        if coder == "entropy":
            raise MembersError("shared digits have the coder fixed: leave out the coder entropy")
        _check_sharable(coded)
        return share_bits(coded, lambda4=lambda4, lambda8=lambda8)
    return choose_methods(coded, coder=coder)


def _check_sharable(coded: CodedEnsemble) -> None:
    if not 2 <= coded.members <= 16:
        raise MembersError(
            f"bits can be shared by 2 to 16 members, but there are {coded.members}: "
            "use the method plain"
        )
    for tensor in coded.tensors:
        if tensor.grid is not None and tensor.grid.bits != 8:
            raise MembersError(
                f"digits exist only at 8 bits, but tensor {tensor.name!r} has {tensor.grid.bits}: "
                "leave out --bits, or use the method plain"
            )
