"""Good vectors whose tables the writer would not choose: every method with every coder and kind.

The writer takes what is smallest, so a small file shows little of what a reader must take. Here
classes, filters and predictors are put together as S5.3 allows, and the examples of S5.1, S10.3
and S10.4 of the specification stand in one file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edgeens.coded import CodedEnsemble, CodedTensor, Draw
from edgeens.container.classes import Classes
from edgeens.container.entropy import Coding, Streams, entropy_blocks, entropy_streams
from edgeens.container.filters import Filter
from edgeens.container.layout import CODERS, FILTER, MINOR_OF_CODERS, PREDICTORS
from edgeens.container.prefix import PrefixCode, fit_code
from edgeens.container.tables import TablePool
from edgeens.container.writer import serialise
from tests.damage import Draft
from tests.vector_ensembles import KEY, noise
from tests.vector_entropy import close, entropy

Fit = Callable[[Streams], Coding]


def coded(ensemble: CodedEnsemble, fits: dict[str, Fit]) -> bytes:
    """The file of *ensemble* with the codings that *fits* make, one for each of its tensors."""
    accepted = tuple(map(_accepted, ensemble.tensors))
    draft = Draft.take_apart(serialise(replace(ensemble, tensors=accepted)))
    tensors = {tensor.name.encode(): tensor for tensor in ensemble.tensors}
    pool = TablePool()
    minor = 0
    for each in draft.tensors:
        tensor = tensors[each.name]
        streams = _streams(tensor, ensemble)
        coding = fits[tensor.name](streams)
        blocks = entropy_blocks(streams, coding)
        ends = np.cumsum(blocks.sizes).tolist()
        data = b"".join(blocks.pieces)
        each.blocks = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        minor = max(minor, MINOR_OF_CODERS[coding.coder])
        each.lies.update(
            coder=CODERS[coding.coder],
            predictor=PREDICTORS[tensor.predictor],
            first_table=pool.add(coding),
            table_count=coding.table_count,
        )
    # Nobody names these, so they may hold anything: half a filter, and a kind that nobody knows.
    pool.bodies += [(FILTER, b"half"), (200, b"\0")]
    draft.tables = pool.pack()
    draft.lies.update(minor=minor, table_count=len(pool.bodies))
    return draft.build()


def _accepted(tensor: CodedTensor) -> CodedTensor:
    """The tensor as the writer takes it: it does not write joint without a predictor."""
    return replace(tensor, predictor="first") if tensor.method == "joint" else tensor


def _streams(tensor: CodedTensor, ensemble: CodedEnsemble) -> Streams:
    options = {"profile": ensemble.profile, "block_codes": ensemble.block_codes}
    if tensor.method == "joint" and tensor.predictor == "none":
        codes = replace(tensor, method="plain")
        return replace(entropy_streams(codes, ensemble.members, **options), joint=True)
    return entropy_streams(tensor, ensemble.members, **options)


def with_tables(
    *filters: Filter, classes: Classes | None = None, tables: int = 1, group: int = 1
) -> Fit:
    """The best prefix codes for these filters and classes, *tables* for each stream."""

    def fit(streams: Streams) -> Coding:
        left = streams.residuals(filters)
        sets = []
        for number in range(2 if streams.joint else 1):
            low, values, counts = left.counts(number, group, classes, tables)
            sets.append(
                tuple(
                    fit_code(each, group=group, low=low, values=values, profile=streams.profile)
                    for each in counts
                )
            )
        return Coding(classes, tuple(sets), filters)

    return fit


def classes(seed: str, columns: int, rows: int, copies: int) -> Classes:
    """Classes of 0 to 7, so that their sums are 0 to 14."""
    of_columns = noise(f"{seed} columns", (columns,), 0, 7)
    of_rows = noise(f"{seed} rows", (copies, rows), 0, 7)
    return Classes(of_columns.astype(np.uint8), of_rows.astype(np.uint8))


@dataclass(frozen=True, eq=False)
class _IdleTap(Filter):
    """A filter of two taps, and a third one of the weight 64 and the lag 0, which counts as 0."""

    def body(self) -> tuple[int, bytes]:
        kind, body = super().body()
        weight_at = 4 + 2 * 4 + 2
        return kind, body[:weight_at] + b"\x40" + body[weight_at + 1 :]


def one_set(columns: int, lags: tuple[int, ...], *weights: int) -> Filter:
    return Filter(columns, lags, np.array([weights], np.int8), np.zeros(columns, np.uint8))


def eight_sets(seed: str, columns: int, *lags: int) -> Filter:
    """Any weights, and any set for each column."""
    of_columns = noise(f"{seed} sets", (columns,), 0, 7).astype(np.uint8)
    return Filter(columns, lags, noise(seed, (8, len(lags)), -128, 127), of_columns)


def _worked() -> tuple[CodedEnsemble, dict[str, Fit]]:
    """The examples of the specification."""
    code = np.array([[-1, 1, 0, 2]], np.int8)
    rows = np.array([[[100, -86, 47], [1, 4, 9]]], np.int8)
    members = np.array([[5, 100], [2, -100], [-2, 7]], np.int8)
    ensemble = CodedEnsemble(
        3,
        (
            entropy("a/code", code, 3),
            entropy("b/filter", rows),
            entropy("c/haar", members, 8, "joint", predictor="haar"),
        ),
    )
    example = PrefixCode(1, -1, 4, np.array([3, 1, 2, 3], np.uint8))
    taps = _IdleTap(3, (1, 2), np.array([[96, -32]], np.int8), np.zeros(3, np.uint8))
    return ensemble, {
        "a/code": lambda streams: Coding(None, ((example,),)),
        "b/filter": with_tables(taps),
        "c/haar": with_tables(),
    }


def _codings() -> tuple[CodedEnsemble, dict[str, Fit]]:
    """Drawn and joint with classes and filters; classes at and above C, which is 2 to 7."""

    def parent(name: str, *shape: int) -> np.ndarray:
        return noise(name, (1, *shape), -7, 7)

    draw = Draw(KEY, 7)
    plain = noise("plain", (3, 7, 9), -4, 3)
    joint = {name: close(name, (3, 13, 10), 12) for name in ("none", "first", "haar", "mean")}
    most = np.array([[-16, 15, *[0] * 9]], np.int8)  # 32 x 32 symbols are the most
    ensemble = CodedEnsemble(
        3,
        (
            entropy("a/drawn", parent("a", 12, 11), 4, "drawn", draw=draw),
            entropy("b/drawn", parent("b", 12, 11), 4, "drawn", draw=draw),
            entropy("c/drawn", parent("c", 33, 33), 3, "drawn", draw=draw),
            entropy("d/plain", plain, 3),
            entropy("e/none", joint["none"], 8, "joint", predictor="none"),
            entropy("f/none", joint["none"], 8, "joint", predictor="none"),
            entropy("g/first", joint["first"], 8, "joint", predictor="first"),
            entropy("h/haar", joint["haar"], 8, "joint", predictor="haar"),
            entropy("i/mean", close("parts", (3, 27, 40), 3), 4, "joint", predictor="mean"),
            entropy("j/most", most, 5),
        ),
    )
    of_joint = classes("joint", 10, 13, 3)
    return ensemble, {
        "a/drawn": with_tables(classes=classes("a", 11, 12, 1), tables=3),
        "b/drawn": with_tables(
            eight_sets("b", 11, 1, 3, 11, 65535), classes=classes("b", 11, 12, 1), tables=2
        ),
        "c/drawn": with_tables(one_set(33, (1, 32), 40, -9), group=2),
        "d/plain": with_tables(classes=classes("d", 9, 7, 3), tables=7),
        "e/none": with_tables(),
        "f/none": with_tables(
            eight_sets("f", 26, 2, 3), one_set(10, (1,), 64), classes=of_joint, tables=4
        ),
        "g/first": with_tables(
            one_set(10, (4, 9), 127, -128),
            eight_sets("g", 10, 1, 2, 3, 4),
            classes=of_joint,
            tables=5,
        ),
        "h/haar": with_tables(one_set(130, (129, 10), -64, 63), one_set(1, (1,), 99)),
        "j/most": with_tables(group=2),
        "i/mean": with_tables(
            one_set(40, (1, 2), 50, 12),
            one_set(540, (1, 300), 30, -20),
            classes=classes("i", 40, 27, 3),
            tables=2,
        ),
    }


def good() -> dict[str, tuple[CodedEnsemble, bytes]]:
    """What each file holds, and the file."""
    made = {"worked": _worked(), "codings": _codings()}
    return {name: (ensemble, coded(ensemble, fits)) for name, (ensemble, fits) in made.items()}
