"""Writes tests/vectors, and is the only writer there: python -m tests.make_vectors

good/NAME.eens holds a container, good/NAME.json what decoding it must give. refused/NAME.eens is
named after what it fears; refused/refused.json says with which status it is refused, and when.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from edgeens.coded import CodedEnsemble, CodedTensor
from edgeens.container.layout import DTYPES
from edgeens.container.reference_blocks import word
from edgeens.container.writer import serialise
from tests.vector_codings import good as good_codings
from tests.vector_ensembles import REWORKED, good, reworked
from tests.vector_entropy import good as good_entropy
from tests.vector_faults import faults
from tests.vector_filtered import good as good_filtered
from tests.vector_split import by_hand

VECTORS = Path(__file__).parent / "vectors"


def vectors() -> dict[str, bytes]:
    """Every file below tests/vectors, by its path."""
    ensembles = {**good(), **good_entropy(), **good_filtered()}
    files = {name: serialise(ensemble) for name, ensemble in ensembles.items()}
    for name, (ensemble, data) in {**good_codings(), **by_hand()}.items():
        ensembles[name], files[name] = ensemble, data
    expected = {name: expectation(ensemble) for name, ensemble in ensembles.items()}
    made = reworked(files)
    for name, origin in REWORKED.items():
        expected[name] = expected[origin]
    written = {}
    for name, data in {**files, **made}.items():
        written[f"good/{name}.eens"] = data
        written[f"good/{name}.json"] = _json(expected[name])
    index = {}
    for fault in faults(files):
        written[f"refused/{fault.name}.eens"] = fault.data
        index[f"{fault.name}.eens"] = fault.entry()
    written["refused/refused.json"] = _json(index)
    return written


def expectation(ensemble: CodedEnsemble) -> dict[str, Any]:
    """What decoding must give, computed from the ensemble and not by a decoder.

    Digests are SHA-256 in hexadecimal: of the codes as int8 (null without codes), and of the values
    in the tensor's dtype, little-endian; of all copies, one behind the other, and of the last copy.
    """
    tensors = sorted(ensemble.tensors, key=lambda tensor: tensor.name.encode())
    return {
        "members": ensemble.members,
        "tensors": [
            _tensor(tensor, ensemble.members, number) for number, tensor in enumerate(tensors)
        ],
    }


def _tensor(tensor: CodedTensor, members: int, number: int) -> dict[str, Any]:
    codes = tensor.codes if tensor.draw is None else _draw(tensor, members, number)
    values = codes if tensor.grid is None else _values(tensor, codes)
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "method": tensor.method,
        "copies": len(codes),
        "codes": None if tensor.grid is None else _digests(codes),
        "values": _digests(values),
    }


def _draw(tensor: CodedTensor, members: int, number: int) -> np.ndarray:
    """(S9), position by position."""
    q, levels = tensor.grid.largest, tensor.draw.parent_levels
    codes = np.empty((members, *tensor.shape), np.int8)
    for member in range(members):
        for position, n in enumerate(tensor.codes.reshape(-1).tolist()):
            floor, rest = divmod(n * q, levels)
            up = word(tensor.draw.key, number, position, member) * levels >> 16 < rest
            codes[member].reshape(-1)[position] = floor + up
    return codes


def _values(tensor: CodedTensor, codes: np.ndarray) -> np.ndarray:
    """(S4.4)"""
    steps = (codes.astype(np.int32) - tensor.grid.zero_point).astype(np.float32)
    values = tensor.grid.broadcast_scale(len(tensor.shape)) * steps
    if tensor.dtype != "bfloat16":
        with np.errstate(over="ignore"):
            return values.astype(DTYPES[tensor.dtype].numpy)
    # To nearest, ties to even, by way of the next multiple of 2**16 on either side.
    bits = values.view(np.uint32)
    low = bits & np.uint32(0xFFFF0000)
    rest = bits - low
    up = (rest > 0x8000) | ((rest == 0x8000) & (low & np.uint32(0x10000) != 0))
    return (low >> np.uint32(16)).astype("<u2") + up.astype("<u2")


def _digests(copies: np.ndarray) -> dict[str, str]:
    return {"all": _digest(copies), "last": _digest(copies[-1])}


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def main() -> None:
    """Write what has changed, and remove what is no vector any more."""
    written = vectors()
    for path in VECTORS.rglob("*"):
        if path.is_file() and path.relative_to(VECTORS).as_posix() not in written:
            path.unlink()
    for name, data in written.items():
        path = VECTORS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
    print(f"{len(written)} files, {sum(map(len, written.values()))} bytes in {VECTORS}")


if __name__ == "__main__":
    main()
