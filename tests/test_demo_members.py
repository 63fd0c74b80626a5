"""Claims about the ensemble and the data that ship in edgeens/demo."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import edgeens.demo
from edgeens.errors import MembersError, MissingPackageError

FOLDER = Path(edgeens.demo.__file__).parent
MEMBERS = [FOLDER / f"member_{k}.onnx" for k in range(4)]
DATA = [FOLDER / "digits_test.npz", FOLDER / "digits_validation.npz"]
README = (FOLDER / "README.md").read_text()


def tensors(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def probabilities(path, images):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"input": images})[0].astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def held_out():
    return dict(np.load(FOLDER / "digits_test.npz"))


@pytest.fixture(scope="module")
def validation():
    return dict(np.load(FOLDER / "digits_validation.npz"))


@pytest.fixture(scope="module")
def member_probabilities(held_out):
    return np.stack([probabilities(path, held_out["x"]) for path in MEMBERS])


@pytest.fixture(scope="module")
def train_members():
    pytest.importorskip("torch")
    return importlib.import_module("edgeens.demo.train_members")


# The graphs


@pytest.mark.parametrize("path", MEMBERS, ids=lambda path: path.name)
def test_a_member_maps_a_batch_of_images_to_ten_logits_at_opset_17(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(i.domain, i.version) for i in model.opset_import] == [("", 17)]
    described = [
        (
            value.name,
            value.type.tensor_type.elem_type,
            [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
        )
        for value in [*model.graph.input, *model.graph.output]
    ]
    assert described == [
        ("input", onnx.TensorProto.FLOAT, ["batch", 1, 8, 8]),
        ("logits", onnx.TensorProto.FLOAT, ["batch", 10]),
    ]


def test_the_members_graphs_differ_in_the_weights_alone():
    skeletons = set()
    for path in MEMBERS:
        model = onnx.load(path)
        for tensor in model.graph.initializer:
            tensor.raw_data = b""
        skeletons.add(model.SerializeToString(deterministic=True))
    assert len(skeletons) == 1


def test_every_weight_of_a_member_differs_in_every_other():
    members = [tensors(path) for path in MEMBERS]
    assert {name: values.shape for name, values in members[0].items()} == {
        "conv1.weight": (16, 1, 3, 3),
        "conv1.bias": (16,),
        "conv2.weight": (32, 16, 3, 3),
        "conv2.bias": (32,),
        "dense.weight": (10, 512),
        "dense.bias": (10,),
    }
    for name in members[0]:
        for k, member in enumerate(members):
            assert member[name].dtype == np.float32
            for other in members[:k]:
                assert np.mean(member[name] == other[name]) < 0.01, (name, k)


@pytest.mark.parametrize("path", MEMBERS, ids=lambda path: path.name)
def test_a_member_carries_no_documentation_and_no_path(path):
    model = onnx.load(path)
    graph = model.graph
    assert not model.doc_string
    assert not graph.doc_string
    assert not model.metadata_props
    assert not [node for node in graph.node if node.doc_string or node.metadata_props]
    assert not re.search(rb"/(home|root|tmp|usr|work|Users)\b|\.py\b|[A-Z]:\\", path.read_bytes())


# The data


def test_the_images_have_the_shapes_and_levels_that_the_readme_states(held_out, validation):
    assert sorted(held_out) == ["x", "x_ood", "y"]
    assert sorted(validation) == ["x", "y"]
    assert held_out["x"].shape == (1000, 1, 8, 8)
    assert held_out["x_ood"].shape == (999, 1, 8, 8)
    assert validation["x"].shape == (397, 1, 8, 8)
    for images in (held_out["x"], held_out["x_ood"], validation["x"]):
        assert images.dtype == np.float32
        assert np.array_equal(np.unique(images * 16), np.arange(17))


def test_every_digit_has_its_share_of_both_parts(held_out, validation):
    for data in (held_out, validation):
        assert data["y"].dtype == np.int64
        assert data["y"].shape == (len(data["x"]),)
        assert np.abs(np.bincount(data["y"], minlength=10) / len(data["y"]) - 0.1).max() < 0.01


def test_no_image_occurs_twice_in_or_across_test_and_validation(held_out, validation):
    images = np.concatenate([held_out["x"], validation["x"]])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == 1397


def test_the_outliers_are_turned_and_inverted_test_images_and_noise(held_out):
    turned, inverted, noise = np.split(held_out["x_ood"], 3)
    assert np.array_equal(np.rot90(turned, k=-1, axes=(2, 3)), held_out["x"][:333])
    assert np.array_equal(1 - inverted, held_out["x"][333:666])
    shares = np.bincount((noise * 16).astype(int).ravel(), minlength=17) / noise.size
    assert np.abs(shares - 1 / 17).max() < 0.01  # six standard errors of 21 312 pixels


# The figures


def test_the_members_are_good_but_not_perfect_and_differ(held_out, member_probabilities):
    predicted = member_probabilities.argmax(-1)
    accuracies = np.mean(predicted == held_out["y"], axis=1)
    assert np.all((accuracies > 0.95) & (accuracies < 0.99))
    for k in range(4):
        for other in range(k):
            assert np.mean(predicted[k] != predicted[other]) > 0.01


def test_the_ensemble_beats_the_mean_member(held_out, member_probabilities):
    labels = held_out["y"]
    mean = member_probabilities.mean(axis=0)
    member_accuracy = np.mean(member_probabilities.argmax(-1) == labels)
    assert np.mean(mean.argmax(-1) == labels) >= member_accuracy
    at_label = member_probabilities[:, np.arange(len(labels)), labels]
    assert -np.log(at_label.mean(axis=0)).mean() < -np.log(at_label).mean()


def test_the_members_are_less_certain_of_every_kind_of_outlier(held_out, member_probabilities):
    certain = np.median(member_probabilities.mean(axis=0).max(axis=-1))
    for outliers in np.split(held_out["x_ood"], 3):
        mean = np.mean([probabilities(path, outliers) for path in MEMBERS], axis=0)
        assert np.median(mean.max(axis=-1)) < certain - 0.05


# The page beside them


@pytest.mark.parametrize("path", [*MEMBERS, *DATA], ids=lambda path: path.name)
def test_the_readme_states_size_and_hash_of_a_file(path):
    content = path.read_bytes()
    assert f"| {path.name} | {len(content)} | {hashlib.sha256(content).hexdigest()} |" in README


def test_the_files_are_small():
    assert all(20_000 < path.stat().st_size < 60_000 for path in MEMBERS)
    assert all(path.stat().st_size < 100_000 for path in DATA)


def test_the_readme_states_the_figures_of_the_members(held_out, member_probabilities):
    stated = re.findall(r"^\| (member_\d\.onnx|ensemble) \| (\S+)% \| (\S+) \|$", README, re.M)
    assert [name for name, _, _ in stated] == [*(path.name for path in MEMBERS), "ensemble"]
    labels = held_out["y"]
    models = [*member_probabilities, member_probabilities.mean(axis=0)]
    for (name, accuracy, nll), model in zip(stated, models, strict=True):
        # One image, one unit of the last digit: other processors round the logits differently.
        assert abs(np.mean(model.argmax(-1) == labels) - float(accuracy) / 100) < 0.0011, name
        measured = -np.log(model[np.arange(len(labels)), labels]).mean()
        assert measured == pytest.approx(float(nll), abs=1e-4), name


# The script that made them


@pytest.mark.torch
def test_the_split_and_the_outliers_are_those_of_the_bundled_files(
    train_members, held_out, validation
):
    images, labels = train_members.load_images()
    parts = train_members.split(labels)
    assert len(parts[0]) == 400
    assert len(np.unique(np.concatenate(parts))) == len(labels) == 1797
    for part, data in zip(parts[1:], (validation, held_out), strict=True):
        assert np.array_equal(images[part], data["x"])
        assert np.array_equal(labels[part], data["y"])
    assert np.array_equal(train_members.outliers(held_out["x"]), held_out["x_ood"])


@pytest.mark.torch
def test_an_untrained_member_depends_on_its_seed_alone(train_members):
    first, again, other = (train_members.build_model(seed).state_dict() for seed in (5, 5, 6))
    assert list(first) == list(tensors(MEMBERS[0]))
    for name in first:
        assert first[name].equal(again[name])
        assert not first[name].equal(other[name])


@pytest.mark.torch
def test_a_shift_moves_a_whole_image_by_one_pixel_at_most(train_members, held_out):
    import torch

    shifted = train_members.shift_randomly(
        torch.from_numpy(held_out["x"][:100]), torch.Generator().manual_seed(0)
    ).numpy()
    padded = np.pad(held_out["x"][:100], ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = [padded[:, :, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    matches = np.array([np.all(shifted == window, axis=(1, 2, 3)) for window in windows])
    assert np.all(matches.any(axis=0))
    assert np.all(matches.any(axis=1))  # each of the nine shifts occurs


@pytest.mark.torch
def test_an_export_that_computes_something_else_is_refused(train_members, held_out, tmp_path):
    model, other = train_members.build_model(5), train_members.build_model(6)
    path = tmp_path / "member.onnx"
    train_members.export_member(model, path)
    train_members.check_export(model, path, held_out["x"][:8])
    with pytest.raises(MembersError, match=r"^member\.onnx differs from the trained member by "):
        train_members.check_export(other, path, held_out["x"][:8])


def test_training_without_torch_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "edgeens.demo.train_members", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingPackageError,
        match=r"^training the bundled members needs torch, which is not installed; "
        r"install the extra edgeens\[torch\] and scikit-learn$",
    ):
        importlib.import_module("edgeens.demo.train_members")
