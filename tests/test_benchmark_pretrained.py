"""The benchmark of published networks, on networks made here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pretrained, report
from benchmarks.published import NETWORKS, Published
from edgeens.errors import DataError
from tests import onnx_graphs as graphs


def silent(label, done, total):
    """No progress."""


def small(**options):
    return Published(title="small", file="small.onnx", source="here", **options)


@pytest.fixture
def data(tmp_path):
    """A folder with one network, on inputs of 12 numbers."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small.onnx").write_bytes(graphs.mlp(0).SerializeToString())
    return tmp_path


def test_a_network_without_pictures_is_compared_on_random_inputs(data, monkeypatch):
    monkeypatch.setattr(pretrained, "NETWORKS", (small(shape=(12,)),))
    (row,) = pretrained.measure_pretrained(data, progress=silent)
    assert row["pictures"] is None
    assert [way["way"] for way in row["ways"]] == [way for way, _ in pretrained.WAYS]
    for way in row["ways"]:
        assert 0 < way["error"] < 0.1
        assert way["export"] < 1e-5
    assert row["ways"][2]["error"] < row["ways"][3]["error"]  # 8 bits; 6 bits, drawn


def test_weights_without_a_graph_come_as_they_are(tmp_path, monkeypatch):
    """Six state dicts in one .npz, judged on pictures: the float members are exactly theirs."""
    (tmp_path / "models").mkdir()
    shapes = {"conv1": (10, 1, 5, 5), "conv2": (20, 10, 5, 5), "fc1": (50, 320), "fc2": (10, 50)}
    arrays = {}
    for member in range(2):
        for name, values in graphs.normal(member, **shapes).items():
            arrays[f"m{member}/{name}.weight"] = values
            arrays[f"m{member}/{name}.bias"] = np.zeros(len(values), np.float32)
    np.savez(tmp_path / "models" / "nets.npz", **arrays)
    network = Published("nets", "nets.npz", "here", shape=(1, 28, 28))
    monkeypatch.setattr(pretrained, "NETWORKS", (network,))
    (row,) = pretrained.measure_pretrained(tmp_path, progress=silent)
    assert row["members"] == 2
    assert 0 < row["ways"][0]["error"] < 0.05


def test_what_cannot_be_drawn_from_is_told(data, monkeypatch):
    model = graphs.dynamically_quantised(0)
    (data / "models" / "small.onnx").write_bytes(model.SerializeToString())
    monkeypatch.setattr(pretrained, "NETWORKS", (small(shape=(12,)),))
    (row,) = pretrained.measure_pretrained(data, progress=silent)
    assert "all drawn members would be the same" in row["ways"][3]["refused"]
    assert row["ways"][0]["error"] == 0
    (_, errors) = report.pretrained_tables([row])
    assert errors.splitlines()[-1].endswith("| refused |")


def test_the_tables_of_the_guide_are_those_that_were_measured():
    root = Path(__file__).parents[1]
    saved = json.loads((root / "benchmarks" / "results" / "pretrained.json").read_text())
    assert [row["title"] for row in saved["networks"]] == [each.title for each in NETWORKS]
    guide = (root / "docs" / "GUIDES.md").read_text()
    for table in report.pretrained_tables(saved["networks"]):
        assert table in guide


def test_a_missing_network_is_named(tmp_path):
    with pytest.raises(DataError, match=f"{NETWORKS[0].file} is missing: "):
        pretrained.measure_pretrained(tmp_path, progress=silent)
