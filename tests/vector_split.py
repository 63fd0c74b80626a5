"""Good vectors of the coder split: low bits of every width beside all other tables.

Put together by hand (vector_split_blocks), so that they show more than the writer chooses.
"""

from __future__ import annotations

import numpy as np

from edgeens.coded import CodedEnsemble, Draw
from edgeens.container.layout import LOW_BITS
from tests.vector_codings import eight_sets, one_set
from tests.vector_ensembles import KEY, noise
from tests.vector_entropy import bell, close, entropy
from tests.vector_split_blocks import Split, split_file


def by_hand() -> dict[str, tuple[CodedEnsemble, bytes]]:
    """What each file holds, and the file."""
    # Nobody names these, so they may hold anything.
    unnamed = [(LOW_BITS, b""), (LOW_BITS, b"\xff")]
    codings, cut = _codings(), _cut()
    return {
        "split_codings": (codings[0], split_file(*codings, unnamed)),
        "split_cut": (cut[0], split_file(*cut, [])),
    }


def _codings() -> tuple[CodedEnsemble, dict[str, Split]]:
    """The example of the specification; every width; all methods, classes, filters, groups."""
    wide = noise("split", (1, 40), -128, 127)
    of_rows = np.array([[0, 1, 2, 3, 7, 1], [2, 2, 0, 5, 1, 6]], np.uint8)
    made = {
        "a/worked": (np.array([[5, -3, 0, -6]], np.int8), Split(((2,),))),
        **{f"b/{width}": (wide, Split(((width,),))) for width in range(7)},
        "c/wrapped": (wide, Split(((3,),), wrapped=True)),
        "d/rows": (bell("rows", (2, 6, 7), 90), Split(((3, 0, 3),), of_rows=of_rows)),
        "e/parts": (bell("parts", (1, 1027), 9), Split(((2,),))),
        "f/groups": (bell("groups", (2, 50), 9), Split(((2,),), group=3)),
        "g/one": (noise("one", (1, 21), 4, 7), Split(((2,),))),  # one h, which takes no bits
        "h/filter": (wide, Split(((4,),), (one_set(20, (1, 3), 50, -70),))),
    }
    plain = [entropy(name, codes) for name, (codes, _) in made.items()]
    splits = {name: split for name, (_, split) in made.items()}
    parent = noise("parent", (1, 30), -100, 100)
    drawn = entropy("i/drawn", parent, 4, "drawn", draw=Draw(KEY, 100))
    near = close("split", (2, 6, 8), 50)
    joints = [
        entropy(f"{name}/{each}", near, 8, "joint", predictor=each)
        for name, each in (("j", "first"), ("k", "mean"), ("l", "haar"))
    ]
    filters = one_set(8, (1,), 64), eight_sets("split", 16, 1, 2)
    splits |= {
        "i/drawn": Split(((4,),)),
        "j/first": Split(((3,), (0,))),
        "k/mean": Split(((4,), (1,)), filters),
        "l/haar": Split(((5, 0, 5), (0, 1, 1)), filters, of_rows=of_rows),
    }
    return CodedEnsemble(2, (*plain, drawn, *joints)), splits


def _cut() -> tuple[CodedEnsemble, dict[str, Split]]:
    """Rows that blocks cut."""
    of_rows = noise("cut rows", (3, 10), 0, 3).astype(np.uint8)
    near = close("cut", (3, 10, 9), 40)
    filters = one_set(9, (1, 2), 30, 20), one_set(45, (9,), 40)
    ensemble = CodedEnsemble(
        3,
        (
            entropy("a/plain", bell("cut", (3, 10, 9), 60)),
            entropy("b/joint", near, 8, "joint", predictor="mean"),
        ),
        block_codes=3 * 25,
    )
    return ensemble, {
        "a/plain": Split(((0, 2, 2, 0),), filters[:1], of_rows=of_rows),
        "b/joint": Split(((3, 3), (1, 0)), filters, of_rows=of_rows),
    }
