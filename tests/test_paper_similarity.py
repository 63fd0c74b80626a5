"""How alike members are: alignment of features, and the figures of a study of likeness."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.paper.judged import Answers, judge
from benchmarks.paper.similarity import compare, linear_cka, short_verdict
from edgeens.diversity import collapse_verdict
from edgeens.uncertainty import softmax


def test_alignment_is_that_of_centred_gram_matrices():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(2, 30, 5)) + 3.0
    centre = np.eye(30) - 1 / 30
    k, grams = [], [centre @ (f @ f.T) @ centre for f in features]
    for i, j in ((0, 1), (0, 0), (1, 1)):
        k.append((grams[i] * grams[j]).sum())
    assert linear_cka(features) == pytest.approx(k[0] / np.sqrt(k[1] * k[2]))


def test_alignment_does_not_see_rotation_scale_or_shift():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(50, 6))
    rotation, _ = np.linalg.qr(generator.normal(size=(6, 6)))
    assert linear_cka(np.stack([x, 2.5 * x @ rotation + 1.0])) == pytest.approx(1.0)
    other = generator.normal(size=(50, 6))
    assert linear_cka(np.stack([x, other])) < 0.5


def test_figures_of_an_ensemble_stand_beside_those_of_a_member():
    generator = np.random.default_rng(2)
    logits = generator.normal(size=(3, 200, 4)).astype(np.float32)
    answers = Answers(logits, generator.integers(0, 4, 200))
    figures = compare(answers, 0.1 * logits)
    assert figures["ensemble"] == judge(answers)
    alone = [judge(answers.of(at, at + 1))["NLL"] for at in range(3)]
    assert figures["member"]["NLL"] == pytest.approx(np.mean(alone))
    assert figures["AUROC"]["1 - max p"] > 0.9
    assert figures["AUROC of a member"] > 0.9
    assert figures["disagreement"] > 0.5
    assert short_verdict(figures["verdict"]) == "different models"


def test_every_verdict_has_a_short_form():
    generator = np.random.default_rng(3)
    base = 3 * generator.normal(size=(1, 500, 4))
    found = []
    for noise in (0.0, 0.3, 3.0):
        members = softmax(base + noise * generator.normal(size=(4, 500, 4)))
        found.append(short_verdict(collapse_verdict(members)))
    assert found == ["one model", "close relatives", "different models"]
    with pytest.raises(ValueError, match="no verdict in 'There is only one member'"):
        short_verdict("There is only one member")
