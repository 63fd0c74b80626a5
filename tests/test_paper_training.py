"""The parts of the papers' experiments that need PyTorch, on networks of seconds."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.paper.batch_ensemble import WAYS, draw, report  # noqa: E402
from benchmarks.paper.batch_ensemble_training import compare_modules, train_members  # noqa: E402
from benchmarks.paper.vit import VisionTransformer, export  # noqa: E402
from edgeens.datasets.images import Images  # noqa: E402
from edgeens.onnx.files import run_files  # noqa: E402

pytestmark = pytest.mark.torch


def digits(seed, count):
    """Ten noisy patterns."""
    generator = np.random.default_rng(seed)
    patterns = np.random.default_rng(0).integers(0, 256, (10, 1, 28, 28))
    y = generator.integers(0, 10, count)
    x = 0.4 * patterns[y] + 0.6 * generator.integers(0, 256, (count, 1, 28, 28))
    return Images(x.astype(np.uint8), y)


@pytest.fixture(scope="module")
def compared():
    training, test, outside = digits(1, 512), digits(2, 200), digits(3, 200)
    outside = Images(outside.x[:, :, ::-1].copy(), outside.y)
    return {
        way.title: compare_modules(
            train_members(way, training, seed=0, members=3, epochs=1), test, outside
        )
        for way in WAYS
        if way.fast == 1.0
    }


def test_members_trained_apart_have_unrelated_weights_and_rounded_ones_the_same(compared):
    assert abs(compared["deep ensemble"]["cosine"]) < 0.1
    rounded = compared["one model, rounded at random to 7 bits"]
    assert rounded["cosine"] > 0.999
    assert 0 < rounded["divergence"] < 1e-3 < compared["deep ensemble"]["divergence"]
    assert rounded["CKA"] > compared["deep ensemble"]["CKA"]


def test_signs_of_fast_weights_hide_that_sizes_are_shared(compared):
    signs = compared["BatchEnsemble, sign, fast x 1"]
    assert abs(signs["cosine"]) < 0.2
    assert signs["cosine of sizes"] > 0.99
    assert compared["BatchEnsemble, ones, fast x 1"]["cosine"] > 0.99


def test_dropped_inputs_are_those_of_the_last_layer(compared):
    dropped = compared["MC dropout, rate 0.2"]
    assert dropped["CKA"] == pytest.approx(1.0)
    assert dropped["divergence"] > 0


def test_fast_weights_learn_at_their_own_rate():
    ways = [way for way in WAYS if way.init == "ones"]
    training = digits(1, 256)
    cosines = [
        compare_modules(
            train_members(way, training, seed=0, members=2, epochs=1), training, training
        )["cosine"]
        for way in ways
    ]
    assert cosines == sorted(cosines, reverse=True)
    assert len(set(cosines)) == 3


def test_the_report_has_a_line_a_way(compared, tmp_path):
    rows = [{"way": title, "runs": [run, run]} for title, run in compared.items()]
    results = {"seeds": [0, 1], "members": 3, "epochs": 1, "rows": rows}
    text = report(results)
    for row in rows:
        assert text.count(f"| {row['way']} |") == 2
    pytest.importorskip("matplotlib")
    draw(results, tmp_path / "study.png")
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")


def test_the_exported_transformer_computes_what_torch_does(tmp_path):
    torch.manual_seed(0)
    network = VisionTransformer().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    torch.save(network.state_dict(), tmp_path / "vit.pt")
    export(tmp_path / "vit.pt", tmp_path / "vit.onnx")
    x = torch.randn(3, 1, 28, 28)
    found = run_files([tmp_path / "vit.onnx"], x.numpy())["logits"][0]
    with torch.no_grad():
        assert np.abs(found - network(x).numpy()).max() < 1e-4
