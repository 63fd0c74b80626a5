"""Where one scale does not suit a tensor's channels, the encoder says so."""

from __future__ import annotations

import numpy as np
import pytest

from edgeens.encoder import encode
from edgeens.ensemble import Ensemble, MemberTensor
from edgeens.quantize.coarse import coarse_tensors
from edgeens.quantize.tensors import quantize_ensemble
from tests import onnx_graphs as graphs


def ensemble(spread, *, zeros=0):
    """A tensor of 32 channels; one is *spread* times as large as the others, *zeros* are dead."""
    values = np.random.default_rng(0).uniform(-1, 1, (1, 32, 64)).astype(np.float32)
    values[:, 0] *= spread
    values[:, 1 : 1 + zeros] = 0
    return Ensemble(1, (MemberTensor("w", values, "float32", channel_axis=0, quantise=True),))


@pytest.mark.parametrize(("spread", "coarse"), [(1, []), (8, []), (40, ["w"])])
def test_a_tensor_is_coarse_when_most_channels_are_small(spread, coarse):
    given = ensemble(spread)
    assert coarse_tensors(given, quantize_ensemble(given, bits=8)) == coarse


def test_channels_of_zeros_are_not_small():
    given = ensemble(1, zeros=20)
    assert coarse_tensors(given, quantize_ensemble(given, bits=8)) == []


def test_a_scale_a_channel_is_never_coarse():
    given = ensemble(40)
    assert coarse_tensors(given, quantize_ensemble(given, bits=8, per_channel=True)) == []


def test_the_limit_is_the_error_that_rounding_makes():
    """s / sqrt(12) against the median channel's weights, measured on the codes themselves."""
    given = ensemble(20)
    coded = quantize_ensemble(given, bits=8)
    (tensor,) = coded.tensors
    error = given.tensors[0].values - tensor.codes * tensor.grid.scale
    measured = np.sqrt(np.mean(error[0, 1:] ** 2) / np.mean(given.tensors[0].values[0, 1:] ** 2))
    predicted = tensor.grid.scale[0] / np.sqrt(12) / np.sqrt(1 / 3)
    assert measured == pytest.approx(predicted, rel=0.1)


def test_the_encoder_tells_unless_the_grid_was_asked_for(tmp_path):
    model = graphs.mlp(0)
    weights = graphs.normal(0, w1=(16, 12))["w1"]
    weights[0] *= 60
    graphs.replace_values(model, "w1", weights)
    paths = graphs.save([model], tmp_path)
    (note,) = encode(paths, tmp_path / "f.eens").notes
    assert note.startswith("one scale a tensor is coarse for most channels of 1 of 4 tensors (w1):")
    assert encode(paths, tmp_path / "f.eens", grid="tensor").notes == ()
    assert encode(paths, tmp_path / "f.eens", bits=4).notes == ()
