"""What is refused at the door, in the words that the user reads."""

from __future__ import annotations

import numpy as np
import pytest

from edgeens.arrays import (
    checked_array,
    checked_labels,
    checked_probabilities,
    checked_targets,
    real_array,
)
from edgeens.errors import DataError


def test_float32_passes_without_a_copy() -> None:
    given = np.ones((2, 3), np.float32)
    assert checked_array(given, "logits", ("batch", "classes")) is given


def test_whole_numbers_become_float64() -> None:
    assert real_array([[1, 2]], "logits").dtype == np.float64


def test_an_ellipsis_stands_for_any_number_of_axes() -> None:
    for shape in ((2, 3), (2, 4, 3), (2, 4, 5, 3)):
        assert checked_array(np.zeros(shape), "x", ("batch", "...", "classes")).shape == shape


def test_members_of_different_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"^logits cannot form one array, because its parts have"):
        real_array([np.zeros(3), np.zeros(4)], "logits")


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"^logits must be real numbers, but have dtype complex128$"
    ):
        real_array(np.zeros(3, complex), "logits")


def test_an_empty_array_is_refused() -> None:
    with pytest.raises(DataError, match=r"^logits must not be empty, but have shape \(0, 10\)$"):
        real_array(np.zeros((0, 10)), "logits")


@pytest.mark.parametrize(
    ("axes", "wanted"),
    [(("batch", "classes"), "batch, classes"), (("inputs",), "inputs,")],
)
def test_a_wrong_number_of_axes_is_refused(axes: tuple[str, ...], wanted: str) -> None:
    text = rf"^x must have shape \({wanted}\), but have shape \(2, 3, 4\)$"
    with pytest.raises(DataError, match=text):
        checked_array(np.zeros((2, 3, 4)), "x", axes)


def test_too_few_axes_are_refused_beside_an_ellipsis() -> None:
    text = r"^x must have shape \(members, batch, ..., classes\), but have shape \(2, 3\)$"
    with pytest.raises(DataError, match=text):
        checked_array(np.zeros((2, 3)), "x", ("members", "batch", "...", "classes"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_value_that_is_not_finite_is_named(bad: float) -> None:
    given = np.zeros((2, 3))
    given[0, 2] = given[1, 0] = bad
    text = r"^logits hold 2 NaN or infinite values, the first at index \(0, 2\); look at"
    with pytest.raises(DataError, match=text):
        checked_array(given, "logits", ("batch", "classes"))


@pytest.mark.parametrize("row", [[-0.2, 0.6, 0.6], [2.5, -1.5], [0.5, 1.1]])
def test_logits_given_as_probabilities_are_refused(row: list[float]) -> None:
    text = r"^probabilities must lie in 0..1, but lie in .*; if they are logits, apply edgeens"
    with pytest.raises(DataError, match=text):
        checked_probabilities([row], ("batch", "classes"), class_axis=1)


def test_independent_labels_given_as_classes_are_refused() -> None:
    given = [[0.5, 0.5], [0.9, 0.8]]
    text = (
        r"^probabilities must sum to 1 over the class axis 1, but one sum is 1\.7; check the axis"
    )
    with pytest.raises(DataError, match=text):
        checked_probabilities(given, ("batch", "classes"), class_axis=1)
    assert checked_probabilities(given, ("batch", "labels"), class_axis=None).shape == (2, 2)


def test_a_half_precision_softmax_over_a_thousand_classes_passes() -> None:
    logits = np.random.default_rng(0).normal(0.0, 1.0, (8, 1000))
    exponentials = np.exp(logits)
    given = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float16)
    checked_probabilities(given, ("batch", "classes"), class_axis=1)


def test_one_hot_labels_are_refused() -> None:
    text = (
        r"^labels must have shape \(2,\), one class index for each input, but have shape \(2, 3\); "
        r"of one-hot labels take the argmax$"
    )
    with pytest.raises(DataError, match=text):
        checked_labels(np.eye(3)[:2], batch=2, classes=3)


def test_labels_that_are_not_whole_numbers_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"^labels must be whole numbers, but have dtype float64; if"
    ):
        checked_labels(np.array([0.0, 1.0]), batch=2, classes=3)


@pytest.mark.parametrize("bad", [3, -1])
def test_a_label_out_of_range_is_named(bad: int) -> None:
    text = rf"^labels must lie in 0..2, but the label at index 1 is {bad}$"
    with pytest.raises(DataError, match=text):
        checked_labels(np.array([0, bad, 2]), batch=3, classes=3)


def test_targets_never_broadcast() -> None:
    text = r"^targets must have the shape of the outputs, \(3, 1\), but have shape \(3,\)$"
    with pytest.raises(DataError, match=text):
        checked_targets(np.zeros(3), (3, 1))


def test_sums_may_miss_one_and_values_pass_it_by_rounding_alone() -> None:
    for wide, narrow in (([0.5, 0.491], [0.5, 0.489]), ([0.5, 0.509], [0.5, 0.511])):
        checked_probabilities([wide], ("batch", "classes"), class_axis=1)
        with pytest.raises(DataError, match=r"^probabilities must sum to 1 over the class axis 1"):
            checked_probabilities([narrow], ("batch", "classes"), class_axis=1)
    checked_probabilities([[1.0 + 5e-7]], ("batch", "labels"), class_axis=None)
    with pytest.raises(DataError, match=r"^probabilities must lie in 0\.\.1, but lie in 1\.0000"):
        checked_probabilities([[1.0 + 5e-6]], ("batch", "labels"), class_axis=None)
