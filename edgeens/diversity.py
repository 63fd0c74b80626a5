"""Whether K members are K models: their outputs and their weights compared, pair by pair.

Last stage of the pipeline, beside metrics. All functions raise DataError for wrong shapes and NaN.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeens.arrays import checked_array, checked_probabilities
from edgeens.errors import DataError
from edgeens.uncertainty import differing_pairs, entropy

Floats = NDArray[np.float64]

_OUTPUT_AXES = ("members", "batch", "classes")
_WEIGHT_AXES = ("members", "...")

# Disagreement as a share of the doubt (1 - max p of the mean), and Jensen-Shannon divergence as a
# share of the predictive entropy: measured with 4 members, 784-128-10 networks, on MNIST and
# Fashion-MNIST, well and over-fitted. One model rounded at random to 8 bits: at most .09 and .0007.
# Trained independently: at least .36 and .020. Fine-tuned from one parent at a third of its rate:
# .006 to .018 of the entropy, so no limit tells those from independent ones for sure; this one errs
# for "different". Absolute limits would depend on the data. The cosine of the weights has no part
# in it: .9996 for fine-tuned members that do differ, 0 for BatchEnsemble's signs.
_ONE_MODEL_DISAGREEMENT = 0.1
_ONE_MODEL_DIVERGENCE = 0.002
_RELATED_DIVERGENCE = 0.015


def pairwise_disagreement(outputs: ArrayLike) -> Floats:
    """The share of inputs on which members i and j choose different classes, as a (K, K) matrix.

    `outputs` is (K, batch, C), probabilities or logits. The matrix is symmetric, its diagonal 0.
    """
    votes = checked_array(outputs, "outputs", _OUTPUT_AXES).argmax(axis=-1)
    return np.array([(votes != vote).mean(axis=1) for vote in votes])


def mean_jensen_shannon(probabilities: ArrayLike) -> float:
    """Jensen-Shannon divergence of two members, averaged over pairs and inputs; nats, in 0..ln 2.

    `probabilities` is (K, batch, C). One member has no pairs, and 0.
    """
    given = checked_probabilities(probabilities, _OUTPUT_AXES, class_axis=2).astype(np.float64)
    alone = [entropy(member) for member in given]
    pairs = list(combinations(range(len(given)), 2))
    total = 0.0
    for i, j in pairs:
        together = entropy((given[i] + given[j]) / 2.0)
        total += float(np.maximum(together - (alone[i] + alone[j]) / 2.0, 0.0).mean())
    return total / max(len(pairs), 1)


def weight_correlation(weights: ArrayLike) -> float:
    """Mean cosine between two members' values of a tensor (Bits-Ensemble, Eq. 9), in -1..1.

    `weights` is (K, *shape), each member's taken as one vector. This is 2/(K^2-K) times the sum
    over pairs i < j: Eq. 9 prints that factor upside down and lets a member pair with itself.
    Raises DataError also for a single member and for a member whose values are all 0.
    """
    given = checked_array(weights, "weights", _WEIGHT_AXES)
    members = len(given)
    if members == 1:
        raise DataError("the correlation of weights needs at least 2 members, not 1")
    vectors = given.reshape(members, -1).astype(np.float64)
    norms = np.linalg.norm(vectors, axis=1)
    if not norms.all():
        raise DataError(
            f"weights of member {int(np.argmin(norms))} are all 0, so they point nowhere; leave "
            "this tensor out"
        )
    cosines = np.clip((vectors @ vectors.T) / np.outer(norms, norms), -1.0, 1.0)
    return float(cosines[np.triu_indices(members, k=1)].mean())


def dispersion(weights: ArrayLike) -> float:
    """Variance between the members (divided by K), averaged over a tensor (Bits-Ensemble, Eq. 10).

    `weights` is (K, *shape); the result is in squared units of a weight.
    """
    given = checked_array(weights, "weights", _WEIGHT_AXES)
    return float(given.var(axis=0, dtype=np.float64).mean())


def network_diversity(tensors: Iterable[ArrayLike], *, members: int) -> tuple[float, float]:
    """`weight_correlation` and `dispersion` of a whole network, each member being one long vector.

    Args:
        tensors: of weights, each (copies, *shape), where copies is 1 (all members hold the same
            values) or *members*; looked at one after another.
        members: K, at least 2.

    Raises:
        DataError: there is no tensor, one has other copies, or a member's weights are all 0.
    """
    products = np.zeros((members, members))
    squares, count = 0.0, 0
    for tensor in tensors:
        given = checked_array(tensor, "weights", _WEIGHT_AXES)
        if len(given) not in (1, members):
            raise DataError(f"a tensor has {len(given)} copies, but there are {members} members")
        vectors = given.reshape(len(given), -1).astype(np.float64)
        products += vectors @ vectors.T
        squares += float(((vectors - vectors.mean(axis=0)) ** 2).sum()) / len(given)
        count += vectors.shape[1]
    norms = np.sqrt(np.diag(products))
    if members < 2 or not norms.all():
        raise DataError("only weights of at least 2 members that are not all 0 can be compared")
    cosines = np.clip(products / np.outer(norms, norms), -1.0, 1.0)
    return float(cosines[np.triu_indices(members, k=1)].mean()), squares / count


def collapse_verdict(probabilities: ArrayLike) -> str:
    """One plain sentence: do the members act as one model, as close relatives, or as several?

    `probabilities` is (K, batch, C), best of a few hundred inputs or more like those of the task.
    The sentence weighs the members' disagreement against the doubt of their mean prediction, and
    their Jensen-Shannon divergence against its entropy. It needs no labels, and so cannot say
    whether the differences help: damage makes members differ, too.
    """
    given = checked_probabilities(probabilities, _OUTPUT_AXES, class_axis=2)
    members = len(given)
    if members == 1:
        return "There is only one member, so there is nothing to compare."
    differing = float(differing_pairs(given.argmax(axis=-1)).mean())
    divergence = mean_jensen_shannon(given)
    mean = given.mean(axis=0, dtype=np.float64)
    doubt = max(float((1.0 - mean.max(axis=-1)).mean()), 0.0)
    total = float(entropy(mean).mean())
    figures = (
        f"two of them choose different classes on {100.0 * differing:.3g} % of the inputs, and "
        f"differ by {divergence:.3g} nats (Jensen-Shannon) where their mean has an entropy of "
        f"{total:.3g}"
    )
    # Products, not ratios: members that are all certain have no doubt and no entropy.
    agree = differing <= _ONE_MODEL_DISAGREEMENT * doubt
    if agree and divergence <= _ONE_MODEL_DIVERGENCE * total:
        return f"The {members} members act as one model: {figures}, so one member would do."
    if divergence <= _RELATED_DIVERGENCE * total:
        return (
            f"The {members} members are close relatives: {figures}, less than members that were "
            "trained independently show."
        )
    return (
        f"The {members} members act as different models: {figures}; only labelled data can tell "
        "whether that helps."
    )
