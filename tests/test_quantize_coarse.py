"""Where one scale does not suit a tensor's channels, they get scales of their own."""

from __future__ import annotations

import numpy as np
import pytest

from edgeens.decoder import Container
from edgeens.encoder import encode
from edgeens.ensemble import Ensemble, MemberTensor
from edgeens.errors import MembersError
from edgeens.quantize.coarse import live_channels
from edgeens.quantize.tensors import quantize_ensemble
from tests import onnx_graphs as graphs


def ensemble(spread, *, dead=0, axis=0, members=1):
    """A tensor of 32 channels: one *spread* times as large as others, *dead* ones near 1e-30."""
    values = np.random.default_rng(0).uniform(-1, 1, (members, 32, 64)).astype(np.float32)
    values[:, 0] *= spread
    values[:, 1 : 1 + dead] *= 1e-30
    values = np.ascontiguousarray(np.moveaxis(values, 1, axis + 1))
    return Ensemble(members, (MemberTensor("w", values, "float32", axis, quantise=True),))


def coded(given, **options):
    (tensor,) = quantize_ensemble(given, bits=8, **options).tensors
    return tensor


def rounding_error(given, **options):
    tensor = coded(given, **options)
    values = tensor.codes * tensor.grid.broadcast_scale(tensor.codes.ndim - 1)
    return np.sqrt(np.mean((given.tensors[0].values - values) ** 2))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("spread", "scales"), [(1, 1), (1.9, 1), (2.3, 32), (40, 32)])
def test_a_tensor_gets_channel_scales_where_they_halve_the_error(spread, scales, axis):
    given = ensemble(spread, axis=axis, members=2)
    assert coded(given, per_channel=None).grid.scale.size == scales
    gain = rounding_error(given) / rounding_error(given, per_channel=True)
    assert (gain > 2) == (scales > 1)


def test_the_limit_is_a_squared_error_four_times_as_large():
    # One channel of 1 and four of b: 5 / (1 + 4 b^2), which is 4 at b = 1/4.
    for b, coarse in ((0.25, True), (0.2501, False)):
        values = np.array([[[1.0]] + [[b]] * 4])
        assert (live_channels(values, 0) is not None) == coarse
        assert (live_channels(-values, 0) is not None) == coarse


def test_a_channel_is_dead_from_a_24th_power_of_two_on():
    for power, dead in ((-23, False), (-24, True)):
        values = np.array([[[1.0]] + [[0.01]] * 7 + [[2.0**power]]], np.float32)
        found = live_channels(values, 0)
        assert (found[0, 8, 0] == 0) == dead
        assert np.array_equal(found[:, :8], values[:, :8])


def test_the_choice_is_fit_on_all_members_together():
    given = ensemble(1, members=2)
    given.tensors[0].values[1, 0] *= 40
    assert coded(given, per_channel=None).grid.scale.shape == (32,)


def test_dead_channels_do_not_count_and_become_zeros():
    assert coded(ensemble(1, dead=20), per_channel=None).grid.scale.size == 1
    given = ensemble(40, dead=20)
    tensor = coded(given, per_channel=None)
    assert tensor.grid.scale.size == 32
    assert not tensor.codes[:, 1:21].any()
    assert np.abs(tensor.codes[:, 21:]).max() == 127
    assert given.tensors[0].values[:, 1:21].any()  # the members stay as they came
    assert np.abs(coded(given, per_channel=True).codes[:, 1:21]).max() == 127  # asked for


@pytest.mark.parametrize("values", [np.zeros((1, 4, 3), np.float32), np.ones((2, 0, 3))])
def test_a_tensor_of_nothing_keeps_one_scale(values):
    assert live_channels(values, 0) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_no_grid_holds_are_still_refused(value):
    given = ensemble(40)
    given.tensors[0].values[0, 3, 3] = value
    with pytest.raises(MembersError, match="'w'"):
        quantize_ensemble(given, per_channel=None)


def uneven(folder):
    """A model of four tensors; one channel of w1 is far larger than the others."""
    model = graphs.mlp(0)
    weights = graphs.normal(0, w1=(16, 12))["w1"]
    weights[0] *= 60
    graphs.replace_values(model, "w1", weights)
    return graphs.save([model], folder)


def test_the_encoder_tells_what_got_channel_scales_unless_all_were_asked_for(tmp_path):
    paths = uneven(tmp_path)
    (note,) = encode(paths, tmp_path / "f.eens").notes
    assert note.startswith("1 of 4 tensors have a scale a channel (w1), because one scale")
    assert encode(paths, tmp_path / "f.eens", grid="tensor").notes == ()
    assert encode(paths, tmp_path / "f.eens", grid="channel").notes == ()
    assert encode(paths, tmp_path / "f.eens", bits=4).notes == ()


def test_only_the_coarse_tensor_differs_from_one_scale_a_tensor(tmp_path):
    paths = uneven(tmp_path)
    weights = {}
    for grid in ("auto", "tensor", "channel"):
        encode(paths, tmp_path / f"{grid}.eens", grid=grid)
        with Container.open(tmp_path / f"{grid}.eens") as container:
            weights[grid] = {t.name: container.decode(t.name, member=0) for t in container.tensors}
    for name, values in weights["auto"].items():
        like = "channel" if name == "w1" else "tensor"
        assert np.array_equal(values, weights[like][name])
    assert not np.array_equal(weights["auto"]["w1"], weights["tensor"]["w1"])
