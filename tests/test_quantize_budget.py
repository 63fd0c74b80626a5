"""The search for the smallest file within a budget: what it finds, and that it ends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeens.coded import CodedTensor, Grid
from edgeens.errors import BudgetError
from edgeens.quantize.budget import (
    Point,
    allocations,
    keeps_budget,
    most_measurements,
    parse_budget,
    predict_losses,
    search_budget,
)
from edgeens.quantize.candidates import Candidate


def candidates(sizes, errors=None) -> list[Candidate]:
    """Candidates of 100 weights; only their sizes and errors count here."""
    coded = CodedTensor("w", "float32", np.zeros((1, 100), np.int8), Grid(8, np.ones(1)), "plain")
    errors = range(1, len(sizes) + 1) if errors is None else errors
    return [Candidate(coded, size, float(e)) for size, e in zip(sizes, errors, strict=True)]


@pytest.mark.parametrize(
    ("text", "kind", "limit"),
    [
        ("size=2MB", "size", 2e6),
        ("size=1.5 KiB", "size", 1536),
        ("size=700", "size", 700),
        ("bits=2.25", "bits", 2.25),
        ("nll=+1%", "nll", 0.01),
        ("nll=0.5%", "nll", 0.005),
        ("accuracy=-0.2%", "accuracy", 0.002),
    ],
)
def test_a_budget_is_read(text, kind, limit):
    budget = parse_budget(text)
    assert (budget.kind, budget.limit) == (kind, pytest.approx(limit))


@pytest.mark.parametrize(
    "text",
    ["", "2MB", "size=2TB", "size=-1MB", "nll=1", "nll=-1%", "accuracy=+1%", "bits=two", "loss=1%"],
)
def test_what_is_no_budget_is_refused_with_the_forms_that_are(text):
    with pytest.raises(BudgetError, match=r"cannot be read: write it as size=2MB, bits=2.0, nll="):
        parse_budget(text)


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(BudgetError, match=r"^the budget 'size=0MB' leaves nothing"):
        parse_budget("size=0MB")


falling = st.lists(st.integers(1, 60), min_size=1, max_size=5, unique=True).map(
    lambda sizes: sorted(sizes, reverse=True)
)


@given(st.lists(falling, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_no_choice_at_all_lies_below_the_hull_of_the_allocations(sizes, random):
    losses = [sorted(random.uniform(0, 10) for _ in of_tensor) for of_tensor in sizes]
    tensors = [candidates(of_tensor) for of_tensor in sizes]
    found = allocations(tensors, losses)

    def point(choice):
        size = sum(of[i] for of, i in zip(sizes, choice, strict=True))
        return size, sum(of[i] for of, i in zip(losses, choice, strict=True))

    hull = [point(choice) for choice in found]
    assert len(found) <= sum(map(len, sizes))
    assert all(a > b for (a, _), (b, _) in itertools.pairwise(hull))
    for choice in itertools.product(*[range(len(of_tensor)) for of_tensor in sizes]):
        size, loss = point(choice)
        for (large, low), (small, high) in itertools.pairwise(hull):
            if small <= size <= large:
                part = (size - small) / (large - small)
                assert loss >= part * low + (1 - part) * high - 1e-9


def test_a_loss_is_measured_twice_a_tensor_and_follows_the_error_elsewhere():
    of_tensor = candidates([75, 50, 37, 25, 18, 9], errors=[0.1, 1, 4, 16, 64, 256])
    asked = []

    def measure(number, candidate):
        asked.append((number, candidate.error))
        return candidate.error**1.5

    (losses,) = predict_losses([of_tensor], measure)
    assert asked == [(0, 4.0), (0, 64.0)]  # 3 and 1.5 bits a weight: 37 and 18 bytes
    assert losses == pytest.approx([8 / 40, 8 / 4, 8, 64, 512, 512 * 4])


def test_a_loss_that_falls_by_chance_does_not_turn_the_order_round():
    of_tensor = candidates([37, 18], errors=[4, 64])
    (losses,) = predict_losses([of_tensor], lambda number, candidate: 1 / candidate.error)
    assert losses == pytest.approx([0.25, 0.25])


def run(budget, points, calls=None):
    """Search a single tensor whose files are *points*."""
    tensors = [candidates([point.bytes for point in points])]
    losses = [[float(number) for number in range(len(points))]]

    def measure(choice, expected):
        assert expected == choice[0]
        if calls is not None:
            calls.append(choice[0])
        return points[choice[0]]

    choices = [(number,) for number in range(len(points))]
    return search_budget(parse_budget(budget), choices, tensors, losses, measure=measure)


def curve(count: int = 200) -> list[Point]:
    return [
        Point(10_000 - 40 * i, 8 - 0.03 * i, 0.1, 0.9, change=1e-4 * i, standard_error=0.0)
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("budget", "chosen"),
    [
        ("nll=+1%", 100),
        ("nll=90%", 199),
        ("accuracy=-0.2%", 20),
        ("size=6KB", 100),
        ("size=1MB", 0),
        ("bits=5", 100),
    ],
)
def test_the_search_finds_the_border_exactly_with_few_files(budget, chosen):
    calls: list[int] = []
    found = run(budget, curve(), calls)
    assert found.choice == (chosen,)
    assert len(calls) == len(set(calls)) <= most_measurements(200) < 20
    assert [p.bytes for p in found.points] == sorted((p.bytes for p in found.points), reverse=True)
    assert found.point in found.points


def test_a_loss_needs_two_standard_errors_to_spare():
    points = [
        Point(100 - i, 1.0, 0.1, 0.9, change=0.001 * i, standard_error=0.0025) for i in range(20)
    ]
    assert run("nll=+1%", points).choice == (5,)
    assert keeps_budget(parse_budget("nll=+1%"), points[5])
    assert not keeps_budget(parse_budget("nll=+1%"), points[6])


def test_a_lucky_file_beyond_an_unlucky_one_is_not_taken():
    points = [Point(70 - 10 * i, 1.0, 0.1, 0.9, 0.0, 0.0) for i in range(6)]
    points[3] = Point(40, 1.0, 0.1, 0.9, change=0.5, standard_error=0.0)
    assert run("nll=+1%", points).choice == (2,)


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ("nll=+1%", r"cannot be kept: the best file that was made has nll=\+1.4%, and the data "),
        ("accuracy=-1%", r"cannot be kept: the best file that was made has accuracy=-1.4%, and"),
        (
            "size=10",
            r"^the budget size=10 cannot be kept: the smallest file that was made takes 50",
        ),
        (
            "bits=1",
            r"^the budget bits=1 cannot be kept: the smallest file that was made takes 1.50",
        ),
    ],
)
def test_what_cannot_be_kept_says_how_near_the_best_file_came(budget, text):
    points = [Point(size, 1.5, 0.1, 0.9, 0.014, 0.002) for size in (80, 60, 50)]
    with pytest.raises(BudgetError, match=text):
        run(budget, points)
