"""The networks of the recipes have the published sizes, and every conversion takes them."""

from __future__ import annotations

import re

import pytest

torch = pytest.importorskip("torch")

from edgeens.torch import members_from_modules  # noqa: E402
from edgeens.torch.models.resnet import resnet8, resnet18, resnet20  # noqa: E402
from edgeens.torch.models.small import mlp, small_cnn  # noqa: E402
from edgeens.torch.models.vgg import vgg11  # noqa: E402
from edgeens.torch.recipes import RECIPES  # noqa: E402

pytestmark = pytest.mark.torch

WEIGHTS = {
    mlp: 101632,
    small_cnn: 105744,
    vgg11: 9351360,
    resnet18: 11164352,
    resnet20: 270896,
    resnet8: 77360,
}


@pytest.mark.parametrize("build", WEIGHTS, ids=lambda build: build.__name__)
def test_a_network_has_the_number_of_weights_that_its_docstring_states(build):
    weights = sum(each.numel() for each in build().parameters() if each.ndim > 1)
    assert weights == WEIGHTS[build]
    stated = re.search(r"([\d ]+) weights", build.__doc__)
    assert int(stated[1].replace(" ", "")) == weights


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_builds_a_network_for_its_pictures(recipe):
    torch.manual_seed(0)
    network = recipe.build().eval()
    x = torch.rand(2, *recipe.shape)
    assert network(x).shape == (2, 10)


@pytest.mark.parametrize("build", [small_cnn, resnet20], ids=lambda build: build.__name__)
def test_a_network_converts_and_computes_the_same(build):
    torch.manual_seed(0)
    modules = [build().eval() for _ in range(2)]
    x = torch.rand(3, 1 if build is small_cnn else 3, 28, 28)
    expected = torch.stack([module(x) for module in modules])
    assert torch.allclose(members_from_modules(modules)(x), expected, rtol=1e-4, atol=1e-5)
