"""Ways to get 4 members' float32 weights out of memory: ours, and what its peers would do.

After benchmarks.workloads; benchmarks.decode times them. Peers decompress just the codes that ours
decodes, then dequantise in one of two ways: as a NumPy user would, and with our own C kernel, so
that the difference between coders can be told from that between NumPy and C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from edgeens._native import ffi, lib
from numpy.typing import NDArray

from benchmarks.nncodec_peer import NncodecTimer
from benchmarks.workloads import Codes, Workload
from edgeens.coded import CodedTensor
from edgeens.decoder import Container
from edgeens.errors import EdgeensError

Floats = NDArray[np.float32]
Share = Callable[[Callable[[int], None], int], None]
Dequantise = Callable[[Codes, Floats], None]

MEMCPY = "memcpy of the output"
NNCODEC = "NNCodec, not dequantised"
ZSTD_LEVELS = (3, 19)


@dataclass(frozen=True, eq=False)
class Way:
    """One way to get weights.

    Attributes:
        label: for people.
        run: does it once, with this number of threads; what is done in another process returns the
            seconds of processor time that it took.
        weights: that it yields, over all members.
        bits_mw: what it reads, in bits a member weight; None for no code at all.
        entropy: as in Workload.
        most_threads: that it can make use of.
    """

    label: str
    run: Callable[[int], float | None]
    weights: int
    bits_mw: float | None = None
    entropy: float | None = None
    most_threads: int = 2


def memcpy(output: Floats, share: Share) -> Way:
    """What no decoder can beat that writes every weight to memory, unless it writes faster."""
    source = np.ones_like(output)

    def copy(member: int) -> None:
        np.copyto(output[member], source[member])

    return Way(MEMCPY, lambda threads: share(copy, threads), output.size)


def ours(workload: Workload, output: Floats) -> Way:
    """Container.decode of the whole file, its checksums compared."""
    container = Container.from_bytes(workload.data)

    def run(threads: int) -> None:
        container.decode("w", out=output, threads=threads)

    bits = 8 * len(workload.data) / output.size
    return Way(workload.label, run, output.size, bits, workload.entropy)


def compressors(workload: Workload, output: Floats, share: Share) -> Iterator[Way]:
    """General compressors, a frame a member; those that are installed.

    Raises:
        EdgeensError: a peer gave other weights than ours.
    """
    tensor = workload.coded.tensors[0]
    expected = Container.from_bytes(workload.data).decode("w")
    for name, (compress, decompress) in _compressors().items():
        frames = [compress(codes.tobytes()) for codes in tensor.codes]
        bits = 8 * sum(map(len, frames)) / output.size
        for how, dequantise in (
            ("NumPy", _numpy(tensor)),
            ("our kernel", by_kernel(workload.data, 0)),
        ):
            run = _decompression(frames, decompress, dequantise, output, share)
            run(1)
            label = f"{name} -d, dequantised by {how}"
            if not np.array_equal(output, expected):
                raise EdgeensError(f"{label} gave other weights than edgeens")
            yield Way(label, run, output.size, bits, workload.entropy)


def nncodec(timer: NncodecTimer, entropy: float) -> Way:
    """NNCodec in its own process; its codes stay codes, which favours it a little."""
    bits = 8 * timer.bytes / timer.weights
    seconds = timer.seconds
    return Way(NNCODEC, lambda threads: seconds("decode"), timer.weights, bits, entropy, 1)


def _decompression(
    frames: list[bytes],
    decompress: Callable[[bytes], bytes],
    dequantise: Dequantise,
    output: Floats,
    share: Share,
) -> Callable[[int], None]:
    def decode(member: int) -> None:
        codes = np.frombuffer(decompress(frames[member]), np.int8)
        dequantise(codes, output[member].reshape(-1))

    return lambda threads: share(decode, threads)


def _compressors() -> dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]]:
    """Compress and decompress by name. zstd at its usual level, which decompresses codes without
    repeats the faster, and at one that makes them smaller where there are some."""
    found: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {}
    if find_spec("zstandard"):
        zstd = import_module("zstandard")
        for level in ZSTD_LEVELS:
            found[f"zstd -{level}"] = (
                zstd.ZstdCompressor(level=level).compress,
                lambda frame: zstd.ZstdDecompressor().decompress(frame),
            )
    if find_spec("lz4"):
        lz4 = import_module("lz4.block")
        found["lz4 -12"] = (
            lambda codes: lz4.compress(codes, mode="high_compression", compression=12),
            lz4.decompress,
        )
    return found


def _numpy(tensor: CodedTensor) -> Dequantise:
    assert tensor.grid is not None
    scale = tensor.grid.scale[0]

    def dequantise(codes: Codes, output: Floats) -> None:
        np.multiply(codes, scale, out=output, dtype=np.float32)

    return dequantise


def by_kernel(container: bytes, number: int) -> Dequantise:
    """Our own decoder's dequantisation (eens_dequantize) of this tensor of the container, on codes
    that another decoder gives."""
    data = ffi.from_buffer(container)
    file, tensor = ffi.new("eens_file *"), ffi.new("eens_tensor *")
    _check(lib.eens_open(data, len(data), 0, file, ffi.NULL))
    _check(lib.eens_tensor_at(file, number, tensor))

    def dequantise(codes: Codes, output: Floats, *, held: Any = data) -> None:  # file points there
        given = ffi.from_buffer("int8_t[]", codes)
        to = ffi.from_buffer(output, require_writable=True)
        count, format_ = len(given), lib.EENS_AS_FLOAT32
        _check(lib.eens_dequantize(file, tensor, given, 0, count, format_, to, len(to)))

    return dequantise


def _check(status: int) -> None:
    if status != lib.EENS_OK:
        raise EdgeensError(ffi.string(lib.eens_strerror(status)).decode())
