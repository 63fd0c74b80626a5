"""Good vectors of the coder entropy: every group, classes, parts, predictors, both profiles."""

from __future__ import annotations

import numpy as np

from edgeens.coded import CodedEnsemble, CodedTensor, Draw
from tests.vector_ensembles import KEY, grid, noise


def bell(seed: str, shape: tuple[int, ...], width: int) -> np.ndarray:
    """Codes around zero, of a magnitude of about *width*, as the sum of four even ones."""
    parts = [noise(f"{seed}{i}", shape, -width, width).astype(int) for i in range(4)]
    return np.clip(np.round(sum(parts) / 4), -128, 127).astype(np.int8)


def entropy(name: str, codes: np.ndarray, bits: int = 8, method: str = "plain", **options):
    """A tensor of the coder entropy."""
    return CodedTensor(name, "float32", codes, grid(bits), method, coder="entropy", **options)


def close(seed: str, shape: tuple[int, ...], width: int) -> np.ndarray:
    """Codes of members that differ little."""
    near = bell(seed, (1, *shape[1:]), width) + noise(seed + "d", shape, -1, 1)
    return np.clip(near, -128, 127).astype(np.int8)


def sloped(seed: str, shape: tuple[int, int, int]) -> np.ndarray:
    """Codes whose magnitude grows along the columns and falls along the rows."""
    size = 2.0 ** (np.arange(shape[2]) / 8)[None, None] / 1.1 ** np.arange(shape[1])[None, :, None]
    return np.clip(np.round(bell(seed, shape, 100) * size / 32), -128, 127).astype(np.int8)


def good() -> dict[str, CodedEnsemble]:
    """Every ensemble, by the name of its file."""
    steps = np.zeros((2, 1100), np.int8)
    steps[:, ::2] = 1
    rows = (2, 220, 150)
    wide = noise("wide rows", (2, 220, 1), 0, 1)
    wrapped = noise("wrapped", (5, 50), -128, 127)
    files = {
        "entropy": CodedEnsemble(
            2,
            (
                entropy("a/rare", (noise("rare", (2, 1501)) > 120).astype(np.int8), 2),
                entropy("b/steps", steps, 2),
                entropy("c/narrow", bell("narrow", (2, 1024), 2), 3),
                entropy("d/wide", bell("wide", (2, 1300), 120)),
                entropy("e/constant", np.full((2, 1025), -128, np.int8)),
                entropy("f/one copy", bell("one", (1, 1023), 20), 6),
                entropy("g/classes", sloped("classes", (2, 48, 50))),
                entropy("h/scalar", np.array([3, -4], np.int8), 3),
            ),
        ),
        "entropy_drawn": CodedEnsemble(
            3,
            tuple(
                entropy(
                    f"d{levels}",
                    np.clip(bell(f"{levels}", (1, 1200), levels), -levels, levels),
                    4,
                    "drawn",
                    draw=Draw(KEY, levels),
                )
                for levels in (1, 7, 127)
            ),
        ),
        "entropy_blocks": CodedEnsemble(
            3,
            (
                entropy("long", bell("long", (3, 2500), 3), 3),
                entropy("short", close("short", (3, 100), 30), 8, "joint", predictor="mean"),
            ),
            block_codes=3 * 1030,
        ),
        # As many codes as a decoder may make larger tables for, in blocks of two lengths.
        "entropy_many": CodedEnsemble(
            2,
            (
                entropy("narrow", bell("few bits", (2, 16500), 1), 2),
                entropy("wide", bell("many bits", (2, 16500), 20)),
            ),
        ),
        # The same, with tables that change from row to row.
        "entropy_rows": CodedEnsemble(
            2,
            (entropy("rows", np.where(wide, bell("wide", rows, 12), bell("narrow", rows, 3)), 5),),
        ),
        "entropy_mcu": CodedEnsemble(
            4,
            (
                entropy("classes", sloped("mcu", (4, 30, 40))),
                entropy("joint", close("mcu", (4, 1100), 60), 8, "joint", predictor="haar"),
                entropy("plain", bell("mcu", (4, 1100), 1), 2),
            ),
            profile="mcu",
        ),
        "joint": CodedEnsemble(
            5,
            tuple(
                entropy(f"{name} {predictor}", codes, bits, "joint", predictor=predictor)
                for predictor in ("first", "mean", "haar")
                for name, bits, codes in (
                    ("close", 8, close("joint", (5, 1030), 100)),
                    ("equal", 4, np.repeat(noise("equal", (1, 60), -8, 7), 5, axis=0)),
                    ("wrapped", 8, wrapped),
                )
            ),
        ),
        "joint_classes": CodedEnsemble(
            2,
            (
                entropy(
                    "w",
                    np.clip(
                        sloped("joint", (2, 60, 50))[:1] * 2 + sloped("apart", (2, 60, 50)) // 4,
                        -128,
                        127,
                    ).astype(np.int8),
                    8,
                    "joint",
                    predictor="first",
                ),
            ),
        ),
    }
    for members in (7, 64):
        files[f"joint_{members:02}"] = CodedEnsemble(
            members,
            tuple(
                entropy(each, close(each, (members, 24), 40), 8, "joint", predictor=each)
                for each in ("first", "mean", "haar")
            ),
        )
    return files
