"""The CIFAR-10 experiment from training to page, on a network and pictures of seconds."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from benchmarks.paper import cifar, cifar100  # noqa: E402
from benchmarks.paper.cifar100 import load_outside  # noqa: E402
from benchmarks.paper.cifar_report import draw, report  # noqa: E402
from benchmarks.paper.experiment import Setup  # noqa: E402
from benchmarks.paper.judged import Answers, judge  # noqa: E402
from edgeens.datasets.corruptions import corrupt  # noqa: E402
from edgeens.datasets.images import Images  # noqa: E402
from edgeens.errors import DataError  # noqa: E402
from edgeens.onnx.files import run_files  # noqa: E402
from edgeens.onnx.session import Session  # noqa: E402
from edgeens.torch import run  # noqa: E402
from edgeens.torch.recipes import RECIPES, Plan, Recipe  # noqa: E402

pytestmark = pytest.mark.torch

SCALE = cifar.Scale(("tiny",), 1, 64, (0,))


def pictures(seed, count):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 10, count)
    x = generator.integers(0, 128, (count, 3, 32, 32)) + 12 * y[:, None, None, None]
    return Images(x.astype(np.uint8), y)


def network():
    layers = (nn.Conv2d(3, 16, 3, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
    return nn.Sequential(*layers)


TRAINING, TEST, OUTSIDE = pictures(0, 100), pictures(1, 60), pictures(2, 60)


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """Two corruptions, 40 pictures studied, 30 corrupted, 8 to calibrate on, 25 run at a time."""
    plan = Plan(epochs=1, batch=16, optimizer="adam", learning_rate=1e-2)
    recipe = Recipe("tiny", "tiny", "cifar10", (3, 32, 32), network, plan, validation=20)
    monkeypatch.setitem(RECIPES, "tiny", recipe)
    for module in (cifar, run):
        monkeypatch.setattr(module, "load_dataset", lambda folder, name: (TRAINING, TEST))
    for name, value in (("STUDIED", 40), ("CORRUPTED", 30), ("CALIBRATION", 8), ("_BATCH", 25)):
        monkeypatch.setattr(cifar, name, value)
    monkeypatch.setattr(cifar, "CORRUPTIONS", ("contrast", "gaussian_noise"))
    monkeypatch.setattr(cifar, "load_outside", lambda folder: OUTSIDE)
    return Setup(tmp_path, tmp_path / "cache", lambda label, done, total: None)


@pytest.fixture
def watched(setup, monkeypatch):
    """What was asked of training and of rounding."""
    trained, rounded = [], []

    def train(options, **named):
        trained.append(options)
        return real_train(options, **named)

    def encode(members, path, *, bits, calibration):
        rounded.append((bits, np.load(calibration)))
        return real_encode(members, path, bits=bits, calibration=calibration)

    real_train, real_encode = run.train, cifar.encode
    monkeypatch.setattr(run, "train", train)
    monkeypatch.setattr(cifar, "encode", encode)
    return trained, rounded


def judged(folder, method, images):
    """Figures of the members together, and the mean of each one's, on *images*."""
    if method == "independent":
        members = [folder / f"member_{k}.onnx" for k in range(4)]
        logits = run_files(members, images.floats())["logits"]
    else:
        with Session(folder / "ensemble.eens") as session:
            logits = session.predict_members(images.floats())["logits"]
    answers = Answers(logits, images.y)
    alone = np.mean([judge(answers.of(k, k + 1))["NLL"] for k in range(4)])
    return pytest.approx(judge(answers)["NLL"], rel=1e-5), pytest.approx(alone, rel=1e-5)


def test_the_experiment_goes_from_training_to_tables_and_is_not_repeated(
    setup, watched, monkeypatch
):
    results = cifar.measure(SCALE, setup)
    trained, rounded = watched
    assert [replace(each, data=None, out=None) for each in trained] == [
        run.Options("tiny", None, None, 4, method, epochs=1, limit_train=64, resume=True)
        for method in cifar.METHODS
    ]
    (network,) = results["networks"]
    (one_run,) = network["runs"]
    methods = one_run["methods"]
    assert list(methods) == list(cifar.METHODS)
    folders = {o.method: o.out for o in trained}
    studied, few = TEST.part(0, 40), TEST.part(0, 30)
    for method in ("independent", "uniform"):
        found = methods[method]
        together, alone = judged(folders[method], method, studied)
        assert found["study"]["ensemble"]["NLL"] == together
        assert found["study"]["member"]["NLL"] == alone
        assert found["study"]["AUROC"]["1 - max p"] != 0.5  # that of test against test
        whole, single = judged(folders[method], method, TEST)
        assert found["members"]["NLL"] == whole
        assert found["one member"]["NLL"] == single
        for severity, row in enumerate(found["corrupted"], start=1):
            worse = [
                judged(
                    folders[method], method, Images(corrupt(few.x, name, severity=severity), few.y)
                )
                for name in cifar.CORRUPTIONS
            ]
            assert row["ensemble"]["NLL"] == pytest.approx(
                np.mean([each[0].expected for each in worse]), rel=1e-5
            )
            assert row["member"]["NLL"] == pytest.approx(
                np.mean([each[1].expected for each in worse]), rel=1e-5
            )
        assert severity == 5
    apart = methods["independent"]
    assert apart["file"]["NLL"] != pytest.approx(apart["members"]["NLL"], rel=1e-6)  # 8 bits
    assert apart["file"]["NLL"] == pytest.approx(apart["members"]["NLL"], rel=0.01)
    weights = 16 * 3 * 9 + 16 + 256 * 10 + 10
    assert apart["float32 bytes"] == 4 * 4 * weights
    assert apart["int8 bytes"] < 1.1 * 4 * weights

    base, *points = one_run["frontier"]
    assert base["NLL"] == pytest.approx(apart["study"]["ensemble"]["NLL"])
    assert base["bytes"] > apart["float32 bytes"]
    assert [point["bits"] for point in points] == [bits for bits, _ in rounded]
    assert [point["bits"] for point in points] == list(cifar.WIDTHS)
    for _, calibration in rounded:
        np.testing.assert_array_equal(calibration, TRAINING.part(0, 8).floats())
    sizes = [point["bytes"] for point in points]
    assert sizes == sorted(set(sizes))
    assert len({point["NLL"] for point in points}) == len(points)
    assert max(sizes) < apart["float32 bytes"]
    text = report(results)
    assert text.startswith("**Reduced**: 1 epochs of 64 pictures")
    assert text.count("| Bits-Ensemble (low rank, shared bits) |") == 3

    monkeypatch.setattr(run, "fit", forbidden("trained again"))
    monkeypatch.setattr(cifar, "compare", forbidden("measured again"))
    assert cifar.measure(SCALE, setup) == results
    changes = {"CORRUPTED": 20, "WIDTHS": (2,), "CALIBRATION": 9, "STUDIED": 30}
    for name, value in (changes | {"CORRUPTIONS": ("contrast",)}).items():
        with monkeypatch.context() as changed:
            changed.setattr(cifar, name, value)
            with pytest.raises(pytest.fail.Exception, match="measured again"):
                cifar.measure(SCALE, setup)
    for other in ({"seeds": (1,)}, {"epochs": 2}, {"limit": 63}):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            cifar.measure(replace(SCALE, **other), setup)


def forbidden(text):
    """A function that must not be called."""

    def call(*arguments, **named):
        pytest.fail(text)

    return call


def made_up():
    """Results in which no two figures are equal, and no method's bytes those of another."""
    number = count(1)

    def figures(*names):
        return {name: next(number) / 1000 for name in names}

    quality = ("accuracy", "NLL", "Brier", "ECE")
    methods = {
        method: {
            "members": figures(*quality),
            "one member": figures(*quality),
            "file": figures(*quality),
            "bytes": 1000 + next(number),
            "float32 bytes": 20000 + next(number),
            "int8 bytes": 5000 + next(number),
            "study": {
                "ensemble": figures("NLL", "ECE"),
                "member": figures("NLL", "ECE"),
                **figures("disagreement", "divergence", "AUROC of a member"),
                "AUROC": figures("1 - max p", "mutual information"),
                "verdict": "The 4 members act as one model: so",
            },
            "corrupted": [
                {"ensemble": figures("NLL", "ECE"), "member": figures("NLL", "ECE")}
                for _ in range(5)
            ],
        }
        for method in cifar.METHODS
    }
    frontier = [
        {"bits": bits, "bytes": 9000 + next(number), **figures("NLL", "ECE")} for bits in (32, 2)
    ]
    networks = [{"recipe": "tiny", "runs": [{"methods": methods, "frontier": frontier}]}]
    sizes = {"members": 4, "seeds": [0], "studied": 5, "limit": 64, "epochs": 1}
    return {**sizes, "corrupted": 3, "corruptions": 2, "networks": networks}


def rows(text, name):
    """The cells of every row of that name."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines]


def test_every_cell_of_the_tables_is_the_figure_that_its_column_names():
    results = made_up()
    (network,) = results["networks"]
    run_ = network["runs"][0]
    text = report(results)
    apart = run_["methods"]["independent"]
    full = apart["float32 bytes"]

    def quality(found, size_bytes, flat):
        cells = [f"{100 * found['accuracy']:.2f}"]
        cells += [f"{found[name]:.4f}" for name in ("NLL", "Brier", "ECE")]
        sizes = [f"{each:,}".replace(",", " ") if each else "-" for each in (size_bytes, flat)]
        return [*cells, *sizes, f"{100 * size_bytes / full:.1f}"]

    def study(found):
        ensemble, member = found["ensemble"], found["member"]
        cells = [ensemble["NLL"], member["NLL"], ensemble["ECE"], member["ECE"]]
        rest = [found["divergence"], found["AUROC"]["1 - max p"], found["AUROC of a member"]]
        rest.append(found["AUROC"]["mutual information"])
        return [
            *(f"{cell:.4f}" for cell in cells),
            f"{100 * found['disagreement']:.2f}",
            *(f"{cell:.4f}" for cell in rest),
            "one model",
        ]

    def shifts(found, what):
        return [f"{row[what]['NLL']:.3f} / {row[what]['ECE']:.3f}" for row in found["corrupted"]]

    assert rows(text, "full rank, float32") == [quality(apart["members"], full, None)]
    assert rows(text, "one member of it")[0] == quality(apart["one member"], full // 4, None)
    assert rows(text, "one member of it")[1] == shifts(apart, "member")
    assert rows(text, "deep ensemble, float32") == [
        study(apart["study"]), shifts(apart, "ensemble")
    ]  # fmt: skip
    for title, method in (("full rank, trained at 8 bits", "uniform"),
                          ("Bits-Ensemble (low rank, shared bits)", "lowrank-shared")):  # fmt: skip
        found = run_["methods"][method]
        assert rows(text, title) == [
            quality(found["file"], found["bytes"], found["int8 bytes"]),
            study(found["study"]),
            shifts(found, "ensemble"),
        ]
    for point in run_["frontier"]:
        size = f"{point['bytes']:,}".replace(",", " ")
        assert rows(text, f"{point['bits']} bits") == [[size, f"{point['NLL']:.4f}"]]


def test_the_picture_shows_nll_against_bytes(tmp_path, monkeypatch):
    figure_ = pytest.importorskip("matplotlib.figure")
    drawn = []
    monkeypatch.setattr(
        figure_.Figure, "savefig", lambda figure, path, **options: drawn.append(figure)
    )
    results = made_up()
    draw(results, tmp_path / "cifar.png")
    run_ = results["networks"][0]["runs"][0]
    lines = [line.get_xydata().tolist() for line in drawn[0].axes[0].lines]
    assert lines[0] == [[point["bytes"], point["NLL"]] for point in run_["frontier"]]
    assert lines[1:] == [
        [[found["bytes"], found["study"]["ensemble"]["NLL"]]]
        for method, found in run_["methods"].items()
        if method != "independent"
    ]


def test_the_whole_experiment_does_not_call_itself_reduced():
    results = {"members": 4, "seeds": [0], "studied": 5, "limit": None}
    results |= {"corrupted": 1, "corruptions": 1, "networks": []}
    assert "Reduced" not in report(results)
    assert cifar.FULL.limit is None
    assert cifar.FULL.epochs is None
    assert set(cifar.FULL.recipes + cifar.REDUCED.recipes) <= set(RECIPES)


def test_pictures_of_cifar100_are_read_from_the_official_file(tmp_path):
    folder = tmp_path / "cifar100"
    folder.mkdir()
    with pytest.raises(DataError, match=r"test\.bin is missing: .* https://"):
        load_outside(tmp_path)
    records = np.random.default_rng(0).integers(0, 256, (3, 3074)).astype(np.uint8)
    records.tofile(folder / "test.bin")
    images = load_outside(tmp_path)
    assert images.x.shape == (3, 3, 32, 32)
    assert np.array_equal(images.x[1, 2, 31, 30:], records[1, -2:])
    assert np.array_equal(images.y, records[:, 1])
    (folder / "test.bin").write_bytes(b"1" * 3075)
    with pytest.raises(DataError, match=r"test\.bin is damaged"):
        load_outside(tmp_path)


def test_pictures_of_cifar100_that_come_alone_have_the_label_0(tmp_path, monkeypatch):
    (tmp_path / "cifar100").mkdir()
    path = tmp_path / "cifar100" / "test.med.xz"
    path.write_bytes(b"")
    monkeypatch.setattr(cifar100, "read_packed", lambda given: OUTSIDE.x if given == path else None)
    images = load_outside(tmp_path)
    assert images.x is OUTSIDE.x
    assert not images.y.any()
    assert images.y.shape == (60,)
