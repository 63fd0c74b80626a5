"""Predictive quality and the spread of outputs, against scikit-learn, scipy, loops and hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from edgeens import metrics
from edgeens.arrays import Array
from edgeens.errors import DataError
from edgeens.uncertainty import softmax


def _logits(members: int, batch: int, classes: int, seed: int) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    logits = random.normal(0.0, 2.0, (members, batch, classes))
    return logits, random.integers(0, classes, batch)


@pytest.mark.parametrize("seed", range(5))
def test_quality_agrees_with_scikit_learn(seed: int) -> None:
    logits, labels = _logits(3, 200, 7, seed)
    p = softmax(logits).mean(axis=0)
    names = np.arange(7)
    assert metrics.accuracy(p, labels) == sklearn.metrics.accuracy_score(labels, p.argmax(1))
    assert metrics.nll(p, labels) == pytest.approx(
        sklearn.metrics.log_loss(labels, p, labels=names)
    )
    assert metrics.brier(p, labels) == pytest.approx(
        sklearn.metrics.brier_score_loss(labels, p, labels=names, scale_by_half=False)
    )


def test_a_class_without_a_chance_costs_the_floor() -> None:
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    floor = -np.log(metrics.PROBABILITY_FLOOR)
    assert floor == pytest.approx(87.3365, abs=1e-4)
    assert metrics.nll(p, np.array([1, 0])) == pytest.approx((floor + np.log(2)) / 2)
    assert metrics.multilabel_nll(p[:1], [[0, 1]]) == pytest.approx(floor)


def test_brier_runs_from_zero_to_two() -> None:
    p = np.array([[1.0, 0.0]])
    assert metrics.brier(p, np.array([0])) == 0.0
    assert metrics.brier(p, np.array([1])) == 2.0


def test_among_equal_classes_the_first_is_chosen() -> None:
    assert metrics.accuracy([[0.5, 0.5], [0.5, 0.5]], np.array([0, 1])) == 0.5


def test_metrics_leave_their_arguments_alone() -> None:
    p = np.array([[0.25, 0.75]])
    metrics.brier(p, np.array([0]))
    np.testing.assert_array_equal(p, [[0.25, 0.75]])


def test_independent_labels_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(4)
    p, truth = random.uniform(0.01, 0.99, (50, 6)), random.integers(0, 2, (50, 6))
    by_label = [sklearn.metrics.log_loss(truth[:, c], p[:, c], labels=[0, 1]) for c in range(6)]
    assert metrics.multilabel_nll(p, truth) == pytest.approx(np.mean(by_label))
    wrong = sklearn.metrics.hamming_loss(truth, p >= 0.5)
    assert metrics.multilabel_accuracy(p, truth) == pytest.approx(1 - wrong)


def test_a_label_of_one_half_counts_as_yes() -> None:
    assert metrics.multilabel_accuracy([[0.5, 0.5, 0.5]], [[1, 1, 0]]) == pytest.approx(2 / 3)


def test_regression_agrees_with_scikit_learn_and_scipy() -> None:
    random = np.random.default_rng(5)
    mean, truth = random.normal(size=(2, 40, 3))
    variance = random.uniform(0.1, 4.0, (40, 3))
    flat = (truth.ravel(), mean.ravel())
    assert metrics.rmse(mean, truth) == pytest.approx(
        sklearn.metrics.root_mean_squared_error(*flat)
    )
    density = scipy.stats.norm(mean, np.sqrt(variance)).logpdf(truth)
    assert metrics.gaussian_nll(mean, variance, truth) == pytest.approx(-density.mean())


def test_errors_of_float16_outputs_do_not_overflow() -> None:
    mean, truth = np.float16([60000.0, 0.0]), np.float16([-60000.0, 0.0])
    assert metrics.rmse(mean, truth) == pytest.approx(np.float64(mean[0]) * np.sqrt(2))


@pytest.mark.parametrize("seed", range(5))
def test_enc_is_equation_seven_term_by_term(seed: int) -> None:
    f, _ = _logits(4, 6, 3, seed)
    mean = f.mean(axis=0)
    terms = [
        np.dot(f[k, n] - mean[n], sum(f[j, n] - mean[n] for j in range(4) if j != k))
        for k in range(4)
        for n in range(6)
    ]
    assert metrics.enc_logits(f) == pytest.approx(np.mean(terms))


def test_probability_variance_is_that_of_member_pairs() -> None:
    f, _ = _logits(5, 8, 3, 0)
    p = softmax(f)
    # The unbiased variance is half the mean squared distance of two different members.
    halves = [((p[i] - p[j]) ** 2).mean() / 2 for i, j in combinations(range(5), 2)]
    assert metrics.probability_variance(p) == pytest.approx(np.mean(halves))


@pytest.mark.parametrize("seed", range(5))
def test_ambiguity_is_what_averaging_logits_saves(seed: int) -> None:
    f, labels = _logits(4, 30, 5, seed)
    alone = np.mean([metrics.nll(softmax(member), labels) for member in f])
    pooled = metrics.nll(softmax(f.mean(axis=0)), labels)
    assert metrics.ambiguity(f, labels) == pytest.approx(alone - pooled)
    assert metrics.ambiguity(f, labels) > 0


def test_disagreement_is_the_mean_over_pairs_and_inputs() -> None:
    f, _ = _logits(5, 40, 4, 1)
    votes = f.argmax(axis=-1)
    pairs = [(votes[i] != votes[j]).mean() for i, j in combinations(range(5), 2)]
    assert metrics.disagreement(f) == metrics.disagreement(softmax(f))
    assert metrics.disagreement(f) == pytest.approx(np.mean(pairs))


def test_one_member_has_no_spread() -> None:
    f, labels = _logits(1, 5, 3, 2)
    assert metrics.disagreement(f) == metrics.ambiguity(f, labels) == metrics.enc_logits(f) == 0.0
    assert not np.signbit(metrics.enc_logits(f))
    with pytest.raises(
        DataError, match=r"^the unbiased variance of probabilities needs at least 2"
    ):
        metrics.probability_variance(softmax(f))


def test_every_metric_refuses_labels_of_another_batch() -> None:
    p, labels = np.full((3, 2), 0.5), np.zeros(4, int)
    for metric in (metrics.accuracy, metrics.nll, metrics.brier):
        with pytest.raises(DataError, match=r"^labels must have shape \(3,\), one class index"):
            metric(p, labels)
    with pytest.raises(DataError, match=r"^labels must have shape \(3,\), one class index"):
        metrics.ambiguity(p[None], labels)


def test_every_metric_refuses_nan() -> None:
    bad, labels = np.full((2, 3, 4), np.nan), np.zeros(3, int)
    for metric in (metrics.accuracy, metrics.nll, metrics.brier):
        with pytest.raises(DataError, match=r"^probabilities hold 12 NaN or infinite values"):
            metric(bad[0], labels)
    for metric in (metrics.multilabel_nll, metrics.multilabel_accuracy):
        with pytest.raises(DataError, match=r"^probabilities hold 12 NaN or infinite values"):
            metric(bad[0], np.zeros((3, 4)))
    for spread in (metrics.enc_logits, metrics.disagreement, metrics.probability_variance):
        with pytest.raises(DataError, match=r"hold 24 NaN or infinite values"):
            spread(bad)
    with pytest.raises(DataError, match=r"^logits hold 24 NaN or infinite values"):
        metrics.ambiguity(bad, labels)
    with pytest.raises(DataError, match=r"^targets hold 2 NaN or infinite values"):
        metrics.rmse(np.zeros(2), [np.nan, np.nan])


def test_a_target_that_is_no_yes_or_no_is_refused() -> None:
    with pytest.raises(DataError, match=r"^targets of independent labels must each be 0 or 1$"):
        metrics.multilabel_nll([[0.5, 0.5]], [[0.0, 0.5]])


def test_a_variance_that_is_no_variance_is_refused() -> None:
    with pytest.raises(DataError, match=r"^variances must be above 0, but the least is 0; add the"):
        metrics.gaussian_nll([0.0, 0.0], [1.0, 0.0], [0.0, 0.0])
    text = r"^variances must have the shape of the means, \(2,\), but have \(1,\)$"
    with pytest.raises(DataError, match=text):
        metrics.gaussian_nll([0.0, 0.0], [1.0], [0.0, 0.0])
    with pytest.raises(DataError, match=r"^variances must have the shape of the means, \(2, 1\)"):
        metrics.gaussian_nll([[0.0], [0.0]], [[1.0, 1.0]], [[0.0], [0.0]])
