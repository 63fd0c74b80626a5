"""Data sets from their standard files, and the sentence for each way they can be wrong."""

from __future__ import annotations

import gzip
import io
import lzma
import pickle
import tarfile

import numpy as np
import pytest

from edgeens.datasets.catalogue import load_dataset
from edgeens.datasets.cifar10 import FIRST_LABELS, TEST, TRAINING
from edgeens.datasets.idx import FILES, read_idx
from edgeens.datasets.packed import read_packed, unpack
from edgeens.errors import DataError
from tests.idx_files import PACK, idx_bytes, write_idx_dataset

# MNIST and Fashion-MNIST


@pytest.mark.parametrize("suffix", PACK)
def test_an_idx_file_reads_the_same_plain_or_compressed(tmp_path, suffix):
    array = np.arange(24).reshape(4, 2, 3)
    path = tmp_path / f"pictures{suffix}"
    path.write_bytes(PACK[suffix](idx_bytes(array)))
    assert np.array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a", b"no idx file", r"a is not an idx file of unsigned bytes; download it again$"),
        ("a", idx_bytes(np.zeros((2, 3)))[:-1], r"a holds 5 values, but shape \(2, 3\) has"),
        (
            "a.gz",
            gzip.compress(bytes(99), mtime=0)[:-9],
            r"a\.gz cannot be read \(.*download it again$",
        ),
        ("a.xz", b"no xz file", r"a\.xz cannot be read \(.*download it again$"),
    ],
)
def test_a_damaged_idx_file_is_refused_by_name(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / name)


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("inside", ["", "fashion_mnist"])
def test_a_dataset_lies_in_the_folder_or_in_one_of_its_name(tmp_path, inside, suffix):
    write_idx_dataset(tmp_path / inside, "fashion_mnist", suffix=suffix)
    training, test = load_dataset(tmp_path, "fashion_mnist")
    assert training.x.shape == test.x.shape == (9, 1, 2, 3)
    assert training.floats()[8, 0, 1, 2] == np.float32(53) / np.float32(255)
    assert training.y.tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 7]


def test_missing_files_are_named_with_where_to_download_them(tmp_path):
    write_idx_dataset(tmp_path / "mnist", "mnist", suffix=".gz")
    (tmp_path / "mnist" / f"{FILES[3]}.gz").unlink()
    missing = r"mnist lacks t10k-labels-idx1-ubyte \(plain, \.gz or \.xz\) of MNIST; download"
    with pytest.raises(DataError, match=missing):
        load_dataset(tmp_path, "mnist")
    everything = r"fashion_mnist lacks train-images.* train-labels.* t10k-images.* of Fashion-MNIST"
    with pytest.raises(DataError, match=everything + r".*from https://github\.com/zalando"):
        load_dataset(tmp_path, "fashion_mnist")


def test_the_files_of_another_dataset_are_not_taken_for_it(tmp_path):
    write_idx_dataset(tmp_path, "mnist")
    with pytest.raises(DataError, match=r"are not those of Fashion-MNIST \(the first training"):
        load_dataset(tmp_path, "fashion_mnist")


# CIFAR-10


def cifar_batches():
    """Eight pictures in each training batch, three in the test batch: x (n, 3, 32, 32), y (n,)."""
    random = np.random.default_rng(0)
    for name in (*TRAINING, TEST):
        count = 3 if name == TEST else 8
        y = np.array(FIRST_LABELS[:count])
        yield name, random.integers(0, 256, (count, 3, 32, 32), np.uint8), y


def pickle_batch(x, y):
    return pickle.dumps({"data": x.reshape(len(x), -1), "labels": y.tolist()}, protocol=2)


def binary_batch(x, y):
    return np.concatenate([y[:, None].astype(np.uint8), x.reshape(len(x), -1)], axis=1).tobytes()


def pack(x):
    """Residuals of MED prediction, one value after the other as the form is defined."""
    red, green, blue = x.astype(int).transpose(1, 0, 2, 3)
    planes = []
    for plane in (green, red - green, blue - green):
        residuals = plane.copy()
        for n, i, j in np.ndindex(plane.shape):
            p = plane[n]
            if i and j:
                w, o, c = p[i, j - 1], p[i - 1, j], p[i - 1, j - 1]
                residuals[n, i, j] -= sorted((w, o, w + o - c))[1]
            elif i or j:
                residuals[n, i, j] -= p[i - 1, 0] if i else p[0, j - 1]
        planes.append(residuals % 256)
    return np.stack(planes).astype(np.uint8)


def archive(folder, files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def write_cifar(folder, form):
    """CIFAR-10 of 40 + 3 pictures in one of the accepted forms."""
    folder.mkdir(parents=True, exist_ok=True)
    batches = list(cifar_batches())
    pickles = {name: pickle_batch(x, y) for name, x, y in batches}
    binaries = {f"{name}.bin": binary_batch(x, y) for name, x, y in batches}
    if form == "python archive":
        content = archive("cifar-10-batches-py", pickles)
        (folder / "cifar-10-python.tar.gz").write_bytes(content)
    elif form == "binary archive":
        content = archive("cifar-10-batches-bin", binaries)
        (folder / "cifar-10-binary.tar.gz").write_bytes(content)
    elif form == "packed":
        for name, x, _ in batches:
            (folder / f"{name}.med.xz").write_bytes(lzma.compress(pack(x).tobytes()))
        np.savez(folder / "labels.npz", **{name: y.astype(np.uint8) for name, _, y in batches})
    else:
        place = folder / ("cifar-10-batches-py" if form == "python folder" else "")
        place.mkdir(exist_ok=True)
        for name, data in (pickles if form == "python folder" else binaries).items():
            (place / name).write_bytes(data)


FORMS = ["python archive", "python folder", "binary archive", "binary files", "packed"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgeens" / "datasets"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_cifar_10_gives_the_same_pictures(tmp_path, cache, form):
    write_cifar(tmp_path / "cifar10", form)
    training, test = load_dataset(tmp_path, "cifar10")
    batches = list(cifar_batches())
    assert np.array_equal(training.x, np.concatenate([x for _, x, _ in batches[:-1]]))
    assert np.array_equal(training.y, np.tile(FIRST_LABELS, 5))
    assert np.array_equal(test.x, batches[-1][1])
    assert test.y.tolist() == [6, 9, 9]


def test_smooth_pictures_unpack_too():
    rows = np.arange(32, dtype=np.uint8)
    smooth = np.stack(
        [rows[:, None] + rows, rows[:, None] * 2 + 0 * rows, 255 - rows + 0 * rows[:, None]]
    )
    assert np.array_equal(unpack(pack(smooth[None])), smooth[None])


def test_unpacked_pictures_are_kept_and_a_damaged_copy_is_made_anew(tmp_path):
    _, x, _ = next(cifar_batches())
    path = tmp_path / "a.med.xz"
    path.write_bytes(lzma.compress(pack(x).tobytes()))
    assert np.array_equal(read_packed(path, cache=tmp_path / "kept"), x)
    (kept,) = (tmp_path / "kept").iterdir()
    np.save(kept, x[:2])
    assert len(read_packed(path, cache=tmp_path / "kept")) == 2  # so it is really used
    kept.write_bytes(kept.read_bytes()[:50])
    assert np.array_equal(read_packed(path, cache=tmp_path / "kept"), x)
    assert len(np.load(kept)) == 8


def test_missing_cifar_10_says_what_is_expected_and_where_to_get_it(tmp_path):
    message = (
        r"cifar10 holds no CIFAR-10: cifar-10-python\.tar\.gz or .* download one from https://www"
    )
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path, "cifar10")


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_batch_is_named(tmp_path, cache, form):
    if form == "python archive":
        content = archive("cifar-10-batches-py", {"data_batch_1": b""})
        (tmp_path / "cifar-10-python.tar.gz").write_bytes(content)
    elif form == "binary archive":
        content = archive("cifar-10-batches-bin", {"data_batch_1.bin": b""})
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(content)
    else:
        write_cifar(tmp_path, form)
        (lost,) = tmp_path.rglob("data_batch_3*")
        lost.unlink()
    with pytest.raises(
        DataError, match=r"^data_batch_[13] of CIFAR-10 in .* download CIFAR-10 again"
    ):
        load_dataset(tmp_path, "cifar10")


@pytest.mark.parametrize(
    ("form", "glob", "message"),
    [
        ("python archive", "*.gz", r"cifar-10-python\.tar\.gz cannot be read \(.*again from https"),
        ("binary archive", "*.gz", r"cifar-10-binary\.tar\.gz cannot be read \(.*again from https"),
        ("python folder", "data_batch_2", r"^data_batch_2 .*it is no pickled batch: .*download"),
        ("binary files", "data_batch_2*", r"^data_batch_2 .*no whole number of records of 3073"),
        ("packed", "data_batch_2*", r"data_batch_2\.med\.xz cannot be read \(.*get it again"),
    ],
)
def test_a_cut_file_is_refused_by_name(tmp_path, cache, form, glob, message):
    write_cifar(tmp_path, form)
    (path,) = tmp_path.rglob(glob)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path, "cifar10")


def test_a_pickle_can_run_no_code(tmp_path):
    write_cifar(tmp_path, "python folder")
    evil = b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").write_bytes(evil)
    with pytest.raises(DataError, match=r"^data_batch_4 .*it names os\.system\); download"):
        load_dataset(tmp_path, "cifar10")
    assert not (tmp_path / "ran").exists()


def test_other_pictures_are_not_taken_for_cifar_10(tmp_path):
    write_cifar(tmp_path, "binary files")
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(b"\x05" + path.read_bytes()[1:])
    with pytest.raises(DataError, match=r"are not those of CIFAR-10 \(the first training labels"):
        load_dataset(tmp_path, "cifar10")
    path.write_bytes(b"\x0b" + path.read_bytes()[1:])
    with pytest.raises(DataError, match=r"^data_batch_1 .*label 11 is no class of 0 to 9"):
        load_dataset(tmp_path, "cifar10")
