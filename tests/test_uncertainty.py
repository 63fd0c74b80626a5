"""Predictions and their uncertainty, against scipy, loops and identities."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from edgeens import uncertainty
from edgeens.arrays import Array
from edgeens.errors import DataError
from edgeens.uncertainty import (
    summarize,
    summarize_logits,
    summarize_multilabel,
    summarize_regression,
)

FIGURES = (
    *("mean", "members", "predictive_entropy", "expected_entropy", "mutual_information"),
    "disagreement",
)


@st.composite
def member_probabilities(draw: st.DrawFn) -> Array:
    """Probabilities (K, batch, C), from flat to certain, in float32 or float64."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(2, 7)))
    scale = draw(st.sampled_from([0.0, 1.0, 10.0, 1000.0]))
    logits = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(0.0, 1.0, shape) * scale
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    probabilities = scipy.special.softmax(logits, axis=-1)
    # Below the smallest normal float32 the expected values lose their digits, not ours.
    probabilities[probabilities < np.finfo(np.float32).tiny * 100] = 0.0
    return np.asarray(probabilities, dtype)


@given(member_probabilities())
def test_entropies_agree_with_scipy(probabilities: Array) -> None:
    prediction = summarize(probabilities)
    wide = probabilities.astype(np.float64)
    expected = scipy.special.entr(wide).sum(axis=-1).mean(axis=0)
    np.testing.assert_allclose(
        prediction.predictive_entropy, scipy.special.entr(wide.mean(0)).sum(-1), atol=1e-12
    )
    np.testing.assert_allclose(prediction.expected_entropy, expected, atol=1e-12)


@given(member_probabilities())
def test_logits_give_what_their_softmax_gives(probabilities: Array) -> None:
    logits = probabilities * 50
    one, other = summarize_logits(logits), summarize(uncertainty.softmax(logits))
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(member_probabilities())
def test_many_values_have_the_figures_of_few(probabilities: Array) -> None:
    few = summarize(probabilities)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uncertainty, "_FEW", 0)
        many = summarize(probabilities)
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(many, name), getattr(few, name))


@given(member_probabilities())
def test_mutual_information_is_the_mean_divergence_from_the_mean(probabilities: Array) -> None:
    wide = probabilities.astype(np.float64)
    divergence = scipy.special.rel_entr(wide, wide.mean(axis=0)).sum(axis=-1).mean(axis=0)
    # float32 members sum to 1 only within 1e-6.
    np.testing.assert_allclose(summarize(probabilities).mutual_information, divergence, atol=1e-5)


@given(member_probabilities())
def test_every_figure_keeps_its_bounds(probabilities: Array) -> None:
    prediction = summarize(probabilities)
    members, _, classes = probabilities.shape
    top = np.log(classes) + 1e-6
    assert prediction.predictive_entropy is not None
    assert prediction.expected_entropy is not None
    assert prediction.mutual_information is not None
    assert prediction.disagreement is not None
    assert ((prediction.predictive_entropy >= 0) & (prediction.predictive_entropy <= top)).all()
    assert ((prediction.expected_entropy >= 0) & (prediction.expected_entropy <= top)).all()
    assert (prediction.mutual_information >= 0).all()
    assert (prediction.mutual_information <= np.log(members) + 1e-5).all()
    assert ((prediction.disagreement >= 0) & (prediction.disagreement <= 1)).all()
    ratio = uncertainty.variation_ratio(probabilities)
    assert ((ratio >= 0) & (ratio <= 1 - 1 / members + 1e-12)).all()


@given(member_probabilities(), st.data())
def test_the_order_of_members_never_matters(probabilities: Array, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(probabilities))))
    one, other = summarize(probabilities), summarize(probabilities[order])
    for name in ("mean", "predictive_entropy", "expected_entropy", "mutual_information"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-12)
    np.testing.assert_array_equal(one.disagreement, other.disagreement)


@given(member_probabilities())
def test_one_member_or_equal_members_share_all_they_know(probabilities: Array) -> None:
    equal = np.repeat(probabilities[:1], 4, axis=0)
    for prediction in (summarize(probabilities[:1]), summarize(equal)):
        np.testing.assert_allclose(prediction.mutual_information, 0.0, atol=1e-12)
        np.testing.assert_array_equal(prediction.disagreement, 0.0)


def test_rounding_never_makes_mutual_information_negative() -> None:
    equal = np.repeat(np.random.default_rng(0).dirichlet(np.ones(5), (1, 1000)), 3, axis=0)
    for prediction in (summarize(equal), summarize_multilabel(equal)):
        predictive, expected = prediction.predictive_entropy, prediction.expected_entropy
        assert predictive is not None
        assert expected is not None
        assert prediction.mutual_information is not None
        assert (predictive - expected).min() < 0
        assert prediction.mutual_information.min() == 0


@given(member_probabilities())
def test_disagreement_counts_pairs_and_variation_the_minority(probabilities: Array) -> None:
    votes = probabilities.argmax(axis=-1)
    pairs = [votes[i] != votes[j] for i, j in combinations(range(len(votes)), 2)]
    by_pairs = np.mean(pairs, axis=0) if pairs else np.zeros(votes.shape[1])
    np.testing.assert_allclose(summarize(probabilities).disagreement, by_pairs)
    most = scipy.stats.mode(votes, axis=0).count
    np.testing.assert_allclose(uncertainty.variation_ratio(probabilities), 1 - most / len(votes))


def test_two_certain_members_that_differ_know_nothing_together() -> None:
    prediction = summarize([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]])
    np.testing.assert_allclose(prediction.mean, [[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(prediction.predictive_entropy, [np.log(2)])
    np.testing.assert_array_equal(prediction.expected_entropy, [0.0])
    np.testing.assert_allclose(prediction.mutual_information, [np.log(2)])
    np.testing.assert_array_equal(prediction.disagreement, [1.0])


def test_a_certain_prediction_has_an_entropy_of_plain_zero() -> None:
    entropies = summarize([[[1.0, 0.0]]]).predictive_entropy
    assert entropies is not None
    assert not np.signbit(entropies).any()


@pytest.mark.parametrize("axis", [2, -3])
def test_a_class_axis_in_the_middle_gives_the_same_figures(axis: int) -> None:
    random = np.random.default_rng(1)
    last = random.dirichlet(np.ones(4), (3, 2, 5, 6))
    middle = np.moveaxis(last, -1, 2)
    one, other = summarize(last), summarize(middle, axis=axis)
    np.testing.assert_allclose(np.moveaxis(other.mean, 1, -1), one.mean)
    for name in ("predictive_entropy", "expected_entropy", "mutual_information", "disagreement"):
        assert getattr(other, name).shape == (2, 5, 6)
        np.testing.assert_allclose(getattr(other, name), getattr(one, name))
    np.testing.assert_array_equal(
        uncertainty.variation_ratio(middle, axis=axis), uncertainty.variation_ratio(last)
    )


@pytest.mark.parametrize(
    ("dtype", "result"),
    [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64)],
)
def test_results_have_the_documented_types(dtype: type, result: type) -> None:
    members = np.full((2, 3, 4), 0.25, dtype)
    classes = summarize(members)
    assert classes.task == "classification"
    assert classes.members is members
    assert classes.mean.dtype == result
    assert classes.mutual_information is not None
    assert classes.mutual_information.dtype == np.float64
    assert classes.variance is None
    assert classes.outputs == {}
    assert summarize_multilabel(members).mean.dtype == result
    numbers = summarize_regression(members)
    assert numbers.variance is not None
    assert numbers.mean.dtype == numbers.variance.dtype == result
    assert uncertainty.softmax(members).dtype == uncertainty.sigmoid(members).dtype == result


def test_float32_members_are_averaged_in_float64() -> None:
    members = np.full((64, 1, 2), 0.1, np.float32)
    members[..., 1] = np.float32(0.9)
    np.testing.assert_array_equal(summarize(members).mean, members[0])


@pytest.mark.parametrize("axis", [0, 1, -3, 3, -4])
def test_a_class_axis_that_counts_something_else_is_refused(axis: int) -> None:
    text = rf"^axis {axis} cannot count the classes of %s of shape \(2, 2, 2\): axis 0"
    with pytest.raises(DataError, match=text % "probabilities"):
        summarize(np.full((2, 2, 2), 0.5), axis=axis)
    with pytest.raises(DataError, match=text % "logits"):
        summarize_logits(np.zeros((2, 2, 2)), axis=axis)


def test_probabilities_without_a_members_axis_are_refused() -> None:
    text = (
        r"^probabilities must have shape \(members, batch, ..., classes\), but have shape \(2, 2\)"
    )
    with pytest.raises(DataError, match=text):
        summarize(np.full((2, 2), 0.5))
    text = text.replace("classes", "labels")
    with pytest.raises(DataError, match=text):
        summarize_multilabel(np.full((2, 2), 0.5))


def test_not_a_number_is_refused_by_every_task() -> None:
    for task in (summarize, summarize_multilabel, summarize_regression):
        with pytest.raises(DataError, match=r"hold 12 NaN or infinite values, the first at index"):
            task(np.full((2, 2, 3), np.nan))


@given(member_probabilities())
def test_each_independent_label_is_a_two_class_problem(probabilities: Array) -> None:
    labels = summarize_multilabel(probabilities)
    yes = probabilities.astype(np.float64)
    classes = summarize(np.stack((yes, 1.0 - yes), axis=-1))
    assert labels.task == "multilabel"
    # atol: a float32 mean below the smallest normal number has fewer digits
    np.testing.assert_allclose(labels.mean, classes.mean[..., 0], rtol=1e-6, atol=1e-37)
    for name in ("predictive_entropy", "expected_entropy", "mutual_information"):
        np.testing.assert_allclose(getattr(labels, name), getattr(classes, name), atol=1e-12)
    # At p = 1/2 both the label and the first of the two classes are chosen.
    np.testing.assert_array_equal(labels.disagreement, classes.disagreement)


def test_a_label_is_chosen_at_one_half() -> None:
    prediction = summarize_multilabel([[[0.5, 0.5]], [[0.4999, 0.7]]])
    np.testing.assert_array_equal(prediction.disagreement, [[1.0, 0.0]])


def test_regression_has_a_biased_variance_and_no_entropies() -> None:
    prediction = summarize_regression([[[1.0], [5.0]], [[3.0], [5.0]]])
    np.testing.assert_array_equal(prediction.mean, [[2.0], [5.0]])
    np.testing.assert_array_equal(prediction.variance, [[1.0], [0.0]])
    assert prediction.task == "regression"
    assert prediction.predictive_entropy is prediction.expected_entropy is None
    assert prediction.mutual_information is prediction.disagreement is None


def test_a_small_spread_around_a_large_output_is_not_lost_to_rounding() -> None:
    members = np.array([[1e7], [1e7 + 1], [1e7 + 3]], np.float32)
    np.testing.assert_allclose(summarize_regression(members).variance, [14 / 9], rtol=1e-6)


def test_rounding_never_makes_an_entropy_negative() -> None:
    above = np.float64(1.0 + 5e-7)  # as a mean of float32 probabilities may come out
    assert summarize([[[above, 0.0]]]).predictive_entropy == 0.0
    assert summarize_multilabel([[[above]]]).predictive_entropy == 0.0


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=6))
def test_softmax_and_sigmoid_agree_with_scipy(logits: list[float]) -> None:
    np.testing.assert_allclose(
        uncertainty.softmax(logits), scipy.special.softmax(logits), rtol=1e-9, atol=1e-300
    )
    np.testing.assert_allclose(
        uncertainty.log_softmax(logits), scipy.special.log_softmax(logits), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(
        uncertainty.sigmoid(logits), scipy.special.expit(logits), rtol=1e-9, atol=1e-300
    )


def test_softmax_works_on_any_axis() -> None:
    logits = np.random.default_rng(2).normal(0.0, 3.0, (2, 3, 4))
    np.testing.assert_allclose(
        uncertainty.softmax(logits, axis=1), scipy.special.softmax(logits, axis=1)
    )


def test_a_class_that_is_ruled_out_gets_no_probability() -> None:
    np.testing.assert_array_equal(uncertainty.softmax([0.0, -np.inf, 0.0]), [0.5, 0.0, 0.5])


@pytest.mark.parametrize("logits", [[0.0, np.nan], [0.0, np.inf], [-np.inf, -np.inf]])
def test_logits_without_a_softmax_are_refused(logits: list[float]) -> None:
    text = (
        r"^logits hold NaN or infinite values where a softmax needs a finite greatest logit; look"
    )
    for function in (uncertainty.softmax, uncertainty.log_softmax):
        with pytest.raises(DataError, match=text):
            function(logits)


def test_sigmoid_refuses_nan_and_takes_infinities() -> None:
    np.testing.assert_array_equal(uncertainty.sigmoid([-np.inf, 0.0, np.inf]), [0.0, 0.5, 1.0])
    with pytest.raises(DataError, match=r"^logits hold NaN; look at the model or the data"):
        uncertainty.sigmoid([np.nan])
