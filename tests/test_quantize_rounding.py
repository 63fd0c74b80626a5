"""Members drawn by stochastic rounding, and the generator behind them (SPEC S9)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edgeens.coded import Draw
from edgeens.ensemble import Ensemble, MemberTensor
from edgeens.errors import MembersError
from edgeens.quantize.rounding import draw_members, draw_words, drawn_codes


def ensemble(values, *, members=1, quantise=True):
    tensor = MemberTensor("w", values[None], "float32", channel_axis=0, quantise=quantise)
    return Ensemble(members, (tensor,))


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def mix(x):
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ (x >> 16)


def literal_word(key, tensor, e, m):
    """SPEC S9, "Words", line by line."""
    a = mix(key % 2**32)
    a = mix(a ^ (key >> 32))
    a = mix(a ^ tensor)
    s = mix((a + 0x9E3779B9 * ((m >> 1) + 1)) % 2**32)
    multiplier = mix(s ^ 0x85EBCA6B) | 1
    x = mix((e * multiplier + s) % 2**32)
    return x % 2**16 if m % 2 == 0 else x >> 16


@given(
    key=st.integers(0, 2**64 - 1),
    tensor=st.integers(0, 65535),
    start=st.integers(0, 2**31 - 1),
    member=st.integers(0, 63),
)
def test_the_words_are_those_of_the_specification(key, tensor, start, member):
    words = draw_words(key, tensor=tensor, member=member, start=start, count=5)
    assert words.tolist() == [literal_word(key, tensor, start + i, member) for i in range(5)]


@given(
    parent=st.lists(st.integers(-127, 127), min_size=1, max_size=40),
    bits=st.integers(2, 8),
    levels=st.sampled_from([127, 112, 7, 1]),
    member=st.integers(0, 63),
    key=st.integers(0, 2**64 - 1),
)
def test_drawn_codes_follow_the_rule_of_the_specification(parent, bits, levels, member, key):
    parent = [max(-levels, min(levels, n)) for n in parent]
    codes = drawn_codes(
        np.array(parent, np.int8), bits=bits, draw=Draw(key, levels), tensor=3, member=member
    )
    q = 2 ** (bits - 1) - 1
    for e, n in enumerate(parent):
        floor, rest = divmod(n * q, levels)
        u = literal_word(key, 3, e, member) * levels >> 16
        assert codes[e] == floor + (u < rest)
    assert np.abs(codes).max() <= q


def uniform_p_values(argument):
    """Chi-square p-values of the words, and of pairs of neighbours, along an argument."""
    values = []
    for key in range(4):
        for fixed in range(6):
            if argument == "element":
                words = draw_words(key, tensor=fixed, member=fixed, start=0, count=1 << 16)
            else:
                words = np.array(
                    [
                        draw_words(
                            key if argument != "key" else number,
                            tensor=number if argument == "tensor" else fixed,
                            member=number % 64 if argument == "member" else fixed,
                            start=number // 64 if argument == "member" else fixed,
                            count=1,
                        )[0]
                        for number in range(key * 4096, key * 4096 + 4096)
                    ]
                )
            bins = 256 if argument == "element" else 16
            high = words * bins >> 16
            values.append(stats.chisquare(np.bincount(high, minlength=bins)).pvalue)
            side = 16 if argument == "element" else 4
            pair = (words[:-1] * side >> 16) * side + (words[1:] * side >> 16)
            values.append(stats.chisquare(np.bincount(pair, minlength=side**2)).pvalue)
    return np.array(values)


@pytest.mark.parametrize("argument", ["key", "tensor", "element", "member"])
def test_words_are_uniform_and_neighbours_independent_along(argument):
    values = uniform_p_values(argument)
    assert values.min() > 1e-4 / len(values)
    assert stats.kstest(values, "uniform").pvalue > 1e-4


def test_members_are_drawn_independently_of_each_other():
    words = np.stack([draw_words(5, tensor=1, member=m, start=0, count=1 << 17) for m in range(12)])
    values = [
        stats.chisquare(np.bincount((words[i] >> 12) * 16 + (words[j] >> 12), minlength=256)).pvalue
        for i in range(12)
        for j in range(i)
    ]
    assert min(values) > 1e-4 / len(values)
    ones = (words < 20000).sum(axis=0)
    expected = stats.binom.pmf(np.arange(13), 12, 20000 / 65536) * words.shape[1]
    kept = expected > 5
    observed = np.bincount(ones, minlength=13)
    folded = (np.append(a[kept], a[~kept].sum()) for a in (observed, expected))
    assert stats.chisquare(*folded).pvalue > 1e-4


def test_members_differ_and_their_mean_is_the_parent():
    values = gaussian(64, 64)
    coded = draw_members(ensemble(values), members=64, bits=4, key=7, store_members=True)
    tensor = coded.tensors[0]
    scale = tensor.grid.broadcast_scale(2)
    members = tensor.codes * scale
    step = scale.max()
    assert not np.array_equal(tensor.codes[0], tensor.codes[1])
    # the mean of 64 Bernoulli draws strays by at most step / 2 / sqrt(64) in standard deviation
    assert np.abs(members.mean(axis=0) - values).max() < 6 * step / 16
    assert np.abs((members.mean(axis=0) - values).mean()) < 0.01 * step


def test_parent_and_key_give_the_members_that_would_be_stored():
    values = gaussian(10, 33, seed=1)
    lean = draw_members(ensemble(values), members=5, bits=3, key=2**63 + 5)
    stored = draw_members(ensemble(values), members=5, bits=3, key=2**63 + 5, store_members=True)
    parent, plain = lean.tensors[0], stored.tensors[0]
    assert (parent.method, plain.method) == ("drawn", "plain")
    assert parent.codes.shape == (1, 10, 33)
    for member in range(5):
        codes = drawn_codes(parent.codes[0], bits=3, draw=parent.draw, tensor=0, member=member)
        assert np.array_equal(codes, plain.codes[member])


def test_the_largest_weight_of_a_channel_is_never_rounded_down():
    values = gaussian(4, 100, seed=2)
    coded = draw_members(ensemble(values), members=3, bits=4, store_members=True)
    top = np.abs(values).argmax(axis=1)
    assert (np.abs(coded.tensors[0].codes[:, np.arange(4), top]) == 7).all()


def test_tensors_that_are_not_quantised_stay_exact():
    coded = draw_members(ensemble(gaussian(3, 3), quantise=False), members=9, bits=4)
    assert coded.tensors[0].grid is None
    assert coded.tensors[0].codes.shape == (1, 3, 3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"members": 65}, r"^cannot draw 65 members: 1 to 64 are possible$"),
        ({"bits": 9}, r"^cannot draw codes of 9 bits: 2 to 8 are possible$"),
        ({"key": 2**64}, r"is not a number of 64 bits"),
    ],
)
def test_numbers_out_of_range_are_refused(change, text):
    with pytest.raises(MembersError, match=text):
        draw_members(ensemble(gaussian(8, 8)), **({"members": 4, "bits": 4} | change))


def test_two_models_are_refused():
    two = Ensemble(2, (MemberTensor("w", gaussian(2, 8, 8), "float32", 0, True),))
    with pytest.raises(MembersError, match=r"^members are drawn from one model, but 2 were given"):
        draw_members(two, members=4, bits=4)


def test_nan_is_refused_by_name():
    values = gaussian(8, 8)
    values[3, 3] = np.nan
    with pytest.raises(MembersError, match="'w'"):
        draw_members(ensemble(values), members=4, bits=4)
