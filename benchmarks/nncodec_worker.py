"""Runs in NNCodec's own environment: codes in, sizes of DeepCABAC payloads or times out.

Started by benchmarks.nncodec_peer. Calls the coder as NNCodec's tensor pipeline does for integers
(no quantisation, profile 1, contexts optimised), one payload a tensor and member.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from nncodec.extensions.deepCABAC import (
    Decoder,
    Encoder,
    HdspMode,
)

FLAGS = 11  # cabac_unary_length, NNCodec's default
PROFILE = 1
HISTORY_OFF = (HdspMode.AlwaysOff, np.zeros(2, np.int8))


def encode(codes: np.ndarray, base: np.ndarray | None = None) -> bytes:
    """The payload of *codes*, int32 (rows, ...), alone or with *base* as temporal context."""
    encoder = Encoder()
    encoder.initCtxModels(FLAGS, 1)
    options = (*HISTORY_OFF, 0, 0)
    skipped_rows = np.zeros(len(codes), np.int32)
    if base is None:
        encoder.encodeLayer(codes, 0, 0, PROFILE, 0, 0, skipped_rows, *options)
    else:
        encoder.encodeLayer2(codes, base, 0, 0, PROFILE, 1, 0, skipped_rows, *options)
    payload: bytes = encoder.finish()
    return payload


def decode(payload: bytes, shape: tuple[int, ...], base: np.ndarray | None = None) -> np.ndarray:
    """The codes again."""
    decoder = Decoder()
    decoded = np.zeros(shape, np.int32)
    decoder.setStream(payload)
    decoder.initCtxModels(FLAGS)
    if base is None:
        decoder.decodeLayer(decoded, 0, 0, PROFILE, 0, *HISTORY_OFF, 0, 0)
    else:
        decoder.decodeLayer2(decoded, base, 0, 0, PROFILE, 1, *HISTORY_OFF, 0, 0)
    return decoded


def payload_bytes(codes: np.ndarray, base: np.ndarray | None = None) -> int:
    """Size of the payload, which was decoded again and compared."""
    payload = encode(codes, base)
    if not np.array_equal(decode(payload, codes.shape, base), codes):
        raise SystemExit("NNCodec decoded other codes than it was given")
    return len(payload)


def print_sizes(path: str) -> None:
    """Print the sizes of all tensors in an .npz file of codes, int8 (copies, rows, ...)."""
    totals = {"each": 0, "context": 0, "difference": 0}
    with np.load(path) as arrays:
        for name in arrays.files:
            first, *others = arrays[name].astype(np.int32)
            alone = payload_bytes(first)
            totals["each"] += alone + sum(payload_bytes(codes) for codes in others)
            totals["context"] += alone + sum(payload_bytes(codes, first) for codes in others)
            totals["difference"] += alone + sum(payload_bytes(codes - first) for codes in others)
    print(json.dumps(totals))


def answer(path: str) -> None:
    """Encode or decode the only tensor of an .npz file as often as a line of input says so.

    Prints the bytes of all payloads, then for each line the seconds of processor time.
    """
    with np.load(path) as arrays:
        (name,) = arrays.files
        copies = list(arrays[name].astype(np.int32))
    print(sum(map(payload_bytes, copies)), flush=True)
    payloads = [encode(codes) for codes in copies]
    for line in sys.stdin:
        start = time.process_time()
        if line.strip() == "encode":
            payloads = [encode(codes) for codes in copies]
        else:
            for payload in payloads:
                decode(payload, copies[0].shape)
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    {"sizes": print_sizes, "times": answer}[sys.argv[1]](sys.argv[2])
