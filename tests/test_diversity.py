"""Member against member: outputs and weights, against scipy and loops; the verdicts in words."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.spatial.distance
from hypothesis import given
from hypothesis import strategies as st

from edgeens import diversity, metrics
from edgeens.arrays import Array
from edgeens.errors import DataError
from edgeens.uncertainty import softmax


def _probabilities(spread: float, *, members: int = 4, seed: int = 0) -> Array:
    """Members that differ from one common model by normal noise of `spread` on its logits."""
    random = np.random.default_rng(seed)
    common = random.normal(0.0, 3.0, (500, 10))
    return softmax(common + random.normal(0.0, spread, (members, 500, 10)))


def test_the_matrix_holds_every_pair() -> None:
    p = _probabilities(1.0, members=5)
    votes = p.argmax(axis=-1)
    matrix = diversity.pairwise_disagreement(p)
    for i in range(5):
        for j in range(5):
            assert matrix[i, j] == np.mean(votes[i] != votes[j])
    assert metrics.disagreement(p) == pytest.approx(matrix[np.triu_indices(5, k=1)].mean())


def test_divergence_agrees_with_scipy() -> None:
    p = _probabilities(1.0, members=3)
    # scipy's distance is the root of the divergence.
    expected = [
        (scipy.spatial.distance.jensenshannon(p[i], p[j], axis=-1) ** 2).mean()
        for i, j in combinations(range(3), 2)
    ]
    assert diversity.mean_jensen_shannon(p) == pytest.approx(np.mean(expected))


def test_divergence_runs_from_zero_to_the_logarithm_of_two() -> None:
    one, other = [[1.0, 0.0]], [[0.0, 1.0]]
    assert diversity.mean_jensen_shannon([one, other]) == pytest.approx(np.log(2))
    assert diversity.mean_jensen_shannon([one, one]) == 0.0
    assert diversity.mean_jensen_shannon([one]) == 0.0


@given(st.integers(2, 5), st.integers(0, 2**32 - 1), st.data())
def test_the_order_of_members_never_matters(members: int, seed: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(members)))
    p = _probabilities(0.5, members=members, seed=seed)[:, :20]
    assert diversity.mean_jensen_shannon(p[order]) == pytest.approx(
        diversity.mean_jensen_shannon(p)
    )
    matrix = diversity.pairwise_disagreement(p)
    np.testing.assert_array_equal(
        diversity.pairwise_disagreement(p[order]), matrix[np.ix_(order, order)]
    )
    weights = np.random.default_rng(seed).normal(size=(members, 3, 4))
    for figure in (diversity.weight_correlation, diversity.dispersion):
        assert figure(weights[order]) == pytest.approx(figure(weights))


def test_correlation_is_the_mean_cosine_of_the_pairs() -> None:
    weights = np.random.default_rng(1).normal(0.3, 1.0, (4, 3, 2, 5))
    cosines = [
        1 - scipy.spatial.distance.cosine(weights[i].ravel(), weights[j].ravel())
        for i, j in combinations(range(4), 2)
    ]
    assert diversity.weight_correlation(weights) == pytest.approx(np.mean(cosines))


def test_correlation_of_a_hand_case() -> None:
    # Cosines of the three pairs: 0, 1/sqrt 2, 1/sqrt 2.
    assert diversity.weight_correlation([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]]) == pytest.approx(
        np.sqrt(2) / 3
    )


def test_the_length_of_a_member_never_changes_the_correlation() -> None:
    one = np.random.default_rng(2).normal(size=7)
    assert diversity.weight_correlation([one, 1e-3 * one]) == pytest.approx(1.0)
    assert diversity.weight_correlation([one, -5.0 * one]) == pytest.approx(-1.0)


def test_dispersion_divides_by_the_number_of_members() -> None:
    # Position by position: variance of (0, 2) is 1, of (3, 3) is 0, of (1, 5) is 4.
    assert diversity.dispersion([[0.0, 3.0, 1.0], [2.0, 3.0, 5.0]]) == pytest.approx(5 / 3)


def test_a_correlation_without_a_meaning_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"^the correlation of weights needs at least 2 members, no"
    ):
        diversity.weight_correlation(np.ones((1, 3)))
    with pytest.raises(
        DataError, match=r"^weights of member 1 are all 0, so they point nowhere; le"
    ):
        diversity.weight_correlation([[1.0, 1.0], [0.0, 0.0]])


def test_nan_is_refused_everywhere() -> None:
    bad = np.full((2, 3, 4), np.nan)
    for figure in (
        diversity.pairwise_disagreement,
        diversity.mean_jensen_shannon,
        diversity.weight_correlation,
        diversity.dispersion,
        diversity.collapse_verdict,
    ):
        with pytest.raises(DataError, match=r"hold 24 NaN or infinite values, the first at index"):
            figure(bad)


def test_equal_members_act_as_one_model() -> None:
    verdict = diversity.collapse_verdict(_probabilities(0.0))
    assert verdict.startswith(
        "The 4 members act as one model: two of them choose different classes"
    )
    assert "on 0 % of the inputs" in verdict
    assert verdict.endswith("so one member would do.")


def test_equal_members_that_are_certain_act_as_one_model() -> None:
    verdict = diversity.collapse_verdict([[[1.0, 0.0]], [[1.0, 0.0]]])
    assert verdict.startswith("The 2 members act as one model")


def test_members_a_rounding_error_apart_act_as_one_model() -> None:
    verdict = diversity.collapse_verdict(_probabilities(0.02))
    assert verdict.startswith("The 4 members act as one model")


def test_members_a_little_apart_are_close_relatives() -> None:
    verdict = diversity.collapse_verdict(_probabilities(0.2))
    assert verdict.startswith("The 4 members are close relatives: two of them choose")
    assert verdict.endswith("less than members that were trained independently show.")


def test_members_that_agree_but_are_sure_by_different_amounts_are_not_one_model() -> None:
    slightly = diversity.collapse_verdict([[[0.9, 0.1]], [[0.86, 0.14]]])
    assert slightly.startswith("The 2 members are close relatives")
    greatly = diversity.collapse_verdict([[[0.9, 0.1]], [[0.6, 0.4]]])
    assert greatly.startswith("The 2 members act as different models")


def test_members_that_break_ties_differently_are_not_one_model() -> None:
    verdict = diversity.collapse_verdict([[[0.501, 0.499]], [[0.499, 0.501]]])
    assert verdict.startswith("The 2 members are close relatives")


def _sure_by(share: float) -> Array:
    """Two members that agree on the class, and whose divergence is so much of their entropy."""
    low, high = 0.01, 0.89
    for _ in range(60):
        middle = (low + high) / 2
        p = np.array([[[0.9, 0.1]], [[middle, 1 - middle]]])
        mean = p.mean(axis=(0, 1))
        if diversity.mean_jensen_shannon(p) > share * -(mean * np.log(mean)).sum():
            low = middle
        else:
            high = middle
    return np.array([[[0.9, 0.1]], [[high, 1 - high]]])


@pytest.mark.parametrize(
    ("share", "verdict"),
    [
        (0.0019, "act as one model"),
        (0.0021, "are close relatives"),
        (0.0149, "are close relatives"),
        (0.0151, "act as different models"),
    ],
)
def test_divergence_is_weighed_against_the_entropy(share: float, verdict: str) -> None:
    assert diversity.collapse_verdict(_sure_by(share)).startswith(f"The 2 members {verdict}:")


@pytest.mark.parametrize(
    ("differing", "verdict"), [(4, "act as one model"), (6, "are close relatives")]
)
def test_disagreement_is_weighed_against_the_doubt(differing: int, verdict: str) -> None:
    # The mean is never sure, its doubt is .5: so members may differ on 5 of 100 inputs.
    p = np.full((2, 100, 2), 0.5) + np.array([1e-3, -1e-3])
    p[1, :differing] = p[1, :differing, ::-1]
    assert diversity.collapse_verdict(p).startswith(f"The 2 members {verdict}:")


def test_members_with_noise_of_their_own_act_as_different_models() -> None:
    p = _probabilities(2.0)
    verdict = diversity.collapse_verdict(p)
    assert verdict.startswith("The 4 members act as different models: two of them choose")
    assert f"on {100 * metrics.disagreement(p):.3g} % of the inputs" in verdict
    assert f"{diversity.mean_jensen_shannon(p):.3g} nats (Jensen-Shannon)" in verdict


def test_certain_members_that_never_agree_act_as_different_models() -> None:
    verdict = diversity.collapse_verdict([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert "on 100 % of the inputs, and differ by 0.693 nats" in verdict
    assert verdict.startswith("The 2 members act as different models")


def test_one_member_gets_no_verdict() -> None:
    verdict = diversity.collapse_verdict(_probabilities(0.0, members=1))
    assert verdict == "There is only one member, so there is nothing to compare."
