"""Scores of unfamiliar inputs against scipy, and their ranking against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from edgeens import ood
from edgeens.errors import DataError
from edgeens.uncertainty import softmax

# Few values, so that ties within and between the two sets are the rule.
tied_scores = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 3.0]), min_size=1, max_size=30)
free_scores = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)
score_sets = st.one_of(st.tuples(tied_scores, tied_scores), st.tuples(free_scores, free_scores))


@given(score_sets)
def test_areas_agree_with_scikit_learn(sets: tuple[list[float], list[float]]) -> None:
    inside, outside = sets
    truth = [0] * len(inside) + [1] * len(outside)
    scores = inside + outside
    area = sklearn.metrics.roc_auc_score(truth, scores)
    assert ood.auroc(inside, outside) == pytest.approx(area, abs=1e-12)
    precision = sklearn.metrics.average_precision_score(truth, scores)
    assert ood.aupr(inside, outside) == pytest.approx(precision, abs=1e-12)


@given(score_sets, st.sampled_from([0.05, 0.5, 0.55, 0.8, 0.95, 1.0]))
def test_false_alarms_agree_with_scikit_learn(
    sets: tuple[list[float], list[float]], tpr: float
) -> None:
    inside, outside = sets
    truth = [0] * len(inside) + [1] * len(outside)
    false, true, _ = sklearn.metrics.roc_curve(truth, inside + outside, drop_intermediate=False)
    expected = false[np.argmax(true >= tpr - 1e-12)]
    assert ood.fpr_at_tpr(inside, outside, tpr=tpr) == pytest.approx(expected)


def test_ranking_of_a_hand_case() -> None:
    inside, outside = [0.1, 0.2, 0.3, 0.3], [0.3, 0.9]
    # Of the 8 pairs the outside wins 4 + 2 and ties 2.
    assert ood.auroc(inside, outside) == pytest.approx(7 / 8)
    # At 0.9: precision 1, recall 1/2; at 0.3: precision 2/4, recall 1.
    assert ood.aupr(inside, outside) == pytest.approx(0.5 * 1.0 + 0.5 * 0.5)
    assert ood.fpr_at_tpr(inside, outside) == 0.5
    assert ood.fpr_at_tpr(inside, outside, tpr=0.5) == 0.0


def test_a_score_that_knows_nothing_has_the_values_of_chance() -> None:
    inside, outside = [1.0] * 30, [1.0] * 10
    assert ood.auroc(inside, outside) == 0.5
    assert ood.aupr(inside, outside) == 0.25
    assert ood.fpr_at_tpr(inside, outside) == 1.0


def test_a_rate_that_rounds_up_in_binary_asks_for_no_further_input() -> None:
    assert 0.55 * 100 > 55
    outside = np.arange(100.0)
    assert ood.fpr_at_tpr([44.5], outside, tpr=0.55) == 0.0


@pytest.mark.parametrize("tpr", [0.0, -0.1, 1.01, float("nan")])
def test_a_rate_that_is_no_rate_is_refused(tpr: float) -> None:
    with pytest.raises(DataError, match=rf"^tpr must lie above 0 and at most at 1, not at {tpr}$"):
        ood.fpr_at_tpr([0.0], [1.0], tpr=tpr)


def test_scores_that_are_no_numbers_are_refused() -> None:
    for ranking in (ood.auroc, ood.aupr, ood.fpr_at_tpr):
        with pytest.raises(DataError, match=r"^outside scores hold 1 NaN or infinite values"):
            ranking([0.0], [np.nan])
        with pytest.raises(DataError, match=r"^inside scores must have shape \(inputs,\), but"):
            ranking([[0.0]], [1.0])
        with pytest.raises(DataError, match=r"^outside scores must not be empty"):
            ranking([0.0], [])


def test_scores_agree_with_scipy() -> None:
    logits = np.random.default_rng(0).normal(0.0, 3.0, (4, 9, 5))
    p = scipy.special.softmax(logits, axis=-1)
    entropy = scipy.special.entr(p.mean(axis=0)).sum(axis=-1)
    scores = ood.ood_scores(logits, from_logits=True)
    assert list(scores) == ["1 - max p", "predictive entropy", "mutual information", "energy"]
    np.testing.assert_allclose(scores["1 - max p"], 1 - p.mean(axis=0).max(axis=-1))
    np.testing.assert_allclose(scores["predictive entropy"], entropy)
    expected = entropy - scipy.special.entr(p).sum(axis=-1).mean(axis=0)
    np.testing.assert_allclose(scores["mutual information"], expected)
    energy = -scipy.special.logsumexp(logits.mean(axis=0), axis=-1)
    np.testing.assert_allclose(scores["energy"], energy)


def test_probabilities_give_the_same_scores_less_the_energy() -> None:
    logits = np.random.default_rng(1).normal(0.0, 3.0, (3, 6, 4))
    of_logits = ood.ood_scores(logits, from_logits=True)
    of_probabilities = ood.ood_scores(softmax(logits))
    assert set(of_logits) - set(of_probabilities) == {"energy"}
    for name, scores in of_probabilities.items():
        np.testing.assert_allclose(scores, of_logits[name])


def test_one_member_has_no_mutual_information() -> None:
    assert list(ood.ood_scores(np.full((1, 2, 2), 0.5))) == ["1 - max p", "predictive entropy"]


def test_confident_float32_logits_do_not_tie() -> None:
    logits = np.array([[[20.0, 0.0], [21.0, 0.0]]], np.float32)
    score = ood.ood_scores(logits, from_logits=True)["1 - max p"]
    assert score[0] > score[1] > 0


def test_every_score_is_larger_for_the_input_that_members_argue_about() -> None:
    sure, argued = [[6.0, 0.0, 0.0]] * 2, [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    logits = np.array([sure, argued]).swapaxes(0, 1)
    for name, score in ood.ood_scores(logits, from_logits=True).items():
        assert score[1] > score[0], name


def test_logits_given_as_probabilities_are_refused() -> None:
    with pytest.raises(DataError, match=r"^probabilities must lie in 0..1, but lie in -3..4; if"):
        ood.ood_scores([[[-3.0, 4.0]]])
