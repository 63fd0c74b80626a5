"""How alike the members of an ensemble are, in what they compute and in their weights.

Under the experiments batch-ensemble and cifar; over edgeens.metrics, diversity and ood.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.paper.judged import Answers, judge
from edgeens import diversity, metrics, ood
from edgeens.uncertainty import softmax

Array = NDArray[Any]


def linear_cka(features: Array) -> float:
    """Centred kernel alignment with a linear kernel, mean over pairs of members, in 0..1.

    Kornblith et al., "Similarity of Neural Network Representations Revisited", 2019, Eq. 3 with
    their linear kernel: |Y^T X|^2 / (|X^T X| |Y^T Y|) in Frobenius norms, X and Y centred.

    Args:
        features: (K, n, width), what a layer of each of K >= 2 members says on n inputs.
    """
    centred = features.astype(np.float64) - features.mean(axis=1, keepdims=True, dtype=np.float64)
    own = [np.linalg.norm(x.T @ x) for x in centred]
    pairs = list(combinations(range(len(centred)), 2))
    values = [np.linalg.norm(centred[j].T @ centred[i]) ** 2 / (own[i] * own[j]) for i, j in pairs]
    return float(np.mean(values))


def compare(answers: Answers, outside: Array) -> dict[str, Any]:
    """Figures of K >= 2 members together ("ensemble"), of one ("member", the mean), and pairwise.

    Args:
        answers: to pictures of the task.
        outside: (K, m, classes), their logits on pictures of another.

    Returns:
        Besides, "disagreement", "divergence" (Jensen-Shannon, nats), "verdict" (a sentence), and
        "AUROC" by score for the ensemble and "AUROC of a member" for 1 - max p.
    """
    members = [answers.of(at, at + 1) for at in range(len(answers.logits))]
    alone = [judge(member) for member in members]
    probabilities = softmax(answers.logits)
    low = ood.ood_scores(answers.logits, from_logits=True)
    high = ood.ood_scores(outside, from_logits=True)
    single = [
        ood.auroc(
            ood.ood_scores(answers.logits[at : at + 1], from_logits=True)["1 - max p"],
            ood.ood_scores(outside[at : at + 1], from_logits=True)["1 - max p"],
        )
        for at in range(len(members))
    ]
    return {
        "ensemble": judge(answers),
        "member": {name: float(np.mean([each[name] for each in alone])) for name in alone[0]},
        "disagreement": metrics.disagreement(answers.logits),
        "divergence": diversity.mean_jensen_shannon(probabilities),
        "verdict": diversity.collapse_verdict(probabilities),
        "AUROC": {name: ood.auroc(low[name], high[name]) for name in low},
        "AUROC of a member": float(np.mean(single)),
    }


def short_verdict(sentence: str) -> str:
    """ "one model", "close relatives" or "different models": what collapse_verdict found."""
    for verdict in ("one model", "close relatives", "different models"):
        if verdict in sentence.split(":")[0]:
            return verdict
    raise ValueError(f"no verdict in {sentence!r}")
