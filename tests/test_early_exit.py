"""Members stop where the answer is settled, and what follows is over the members that ran."""

from __future__ import annotations

import numpy as np
import pytest

from edgeens.calibration import fit_temperature
from edgeens.early_exit import EarlyExit, exit_scores, predict_early
from edgeens.errors import DataError
from edgeens.exit_curve import choose_point, fit_exit_curve
from edgeens.metrics import nll
from edgeens.uncertainty import entropy, softmax, summarize

ROWS, CLASSES, MEMBERS = 400, 5, 4


@pytest.fixture(scope="module")
def data():
    """Members that see the truth through noise of their own; (K, rows, classes) logits, labels."""
    rng = np.random.default_rng(3)
    labels = rng.integers(CLASSES, size=ROWS)
    shared = 6.0 * np.eye(CLASSES)[labels] * rng.uniform(0, 1, (ROWS, 1))
    noise = rng.normal(size=(MEMBERS, ROWS, CLASSES))
    return (shared + noise).astype(np.float32), labels


def lookup(outputs):
    return lambda member, rows: outputs[member, rows]


def rule(threshold, order=(2, 0, 3, 1)):
    return EarlyExit(order, (1.4, 1.2, 1.1, 1.0), threshold)


def test_each_row_is_the_mean_of_the_first_members_that_settle_it(data):
    outputs, _ = data
    given = rule(0.08)
    prediction = predict_early(given, lookup(outputs), rows=ROWS, logits=True)
    assert set(np.unique(prediction.members_used)) == {1, 2, 3, 4}
    for row in range(0, ROWS, 7):
        for count in range(1, MEMBERS + 1):
            raw = outputs[list(given.order[:count]), row] / given.temperatures[count - 1]
            mean = softmax(raw).mean(axis=0, dtype=np.float64)
            if (1 / count - 1 / MEMBERS) * entropy(mean) <= given.threshold:
                break
        assert prediction.members_used[row] == count
        np.testing.assert_allclose(prediction.mean[row], mean, rtol=1e-6)
        ran = list(given.order[:count])
        assert np.isfinite(prediction.members[ran, row]).all()
        others = [member for member in range(MEMBERS) if member not in ran]
        assert np.isnan(prediction.members[others, row]).all()
        whole = summarize(softmax(raw)[:, None])
        for name in ("predictive_entropy", "mutual_information", "disagreement"):
            np.testing.assert_allclose(
                getattr(prediction, name)[row], getattr(whole, name)[0], rtol=1e-5, atol=1e-9
            )


def test_a_member_never_runs_for_a_row_that_is_settled(data):
    outputs, _ = data
    asked = []

    def run(member, rows):
        asked.append((member, len(rows)))
        return outputs[member, rows]

    used = predict_early(rule(0.08), run, rows=ROWS, logits=True).members_used
    assert asked == [(m, int((used > k).sum())) for k, m in enumerate((2, 0, 3, 1))]


def test_a_threshold_without_end_stops_after_one_member_and_none_runs_after(data):
    outputs, _ = data
    asked = []

    def run(member, rows):
        asked.append(member)
        return outputs[member, rows]

    prediction = predict_early(rule(1e9), run, rows=ROWS, logits=True)
    assert asked == [2]
    assert (prediction.members_used == 1).all()


def test_a_score_at_the_threshold_is_settled():
    certain = np.zeros((MEMBERS, 2, CLASSES))
    certain[:, 0, 1] = 1.0  # entropy 0, so a score of 0
    certain[:, 1] = 1 / CLASSES
    prediction = predict_early(rule(0.0), lookup(certain), rows=2, logits=False)
    np.testing.assert_array_equal(prediction.members_used, [1, MEMBERS])


def test_a_threshold_of_zero_gives_what_all_members_give(data):
    outputs, _ = data
    prediction = predict_early(rule(0.0), lookup(outputs), rows=ROWS, logits=True)
    whole = summarize(softmax(outputs))
    assert (prediction.members_used == MEMBERS).all()
    np.testing.assert_allclose(prediction.mean, whole.mean, atol=1e-7)
    np.testing.assert_allclose(prediction.members, whole.members)


def test_probabilities_are_taken_as_they_are(data):
    probabilities = softmax(data[0])
    prediction = predict_early(rule(1e9), lookup(probabilities), rows=ROWS, logits=False)
    np.testing.assert_array_equal(prediction.mean, probabilities[2])


def test_the_score_falls_to_nothing_as_members_run():
    mean = np.full((1, 4), 0.25)
    scores = [float(exit_scores(mean, run=k, members=4)[0]) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(scores, np.log(4) * np.array([3 / 4, 1 / 4, 1 / 12, 0]))


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"order": [0, 0], "temperatures": [1, 1], "threshold": 1}, "name each member once"),
        ({"order": [], "temperatures": [], "threshold": 1}, "name each member once"),
        ({"order": [0, 1], "temperatures": [1], "threshold": 1}, "has 2 positive temperatures"),
        ({"order": [0, 1], "temperatures": [1, 0], "threshold": 1}, "has 2 positive temperatures"),
        ({"order": [0, 1], "temperatures": [1, True], "threshold": 1}, "2 positive temperatures"),
        ({"order": [0, 1], "temperatures": [1, np.inf], "threshold": 1}, "2 positive temperatur"),
        ({"order": [0, 1], "temperatures": [1, 1], "threshold": -1}, "is not 0 or above"),
        ({"order": [0, 1], "temperatures": [1, 1], "threshold": np.nan}, "is not 0 or above"),
        ({"order": [0, 1], "temperatures": [1, 1], "threshold": "a"}, "is not 0 or above"),
        ({"order": [0, 1], "threshold": 1}, "lacks order, temperatures or threshold"),
        ([1, 2], "lacks order, temperatures or threshold"),
        ({"order": [0], "temperatures": [1], "threshold": 1}, "for 1 members, but there are 2"),
    ],
)
def test_a_file_with_a_wrong_rule_is_refused_in_words(found, text):
    with pytest.raises(DataError, match=text):
        EarlyExit.of_file(found, members=2)


def test_outputs_of_more_than_one_class_a_row_have_no_early_exit():
    with pytest.raises(DataError, match="one class a row, but a member gives shape"):
        predict_early(rule(1.0), lambda m, rows: np.zeros((3, 2, 4)), rows=3, logits=True)


def test_the_curve_says_roughly_what_the_rule_then_does(data):
    outputs, labels = data
    curve = fit_exit_curve(outputs, labels, logits=True)
    whole = fit_temperature(outputs, labels, pooled=False)
    assert curve.rule.temperatures[-1] == pytest.approx(whole, rel=1e-4)
    for point in curve.points[::9]:
        prediction = predict_early(curve.at(point), lookup(outputs), rows=ROWS, logits=True)
        assert abs(prediction.members_used.mean() - point.mean_members) < 0.15
        loss = nll(prediction.mean, labels) / curve.nll - 1
        assert abs(loss - point.nll_loss) < max(3 * point.standard_error, 0.02)


def test_a_stricter_threshold_never_uses_fewer_members(data):
    outputs, labels = data
    curve = fit_exit_curve(outputs, labels, logits=True)
    used = [point.mean_members for point in curve.points]
    assert used == sorted(used, reverse=True)
    assert used[0] > MEMBERS - 0.05
    assert used[-1] == 1.0


def test_the_best_member_comes_first(data):
    outputs, labels = data
    spoilt = outputs.copy()
    spoilt[0] = np.random.default_rng(0).normal(size=spoilt[0].shape)
    curve = fit_exit_curve(spoilt, labels, logits=True)
    single = [nll(softmax(member), labels) for member in spoilt]
    assert curve.rule.order[0] == int(np.argmin(single))
    assert curve.rule.order[-1] == 0


def test_the_point_chosen_and_all_stricter_ones_keep_the_bound(data):
    outputs, labels = data
    curve = fit_exit_curve(outputs, labels, logits=True)
    chosen = choose_point(curve, max_nll_loss=0.02)
    place = curve.points.index(chosen)
    assert all(point.bound <= 0.02 for point in curve.points[: place + 1])
    assert curve.points[place + 1].bound > 0.02
    assert choose_point(curve, max_nll_loss=-1.0) is None


def test_the_loss_keeps_its_limit_on_fresh_data_as_often_as_it_says():
    rng = np.random.default_rng(11)
    trials, limit, rows = 30, 0.03, 1000
    kept = 0
    for _ in range(trials):
        labels = rng.integers(5, size=rows + 8000)
        truth = 7.0 * np.eye(5)[labels] * rng.uniform(0, 1, (len(labels), 1))
        outputs = (truth + rng.normal(size=(3, *truth.shape))).astype(np.float32)
        seen, fresh = outputs[:, :rows], outputs[:, rows:]
        temperature = fit_temperature(seen, labels[:rows], pooled=False)
        curve = fit_exit_curve(seen, labels[:rows], logits=True)
        point = choose_point(curve, max_nll_loss=limit)
        assert point.mean_members < 2.7
        early = predict_early(curve.at(point), lookup(fresh), rows=8000, logits=True)
        whole = softmax(fresh / temperature).mean(axis=0)
        kept += nll(early.mean, labels[rows:]) <= (1 + limit) * nll(whole, labels[rows:])
    assert kept >= 0.9 * trials


def test_one_member_has_nothing_to_exit_from(data):
    outputs, labels = data
    with pytest.raises(DataError, match="needs at least 2 members, but there is 1"):
        fit_exit_curve(outputs[:1], labels, logits=True)
