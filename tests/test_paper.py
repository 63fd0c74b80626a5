"""The page of the papers' experiments is what its results make; a command says what it lacks."""

from __future__ import annotations

import pytest

from benchmarks.paper.__main__ import main
from benchmarks.paper.catalogue import EXPERIMENTS
from benchmarks.paper.page import README, RESULTS, page, saved_results


def test_the_page_is_what_the_saved_results_make():
    assert page(saved_results()) == README.read_text()


def test_every_result_belongs_to_an_experiment_and_has_machine_and_seeds():
    results = saved_results()
    assert sorted(results) == sorted(path.stem for path in RESULTS.glob("*.json"))
    for name, saved in results.items():
        assert saved["machine"], name
        assert saved["seeds"], name
        if EXPERIMENTS[name].draw is not None:
            assert (RESULTS / f"{name}.png").is_file()


def test_an_experiment_without_data_says_what_to_give(capsys):
    for name in EXPERIMENTS:
        assert main([name]) == 1
        assert capsys.readouterr().err == f"error: {name} needs --data DIR\n"


def test_help_lists_every_experiment(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out
    for experiment in EXPERIMENTS.values():
        assert experiment.title in listed
