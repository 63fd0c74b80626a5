"""Low-rank layers and BatchEnsemble: their equations, their starts, and what their files hold."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgeens.errors import MembersError  # noqa: E402
from edgeens.torch import coded_ensemble, convert, members_from_modules, write_members  # noqa: E402
from edgeens.torch.low_rank import LowRankWeight, latent_width  # noqa: E402
from edgeens.torch.sharing import SharedWeight  # noqa: E402
from edgeens.torch.uniform import UniformWeight  # noqa: E402

pytestmark = pytest.mark.torch


def layer_of(kind):
    return {
        "linear": lambda: nn.Linear(40, 30),
        "conv1": lambda: nn.Conv1d(24, 32, 5),
        "conv2": lambda: nn.Conv2d(32, 24, 3, groups=2),
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "equation"),
    [
        ("linear", "kov,kiv->koi"),
        ("conv1", "kovx,kivx->koix"),
        ("conv2", "kovyx,kivyx->koiyx"),
    ],
)
def test_a_weight_is_the_product_of_equation_21(kind, equation):
    weight = convert(layer_of(kind), members=3, method="lowrank", rank=4).module.weight
    assert isinstance(weight, LowRankWeight)
    u, v = weight.u.values, weight.v.values
    product = torch.einsum(equation, u, v)
    assert product.shape == (3, *layer_of(kind).weight.shape)
    assert torch.allclose(weight(), product, atol=1e-6)


def test_autocast_leaves_the_product_in_float32():
    weight = convert(layer_of("linear"), members=2, method="lowrank", rank=4).module.weight
    expected = weight()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert weight().equal(expected)


def test_random_factors_make_weights_of_variance_two_by_fan_in():
    torch.manual_seed(0)
    weight = convert(nn.Conv2d(64, 64, 3), members=4, method="lowrank", rank=8).module.weight
    fan_in = 64 * 9
    for factor in (weight.u.values, weight.v.values):
        assert factor.std().item() == pytest.approx((2 / (fan_in * 8)) ** 0.25, rel=0.03)
    assert weight().var().item() == pytest.approx(2 / fan_in, rel=0.1)
    assert not weight()[0].equal(weight()[1])


@pytest.mark.parametrize("kind", ["linear", "conv1", "conv2"])
def test_the_start_svd_is_the_nearest_of_its_rank(kind):
    layer = layer_of(kind)
    weight = convert(layer, members=2, method="lowrank", rank=5, start="svd").module.weight
    wanted = layer.weight.detach().reshape(*layer.weight.shape[:2], -1).movedim(-1, 0)
    found = weight()[1].detach().reshape(*layer.weight.shape[:2], -1).movedim(-1, 0)
    tail = torch.linalg.svdvals(wanted)[:, 5:].square().sum()
    assert (wanted - found).square().sum().item() == pytest.approx(tail.item(), rel=1e-3)


@pytest.mark.parametrize(
    ("shape", "mu"),
    [((64, 3, 3, 3), 3), ((128, 64, 3, 3), 16), ((256, 512), 128), ((10, 256), 10), ((1, 1), 1)],
)
def test_the_latent_width_is_the_authors(shape, mu):
    assert latent_width(shape) == mu


def test_a_weight_that_factors_would_not_make_smaller_stays_whole():
    assert isinstance(
        convert(nn.Linear(256, 10), members=2, method="lowrank", bits=4).module.weight,
        UniformWeight,
    )


def test_both_factors_share_bits():
    torch.manual_seed(0)
    model = convert(nn.Linear(64, 64), members=4, method="lowrank-shared", lambda8=16, lambda4=0)
    weight = model.module.weight
    assert isinstance(weight.u, SharedWeight)
    assert isinstance(weight.v, SharedWeight)
    for factor in weight.coded().values():
        codes = factor.codes.astype(int)
        c = codes - 17 * np.rint(codes / 17)
        assert (c == c[:1]).all()
    expected = (weight.u.rate() + weight.v.rate()) / (2 * 64 * 16)
    assert model.regularizer().item() == pytest.approx(expected.item())
    groups = {group["name"]: len(group["params"]) for group in model.parameter_groups(lr=1.0)}
    assert groups == {"weight": 3, "lambda": 4}  # U, V, bias; two levels of each factor


@pytest.mark.parametrize("kind", ["linear", "conv1", "conv2"])
def test_a_batch_ensemble_is_a_matrix_times_rank_one(kind):
    layer = layer_of(kind)
    weight = convert(layer, members=3, method="batchensemble", init="normal").module.weight
    rank_one = torch.einsum("ko,ki->koi", weight.r, weight.s)
    rank_one = rank_one.reshape(*rank_one.shape, *[1] * (layer.weight.ndim - 2))
    assert torch.allclose(weight(), layer.weight * rank_one)
    assert not torch.allclose(weight()[0], weight()[1])


def test_fast_weights_start_as_they_are_told():
    torch.manual_seed(0)
    layer = nn.Linear(3000, 2000)

    def start(init):
        weight = convert(layer, members=2, method="batchensemble", init=init).module.weight
        return torch.cat([weight.r.flatten(), weight.s.flatten()]).detach()

    assert start("ones").unique().tolist() == [1]
    assert start("sign").unique().tolist() == [-1, 1]
    assert abs(start("sign").mean().item()) < 0.05
    assert start("normal").mean().item() == pytest.approx(1, abs=0.02)
    assert start("normal").std().item() == pytest.approx(0.5, abs=0.02)


def test_fast_weights_learn_at_their_own_rate_and_never_decay():
    model = convert(nn.Linear(8, 8), members=2, method="batchensemble")
    groups = model.parameter_groups(lr=0.1, weight_decay=0.2, fast_multiplier=0.5)
    fast = next(group for group in groups if group["name"] == "fast")
    assert (fast["lr"], fast["weight_decay"]) == (0.05, 0.0)
    assert {id(p) for p in fast["params"]} == {id(model.module.weight.r), id(model.module.weight.s)}


def test_a_fresh_batch_ensemble_draws_one_matrix():
    module = nn.Linear(8, 8)
    model = convert(module, members=3, method="batchensemble", init="ones", fresh=True)
    assert model.module.weight()[0].equal(model.module.weight()[2])
    assert not model.module.weight()[0].equal(module.weight)


def test_modules_that_differ_are_no_batch_ensemble():
    with pytest.raises(MembersError, match=r"^the members of BatchEnsemble share their matrices, "):
        members_from_modules([nn.Linear(8, 8), nn.Linear(8, 8)], method="batchensemble")


@pytest.mark.parametrize(
    ("method", "options", "factors", "operator"),
    [
        ("lowrank", {"rank": 4, "bits": 8}, {"u": 2, "v": 2}, "MatMul"),
        ("batchensemble", {"bits": 8}, {"weight": 1, "r": 2, "s": 2}, "Mul"),
    ],
)
@pytest.mark.parametrize("kind", ["linear", "conv1", "conv2"])
def test_a_file_holds_the_factors_and_the_graph_multiplies(
    kind, method, options, factors, operator, tmp_path
):
    model = convert(layer_of(kind), members=2, method=method, **options).eval()
    x = {"linear": (2, 40), "conv1": (2, 24, 9), "conv2": (2, 32, 5, 5)}[kind]
    coded = coded_ensemble(model, example_input=torch.zeros(x))
    tensors = {tensor.name: tensor for tensor in coded.tensors}
    assert {name: len(tensors[name].codes) for name in factors} == factors
    assert {tensors[name].grid is not None for name in factors if name not in "rs"} == {True}
    path = write_members(model, tmp_path, example_input=torch.zeros(x))[0]
    assert operator in {node.op_type for node in onnx.load(path).graph.node}
    assert model.bit_widths() == {
        name: 8 if tensors[name].grid is not None else 32 for name in factors
    }


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("lowrank", {"rank": 0}, r"^rank must be at least 1, not 0$"),
        ("lowrank", {"start": "zero"}, r"^start is one of random, svd, not 'zero'$"),
        ("lowrank-shared", {"bits": 8}, r"^the method 'lowrank-shared' has no option 'bits'; it "),
        ("lowrank-shared", {"levels": 5}, r"^shared weights have 2 or 3 levels"),
        ("batchensemble", {"init": "two"}, r"^init is one of ones, sign, normal, not 'two'$"),
    ],
)
def test_an_option_that_does_not_exist_is_refused(method, options, message):
    with pytest.raises(MembersError, match=message):
        convert(nn.Linear(32, 32), members=2, method=method, **options)
