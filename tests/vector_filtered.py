"""Vectors of the coder filtered: rows of many widths, blocks that cut them, refused filters.

A refused row is: the file's name, the fault in words, and what is done to the base,
which is that of the coder entropy.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np

from edgeens.coded import CodedEnsemble, Draw
from edgeens.container.layout import Status
from tests.vector_ensembles import KEY, noise
from tests.vector_entropy import entropy
from tests.vector_entropy_faults import (
    DRAWN,
    JOINT,
    KIND2,
    PLAIN,
    THREE,
    Edit,
    base,
    both,
    header,
    lanes,
    lies,
    put,
    stream,
    tables,
)


def smooth(seed: str, shape: tuple[int, ...], *lags: int) -> np.ndarray:
    """Codes of up to 120 that differ little from those one place and *lags* places before them."""
    codes = noise(seed, shape, -128, 127).astype(int)
    for lag in (1, 1, 1, *lags):
        codes = codes + np.roll(codes, lag, axis=-1)
    return np.clip(codes >> 2 + len(lags), -120, 120).astype(np.int8)


def _spotted(seed: str, shape: tuple[int, ...], *lags: int) -> np.ndarray:
    """The same with columns of nearly nothing."""
    codes = smooth(seed, shape, *lags)
    codes[..., ::5] //= 16
    return codes


def _apart(seed: str, shape: tuple[int, ...]) -> np.ndarray:
    """The same of members that differ by noise."""
    return smooth(seed, (1, *shape[1:])) + noise(seed, shape, -2, 2)


def good() -> dict[str, CodedEnsemble]:
    """Every ensemble, by the name of its file."""
    rows = entropy("a/rows", _spotted("a", (2, 40, 37), 6))
    narrow = entropy("b/narrow", smooth("b", (1, 33, 24), 8))
    # From the left: neighbours lie below each other, and all is one row.
    below = entropy(
        "c/below", np.ascontiguousarray(smooth("c", (1, 9, 192), 2).transpose(0, 2, 1)), 8
    )
    drawn = entropy("d/drawn", smooth("d", (1, 17, 40)) // 2, 4, "drawn", draw=Draw(KEY, 60))
    joint = entropy(
        "e/joint",
        smooth("e", (1, 36, 21)) + smooth("f", (2, 36, 21)) // 16,
        8,
        "joint",
        predictor="mean",
    )
    # The second stream is noise, which no filter foretells.
    idle = entropy("f/idle", _apart("g", (2, 20, 40)), 8, "joint", predictor="first")
    some = (rows, below, idle)
    return {
        "filtered": CodedEnsemble(2, (rows, narrow, below, drawn, joint, idle)),
        "filtered_blocks": CodedEnsemble(2, some, block_codes=2 * 700),
        "filtered_mcu": CodedEnsemble(2, (*some, drawn), profile="mcu", block_codes=2 * 100),
    }


def filter_(
    columns: int = 7, weights: Sequence[int] = (64, 0, 0, 0), of_columns: bytes = b""
) -> tuple[int, bytes]:
    """A table of kind 3: by default, each number is foretold to be the one before."""
    head = struct.pack("<I4H", columns, 1, 0, 0, 0)
    return 3, head + struct.pack(f"<{len(weights)}b", *weights) + of_columns


def _filtered(*bodies: bytes | tuple[int, bytes], tensor: int = PLAIN) -> Edit:
    return both(tables(*bodies, tensor=tensor), lies(0, coder=2), header(minor=2))


def faults() -> Iterator[tuple[str, Status, str, bytes, str]]:
    """Name, status, what is wrong, the file, and when it is refused."""
    for name, detail, edit in OPENED:
        draft = base()
        edit(draft)
        yield f"filter_{name}", Status.RECORD, detail, draft.build(), "open"
    draft = base()
    ones = stream([1] * 14)
    both(_filtered(filter_(), THREE), put(0, lanes(ones, ones)))(draft)
    yield "filter_outside", Status.BLOCK_CONTENT, "ones that add up", draft.build(), "verify"


UNKNOWN = (200, filter_()[1])
SETS = [64, 0, 0, 0] * 8

OPENED = [
    ("short", "15 bytes", _filtered((3, filter_()[1][:-1]), THREE)),
    ("needless", "sets of columns, and one set", _filtered(filter_(of_columns=bytes(3)), THREE)),
    ("less", "a byte too few", _filtered(filter_(7, SETS, bytes(2)), THREE)),
    ("more", "a byte too many", _filtered(filter_(7, SETS, bytes(4)), THREE)),
    ("padding", "an unused bit", _filtered(filter_(7, SETS, b"\0\0\x20"), THREE)),
    ("columns_0", "rows of no column", _filtered(filter_(0), THREE)),
    ("columns_wrap", "3 x 2^31 bits", _filtered(filter_(2**31, SETS), THREE)),
    ("elements", "14 codes in rows of 4", _filtered(filter_(4), THREE)),
    ("none", "filtered without a filter", _filtered(THREE)),
    ("kind", "a filter of a kind not known", _filtered(UNKNOWN, THREE)),
    ("kind_drawn", "drawn with the same", _filtered(UNKNOWN, THREE, tensor=DRAWN)),
    (
        "kind_joint",
        "joint, the second filter of a kind not known",
        _filtered(filter_(), UNKNOWN, THREE, THREE, tensor=JOINT),
    ),
    ("alone", "a filter and no code", _filtered(filter_())),
    ("twice", "two filters", _filtered(filter_(), filter_(), THREE)),
    ("behind", "a filter behind the classes", _filtered(KIND2, filter_(), THREE)),
    ("last", "a filter behind the code", _filtered(THREE, filter_())),
    ("joint_one", "joint with one", _filtered(filter_(), THREE, THREE, tensor=JOINT)),
    ("entropy", "a filter and the coder entropy", both(tables(filter_(), THREE), header(minor=2))),
    (
        "minor_1",
        "version 1.1 has no filters",
        both(_filtered(filter_(), THREE), header(minor=1)),
    ),
    (
        "shared",
        "shared with the coder filtered",
        both(_filtered(filter_(), THREE), lies(0, method=2, bits=8, digits=1)),
    ),
]
