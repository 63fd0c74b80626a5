"""How long encoding takes, stage by stage: VGG11's layers, 4 members, without calibration.

Beside benchmarks.decode. In seconds of processor time, so that they are those of one core however
busy the machine is; the medians over rounds, in which every stage and peer has its turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from math import prod
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.convolutions import write_convolutions
from benchmarks.decode import NNCODEC_ENTROPY, NNCODEC_LAYER
from benchmarks.nncodec_peer import NncodecTimer
from benchmarks.workloads import MEMBERS, Shape, gaussian_codes
from edgeens.coded import CodedEnsemble
from edgeens.container.choice import choose_methods
from edgeens.container.entropy import entropy_blocks, entropy_streams
from edgeens.container.tables import plan_tables
from edgeens.container.writer import serialise
from edgeens.encoder import encode
from edgeens.errors import MissingPackageError
from edgeens.onnx.members import load_members
from edgeens.quantize.sharing import share_bits
from edgeens.quantize.tensors import quantize_ensemble

_ROWS_AND_COLUMNS = (
    (64, 3),
    (128, 64),
    (256, 128),
    (256, 256),
    (512, 256),
    (512, 512),
    (512, 512),
    (512, 512),
)
VGG11 = tuple((rows, columns, 3, 3) for rows, columns in _ROWS_AND_COLUMNS)
WHOLE = "whole: members' files to one file"
ROUNDS = 3

Row = dict[str, Any]
Stage = tuple[str, int, Callable[[], float]]  # name, weights, seconds of processor time


def measure_encode(
    cache: Path, *, layers: Sequence[Shape] = VGG11, rounds: int = ROUNDS
) -> list[Row]:
    """Rows of a stage or a peer: "stage", "weights" (of all members), "seconds", "mmw_s".

    Args:
        cache: where NNCodec is installed; it is left out, with a word, where it cannot be.
        layers: of the model.
        rounds: of all stages in turn.
    """
    with TemporaryDirectory() as name, ExitStack() as stack:
        members = [Path(name) / f"member_{member}.onnx" for member in range(MEMBERS)]
        for seed, path in enumerate(members):
            rng = np.random.default_rng(seed)
            draw = (rng.normal(0, 0.02, shape).astype(np.float32) for shape in layers)
            write_convolutions(path, {f"w{number}": values for number, values in enumerate(draw)})
        stages = [*_ours(members, Path(name) / "ensemble.eens"), *_compressors(layers)]
        try:
            codes = gaussian_codes(NNCODEC_ENTROPY, NNCODEC_LAYER)
            timer = stack.enter_context(NncodecTimer(codes, cache))
            stages.append(("NNCodec of codes", timer.weights, lambda: timer.seconds("encode")))
        except MissingPackageError as error:
            print(f"skipped a peer: {error}")
        return _rows(stages, rounds)


def _ours(members: Sequence[Path], path: Path) -> Iterator[Stage]:
    ensemble = load_members(members)
    coded = quantize_ensemble(ensemble)
    chosen = choose_methods(coded)
    shared = share_bits(coded, lambda4=0.5, lambda8=4.5)
    weights = sum(tensor.values.size for tensor in ensemble.tensors)
    stages: dict[str, Callable[[], Any]] = {
        "load the members' files": lambda: load_members(members),
        "quantise, 8 bits": lambda: quantize_ensemble(ensemble),
        "quantise, 4 bits, a scale a channel": lambda: quantize_ensemble(
            ensemble, bits=4, per_channel=True
        ),
        "choose methods, coders and tables": lambda: choose_methods(coded),
        "fit tables, pack, checksums, digests": lambda: serialise(chosen),
        "pack alone": _packing(chosen),
        "share digits (0.5, 4.5)": lambda: share_bits(coded, lambda4=0.5, lambda8=4.5),
        "pack, shared, with checksums, digests": lambda: serialise(shared),
        "pack, fixed, with checksums, digests": lambda: serialise(coded),
        WHOLE: lambda: encode(members, path),
    }
    for label, run in stages.items():
        yield label, weights, partial(_processor_seconds, run)


def _packing(chosen: CodedEnsemble) -> Callable[[], None]:
    """Codes and tables to the bytes of blocks, their checksums included."""
    streams = [
        entropy_streams(tensor, chosen.members, profile="desktop", block_codes=None)
        for tensor in chosen.tensors
        if tensor.coder == "entropy"
    ]
    _, plans = plan_tables(streams)
    codings = [plan[1] for plan in plans if plan is not None]

    def run() -> None:
        for each, coding in zip(streams, codings, strict=True):
            entropy_blocks(each, coding)

    return run


def _compressors(layers: Sequence[Shape]) -> Iterator[Stage]:
    """zstd of the largest layer's codes: its slow level and its usual one."""
    if not find_spec("zstandard"):
        return
    zstd = import_module("zstandard")
    codes = gaussian_codes(6.5, max(layers, key=prod))
    for level in (19, 3):
        compress = partial(zstd.ZstdCompressor(level=level).compress, codes.tobytes())
        yield f"zstd -{level} of codes", codes.size, partial(_processor_seconds, compress)


def _rows(stages: Sequence[Stage], rounds: int) -> list[Row]:
    taken: list[list[float]] = [[] for _ in stages]
    for _ in range(rounds):
        for own, (_, _, seconds) in zip(taken, stages, strict=True):
            own.append(seconds())
    return [
        {
            "stage": label,
            "weights": weights,
            "seconds": median(own),
            "mmw_s": weights / median(own) / 1e6,
        }
        for own, (label, weights, _) in zip(taken, stages, strict=True)
    ]


def _processor_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start
