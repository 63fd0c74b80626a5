"""Pictures come out of a model's input as pixels, and go back as the input they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeens.datasets.pixels import Pixels
from edgeens.errors import DataError

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


@given(
    st.sampled_from(["CHW", "HWC", "HW", "flat"]),
    st.sampled_from([1, 3]),
    st.integers(1, 40),
    st.sampled_from([(0.0, 1.0), (0.5, 0.25), (0.0, 1 / 255), "channels"]),
)
def test_pixels_survive_the_way_to_a_model_and_back(layout, channels, side, normalised):
    rng = np.random.default_rng(side)
    images = rng.integers(0, 256, (4, channels, side, side), np.uint8)
    if normalised == "channels":
        mean, std = MEAN[:channels], STD[:channels]
    else:
        mean, std = ((number,) for number in normalised)
    m, s = (np.reshape(numbers, (-1, 1, 1)) for numbers in (mean, std))
    x = ((images / 255 - m) / s).astype(np.float32)
    if layout == "HW" and channels == 3:
        return
    if layout == "HWC" and side in (1, 3):  # then the channels could as well come first
        return
    x = {
        "CHW": x,
        "HWC": np.moveaxis(x, 1, -1),
        "HW": x[:, 0],
        "flat": x.reshape(4, -1),
    }[layout]
    pixels = Pixels.of(x, mean=mean, std=std)
    np.testing.assert_array_equal(pixels.images(x), images)
    back = pixels.inputs(images)
    assert (back.shape, back.dtype) == (x.shape, x.dtype)
    np.testing.assert_allclose(back, x, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 5), (2, 4, 8, 8), (2, 0), (2, 1, 2, 8, 8), (2, 200)])
def test_inputs_that_are_no_pictures_are_refused(shape):
    with pytest.raises(DataError, match="hold no pictures that can be corrupted"):
        Pixels.of(np.zeros(shape, np.float32))


def test_an_undeclared_normalisation_is_refused_with_the_way_to_say_it():
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    with pytest.raises(DataError, match=r"not of 0 to 255: say how .* with --pixel-mean"):
        Pixels.of(x).images(x)
    with pytest.raises(DataError, match="not of 0 to 255"):
        Pixels.of(x).images(np.full_like(x, np.nan))


def test_a_wrong_number_of_means_or_a_std_of_nothing_is_refused():
    x = np.zeros((2, 3, 8, 8), np.float32)
    with pytest.raises(DataError, match="the pixels' mean is 1 number or 3, not 2"):
        Pixels.of(x, mean=(0.5, 0.5))
    with pytest.raises(DataError, match="the pixels' std is above 0, not 0"):
        Pixels.of(x, std=(0.5, 0.0, 0.5))
