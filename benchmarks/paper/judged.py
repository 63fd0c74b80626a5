"""The figures of one ensemble's answers, as the tables of the papers name them.

Under the experiments, over edgeens.metrics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeens import calibration, metrics
from edgeens.uncertainty import log_softmax, softmax

Floats = NDArray[np.float64]

_NORMAL = 1.960  # 97.5 % point


@dataclass(frozen=True, eq=False)
class Answers:
    """What K members say on labelled pictures.

    Attributes:
        logits: float32 (K, n, classes).
        labels: int (n,).
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    def of(self, start: int, stop: int) -> Answers:
        """Members *start* to before *stop* alone."""
        return Answers(self.logits[start:stop], self.labels)


def judge(answers: Answers, *, temperature: float = 1.0) -> dict[str, float]:
    """NLL, ERR and ECE of the mean probabilities; loss, AMB and mean loss of the *mean logits*.

    Logits are divided by *temperature* first. "mean loss" is the members' mean NLL, "loss" that of
    their mean logits, and AMB, at least 0, the difference (LPE-BSR).
    """
    scaled = answers.logits / np.float64(temperature)
    mean = softmax(scaled).mean(axis=0)
    ambiguity = metrics.ambiguity(scaled, answers.labels)
    rows = np.arange(len(answers.labels))
    loss = float(-log_softmax(scaled.mean(axis=0))[rows, answers.labels].mean())
    return {
        "NLL": metrics.nll(mean, answers.labels),
        "ERR": 1.0 - metrics.accuracy(mean, answers.labels),
        "ECE": calibration.ece(mean, answers.labels),
        "AMB": ambiguity,
        "loss": loss,
        "mean loss": loss + ambiguity,
    }


def losses(answers: Answers, *, temperature: float = 1.0) -> Floats:
    """(n,): each picture's NLL under the mean probabilities, in nats."""
    mean = softmax(answers.logits / np.float64(temperature)).mean(axis=0)
    chosen = mean[np.arange(len(answers.labels)), answers.labels]
    result: Floats = -np.log(np.maximum(chosen, metrics.PROBABILITY_FLOOR))
    return result


def over_pictures(differences: Floats) -> tuple[float, float]:
    """Mean of (n,) values, one a picture, and half the width of its 95 % interval."""
    half = _NORMAL * differences.std(ddof=1) / np.sqrt(len(differences))
    return float(differences.mean()), float(half)
