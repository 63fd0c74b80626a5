"""Output files are complete or absent, and an older file survives every failure."""

from __future__ import annotations

import os
import stat

import pytest

from edgeens.atomic import make_folder, replacing


def test_the_file_appears_whole(tmp_path):
    path = tmp_path / "f"
    with replacing(path) as file:
        file.write(b"one")
        assert not path.exists()
        file.write(b"two")
    assert path.read_bytes() == b"onetwo"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail():
        with replacing(path) as file:
            file.write(b"new")
            raise failure

    with pytest.raises(failure):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full as the full disk")
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    real = os.fdopen

    def on_a_full_disk(descriptor, mode):
        os.close(descriptor)
        return real(os.open("/dev/full", os.O_WRONLY), mode)

    monkeypatch.setattr(os, "fdopen", on_a_full_disk)
    with pytest.raises(OSError, match="No space left") as caught, replacing(path) as file:
        file.write(b"x" * 100_000)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    with pytest.raises(IsADirectoryError) as caught, replacing(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path)
    assert os.listdir(tmp_path) == []


def test_an_error_without_a_number_keeps_its_text(tmp_path):
    with pytest.raises(OSError, match=r"^not a seekable stream$"), replacing(tmp_path / "f"):
        raise OSError("not a seekable stream")


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "f"):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")


def test_a_folder_is_made_with_its_parents_but_not_over_a_file(tmp_path):
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(NotADirectoryError) as caught:
        make_folder(tmp_path / "f")
    assert caught.value.filename == str(tmp_path / "f")


def test_the_permissions_are_those_of_an_ordinary_file(tmp_path):
    path, ordinary = tmp_path / "f", tmp_path / "g"
    ordinary.write_bytes(b"")
    with replacing(path) as file:
        file.write(b"x")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_missing_folder_is_the_systems_own_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "no" / "f"):
        pass


def test_a_folder_that_is_not_there_is_refused_with_the_name_that_was_asked_for(tmp_path):
    path = tmp_path / "no" / "f"
    with pytest.raises(FileNotFoundError) as refusal, replacing(path):
        pass
    assert refusal.value.filename == str(path)
