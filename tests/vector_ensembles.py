"""What the good vectors hold: small ensembles that between them use every part of the format.

Their numbers come from a hash, not from a random generator whose stream a library may change.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np

from edgeens.coded import CodedEnsemble, CodedTensor, Draw, Grid, Section
from edgeens.container.layout import CODED_DTYPES, DTYPES
from tests.damage import Draft, SectionDraft

META = Section("META", b'{"edgeens.task":"classification"}')
KEY = 0x0123456789ABCDEF


def noise(seed: str, shape: tuple[int, ...], low: int = -127, high: int = 127) -> np.ndarray:
    """int8 codes in low..high, as even as 16 bits allow."""
    count = int(np.prod(shape))
    words = np.frombuffer(hashlib.shake_128(seed.encode()).digest(2 * count), "<u2").astype(int)
    return (words % (high - low + 1) + low).astype(np.int8).reshape(shape)


def grid(bits: int, *scale: float, axis: int | None = None, zero_point: int = 0) -> Grid:
    return Grid(bits, np.array(scale or (0.015625,), np.float32), axis, zero_point)


def mixed(seed: str, members: int, positions: int, digits: str) -> np.ndarray:
    """Codes in stretches: independent, equal, partly equal, coarse, coarser, zero."""
    low = -127 if digits == "balanced" else -128
    apart = noise(seed, (members, positions), low)
    equal = np.repeat(apart[:1], members, axis=0)
    halves = np.where(noise(seed + "h", apart.shape, 0, 1), equal, apart)
    if digits == "balanced":
        coarse, coarser = halves // 17 * 17, halves // 85 * 85
    else:
        coarse, coarser = (halves >> 4 << 4) + 8, (halves >> 6 << 6) + 32
    kinds = (apart, equal, halves, coarse, coarser, np.zeros_like(apart))
    stretches = np.arange(positions) // 7 % len(kinds)
    codes = np.choose(np.broadcast_to(stretches, apart.shape), kinds)
    return np.clip(codes, low, 127).astype(np.int8)


def shared(name: str, codes: np.ndarray, digits: str, **options) -> CodedTensor:
    return CodedTensor(name, "float32", codes, grid(8, **options), "shared", digits)


def plain(name: str, bits: int, shape: tuple[int, ...], dtype: str = "float32", **options):
    half = 1 << bits - 1
    scales = options.pop("scales", ())
    codes = noise(name, shape, -half, half - 1)
    return CodedTensor(name, dtype, codes, grid(bits, *scales, **options), "plain")


def drawn(name: str, bits: int, levels: int, shape: tuple[int, ...], **options) -> CodedTensor:
    parent = noise(name, (1, *shape), -levels, levels)
    draw = Draw(options.pop("key", KEY), levels)
    return CodedTensor(name, "float32", parent, grid(bits, **options), "drawn", draw=draw)


def _joint(name: str, shape: tuple[int, ...]) -> CodedTensor:
    codes = noise(name, (1, *shape[1:])) // 2 + noise(f"{name}d", shape, -3, 3)
    return CodedTensor(
        name, "float32", codes.astype(np.int8), None, "joint", coder="entropy", predictor="first"
    )


def _scaled(method: str, tensor: CodedTensor, zero_point: int) -> CodedTensor:
    """*tensor*, 3 by 4, with a scale for each of its four columns."""
    bits = 4 if method == "drawn" else 8
    scales = grid(bits, 0.5, 0.3, 7e-3, 2e5, axis=1, zero_point=zero_point)
    codes = tensor.codes.reshape(-1, 3, 4)
    return replace(tensor, codes=codes, grid=scales, method=method)


def exact(name: str, dtype: str, shape: tuple[int, ...]) -> CodedTensor:
    """Any bytes; for bool, zeros and ones."""
    info = DTYPES[dtype]
    raw = noise(name, (int(np.prod(shape)) * info.size,), -128).tobytes()
    if dtype == "bool":
        return CodedTensor(name, dtype, (noise(name, shape) > 0))
    return CodedTensor(name, dtype, np.frombuffer(raw, info.numpy).reshape(shape))


def walk() -> CodedEnsemble:
    """The file that S13 of the specification walks through."""
    codes = np.array([[100, 100, 3, -127, 85, 85, 0, 0], [100, 99, 20, 127, -85, 85, 0, 0]])
    bias = np.array([[0.5, -1.0], [0.25, np.inf]], "<f4")
    return CodedEnsemble(
        members=2,
        tensors=(
            shared("weight", codes.astype(np.int8).reshape(2, 2, 4), "balanced", axis=0),
            CodedTensor("bias", "float32", bias),
        ),
        sections=(Section("META", b'{"edgeens.classes":["cat","dog"]}'),),
    )


def good() -> dict[str, CodedEnsemble]:
    """Every ensemble, by the name of its file."""
    infinite = CodedTensor("infinite", "float32", np.array([[np.inf, -np.inf, np.nan]], "<f4"))
    types = [exact(dtype, dtype, ((i % 2) + 1, 3)) for i, dtype in enumerate(DTYPES)]
    coded = sorted(CODED_DTYPES)
    files = {
        "walk": walk(),
        "empty": CodedEnsemble(1, ()),
        "one_member": CodedEnsemble(
            1,
            (
                plain("plain", 4, (1, 9)),
                CodedTensor("raw", "float32", noise("raw", (1, 5), -128), grid(8), "raw"),
                exact("exact", "float32", (1, 3)),
                drawn("drawn", 4, 127, (9,)),
            ),
        ),
        "widths": CodedEnsemble(3, tuple(plain(f"w{b}", b, (3, 37)) for b in range(2, 9))),
        "exact_types": CodedEnsemble(2, (*types, infinite)),
        "value_types": CodedEnsemble(
            2,
            tuple(
                tensor
                for dtype in coded
                for tensor in (
                    plain(f"{dtype}.small", 8, (2, 40), dtype, scales=(3e-7,), zero_point=-5),
                    plain(f"{dtype}.large", 8, (1, 40), dtype, scales=(700.123,)),
                )
            ),
        ),
        "ties": CodedEnsemble(
            1,
            tuple(
                plain(f"{dtype}.{step}", 3, (1, 24), dtype, scales=(1 + step * 2.0**-place,))
                for dtype, place in (("bfloat16", 8), ("float16", 11))
                for step in (1, 3)
            ),
        ),
        "channels": CodedEnsemble(
            2,
            (
                plain("first", 5, (2, 3, 4, 2), scales=(1.0, 0.3, 2e-38), axis=0),
                plain("last", 5, (2, 3, 4, 2), scales=(0.1, 1e36), axis=2, zero_point=127),
                plain("middle", 5, (2, 3, 4, 2), scales=(1, 2, 3, 4), axis=1, zero_point=-128),
                plain("named", 5, (2, 3, 4, 2), axis=1),
            ),
        ),
        # Scales of channels and zero points where the methods are not plain.
        "scales": CodedEnsemble(
            2,
            (
                _scaled("drawn", drawn("a", 4, 7, (3, 4)), 0),
                _scaled("joint", _joint("b", (2, 3, 4)), -9),
                _scaled("raw", CodedTensor("c", "double", noise("c", (2, 3, 4), -128)), 100),
                _scaled("shared", shared("d", mixed("d", 2, 12, "planes"), "planes"), -128),
                _scaled("shared", shared("e", mixed("e", 2, 12, "balanced"), "balanced"), 5),
            ),
        ),
        "runs": CodedEnsemble(
            2,
            (shared("zeros", np.zeros((2, 16400), np.int8), "balanced"),),
            block_codes=40000,
        ),
        "blocks": CodedEnsemble(
            4,
            (
                plain("plain", 3, (4, 7, 11)),
                shared("shared", mixed("blocks", 4, 77, "balanced"), "balanced"),
                exact("exact", "int64", (4, 23)),
                drawn("drawn", 3, 7, (77,)),
                CodedTensor("raw", "double", noise("raw", (4, 50), -128), grid(8), "raw"),
            ),
            block_codes=60,
        ),
        "drawn": CodedEnsemble(
            5,
            tuple(
                drawn(f"d{b}", b, (1, 3, 7, 31, 90, 126, 127)[b - 2], (41,)) for b in range(2, 9)
            ),
        ),
        "drawn_keys": CodedEnsemble(
            64, (drawn("none", 4, 127, (19,), key=0), drawn("all", 4, 127, (19,), key=2**64 - 1))
        ),
        "mcu": CodedEnsemble(
            4,
            (
                plain("plain", 2, (4, 3000)),
                shared("shared", mixed("mcu", 4, 1100, "balanced"), "balanced"),
                exact("exact", "float32", (4, 300)),
            ),
            profile="mcu",
        ),
        "desktop": CodedEnsemble(
            4,
            (
                plain("plain", 2, (4, 5000)),
                drawn("drawn", 2, 3, (4500,)),
                exact("e", "bool", (1, 17)),
            ),
        ),
        "many_members": CodedEnsemble(
            64, (plain("plain", 2, (64, 30)), exact("e", "uint8", (64, 2)))
        ),
        "shapes": CodedEnsemble(
            2,
            (
                plain("a/eight", 8, (2, 1, 2, 1, 2, 1, 2, 1, 2), axis=7),
                plain("a/scalar", 6, (2,)),
                plain("b/none", 4, (2, 0, 5), axis=0),
                plain("b/channels", 4, (2, 5, 0), scales=(1, 2, 3, 4, 5), axis=0),
                shared("b/shared", np.zeros((2, 0), np.int8), "planes"),
                exact("c/none", "int32", (2, 0)),
                exact("c/scalar", "int64", (1,)),
                drawn("d/none", 4, 7, (3, 0)),
            ),
        ),
        "names": CodedEnsemble(
            1,
            tuple(
                exact(name, "uint8", (1, 1))
                for name in ("a", "a ", "a.b", "ab", "Z", "é", "重み", "\U0001f600", "x" * 1024)
            ),
        ),
        "sections": CodedEnsemble(
            1,
            (exact("e", "uint8", (1, 1)),),
            (
                Section("META", b'{"edgeens.temperature":1.5}', critical=True),
                Section("SKLF", b"\x08\x07"),
                Section("ZZ99", b"\0\1\2"),
                Section("SKLC", b""),
                Section("SIGN", b"\1\0\0\0" + bytes(96)),
                Section("CALI", b"{}"),
            ),
        ),
    }
    for members in (2, 3, 4, 5, 8, 9, 16):
        files[f"shared_{members:02}"] = CodedEnsemble(
            members,
            tuple(
                shared(kind, mixed(f"{kind}{members}", members, 100, kind), kind)
                for kind in ("balanced", "planes")
            ),
            (META,),
            block_codes=64 * members,
        )
    return files


CALIBRATION = {
    "edgeens.temperature": 0.75,
    "edgeens.early_exit": {"order": [1, 0], "temperatures": [1.5, 0.75], "threshold": 0.125},
    "edgeens.abstention": {"threshold": 0.25},
}

# All that a parser of JSON might refuse and must not: 64 objects and arrays, a name that stands
# twice, half a surrogate pair, a number above all doubles, brackets in a string.
JSON = b' {"a":' + b"[" * 63 + b"]" * 63 + b',"a":"\\udc00","b":-1e999,"c":"' + b"[" * 64 + b'"}\n'

# Which good file each reworked one is made from: it holds the same tensors.
REWORKED = {
    "calibrated": "walk",
    "header_only": "empty",
    "sections_64": "empty",
    "critical": "sections",
    "json": "sections",
    "no_digests": "blocks",
    "newer_minor": "blocks",
    "tables": "shared_04",
}


def reworked(files: dict[str, bytes]) -> dict[str, bytes]:
    """Good files that the writer does not make, from those that it made."""
    made = {}
    draft = Draft.take_apart(files["blocks"])
    draft.sections = []
    made["no_digests"] = draft.build()
    draft.lies["minor"] = 7
    draft.sections = [SectionDraft(b"NEW1", b"later")]
    made["newer_minor"] = draft.build()
    draft = Draft.take_apart(files["shared_04"])
    draft.tables = bytes((1, 0, 0, 0, 3, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0)) + b"abc"
    draft.lies["table_count"] = 2
    made["tables"] = draft.build()
    draft = Draft.take_apart(files["empty"])
    draft.sections = []
    made["header_only"] = draft.build()
    draft.sections = [SectionDraft(b"ZZ%02d" % i, b"") for i in range(64)]
    made["sections_64"] = draft.build()
    draft = Draft.take_apart(files["sections"])
    by_type = {section.type: section for section in draft.sections}
    for type_ in (b"SKLF", b"SKLC", b"DGST"):
        by_type[type_].flags = 1
    order = (b"CALI", b"SKLF", b"DGST", b"META", b"SKLC", b"SIGN", b"ZZ99")
    draft.sections = [by_type[type_] for type_ in order]
    made["critical"] = draft.build()
    draft.sections = [SectionDraft(b"META", JSON)]
    made["json"] = draft.build()
    draft = Draft.take_apart(files["walk"])
    draft.sections.append(SectionDraft(b"CALI", json.dumps(CALIBRATION).encode()))
    made["calibrated"] = draft.build()
    return made
