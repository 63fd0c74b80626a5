"""State dicts of PyTorch and the graphs of both its exporters make the file that models make."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgeens.encoder import encode  # noqa: E402
from edgeens.errors import MembersError  # noqa: E402
from edgeens.onnx.session import Session  # noqa: E402

pytestmark = pytest.mark.torch

MEMBERS = 3
EXPORTERS = {
    "dynamo": {"dynamo": True, "optimize": False, "verbose": False},
    "TorchScript": {"dynamo": False, "do_constant_folding": False},
}
FOLDING = {"dynamo": {"dynamo": True, "verbose": False}, "TorchScript": {"dynamo": False}}


class Pictures(nn.Sequential):
    """Convolution and normalisation, which exporters like to fold into one."""

    def __init__(self):
        layers = [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()]
        super().__init__(*layers, nn.Linear(8 * 36, 10))
        self[1].running_mean = torch.rand(8)
        self[1].running_var = torch.rand(8) + 0.5

    example = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Sequences(nn.Module):
    """Linear layers on three axes, whose weights exporters transpose."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 32, bias=False)
        self.position = nn.Parameter(torch.randn(1, 9, 32))
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        hidden = self.first(x) + self.position
        return self.head((hidden + self.second(hidden).relu()).mean(1))

    example = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0))


def export(network, path, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(), (network.example,), path, input_names=["input"], **options
        )
    return path


def members(kind, folder, save):
    networks = []
    for seed in range(MEMBERS):
        torch.manual_seed(seed)
        networks.append(kind().eval())
    paths = [folder / f"member_{k}.pt" for k in range(MEMBERS)]
    for network, path in zip(networks, paths, strict=True):
        save(network, path)
    return networks, paths


def state_dict(network, path):
    torch.save(network.state_dict(), path)


def checkpoint(network, path):
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"state": {}, "groups": []}}, path)


def assert_file_computes(path, networks):
    example = networks[0].example
    with torch.no_grad():
        expected = torch.stack([network(example) for network in networks]).softmax(-1).numpy()
    with Session(path) as session:
        found = session.predict(example.numpy()).members
    np.testing.assert_allclose(found, expected, atol=0.01)  # 8-bit codes


@pytest.mark.parametrize("save", [state_dict, checkpoint], ids=lambda save: save.__name__)
@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("kind", [Pictures, Sequences], ids=lambda kind: kind.__name__)
def test_state_dicts_and_a_graph_compute_what_the_networks_do(tmp_path, kind, exporter, save):
    networks, paths = members(kind, tmp_path, save)
    graph = export(networks[0], tmp_path / "graph.onnx", EXPORTERS[exporter])
    encode(paths, tmp_path / "f.eens", graph=graph)
    assert_file_computes(tmp_path / "f.eens", networks)


@pytest.mark.parametrize("exporter", FOLDING)
def test_weights_that_an_exporter_transposed_are_found_or_refused(tmp_path, exporter):
    networks, paths = members(Sequences, tmp_path, state_dict)
    graph = export(networks[1], tmp_path / "graph.onnx", FOLDING[exporter])
    encode(paths, tmp_path / "f.eens", graph=graph)
    assert_file_computes(tmp_path / "f.eens", networks)
    with pytest.raises(MembersError, match=r"export the graph from one of these files' models"):
        encode([paths[0], paths[2]], tmp_path / "f.eens", graph=graph)


@pytest.mark.parametrize("exporter", FOLDING)
def test_folded_normalisations_are_refused(tmp_path, exporter):
    networks, paths = members(Pictures, tmp_path, state_dict)
    graph = export(networks[0], tmp_path / "graph.onnx", FOLDING[exporter])
    with pytest.raises(MembersError, match="has folded normalisations into the layers before"):
        encode(paths, tmp_path / "f.eens", graph=graph)


def test_a_pickled_network_is_refused_unread(tmp_path):
    network = Pictures().eval()
    graph = export(network, tmp_path / "graph.onnx", EXPORTERS["TorchScript"])
    torch.save(network, tmp_path / "whole.pt")
    with pytest.raises(MembersError, match=r"whole\.pt is not a file of tensors alone"):
        encode([tmp_path / "whole.pt"], tmp_path / "f.eens", graph=graph)
    torch.save({"a": network.state_dict(), "b": network.state_dict()}, tmp_path / "two.pt")
    with pytest.raises(MembersError, match=r"but it holds 2 state dicts \(a, b\)"):
        encode([tmp_path / "two.pt"], tmp_path / "f.eens", graph=graph)
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(MembersError, match="but it holds none"):
        encode([tmp_path / "none.pt"], tmp_path / "f.eens", graph=graph)
    with pytest.raises(FileNotFoundError):
        encode([tmp_path / "no.pt"], tmp_path / "f.eens", graph=graph)


def test_half_precision_state_dicts_become_float32(tmp_path):
    network = Sequences().eval()
    graph = export(network, tmp_path / "graph.onnx", EXPORTERS["dynamo"])
    torch.save(network.to(torch.bfloat16).state_dict(), tmp_path / "half.pt")
    encode([tmp_path / "half.pt"], tmp_path / "f.eens", graph=graph)
    assert_file_computes(tmp_path / "f.eens", [network.to(torch.float32)])
