"""Training: the same weights from the same seed, killed or not, and the best of them at the end."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgeens import metrics  # noqa: E402
from edgeens.datasets.images import Images  # noqa: E402
from edgeens.errors import DataError  # noqa: E402
from edgeens.torch import members_from_modules  # noqa: E402
from edgeens.torch.checkpoint import State, save_checkpoint  # noqa: E402
from edgeens.torch.objective import Objective  # noqa: E402
from edgeens.torch.processes import Share, joined  # noqa: E402
from edgeens.torch.recipes import RECIPES, Plan  # noqa: E402
from edgeens.torch.run import load_parts  # noqa: E402
from edgeens.torch.training import (  # noqa: E402
    CHECKPOINT,
    fit,
    mean_probabilities,
    member_logits,
)
from tests.idx_files import write_squares  # noqa: E402

pytestmark = pytest.mark.torch

CPU = torch.device("cpu")
PLAN = Plan(
    epochs=4,
    batch=8,
    optimizer="sgd",
    learning_rate=0.1,
    weight_decay=1e-3,
    warmup_epochs=1,
    crop_padding=1,
    flip=True,
)


def pictures(count, *, seed=0):
    """Four classes: a bright band tells the class, in noise."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 4, count)
    x = random.integers(0, 120, (count, 1, 8, 8), dtype=np.uint8)
    for n, label in enumerate(y):
        x[n, 0, 2 * label : 2 * label + 2] += 120
    return Images(x, y)


def network(seed):
    """Convolution, running statistics, and dropout: everything that a resume can get wrong."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(36, 4),
    )


def ensemble(**options):
    return members_from_modules([network(0), network(1)], batch="split", **options)


def run_fit(folder, *, model=None, plan=PLAN, progress=lambda label, done, total: None, **options):
    """Train and return (model, history)."""
    folder.mkdir(exist_ok=True)
    model = model or ensemble()
    defaults = {"seed": 5, "rate": 0.0, "run": {"seed": 5}, "checkpoint_seconds": 0.0}
    defaults["share"] = Share()
    history = fit(
        model,
        plan,
        training=pictures(40),
        validation=pictures(60, seed=1),
        device=CPU,
        folder=folder,
        progress=progress,
        **{**defaults, **options},
    )
    return model, history


def figures(history):
    """A history without what the clock says."""
    return [{name: row[name] for name in row if name != "seconds"} for row in history]


def same(one, other):
    return all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.values(), strict=True)
    )


class Killed(BaseException):
    """No handler for ordinary errors sees it."""


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("method", ["independent", "uniform"])
def test_a_killed_run_resumes_to_the_very_same_weights(tmp_path, method, optimizer):
    plan = replace(PLAN, optimizer=optimizer)
    straight, history = run_fit(tmp_path / "a", model=ensemble(method=method), plan=plan)

    def kill_at(step):
        def progress(label, done, total):
            if done == step:
                raise Killed

        return progress

    for step in (3, 11, 15):  # within the first epoch, at the start of the third, at its end
        with pytest.raises(Killed):
            run_fit(
                tmp_path / "b", model=ensemble(method=method), plan=plan, progress=kill_at(step)
            )
    # The model that goes on is another one: everything comes from the file.
    other = members_from_modules([network(8), network(9)], method=method, batch="split")
    resumed, again = run_fit(tmp_path / "b", model=other, plan=plan)
    assert figures(again) == figures(history)
    assert same(resumed, straight.state_dict())
    assert [int(row["epoch"]) for row in read_log(tmp_path / "b")] == [1, 2, 3, 4]


def test_the_seed_decides_the_weights(tmp_path):
    first, _ = run_fit(tmp_path / "a")
    torch.manual_seed(99)  # what the caller did to torch's generator does not matter
    again, _ = run_fit(tmp_path / "b", model=ensemble())
    other, _ = run_fit(tmp_path / "c", seed=6)
    assert same(again, first.state_dict())
    assert not same(other, first.state_dict())


def test_training_learns_and_ends_with_the_best_epoch(tmp_path):
    # A rate at which later epochs are worse than the best one.
    plan = replace(PLAN, epochs=12, learning_rate=0.5)
    model, history = run_fit(tmp_path, plan=plan)
    nlls = [row["validation_nll"] for row in history]
    assert min(nlls) < 0.8 < nlls[0]
    assert nlls[-1] > min(nlls)
    held_out = pictures(60, seed=1)
    mean = mean_probabilities(member_logits(model, held_out, CPU))
    assert metrics.nll(mean, held_out.y) == pytest.approx(min(nlls), abs=1e-6)
    assert not model.training


def test_training_stops_when_the_validation_loss_no_longer_falls(tmp_path):
    plan = replace(PLAN, epochs=50, patience=3, learning_rate=0.5)
    _, history = run_fit(tmp_path, plan=plan)
    nlls = [row["validation_nll"] for row in history]
    assert len(history) < 50
    assert len(history) == int(np.argmin(nlls)) + 1 + 3
    again = run_fit(tmp_path, plan=plan)[1]  # a resumed run that is over stays over
    assert figures(again) == figures(history)


def test_a_diverged_run_says_so(tmp_path):
    plan = replace(PLAN, learning_rate=1e30)
    with pytest.raises(DataError, match=r"^training diverged in epoch 1 \(outputs are infinite or"):
        run_fit(tmp_path, plan=plan)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    run_fit(tmp_path, plan=replace(PLAN, epochs=1))
    message = r"checkpoint\.pt belongs to a run with seed 5, not 6; resume with the same options"
    with pytest.raises(DataError, match=message):
        run_fit(tmp_path, run={"seed": 6})
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / CHECKPOINT).read_bytes()[:1000])
    with pytest.raises(DataError, match=r"checkpoint\.pt is no checkpoint of a run, or damaged"):
        run_fit(tmp_path)


def test_the_objective_is_what_training_each_member_alone_would_minimise():
    model = ensemble()
    model.eval()  # no dropout, fixed statistics: then the whole batch goes to each member
    x = torch.rand(6, 1, 8, 8)
    labels = torch.tensor([0, 1, 2, 3, 0, 1]).expand(2, 6)
    with torch.no_grad():
        value, loss = Objective(model, rate=0.0, autocast=None)(x, labels)
        alone = [nn.functional.cross_entropy(model.load_member(k)(x), labels[k]) for k in (0, 1)]
    assert float(value) == pytest.approx(float(alone[0] + alone[1]), rel=1e-5)
    assert float(loss) == pytest.approx(float(value) / 2)


def test_the_objective_counts_the_rate_as_often_as_the_loss():
    model = members_from_modules([nn.Linear(64, 4) for _ in range(2)], method="uniform", bits=4)
    x, labels = torch.rand(6, 64), torch.tensor([0, 1, 2, 3, 0, 1]).expand(2, 6)
    model.eval()
    with torch.no_grad():
        plain, _ = Objective(model, rate=0.0, autocast=None)(x, labels)
        rated, loss = Objective(model, rate=0.5, autocast=None)(x, labels)
        rate = float(model.regularizer())
    assert 2 < rate < 4  # bits a weight of 4 bits
    assert float(rated - plain) == pytest.approx(2 * 0.5 * rate, rel=1e-5)
    assert float(loss) == pytest.approx(float(plain) / 2)  # the log has the cross-entropy alone


def test_a_device_that_is_not_there_is_refused():
    message = r"^there is no device 'warp' here \(.*leave out --device$"
    with pytest.raises(DataError, match=message), joined("warp"):
        pass


def test_no_picture_is_in_two_parts(tmp_path):
    recipe = replace(RECIPES["mnist-mlp"], validation=30)
    write_squares(tmp_path / "mnist", training=100, test=20)
    training, validation, test = load_parts(recipe, tmp_path)
    assert [len(part.y) for part in (training, validation, test)] == [70, 30, 20]
    everything = np.concatenate([training.x, validation.x, test.x]).reshape(120, -1)
    assert len(np.unique(everything, axis=0)) == 120
    few, same_validation, _ = load_parts(recipe, tmp_path, 12)
    assert len(few.y) == 12
    assert np.array_equal(same_validation.x, validation.x)
    with pytest.raises(DataError, match=r"has 100 training pictures, but the recipe 'mnist-mlp' "):
        load_parts(replace(recipe, validation=100), tmp_path)


# What torchrun starts: processes that know each other by the environment.
_ONE_OF_TWO = """
import sys
from pathlib import Path
from edgeens.torch.processes import joined
from tests.test_torch_training import plain_ensemble, run_fit, PLAIN_PLAN
with joined("cpu") as (share, device):
    assert share.processes == 2
    run_fit(Path(sys.argv[1]), model=plain_ensemble(), plan=PLAIN_PLAN, share=share)
"""
PLAIN_PLAN = replace(PLAN, epochs=3)


def plain_ensemble():
    """No running statistics, which each process takes from its own part of the batch."""
    modules = []
    for seed in range(2):
        torch.manual_seed(seed)
        layers = [nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 4)]
        modules.append(nn.Sequential(*layers))
    return members_from_modules(modules, method="uniform", batch="split")


def test_two_processes_train_like_one(tmp_path):
    run_fit(tmp_path / "one", model=plain_ensemble(), plan=PLAIN_PLAN)
    (tmp_path / "two").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _ONE_OF_TWO, str(tmp_path / "two")],
            cwd=Path(__file__).parents[1],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    one, two = (read_log(tmp_path / name) for name in ("one", "two"))
    assert len(one) == len(two) == 3  # epochs of five steps
    for row, other in zip(one, two, strict=True):
        for figure in ("train_loss", "validation_nll"):
            assert abs(float(row[figure]) - float(other[figure])) < 1e-4
    assert float(one[0]["train_loss"]) > float(one[2]["train_loss"]) + 0.05


def read_log(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full as the full disk")
def test_a_full_disk_is_told_as_such_by_a_checkpoint(tmp_path, monkeypatch):
    path, real = tmp_path / "checkpoint.pt", os.fdopen

    def on_a_full_disk(descriptor, mode):
        os.close(descriptor)
        return real(os.open("/dev/full", os.O_WRONLY), mode)

    model = nn.Linear(300, 300)
    optimizer = torch.optim.Adam(model.parameters())
    monkeypatch.setattr(os, "fdopen", on_a_full_disk)
    with pytest.raises(OSError, match="No space left") as caught:
        save_checkpoint(path, State(), model, optimizer, {})
    assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []
