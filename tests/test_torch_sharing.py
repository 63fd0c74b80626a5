"""Sharing in training: Algorithm 1 to the bit, gradients against finite differences and toggles."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgeens.container.sizes import measure  # noqa: E402
from edgeens.container.writer import serialise  # noqa: E402
from edgeens.errors import MembersError  # noqa: E402
from edgeens.quantize.sharing import share_codes  # noqa: E402
from edgeens.torch import coded_ensemble, convert  # noqa: E402
from edgeens.torch.methods import shared  # noqa: E402
from edgeens.torch.paper_sharing import paper_means  # noqa: E402
from edgeens.torch.runs import chunks, sorting_network  # noqa: E402
from edgeens.torch.shared_function import share_digits  # noqa: E402
from edgeens.torch.sharing import SharedWeight  # noqa: E402

pytestmark = pytest.mark.torch


def algorithm_1(digits, lam):
    """The listing, line by line, its errata mended, the mean rounded half away from zero."""
    members = len(digits)
    cluster = [0] * members
    counter = buffer = milestone = 0
    index = sorted(range(members), key=lambda k: digits[k])
    ordered = [digits[k] for k in index]
    gaps = [ordered[i + 1] - ordered[i] for i in range(members - 1)]
    p = [1 if gap > lam else 0 for gap in gaps] + [1]
    for i in range(members):
        buffer += ordered[i]
        counter += 1
        if p[i] == 1:
            average = math.copysign(math.floor(abs(buffer / counter) + 0.5), buffer)
            for j in range(milestone, i + 1):
                cluster[j] = int(average)
            milestone, buffer, counter = i + 1, 0, 0
    result = [0] * members
    for position, k in enumerate(index):
        result[k] = cluster[position]
    return result


def digits_of(members, positions, widest, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-widest, widest + 1, (members, positions), generator=generator).float()


@pytest.mark.parametrize("widest", [2, 8])
@pytest.mark.parametrize("members", range(2, 17))
def test_the_operator_is_algorithm_1_to_the_bit(members, widest):
    digits = digits_of(members, 150, widest, seed=members)
    for lam in (-3.0, 0.0, 0.5, 1.0, 1.5, 2.99, 4.0, 7.5, 16.0, 40.0):
        expected = [algorithm_1(column, max(lam, 0)) for column in digits.int().T.tolist()]
        found = share_digits(digits, torch.tensor(lam))
        assert found.T.int().tolist() == expected, lam


@pytest.mark.parametrize("members", range(2, 17))
def test_the_network_sorts_every_row_of_zeros_and_ones(members):
    # The 0-1 principle: then it sorts anything.
    rows = np.array(list(itertools.product([0, 1], repeat=min(members, 16))), np.int8).T
    rows = list(rows)
    for i, j in sorting_network(members):
        rows[i], rows[j] = np.minimum(rows[i], rows[j]), np.maximum(rows[i], rows[j])
    assert all((high >= low).all() for low, high in itertools.pairwise(rows))


def unrounded(digits, lam):
    """Algorithm 1 in float64 with means as they are, (K, N) and a vector or number lam."""
    order = digits.argsort(stable=True, dim=0)
    ordered = digits.gather(0, order)
    runs = torch.cat([torch.zeros_like(ordered[:1]), (ordered.diff(dim=0) > lam).double()])
    runs = runs.cumsum(0)
    same = (runs.unsqueeze(0) == runs.unsqueeze(1)).double()
    means = (same * ordered).sum(1) / same.sum(1)
    return torch.empty_like(means).scatter(0, order, means)


@pytest.mark.parametrize("members", [2, 4, 7, 8, 16])
def test_the_gradient_of_digits_is_that_of_run_means(members):
    digits = digits_of(members, 60, 8, seed=members)
    gradient = torch.randn(members, 60, dtype=torch.float64)
    leaf = digits.clone().requires_grad_()
    share_digits(leaf, torch.tensor(2.5)).backward(gradient.float())
    for k in range(members):  # the unrounded mean is linear between two cuts
        step = torch.zeros(members, 60, dtype=torch.float64)
        step[k] = 1e-4
        forth, back = (unrounded(digits.double() + sign * step, 2.5) for sign in (1, -1))
        expected = ((forth - back) / 2e-4 * gradient).sum(0)
        assert torch.allclose(leaf.grad[k].double(), expected, atol=1e-4)


def toggles(column, gradient, lam, temperature):
    """dL/dLambda of one position by really toggling each cut."""
    order = sorted(range(len(column)), key=lambda k: column[k])
    ordered, g = [column[k] for k in order], [gradient[k] for k in order]
    gaps = [high - low for low, high in itertools.pairwise(ordered)]

    def loss(cuts):
        total, begin = 0.0, 0
        for end in [t + 1 for t, cut in enumerate(cuts) if cut] + [len(ordered)]:
            run = ordered[begin:end]
            total += sum(g[begin:end]) * sum(run) / len(run)
            begin = end
        return total

    result = 0.0
    for t, gap in enumerate(gaps):
        if gap == 0:  # equal digits share whatever Lambda is
            continue
        cuts = [gap > lam for gap in gaps]
        cut, joined = ([*cuts[:t], toggle, *cuts[t + 1 :]] for toggle in (True, False))
        p = 1 / (1 + math.exp(-(gap - lam) / temperature))
        result -= p * (1 - p) / temperature * (loss(cut) - loss(joined))
    return result


@pytest.mark.parametrize("members", [2, 3, 4, 7, 8, 16])
@pytest.mark.parametrize("lam", [0.2, 1.5, 4.0])
def test_the_gradient_of_lambda_is_the_effect_of_toggling_each_cut(members, lam):
    digits = digits_of(members, 40, 8, seed=members)
    gradient = torch.randn(members, 40)
    leaf = torch.full((40,), lam, requires_grad=True)
    share_digits(digits, leaf, temperature=0.7).backward(gradient)
    expected = [
        toggles(column, row, lam, 0.7)
        for column, row in zip(digits.T.tolist(), gradient.T.tolist(), strict=True)
    ]
    assert torch.allclose(leaf.grad, torch.tensor(expected), rtol=1e-3, atol=1e-4)


def weights(members=4, shape=(6, 5, 3), seed=0):
    return torch.randn((members, *shape), generator=torch.Generator().manual_seed(seed))


def shared_weight(values, **options):
    weight = shared(**({"lambda_parts": 1} | options))(values)
    assert isinstance(weight, SharedWeight)
    return weight


@pytest.mark.parametrize("grid", ["tensor", "channel"])
@pytest.mark.parametrize("members", [2, 4, 16])
def test_the_forward_pass_shares_as_the_encoder_does(members, grid):
    weight = shared_weight(weights(members), grid=grid, lambda4=1.5, lambda8=5.5)
    plain = shared_weight(weights(members), grid=grid, lambda4=0, lambda8=0)
    (factor,), (codes,) = weight.coded().values(), plain.coded().values()
    assert np.array_equal(factor.codes, share_codes(codes.codes, lambda4=1.5, lambda8=5.5))
    values = factor.codes.astype(np.float32) * factor.grid.broadcast_scale(3)
    assert weight().detach().numpy().tobytes() == values.tobytes()
    assert not np.array_equal(factor.codes, codes.codes)


def test_each_channel_shares_by_its_own_lambda():
    weight = shared_weight(weights(), lambda8=0.5)
    plain = weight().detach()
    with torch.no_grad():
        weight.lambda8[2] = 16
        weight.lambda4[2] = 4
    changed = (weight() != plain).flatten(2).any(2).any(0)
    assert changed.tolist() == [False, False, True, False, False, False]


def test_two_levels_leave_multiples_of_17():
    (factor,) = shared_weight(weights(), levels=2, lambda4=0.5).coded().values()
    assert not (factor.codes % 17).any()
    assert len(np.unique(factor.codes)) > 10


def test_positions_are_worked_on_in_parts_that_fit_together(monkeypatch):
    values, gradient = weights(shape=(8, 40)), weights(shape=(8, 40), seed=1)
    results = []
    for size in (1 << 15, 37):
        monkeypatch.setattr("edgeens.torch.runs._CHUNK", size)
        weight = shared_weight(values, lambda4=1.5, grid="channel")
        outputs = weight()
        (outputs * gradient).sum().backward()
        rate = weight.rate()
        (slope,) = torch.autograd.grad(rate, weight.lambda8)
        results.append([outputs, weight.lambda4.grad, weight.lambda8.grad, rate, slope])
    assert len(list(chunks(100, torch.device("cpu")))) >= 2
    assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip(*results, strict=True))


def test_the_gradient_of_lambda_includes_the_scale_and_the_weight_of_the_level():
    values, gradient = weights(), weights(seed=1)
    weight = shared_weight(values, lambda4=1.5, lambda8=5.5, grid="channel")
    (weight() * gradient).sum().backward()
    assert weight.values.grad.equal(gradient)
    codes = shared_weight(values, lambda4=0, lambda8=0, grid="channel").coded()["weight"]
    scale = torch.from_numpy(codes.grid.scale)
    n = torch.from_numpy(codes.codes).double()
    level4 = (n / 17).round()
    digits4 = (level4 - 5 * (level4 / 5).round()).float()
    lam = torch.full((6,), 1.5, requires_grad=True)
    out = share_digits(digits4, lam.reshape(6, 1, 1))
    ((out * 17 * scale.reshape(6, 1, 1)) * gradient).sum().backward()
    assert torch.allclose(weight.lambda4.grad, lam.grad, rtol=1e-4)
    rest = (n - 17 * level4 + 17 * (digits4 - out.detach())).clamp(-8, 8).float()
    lam = torch.full((6,), 5.5, requires_grad=True)
    out = share_digits(rest, lam.reshape(6, 1, 1))
    ((out * scale.reshape(6, 1, 1)) * gradient).sum().backward()
    assert torch.allclose(weight.lambda8.grad, lam.grad, rtol=1e-4)


def test_a_lambda_below_zero_counts_as_zero_and_can_come_back():
    weight = shared_weight(weights())
    with torch.no_grad():
        weight.lambda4.fill_(-2)
    zero = shared_weight(weights(), lambda4=0)
    assert weight().equal(zero())
    weight.rate().backward()
    assert (weight.lambda4.grad < 0).all()


def test_the_rate_counts_stored_bits_at_a_low_temperature():
    values = weights(shape=(6, 50))
    weight = shared_weight(values, lambda4=0.5, lambda8=3.5, temperature=1e-3)
    codes = weight.coded()["weight"].codes.astype(int)
    assert weight.rate().item() > 0
    level4 = np.rint(codes / 17)
    b = level4 - 5 * np.rint(level4 / 5)
    clusters = sum(len(set(column)) for column in b.reshape(4, -1).T)
    slope = torch.autograd.grad(weight.rate(), weight.lambda4)[0]
    assert slope.abs().max() < 1e-3  # far from every integer
    weight = shared_weight(values, levels=2, lambda4=0.5, temperature=1e-3)
    assert weight.rate().item() == pytest.approx(clusters * math.log2(5) / 4, rel=0.05)


def test_the_slope_of_the_rate_is_its_finite_difference():
    weight = shared_weight(weights(), lambda4=1.2, lambda8=3.3)
    weight.rate().backward()
    for lam in (weight.lambda4, weight.lambda8):
        rates = []
        for step in (1e-2, -2e-2):
            with torch.no_grad():
                lam[3] += step
            rates.append(weight.rate().item())
        with torch.no_grad():
            lam[3] += 1e-2
        assert lam.grad[3].item() == pytest.approx((rates[0] - rates[1]) / 2e-2, rel=0.02)


def test_the_rate_term_saves_bytes_and_the_regulariser_is_its_mean():
    def size_after(factor):
        torch.manual_seed(0)
        model = convert(
            torch.nn.Linear(64, 64), members=4, method="shared", fresh=True, lambda8=0.5
        )
        optimizer = torch.optim.Adam(model.parameter_groups(lr=0.01))
        x = torch.randn(32, 64)
        for _ in range(60):
            optimizer.zero_grad()
            (model(x).square().mean() + factor * model.regularizer()).backward()
            optimizer.step()
        data = serialise(coded_ensemble(model.eval(), example_input=x, coder="fixed"))
        return measure(data).parameter_bits, model

    with_rate, model = size_after(3.0)
    without, _ = size_after(0.0)
    assert with_rate < 0.8 * without
    expected = model.module.weight.rate() / (64 * 64)
    assert model.regularizer().item() == pytest.approx(expected.item())


def test_lambda_is_never_decayed_and_learns_at_its_own_rate():
    model = convert(torch.nn.Linear(16, 8), members=2, method="shared")
    groups = {group["name"]: group for group in model.parameter_groups(lr=0.1, weight_decay=0.2)}
    assert groups["weight"]["weight_decay"] == 0.2
    assert (groups["lambda"]["lr"], groups["lambda"]["weight_decay"]) == (1.0, 0.0)
    assert {id(p) for p in groups["lambda"]["params"]} == {
        id(model.module.weight.lambda4),
        id(model.module.weight.lambda8),
    }


def test_a_sample_of_positions_stands_for_all_without_bias():
    torch.manual_seed(0)
    values, gradient = weights(shape=(3, 300)), weights(shape=(3, 300), seed=1)

    def gradients(parts):
        weight = shared_weight(values, lambda4=1.5, lambda8=3.5, lambda_parts=parts)
        (weight() * gradient).sum().backward()
        rate = weight.rate()
        rate.backward()
        return torch.stack([weight.lambda4.grad, weight.lambda8.grad]), rate.detach()

    exact, rate = gradients(1)
    found = [gradients(4) for _ in range(60)]
    parts = {tuple(lam.flatten().tolist()): (lam, rate) for lam, rate in found}
    assert len(parts) == 4  # one for each
    assert torch.allclose(sum(lam for lam, _ in parts.values()) / 4, exact, rtol=1e-3, atol=1e-4)
    assert torch.allclose(sum(rate for _, rate in parts.values()) / 4, rate)


def test_small_channels_are_not_sampled():
    assert shared_weight(weights(shape=(3, 127)), lambda_parts=4).lambda_parts == 1
    assert shared_weight(weights(shape=(3, 255)), lambda_parts=4).lambda_parts == 3
    assert shared_weight(weights(shape=(3, 900)), lambda_parts=4).lambda_parts == 4


def test_the_regulariser_follows_the_weights_and_can_be_asked_twice():
    weight = shared_weight(weights())
    weight().sum().backward()
    first = weight.rate()
    first.backward()
    weight.rate().backward()
    assert weight.rate().equal(first)
    optimizer = torch.optim.SGD([weight.lambda8], lr=0.01)
    optimizer.step()
    assert weight.rate() != first
    assert copy.deepcopy(weight).rate().equal(weight.rate())
    with torch.no_grad():
        weight.values.add_(weights(seed=5))
    assert weight.rate().equal(shared_rate_of(weight))


def shared_rate_of(weight):
    """The rate of a weight that never ran before."""
    other = shared_weight(weight.values.detach().clone())
    other.load_state_dict(weight.state_dict())
    return other.rate()


def test_a_fixed_lambda_gets_no_gradient():
    weight = shared_weight(weights(), learned=False)
    weight().sum().backward()
    assert weight.lambda4.grad is None
    assert weight.rate() is None
    assert weight.values.grad is not None


def test_narrow_kernels_of_the_paper_give_the_exact_means():
    digits = digits_of(5, 200, 8)
    found = paper_means(digits, torch.full((200,), 2.5), temperature=0.5, sigma=0.1)
    assert torch.allclose(found.double(), unrounded(digits.double(), 2.5), atol=1e-5)


def test_the_surrogate_of_the_paper_trains_lambda_and_evaluates_exactly():
    weight = shared_weight(weights(), surrogate="paper", lambda4=1.5)
    (weight() * weights(seed=1)).sum().backward()
    assert (weight.lambda4.grad != 0).any()
    assert weight.values.grad.equal(weights(seed=1))
    exact = shared_weight(weights(), lambda4=1.5)
    assert weight.eval()().equal(exact())


@pytest.mark.parametrize(
    ("options", "members", "message"),
    [
        ({"lambda_parts": 0}, 2, r"^lambda_parts must be 1 to 64, not 0$"),
        ({"levels": 4}, 2, r"^shared weights have 2 or 3 levels of digits, not 4$"),
        ({"lambda8": -1}, 2, r"^lambda8 must be a number >= 0, not -1$"),
        ({"lambda4": float("nan")}, 2, r"^lambda4 must be a number >= 0, not nan$"),
        ({"temperature": 0}, 2, r"^temperature must be a number > 0, not 0$"),
        ({"surrogate": "soft"}, 2, r"^surrogate is one of exact, paper, not 'soft'$"),
        ({}, 1, r"^bits can be shared by 2 to 16 members, not 1$"),
        ({}, 17, r"^bits can be shared by 2 to 16 members, not 17$"),
    ],
)
def test_what_sharing_cannot_do_is_refused(options, members, message):
    with pytest.raises(MembersError, match=message):
        convert(torch.nn.Linear(16, 8), members=members, method="shared", **options)


def test_a_lambda_below_zero_counts_as_zero_and_keeps_its_gradient():
    digits = torch.randint(-8, 9, (4, 200), generator=torch.Generator().manual_seed(0)).float()
    found = []
    for value in (0.0, -0.7):
        lam = torch.full((200,), value, requires_grad=True)
        shared = share_digits(digits, lam)
        torch.autograd.backward((shared * torch.linspace(-1, 1, 200)).square().sum())
        found.append((shared.detach(), lam.grad))
    (at_zero, slope), (below, other) = found
    assert below.equal(at_zero)
    assert other.equal(slope)
    assert slope.any()


def test_the_gradient_of_lambda_does_not_depend_on_a_level_that_is_dropped():
    gradient, found = weights(seed=1), []
    for options in ({"levels": 2}, {"lambda8": 5.5}):
        weight = shared_weight(weights(), lambda4=1.5, grid="channel", **options)
        (weight() * gradient).sum().backward()
        found.append(weight.lambda4.grad)
    assert torch.allclose(*found, rtol=1e-4)
    assert found[0].any()


def test_the_gradients_of_a_lambda_below_zero_are_those_at_zero():
    found = []
    for value in (0.0, -2.0):
        weight = shared_weight(weights(), lambda8=5.5, grid="channel")
        with torch.no_grad():
            weight.lambda4.fill_(value)
        (weight() * weights(seed=1)).sum().backward()
        rate = weight.rate()
        (slope,) = torch.autograd.grad(rate, weight.lambda4)
        found.append((weight.lambda4.grad, rate.detach(), slope))
    assert all(one.equal(other) for one, other in zip(*found, strict=True))
    assert found[0][0].any()
