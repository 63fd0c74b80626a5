"""Runs in NNCodec's own environment: codes in, sizes of DeepCABAC payloads out, as JSON.

Started by benchmarks.nncodec_peer. Calls the coder as NNCodec's tensor pipeline does for integers
(no quantisation, profile 1, contexts optimised), one payload a tensor and member.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from nncodec.extensions.deepCABAC import (  # type: ignore[import-not-found]
    Decoder,
    Encoder,
    HdspMode,
)

FLAGS = 11  # cabac_unary_length, NNCodec's default
PROFILE = 1
HISTORY_OFF = (HdspMode.AlwaysOff, np.zeros(2, np.int8))


def payload_bytes(codes: np.ndarray, base: np.ndarray | None = None) -> int:
    """Size of *codes*, int32 (rows, ...), coded alone or with *base* as temporal context."""
    encoder, decoder = Encoder(), Decoder()
    encoder.initCtxModels(FLAGS, 1)
    options = (*HISTORY_OFF, 0, 0)
    skipped_rows = np.zeros(len(codes), np.int32)
    if base is None:
        encoder.encodeLayer(codes, 0, 0, PROFILE, 0, 0, skipped_rows, *options)
    else:
        encoder.encodeLayer2(codes, base, 0, 0, PROFILE, 1, 0, skipped_rows, *options)
    payload = encoder.finish()
    decoded = np.zeros_like(codes)
    decoder.setStream(payload)
    decoder.initCtxModels(FLAGS)
    if base is None:
        decoder.decodeLayer(decoded, 0, 0, PROFILE, 0, *options)
    else:
        decoder.decodeLayer2(decoded, base, 0, 0, PROFILE, 1, *options)
    if not np.array_equal(decoded, codes):
        raise SystemExit("NNCodec decoded other codes than it was given")
    return len(payload)


def main(path: str) -> None:
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


if __name__ == "__main__":
    main(sys.argv[1])
