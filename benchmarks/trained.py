"""How long whole files of trained ensembles take to decode, beside zstd of the same codes.

A part of the decode benchmark, on the ensembles of benchmarks.ensembles that are in the cache.
Trained layers are small, and are stored with filters and several tables: what decoding them takes
does not follow from Gaussian layers. Every tensor with codes counts, of all members, to float32;
peers have a frame a member and tensor. Processor time of one thread, each way right after a memcpy
of the output; medians over rounds of the ratios to ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.ensembles import RECIPES, Recipe, member_paths
from benchmarks.ways import ZSTD_LEVELS, Dequantise, Floats, by_kernel
from benchmarks.workloads import Codes
from edgeens.coded import CodedEnsemble, CodedTensor
from edgeens.container.choice import choose_methods
from edgeens.container.writer import serialise
from edgeens.decoder import Container
from edgeens.errors import EdgeensError
from edgeens.onnx.members import load_members
from edgeens.quantize.tensors import quantize_ensemble

ROUNDS = 61
OURS = "edgeens"

Row = dict[str, Any]


def measure_trained(cache: Path, *, rounds: int = ROUNDS) -> list[Row]:
    """A row an ensemble: "name", "title", "bits_mw", "mmw_s" (million member weights a second), and
    "faster": by what factor ours is faster than each peer.

    Those that are not in the cache are left out, with a word: benchmarks.sizes makes them.
    """
    if find_spec("zstandard") is None:
        print("skipped trained files: their peer zstandard is not installed (extra bench)")
        return []
    rows = []
    for recipe in RECIPES:
        if recipe.dataset is None:
            continue
        paths = member_paths(cache / recipe.name)
        if not all(path.is_file() for path in paths):
            print(f"skipped {recipe.title}: run `python -m benchmarks sizes --data DIR` first")
            continue
        coded = choose_methods(quantize_ensemble(load_members(paths)))
        rows.append(time_decoding(recipe, coded, rounds=rounds))
    return rows


def time_decoding(recipe: Recipe, coded: CodedEnsemble, *, rounds: int) -> Row:
    """The row of one ensemble.

    Raises EdgeensError if a peer gives other weights.
    """
    tensors = [tensor for tensor in coded.tensors if tensor.grid is not None]
    data = serialise(replace(coded, tensors=tuple(tensors)))
    container = Container.from_bytes(data)
    outputs = [np.empty(tensor.codes.shape, np.float32) for tensor in tensors]
    sources = [np.ones_like(output) for output in outputs]
    weights = sum(output.size for output in outputs)

    def copy() -> None:
        for output, source in zip(outputs, sources, strict=True):
            np.copyto(output, source)

    def ours() -> None:
        for tensor, output in zip(tensors, outputs, strict=True):
            container.decode(tensor.name, out=output)

    ours()
    expected = [output.copy() for output in outputs]
    peers = dict(_peers(tensors, data, outputs))
    for label, peer in peers.items():
        copy()
        peer()
        if not all(map(np.array_equal, outputs, expected)):
            raise EdgeensError(f"{label} gave other weights than edgeens")
    seconds: dict[str, list[float]] = {label: [] for label in (OURS, *peers)}
    for _ in range(rounds):
        for label, run in ((OURS, ours), *peers.items()):
            copy()
            start = time.process_time()
            run()
            seconds[label].append(time.process_time() - start)
    own = seconds.pop(OURS)
    return {
        "name": recipe.name,
        "title": recipe.title,
        "bits_mw": 8 * len(data) / weights,
        "mmw_s": weights / median(own) / 1e6,
        "faster": {
            label: median(theirs / each for theirs, each in zip(times, own, strict=True))
            for label, times in seconds.items()
        },
    }


def _peers(
    tensors: list[CodedTensor], data: bytes, outputs: list[Floats]
) -> Iterator[tuple[str, Callable[[], None]]]:
    """zstd at each level, its codes dequantised by NumPy and by our kernel."""
    zstd = import_module("zstandard")
    places = {info.name: info.index for info in Container.from_bytes(data).tensors}
    ways = {
        "NumPy": [_by_numpy(tensor) for tensor in tensors],
        "our kernel": [by_kernel(data, places[tensor.name]) for tensor in tensors],
    }
    for level in ZSTD_LEVELS:
        compress = zstd.ZstdCompressor(level=level).compress
        frames = [[compress(codes.tobytes()) for codes in tensor.codes] for tensor in tensors]
        for how, dequantise in ways.items():
            run = partial(_decompress, frames, dequantise, outputs)
            yield f"zstd -{level} -d, dequantised by {how}", run


def _decompress(
    frames: list[list[bytes]], dequantise: list[Dequantise], outputs: list[Floats]
) -> None:
    decompress = import_module("zstandard").ZstdDecompressor().decompress
    for of_members, to_floats, output in zip(frames, dequantise, outputs, strict=True):
        for frame, floats in zip(of_members, output, strict=True):
            to_floats(np.frombuffer(decompress(frame), np.int8), floats.reshape(-1))


def _by_numpy(tensor: CodedTensor) -> Dequantise:
    assert tensor.grid is not None
    scale = tensor.grid.scale
    columns = 1 if scale.size == 1 else tensor.codes[0].size // scale.size

    def dequantise(codes: Codes, output: Floats) -> None:
        if scale.size == 1:
            np.multiply(codes, scale[0], out=output, dtype=np.float32)
        else:
            rows = output.reshape(-1, columns)
            np.multiply(codes.reshape(-1, columns), scale[:, None], out=rows, dtype=np.float32)

    return dequantise
