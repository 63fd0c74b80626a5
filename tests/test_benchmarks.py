"""The size benchmark's own arithmetic, and what it says when something is missing. No training."""

from __future__ import annotations

import json
import lzma
from dataclasses import asdict, replace

import numpy as np
import pytest

from benchmarks import peers, sizes
from benchmarks.ensembles import RECIPES, make_ensemble
from benchmarks.nncodec_peer import WAYS
from benchmarks.sizes import check_equal, member_weights, peer_sizes, size_rows, weight_cosine
from edgeens.coded import CodedEnsemble, CodedTensor, Grid
from edgeens.container.sizes import measure
from edgeens.container.writer import serialise
from edgeens.encoder import Encoding
from edgeens.ensemble import Ensemble, MemberTensor
from edgeens.errors import DataError, EdgeensError, MissingPackageError

MNIST = next(recipe for recipe in RECIPES if recipe.name == "mnist-mlp")


def coded_ensemble(codes, *, exact=()):
    """One tensor on a grid, codes (K, ...); and, if given, one of exact values (K, ...)."""
    codes = np.asarray(codes, np.int8)
    grid = Grid(8, np.ones(1, np.float32))
    tensors = [CodedTensor("w", "float32", codes, grid, method="plain")]
    if len(exact):
        tensors.append(CodedTensor("b", "float32", np.asarray(exact, np.float32)))
    return CodedEnsemble(len(codes), tuple(tensors))


def test_training_without_data_says_what_to_give(tmp_path):
    with pytest.raises(DataError, match=r"'mnist-mlp' must be trained first: give --data DIR"):
        make_ensemble(MNIST, data=None, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_kept_ensemble_is_used_only_if_its_recipe_is_the_same(tmp_path):
    folder = tmp_path / MNIST.name
    folder.mkdir()
    (folder / "recipe.json").write_text(json.dumps(asdict(MNIST), indent=1) + "\n")
    assert make_ensemble(MNIST, data=None, cache=tmp_path) == folder
    with pytest.raises(DataError, match=r"must be trained first"):
        make_ensemble(replace(MNIST, epochs=11), data=None, cache=tmp_path)


def test_the_names_of_the_ensembles_differ():
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)


def test_the_entropy_is_counted_a_tensor_and_rounded_up_once():
    halves = coded_ensemble([[0, 0, 1, 1], [1, 1, 0, 0]])  # 8 codes of 1 bit
    eighth = coded_ensemble([[0, 0, 0, 0], [0, 0, 0, 5]])  # 7 log2(8/7) + log2(8/1) = 4.35 bits
    single = coded_ensemble([[3, 3], [3, 3]])
    assert peers.entropy_bytes(halves) == 1
    assert peers.entropy_bytes(single) == 0
    three = replace(eighth, tensors=eighth.tensors * 3)
    assert peers.entropy_bytes(three) == 2  # 13.05 bits; one table for all would give the same
    both = replace(halves, tensors=halves.tensors + eighth.tensors)
    assert peers.entropy_bytes(both) == 2  # 12.35 bits; one table for all would need 17.95


def test_the_fixed_layout_counts_every_stream_of_a_block():
    # 103 = 85 + 17 + 1: three levels at each of 8 positions, every digit shared by both members.
    # Block: 2 run_count + 2 one run + 4 size4 + 1 + 1 patterns + 4 bases (8 x 2 x 2 bits)
    # + 3 level-4 digits (8 x 3 bits) + 5 level-8 digits (8 x 5 bits) = 22; its index entry: 8.
    codes = np.full((2, 8), 103)
    assert peers.fixed_bytes(coded_ensemble(codes)) == 30
    codes[1, 0] = 104  # a ninth level-8 digit: 45 bits, 6 bytes
    assert peers.fixed_bytes(coded_ensemble(codes)) == 31


def test_one_model_has_nothing_to_share():
    assert peers.fixed_bytes(coded_ensemble([[1, 2, 3]])) is None


def test_compressors_get_the_codes_in_the_better_of_two_orders():
    noise = np.random.default_rng(0).integers(-127, 128, 64)
    equal_members = np.tile(noise, (64, 1)).astype(np.int8)
    sizes_of_orders = {
        len(lzma.compress(codes.tobytes(), preset=9))
        for codes in (equal_members, np.ascontiguousarray(equal_members.T))
    }
    assert len(sizes_of_orders) == 2
    for codes in (equal_members, equal_members.T):
        packed = dict(peers.compressed_sizes(coded_ensemble(codes)))
        assert tuple(packed) == peers.COMPRESSORS
        assert packed["xz -9"] == min(sizes_of_orders)


def test_every_row_of_a_tiny_ensemble_is_what_the_hand_counts():
    coded = coded_ensemble(np.arange(16).reshape(2, 8), exact=np.ones((2, 4)))
    data = serialise(coded)
    encoding = Encoding(sizes=measure(data), rows=[])
    rows = size_rows(coded, encoding, iter([("peer", 10, ""), ("absent", None, "why")]))
    assert member_weights(coded) == 16
    assert [(row.label, row.bytes, row.bits_per_weight, row.remark) for row in rows] == [
        ("float32", 2 * (8 + 4) * 4, 48.0, ""),
        ("flat int8", 2 * 8 + 2 * 4 * 4, 24.0, ""),
        ("peer", 10 + 2 * 4 * 4, 21.0, ""),
        ("absent", None, None, "why"),
        ("edgeens", len(data), 8 * len(data) / 16, ""),
    ]


def test_a_peer_that_is_not_installed_is_a_remark_and_no_failure(tmp_path, monkeypatch):
    def refuse(coded, cache):
        raise MissingPackageError("NNCodec could not be installed")

    monkeypatch.setattr(sizes, "nncodec_sizes", refuse)
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    found = {label: rest for label, *rest in peer_sizes(coded_ensemble([[1], [2]]), tmp_path)}
    for label in peers.COMPRESSORS:
        assert found[label] == [None, "not installed (extra bench)"]
    for label in WAYS.values():
        assert found[label] == [None, "NNCodec could not be installed"]
    assert found["order-0 entropy"] == [1, ""]


def test_a_file_with_other_codes_is_not_compared(tmp_path):
    coded = coded_ensemble([[1, 2, 3], [4, 5, 6]])
    path = tmp_path / "a.eens"
    path.write_bytes(serialise(coded))
    check_equal(coded, path)
    other = coded_ensemble([[1, 2, 3], [4, 5, 7]])
    with pytest.raises(EdgeensError, match=r"^tensor 'w' of the file holds other codes than its"):
        check_equal(other, path)


def test_the_cosine_is_the_mean_over_pairs_of_quantised_weights():
    weights = np.array([[1, 0], [1, 1], [0, 2]], np.float32)  # cosines 0.7071, 0, 0.7071
    ensemble = Ensemble(
        3,
        (
            MemberTensor("w", weights, "float32", quantise=True),
            MemberTensor("b", -weights, "float32"),
        ),
    )
    assert weight_cosine(ensemble) == pytest.approx(np.sqrt(0.5) * 2 / 3)
