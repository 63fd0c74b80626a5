"""Every method under autocast and data parallel; a model copies, saves and loads like any."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgeens.torch import convert  # noqa: E402
from edgeens.torch.methods import METHODS  # noqa: E402
from tests.torch_modules import Pictures, Tokens, inputs  # noqa: E402

pytestmark = pytest.mark.torch
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)


def fresh(kind, method):
    torch.manual_seed(0)
    return convert(kind(), members=2, method=method, fresh=True).train()


def gradients(model, module, x):
    """Of all parameters, after one backward pass through *module*, which is or wraps *model*."""
    torch.manual_seed(1)
    (module(x).float().square().mean() + 0.1 * model.regularizer()).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@EVERY_METHOD
@pytest.mark.parametrize("kind", [Pictures, Tokens])
def test_half_precision_changes_gradients_only_a_little(kind, method):
    model, other, x = fresh(kind, method), fresh(kind, method), inputs(kind)
    expected = gradients(other, other, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(model, model, x)
    for name, gradient in found.items():
        assert gradient.dtype == torch.float32, name
    found, expected = (
        torch.cat([g.flatten() for g in each.values()]) for each in (found, expected)
    )
    assert 0 < (found - expected).norm() < 0.2 * expected.norm()


@EVERY_METHOD
def test_data_parallel_training_reaches_every_parameter(method, tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1
    )
    try:
        alone, model, x = fresh(Tokens, method), fresh(Tokens, method), inputs(Tokens)
        expected = gradients(alone, alone, x)
        found = gradients(model, nn.parallel.DistributedDataParallel(model), x)
        for name, gradient in found.items():
            assert torch.allclose(gradient, expected[name], atol=1e-6), name
    finally:
        torch.distributed.destroy_process_group()


@EVERY_METHOD
def test_a_model_is_copied_saved_and_loaded_like_any_module(method, tmp_path):
    model, x = fresh(Tokens, method), inputs(Tokens)
    gradients(model, model, x)
    model.eval()
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other = convert(Tokens(), members=2, method=method).eval()
    assert not other(x).equal(model(x))
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert other(x).equal(model(x))
    assert copy.deepcopy(model)(x).equal(model(x))
