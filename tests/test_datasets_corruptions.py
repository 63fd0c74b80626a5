"""Every corruption does what its name says, more of it at a higher severity, and the same again."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from edgeens.datasets.corruption_blurs import enlarged, gaussian_filter
from edgeens.datasets.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from edgeens.errors import DataError, MissingPackageError


@pytest.fixture(scope="module")
def frost(tmp_path_factory):
    """Pictures of frost: bright noise on black."""
    folder = tmp_path_factory.mktemp("frost")
    rng = np.random.default_rng(1)
    for name in ("frost1.png", "frost2.jpg"):
        ice = rng.integers(0, 256, (200, 240, 3), np.uint8)
        Image.fromarray(ice).save(folder / name)
    return folder


def pictures(n=6, channels=3, rows=32, columns=32):
    """Smooth pictures with edges in them, not noise."""
    rng = np.random.default_rng(0)
    x = gaussian_filter(rng.random((n, channels, rows, columns), np.float32), 2.0)
    x = (x - x.min()) / (x.max() - x.min())
    x[:, :, rows // 4 : rows // 2, columns // 4 : columns // 2] = 0.9
    return np.rint(255 * x).astype(np.uint8)


def distance(one, other):
    return float(np.sqrt(((one.astype(float) - other) ** 2).mean()))


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 20, 25)])
def test_every_corruption_changes_pictures_of_any_form(name, shape, frost):
    x = pictures(2, *shape)
    for severity in SEVERITIES:
        changed = corrupt(x, name, severity=severity, frost=frost)
        assert (changed.shape, changed.dtype) == (x.shape, x.dtype)
        assert 0.1 < distance(changed, x) < 128


# These two move edges, by no less at their mildest.
@pytest.mark.parametrize("name", sorted(CORRUPTIONS.keys() - {"elastic_transform", "pixelate"}))
def test_the_highest_severity_changes_more_than_the_lowest(name, frost):
    x = pictures(20)
    low, high = (corrupt(x, name, severity=s, frost=frost) for s in (1, 5))
    assert distance(high, x) > distance(low, x)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_picture_is_corrupted_the_same_whatever_the_others_are(name, frost, monkeypatch):
    x = pictures(5)
    whole = corrupt(x, name, severity=3, seed=7, frost=frost)
    others = x.copy()
    others[3:] = 0
    np.testing.assert_array_equal(
        corrupt(others, name, severity=3, seed=7, frost=frost)[:3], whole[:3]
    )
    monkeypatch.setattr("edgeens.datasets.corruptions._AT_A_TIME", 2)
    np.testing.assert_array_equal(corrupt(x, name, severity=3, seed=7, frost=frost), whole)
    fixed = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"}
    again = corrupt(x, name, severity=3, seed=8, frost=frost)
    assert np.array_equal(again, whole) == (name in fixed)


def test_noise_has_the_strength_that_its_severity_names():
    grey = np.full((8, 3, 32, 32), 128, np.uint8)
    for severity, deviation in zip(SEVERITIES, (0.04, 0.06, 0.08, 0.09, 0.10), strict=True):
        changed = corrupt(grey, "gaussian_noise", severity=severity) / 255
        assert changed.std() == pytest.approx(deviation, rel=0.03)
        assert changed.mean() == pytest.approx(128 / 255, abs=0.003)
    shots = corrupt(grey, "shot_noise", severity=5) / 255
    assert shots.std() == pytest.approx(np.sqrt(128 / 255 / 50), rel=0.03)
    salted = corrupt(grey, "impulse_noise", severity=5)
    assert (salted == 0).mean() == pytest.approx(0.035, abs=0.005)
    assert (salted == 255).mean() == pytest.approx(0.035, abs=0.005)


@pytest.mark.parametrize("name", ["defocus_blur", "motion_blur", "zoom_blur", "pixelate"])
def test_blurs_leave_an_even_picture_as_it_is(name):
    even = np.full((2, 3, 32, 32), 77, np.uint8)
    np.testing.assert_array_equal(corrupt(even, name, severity=5), even)


def test_glass_blur_takes_each_pixel_from_its_neighbours_above_and_left():
    x = np.arange(2 * 20 * 20, dtype=np.uint8).reshape(2, 1, 20, 20)
    changed = corrupt(x, "glass_blur", severity=1)  # its normal blur of .05 pixels does nothing
    steps = (changed.astype(int) - x) % 256
    assert set(np.unique(steps[:, :, 2:, 2:])) == {0, 256 - 1, 256 - 20, 256 - 21}
    assert not steps[:, :, :2].any()
    assert not steps[:, :, :, :2].any()


def test_brightness_adds_to_the_value_and_keeps_the_hue():
    x = np.zeros((1, 3, 1, 4), np.uint8)
    x[0, :, 0] = np.array([[100, 50, 0], [0, 0, 0], [240, 120, 60], [10, 10, 10]]).T
    changed = corrupt(x, "brightness", severity=2)[0, :, 0].T.tolist()  # adds .1, 25.5 of 255
    assert changed == [[126, 63, 0], [26, 26, 26], [255, 128, 64], [36, 36, 36]]


def test_contrast_shrinks_each_channel_towards_its_mean():
    x = pictures(1)
    changed = corrupt(x, "contrast", severity=5).astype(float)
    mean = x.mean(axis=(2, 3), keepdims=True)
    assert np.abs(changed - (mean + 0.15 * (x - mean))).max() <= 0.51


def test_pixelate_is_pillows_box_filter_there_and_back():
    x = pictures(3)
    for severity, share in zip(SEVERITIES, (0.95, 0.9, 0.85, 0.75, 0.65), strict=True):
        changed = corrupt(x, "pixelate", severity=severity)
        for before, after in zip(x, changed, strict=True):
            small = Image.fromarray(np.moveaxis(before, 0, -1)).resize(
                (int(32 * share),) * 2, Image.Resampling.BOX
            )
            expected = np.moveaxis(np.asarray(small.resize((32, 32), Image.Resampling.BOX)), -1, 0)
            assert np.abs(after.astype(int) - expected).max() <= 1


def test_jpeg_compression_is_what_a_jpeg_file_holds():
    x = pictures(1)
    file = io.BytesIO()
    Image.fromarray(np.moveaxis(x[0], 0, -1)).save(file, "JPEG", quality=40)
    expected = np.moveaxis(np.asarray(Image.open(file)), -1, 0)
    np.testing.assert_array_equal(corrupt(x, "jpeg_compression", severity=5)[0], expected)


def test_enlarging_keeps_a_ramp_a_ramp():
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32), (1, 1, 32, 32))
    found = enlarged(ramp, 1.25)[0, 0, 5]
    assert np.allclose(np.diff(found), np.diff(found)[0], atol=1e-4)
    assert 0.7 < np.diff(found)[0] < 0.85
    assert abs(found.mean() - ramp.mean()) < 0.6
    np.testing.assert_allclose(enlarged(ramp, 1.0), ramp, atol=1e-5)


def test_fog_is_thickest_at_the_highest_severity_and_whitens_the_dark():
    dark = np.zeros((2, 1, 28, 28), np.uint8)
    dark[:, :, :2] = 255
    means = [corrupt(dark, "fog", severity=s)[:, :, 2:].mean() for s in SEVERITIES]
    assert means == sorted(means)
    assert means[0] > 5


def test_frost_needs_pictures_large_enough(tmp_path):
    x = pictures(1)
    with pytest.raises(DataError, match=r"frost needs a folder .*hendrycks/robustness"):
        corrupt(x, "frost", severity=1)
    with pytest.raises(DataError, match="holds no pictures of frost"):
        corrupt(x, "frost", severity=1, frost=tmp_path)
    Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(DataError, match=r"small.png is too small for pictures of 32 x 32"):
        corrupt(x, "frost", severity=1, frost=tmp_path)


@pytest.mark.parametrize("name", ["jpeg_compression", "frost"])
def test_a_missing_pillow_is_said(name, monkeypatch, frost):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingPackageError, match=r"needs Pillow; install the extra edgeens\[rep"):
        corrupt(pictures(1), name, severity=1, frost=frost)


@pytest.mark.parametrize(
    ("images", "name", "severity", "text"),
    [
        (pictures(1), "rain", 1, "'rain' is no corruption; there are gaussian_noise, "),
        (pictures(1), "fog", 0, "the severity of fog is 1 to 5, not 0"),
        (pictures(1).astype(np.float32), "fog", 1, "pictures to corrupt are uint8"),
        (pictures(1)[0], "fog", 1, "pictures to corrupt are uint8"),
    ],
)
def test_what_cannot_be_corrupted_is_said(images, name, severity, text):
    with pytest.raises(DataError, match=text):
        corrupt(images, name, severity=severity)
