"""The bundled digits on a board: `board_digits.py here|numpy|compare|weights FOLDER [NAME]`.

here: write inputs, and what this machine predicts. numpy: predict with NumPy alone, on a board for
which ONNX Runtime has no wheel. compare: probabilities within 1e-5 of this machine's. weights:
members' decoded weights, the same to the last bit.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgeens.decoder import Container
from edgeens.uncertainty import softmax, summarize

COUNT = 50
TOLERANCE = 1e-5


def here(folder: Path) -> None:
    """Write x.npy, data.npz and here.npz."""
    import edgeens
    from edgeens.onnx.session import Session

    with np.load(Path(edgeens.__file__).parent / "demo" / "digits_test.npz") as data:
        x, y = data["x"][:COUNT], data["y"][:COUNT]
    np.save(folder / "x.npy", x)
    np.savez(folder / "data.npz", x=x, y=y)
    with Session(folder / "digits.eens") as session:
        np.savez(folder / "here.npz", mean=session.predict(x).mean)


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """3 x 3, padded: (n, in, h, w) and (out, in, 3, 3) to (n, out, h, w)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nihwyx,oiyx->nohw", windows, weight, optimize=True) + bias[:, None, None]


def logits(x: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    """The digit classifier of one member: (n, 1, 8, 8) to (n, 10)."""
    x = np.maximum(convolve(x, w["conv1.weight"], w["conv1.bias"]), 0)
    x = np.maximum(convolve(x, w["conv2.weight"], w["conv2.bias"]), 0)
    n, channels, height, width = x.shape
    x = x.reshape(n, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))
    return x.reshape(n, -1) @ w["dense.weight"].T + w["dense.bias"]


def run_numpy(folder: Path, result: Path) -> None:
    """Decode a member, run it, forget it."""
    x = np.load(folder / "x.npy")
    with Container.open(folder / "digits.eens") as container:
        names = container.names
        members = [
            softmax(logits(x, {name: container.decode(name, member=member) for name in names}))
            for member in range(container.members)
        ]
    np.savez(result, mean=summarize(np.stack(members)).mean)


def compare(folder: Path, result: Path) -> int:
    """Say how far the board is off."""
    with np.load(folder / "here.npz") as expected, np.load(result) as found:
        off = float(np.abs(expected["mean"] - found["mean"]).max())
    print(f"{result.name}: probabilities at most {off:.1e} off")
    return int(off > TOLERANCE)


def same_weights(folder: Path, decoded: Path) -> int:
    """Compare what `edgeens decode --npz` wrote on the board with what this machine decodes."""
    with Container.open(folder / "digits.eens") as container:
        paths = sorted(decoded.glob("*.npz"))
        assert len(paths) == container.members, paths
        for member, path in enumerate(paths):
            with np.load(path) as arrays:
                assert set(arrays.files) == set(container.names)
                for name in container.names:
                    if arrays[name].tobytes() != container.decode(name, member=member).tobytes():
                        print(f"{path}: {name!r} is not what this machine decodes")
                        return 1
    print(f"{decoded}: the same weights")
    return 0


def main(what: str, folder: Path, name: str = "") -> int:
    """Do what was asked for."""
    if what == "here":
        here(folder)
    elif what == "numpy":
        run_numpy(folder, folder / name)
    elif what == "weights":
        return same_weights(folder, folder / name)
    else:
        return compare(folder, folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
