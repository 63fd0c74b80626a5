"""Scores that tell unfamiliar inputs from familiar ones, and how well they do.

Last stage of the pipeline, beside metrics. Out-of-distribution is the positive class throughout,
and a larger score means more out. All functions raise DataError for wrong shapes and NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeens.arrays import checked_array
from edgeens.errors import DataError
from edgeens.uncertainty import softmax, summarize

Floats = NDArray[np.float64]


def ood_scores(outputs: ArrayLike, *, from_logits: bool = False) -> dict[str, Floats]:
    """Scores (batch,) of inputs by name, from members' outputs (K, batch, C).

    "1 - max p" and "predictive entropy" are of the mean probabilities. "mutual information" needs
    more than one member, and "energy", -logsumexp of the mean logits (Liu et al., 2020), needs
    `from_logits`; each is left out otherwise.
    """
    # float64 throughout: in float32, confident inputs would tie at 1 - max p = 0.
    given = checked_array(outputs, "outputs", ("members", "batch", "classes")).astype(np.float64)
    prediction = summarize(softmax(given) if from_logits else given)
    assert prediction.predictive_entropy is not None
    assert prediction.mutual_information is not None
    scores = {
        "1 - max p": 1.0 - prediction.mean.max(axis=-1),
        "predictive entropy": prediction.predictive_entropy,
    }
    if len(given) > 1:
        scores["mutual information"] = prediction.mutual_information
    if from_logits:
        scores["energy"] = -np.logaddexp.reduce(given.mean(axis=0), axis=-1)
    return scores


def auroc(inside: ArrayLike, outside: ArrayLike) -> float:
    """The chance that an outside score exceeds an inside one, a tie counting half, in 0..1.

    `inside` (n,) and `outside` (m,) hold the scores of in- and out-of-distribution inputs.
    """
    low, high = _scores(inside, outside)
    ordered = np.sort(low)
    below = np.searchsorted(ordered, high, side="left").mean()
    not_above = np.searchsorted(ordered, high, side="right").mean()
    return float((below + not_above) / (2.0 * len(low)))


def aupr(inside: ArrayLike, outside: ArrayLike) -> float:
    """Area under precision and recall as a step function (average precision), in 0..1.

    `inside` (n,) and `outside` (m,) hold the scores of in- and out-of-distribution inputs. Equal
    scores pass one threshold together. The value of chance is m / (n + m).
    """
    low, high = _scores(inside, outside)
    values, place = np.unique(np.concatenate((low, high)), return_inverse=True)
    total = np.bincount(place)[::-1]
    positive = np.bincount(place[len(low) :], minlength=len(values))[::-1]
    precision = positive.cumsum() / total.cumsum()
    return float((precision * positive).sum() / len(high))


def fpr_at_tpr(inside: ArrayLike, outside: ArrayLike, *, tpr: float = 0.95) -> float:
    """The share of inside inputs flagged by the highest threshold that flags `tpr` of the outside.

    `inside` (n,) and `outside` (m,) hold the scores of in- and out-of-distribution inputs; a score
    equal to the threshold is flagged. Raises DataError also for `tpr` outside (0, 1].
    """
    if not 0.0 < tpr <= 1.0:
        raise DataError(f"tpr must lie above 0 and at most at 1, not at {tpr}")
    low, high = _scores(inside, outside)
    # Less 1e-9: 0.55 * 100 is 55.000000000000007, and must not ask for 56.
    needed = max(int(np.ceil(tpr * len(high) - 1e-9)), 1)
    threshold = np.sort(high)[len(high) - needed]
    return float((low >= threshold).mean())


def _scores(inside: ArrayLike, outside: ArrayLike) -> tuple[Floats, Floats]:
    """Both sets of scores, checked, as float64."""
    low = checked_array(inside, "inside scores", ("inputs",))
    high = checked_array(outside, "outside scores", ("inputs",))
    return low.astype(np.float64), high.astype(np.float64)
