"""Export: a file holds, to the bit, what the evaluation forward pass computes with."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgeens.decoder import Container  # noqa: E402
from edgeens.errors import MembersError  # noqa: E402
from edgeens.onnx.session import Session  # noqa: E402
from edgeens.torch import (  # noqa: E402
    coded_ensemble,
    convert,
    members_from_modules,
    write_ensemble,
    write_members,
)
from edgeens.torch.ensemble import member_weights  # noqa: E402
from tests.torch_modules import INPUTS, Pictures, Tokens, inputs, trained  # noqa: E402

pytestmark = pytest.mark.torch

METHODS = [
    ("independent", {}),
    ("uniform", {"bits": 2}),
    ("uniform", {"bits": 5, "grid": "channel"}),
    ("uniform", {"bits": 8}),
    ("shared", {"lambda4": 1.5}),
    ("lowrank", {"rank": 2}),
    ("lowrank", {"rank": 3, "bits": 4, "grid": "channel", "start": "svd"}),
    ("lowrank-shared", {"rank": 2, "lambda8": 2.5}),
    ("batchensemble", {"init": "normal"}),
    ("batchensemble", {"bits": 5}),
    ("bayesianbits", {}),
    ("shared", {"grid": "channel", "levels": 2, "surrogate": "paper"}),
]


def ensemble_of(kind, method, options, members=3):
    seeds = [0] * members if method == "batchensemble" else range(members)
    modules = [trained(kind, seed) for seed in seeds]
    return members_from_modules(modules, method=method, **options).train()


def shut_some_gates(ensemble):
    """2, 4, 8, 16 and 32 bits in turn, so that the file has every width."""
    weights = [w for w in member_weights(ensemble.module).values() if hasattr(w, "gates")]
    with torch.no_grad():
        for number, weight in enumerate(weights):
            weight.gates[(number + 2) % 5 :] = -3


def train_a_little(ensemble, x, steps=3):
    optimizer = torch.optim.Adam(ensemble.parameter_groups(lr=1e-2))
    for _ in range(steps):
        optimizer.zero_grad()
        (ensemble(x).square().mean() + 0.1 * ensemble.regularizer()).backward()
        optimizer.step()


@pytest.mark.parametrize(("method", "options"), METHODS)
@pytest.mark.parametrize("kind", INPUTS, ids=lambda kind: kind.__name__)
def test_a_file_decodes_to_the_tensors_of_the_evaluation_pass(kind, method, options, tmp_path):
    ensemble, x = ensemble_of(kind, method, options), inputs(kind)
    train_a_little(ensemble, x)
    shut_some_gates(ensemble)
    write_ensemble(ensemble, tmp_path / "e.eens", example_input=x[:2])
    ensemble.eval()
    with torch.no_grad(), Container.open(tmp_path / "e.eens") as container:
        names = {info.name for info in container.tensors}
        for layer, weight in member_weights(ensemble.module).items():
            for factor, values in weight.factors().items():
                name = f"{layer}.{factor}"
                decoded = container.decode(name)
                names.discard(name)
                expected = np.broadcast_to(values.numpy(), decoded.shape)
                assert decoded.tobytes() == expected.tobytes(), name
                coded = weight.coded().get(factor)
                bits = next(i.bits for i in container.tensors if i.name == name)
                assert bits == (coded.grid.bits if coded else 0), name
        for k in range(3):
            state = ensemble.load_member(k).state_dict()
            for name in names & state.keys():
                assert container.decode(name, member=k).tobytes() == state[name].numpy().tobytes()
        assert not any("onv" in name or name.endswith("weight") for name in names - state.keys())
        expected = ensemble(x).softmax(-1).numpy()
    with Session(tmp_path / "e.eens") as session:
        members = session.predict(x.numpy()).members
    assert np.abs(members - expected).max() < 1e-5


@pytest.mark.parametrize("kind", INPUTS, ids=lambda kind: kind.__name__)
def test_member_files_compute_what_the_ensemble_computes(kind, tmp_path):
    ensemble, x = ensemble_of(kind, "uniform", {"bits": 3}).eval(), inputs(kind)
    paths = write_members(ensemble, tmp_path, example_input=x[:1], output_names=["logits"])
    assert [path.name for path in paths] == ["member_0.onnx", "member_1.onnx", "member_2.onnx"]
    expected = ensemble(x).detach().numpy()
    for path, logits in zip(paths, expected, strict=True):
        onnx.checker.check_model(onnx.load(path), full_check=True)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        assert np.allclose(session.run(["logits"], {"input": x.numpy()})[0], logits, atol=1e-4)


def test_equal_weights_in_two_layers_are_still_coded(tmp_path):
    module = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16))
    module[2].load_state_dict(module[0].state_dict())
    ensemble = convert(module, members=2, method="uniform", bits=4)
    coded = coded_ensemble(ensemble, example_input=torch.zeros(1, 16))
    weights = [tensor for tensor in coded.tensors if tensor.shape == (16, 16)]
    assert all(tensor.grid is not None and tensor.grid.bits == 4 for tensor in weights)
    assert len(weights) >= 1


def test_a_zero_weight_is_not_negative(tmp_path):
    module = nn.Linear(8, 8)
    with torch.no_grad():
        module.weight.fill_(-1e-6)
        module.weight[0, 0] = 1.0
    ensemble = convert(module, members=2, method="uniform", bits=4).eval()
    assert not np.signbit(ensemble.module.weight().detach().numpy()).any()


def test_weights_that_are_not_finite_are_refused():
    ensemble = convert(nn.Linear(8, 8), members=2, method="uniform")
    with torch.no_grad():
        ensemble.module.weight.values[1, 2, 3] = float("nan")
    with pytest.raises(MembersError, match=r"^weights are NaN, infinite or so large"):
        coded_ensemble(ensemble, example_input=torch.zeros(1, 8))


def test_a_layer_that_is_never_used_is_refused():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            return self.used(x)

    ensemble = convert(Unused(), members=2, method="uniform")
    with pytest.raises(MembersError, match=r"^the exported graph has no tensor 'spare\.weight': "):
        coded_ensemble(ensemble, example_input=torch.zeros(1, 8))


def test_what_onnx_lacks_is_said_in_one_sentence():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x.reshape(-1, 2, 2)).real

    ensemble = convert(nn.Sequential(nn.Linear(4, 4), Odd()), members=1)
    with pytest.raises(MembersError, match=r"^the members cannot be exported to ONNX: [^\n]+$"):
        coded_ensemble(ensemble, example_input=torch.zeros(1, 4))


def test_a_batch_of_any_size_runs_from_the_file(tmp_path):
    ensemble = ensemble_of(Tokens, "uniform", {"bits": 8})
    write_ensemble(ensemble, tmp_path / "e.eens", example_input=inputs(Tokens)[:1])
    with Session(tmp_path / "e.eens") as session:
        assert session.predict(inputs(Tokens)[:5].numpy()).members.shape == (3, 5, 5)


def test_exporting_leaves_the_ensemble_in_training():
    ensemble = ensemble_of(Pictures, "independent", {})
    coded_ensemble(ensemble, example_input=inputs(Pictures)[:1])
    assert ensemble.training
    assert ensemble.module.head[0].training
