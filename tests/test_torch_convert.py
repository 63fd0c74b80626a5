"""Conversion: K members in one pass compute what K modules compute apart, or it is refused."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgeens.errors import DataError, MembersError  # noqa: E402
from edgeens.torch import convert, members_from_modules  # noqa: E402
from tests.torch_modules import INPUTS, Pictures, Tokens, inputs, trained  # noqa: E402

pytestmark = pytest.mark.torch
KINDS = pytest.mark.parametrize("kind", INPUTS, ids=lambda kind: kind.__name__)


def close(one, other):
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@KINDS
def test_members_in_one_pass_compute_what_they_compute_apart(kind):
    modules = [trained(kind, seed) for seed in range(3)]
    ensemble = members_from_modules(modules)
    x = inputs(kind)
    expected = torch.stack([module(x) for module in modules])
    assert close(ensemble(x), expected)
    assert not close(expected[0], expected[1])


@KINDS
def test_training_in_one_pass_is_training_apart(kind):
    modules = [trained(kind, seed).train() for seed in range(2)]
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
    ensemble = members_from_modules(modules)
    x = inputs(kind)
    ensemble(x).square().sum().backward()
    for k, module in enumerate(modules):
        module(x).square().sum().backward()
        one = dict(ensemble.load_member(k).named_buffers())
        for name, buffer in module.named_buffers():  # running statistics
            assert close(buffer.float(), one[name].float()), name
    gradients = torch.stack([module.out.weight.grad for module in modules])
    assert close(ensemble.module.out.weight.values.grad, gradients)
    first = "stem.0" if kind is Pictures else "embed"
    gradients = torch.stack([module.get_submodule(first).weight.grad for module in modules])
    assert close(ensemble.module.get_submodule(first).weight.values.grad, gradients)


@KINDS
def test_a_member_comes_back_as_the_module_it_was(kind):
    modules = [trained(kind, seed) for seed in range(3)]
    ensemble = members_from_modules(modules)
    for k, module in enumerate(modules):
        member = ensemble.load_member(k)
        assert {name: type(layer) for name, layer in member.named_modules()} == {
            name: type(layer) for name, layer in module.named_modules()
        }
        state, expected = member.state_dict(), module.state_dict()
        assert state.keys() == expected.keys()
        assert all(state[name].equal(expected[name]) for name in state if "tracked" not in name)
        assert member(inputs(kind)).equal(module(inputs(kind)))


def test_in_a_split_batch_each_member_trains_on_its_part():
    modules = [nn.Sequential(nn.Linear(3, 2)) for _ in range(2)]
    ensemble = members_from_modules(modules, batch="split").train()
    x = torch.randn(6, 3)
    y = ensemble(x)
    assert y.shape == (2, 3, 2)
    assert close(y[0], modules[0](x[:3]))
    assert close(y[1], modules[1](x[3:]))
    assert ensemble.eval()(x).shape == (2, 6, 2)
    with pytest.raises(DataError, match=r"^a batch of 5 inputs cannot be split among 2 members; "):
        ensemble.train()(x[:5])


def test_the_module_and_the_modules_stay_as_they_were():
    module = trained(Pictures, 0)
    before = copy.deepcopy(module.state_dict())
    ensemble = convert(module, members=2, fresh=True).train()
    ensemble(inputs(Pictures)).sum().backward()
    assert all(value.equal(before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_members_are_copies_unless_they_are_drawn_anew():
    module = trained(Pictures, 0)
    copies = convert(module, members=2)(inputs(Pictures))
    assert copies[0].equal(copies[1])
    assert close(copies[0], module(inputs(Pictures)))
    torch.manual_seed(3)
    fresh = convert(module, members=2, fresh=True)
    torch.manual_seed(3)
    again = convert(module, members=2, fresh=True)
    x = inputs(Pictures)
    assert not close(fresh(x)[0], fresh(x)[1])
    assert fresh(x).equal(again(x))


def test_structured_inputs_and_outputs_keep_their_structure():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, pair, *, scale):
            return {"sum": self.layer(pair[0] + pair[1]) * scale, "twice": (pair[0] * 2,)}

    ensemble = convert(Both(), members=3)
    x = torch.randn(4, 3)
    result = ensemble([x, x], scale=2.0)
    assert result["sum"].shape == (3, 4, 2)
    assert result["twice"][0].equal((2 * x).expand(3, 4, 3))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"attn": nn.MultiheadAttention(8, 2)})


class Scaled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def with_own_parameter():
    module = nn.Sequential(nn.Linear(2, 2))
    module.token = nn.Parameter(torch.zeros(2))
    return module


def with_hook():
    module = nn.Sequential(nn.Linear(2, 2))
    module[0].register_forward_hook(lambda *_: None)
    return module


def tied():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].weight = module[0].weight
    return module


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            Attention(),
            r"^cannot convert layer 'encoder\.attn' of type MultiheadAttention: it has parameters "
            r"of its own \(in_proj_weight, in_proj_bias\), and those of several members",
        ),
        (nn.Sequential(Scaled(2, 2)), r"'0' of type Scaled: it is not Linear itself but a kind of"),
        (with_own_parameter(), r"layer '' of type Sequential: it has parameters .* \(token\)"),
        (with_hook(), r"layer '0' of type Linear: it has hooks, which would see all members"),
        (tied(), r"layer '1' of type Linear: its weight is also a parameter of layer '0'; use"),
        (nn.Sequential(nn.LazyLinear(2)), r"parameters have no shape yet; run the module once"),
        (nn.Sequential(nn.Linear(2, 2).double()), r"it has parameters of torch\.float64, and"),
        (
            nn.InstanceNorm2d(2, track_running_stats=True),
            r"layer '' of type InstanceNorm2d: its running statistics can be held .* only in Lin",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(module, message):
    with pytest.raises(MembersError, match=message):
        convert(module, members=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": 0}, r"^an ensemble has 1 to 64 members, not 0$"),
        ({"method": "magic"}, r"^there is no method 'magic'; there are independent, uniform"),
        ({"batch": "half"}, r"^batch is one of split, repeat, not 'half'$"),
        ({"bits": 4}, r"^the method 'independent' has no option 'bits'; it has none$"),
        ({"method": "uniform", "bits": 9}, r"^a uniform grid has 2 to 8 bits, not 9$"),
        ({"method": "uniform", "grid": "row"}, r"^grid is one of tensor, channel, not 'row'$"),
    ],
)
def test_an_option_that_does_not_exist_is_refused(options, message):
    with pytest.raises(MembersError, match=message):
        convert(nn.Linear(2, 2), **({"members": 2} | options))


def test_modules_of_different_architectures_are_refused():
    with pytest.raises(MembersError, match=r"^module 1 is not .* '0\.bias' is of shape \(3,\), no"):
        members_from_modules([nn.Sequential(nn.Linear(2, n)) for n in (2, 3)])
    with pytest.raises(MembersError, match=r"^module 1 is not .*: '0' is Tanh, not ReLU$"):
        members_from_modules([nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh())])
    with pytest.raises(MembersError, match=r"'1' is missing, not ReLU$"):
        members_from_modules([nn.Sequential(nn.Tanh(), nn.ReLU()), nn.Sequential(nn.Tanh())])


def test_an_output_without_a_batch_is_refused():
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean()

    with pytest.raises(DataError, match=r"^an output of shape \(\) cannot be told apart among 2"):
        convert(nn.Sequential(nn.Linear(2, 2), Mean()), members=2)(torch.randn(3, 2))


def test_a_member_that_does_not_exist_is_refused():
    with pytest.raises(MembersError, match=r"^there is no member 2: the members are 0 to 1$"):
        convert(nn.Linear(2, 2), members=2).load_member(2)


def test_parameters_are_grouped_once_and_all():
    ensemble = convert(trained(Tokens, 0), members=2)
    (group,) = ensemble.parameter_groups(lr=0.1, weight_decay=0.01)
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.01)
    assert {id(p) for p in group["params"]} == {id(p) for p in ensemble.parameters()}
    assert ensemble.regularizer().item() == 0
