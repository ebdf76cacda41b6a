import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from nucseg_models.data import cache
from nucseg_models.data.synthetic import synthetic

DATASET = replace(synthetic(3, seed=0, sides=(48, 60)), skipped=("a.png: is bad",))


def same(a, b):
    return (
        a.ids == b.ids
        and a.kinds == b.kinds
        and a.sha256 == b.sha256
        and a.skipped == b.skipped
        and all((x == y).all() for x, y in zip(a.images, b.images, strict=True))
        and all((x == y).all() for x, y in zip(a.labels, b.labels, strict=True))
    )


@pytest.fixture
def path(tmp_path):
    stored = tmp_path / "x.nucseg"
    cache.write(stored, DATASET)
    return stored


def test_what_was_written_is_read_the_skipped_included(path):
    found = cache.read(path)
    assert same(found, DATASET)
    assert [array.dtype for array in (found.images[0], found.labels[0])] == ["uint8", "int32"]


def test_arrays_are_read_only_views_of_the_file(path):
    found = cache.read(path)
    with pytest.raises(ValueError, match="read-only"):
        found.labels[0][0, 0] = 1
    assert not found.images[0].flags.owndata


def test_every_damaged_byte_is_noticed(path):
    sound = path.read_bytes()
    places = [0, 9, 17, 30, len(sound) // 3, len(sound) // 2, len(sound) - 1]
    for place in places:
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        assert cache.read(path) is None, place
    path.write_bytes(sound)
    assert cache.read(path) is not None


@pytest.mark.parametrize("kept", [0, 5, 20, 200, 0.5, 0.999])
def test_a_file_cut_short_is_none(path, kept):
    sound = path.read_bytes()
    path.write_bytes(sound[: int(kept if kept > 1 or kept == 0 else kept * len(sound))])
    assert cache.read(path) is None


def test_trailing_bytes_and_an_absurd_header_length_are_noticed(path):
    sound = path.read_bytes()
    path.write_bytes(sound + b"x")
    assert cache.read(path) is None
    path.write_bytes(sound[:8] + b"\xff" * 8 + sound[16:])
    assert cache.read(path) is None


def test_a_file_of_another_format_is_none(path, monkeypatch):
    monkeypatch.setattr(cache, "MAGIC", b"nucseg\0" + bytes([cache.FORMAT + 1]))
    assert cache.read(path) is None


def test_no_file_is_none(tmp_path):
    assert cache.read(tmp_path / "nothing") is None


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    broken = replace(DATASET, images=[*DATASET.images[:2], None])
    with pytest.raises(Exception):  # noqa: B017 - whatever it is
        cache.write(tmp_path / "x.nucseg", broken)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_processes_go_after_a_day(tmp_path):
    old, new = tmp_path / "a.part", tmp_path / "b.part"
    for leftover in (old, new):
        leftover.write_bytes(b"x")
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    cache.write(tmp_path / "x.nucseg", DATASET)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.part", "x.nucseg"]


def test_an_unfinished_file_that_goes_while_the_folder_is_read_does_no_harm(tmp_path):
    gone = tmp_path / "a.part"
    gone.symlink_to(tmp_path / "nowhere")  # listed, but no longer there when it is looked at
    cache.write(tmp_path / "x.nucseg", DATASET)
    assert same(cache.read(tmp_path / "x.nucseg"), DATASET)


def _write_and_read(path):
    cache.write(path, DATASET)
    return same(cache.read(path), DATASET)


def test_processes_that_write_at_once_do_no_harm(tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        assert all(pool.map(_write_and_read, [tmp_path / "x.nucseg"] * 8))
    assert same(cache.read(tmp_path / "x.nucseg"), DATASET)


def test_the_folder_is_the_first_of_argument_own_variable_xdg_and_home(monkeypatch):
    monkeypatch.setenv("NUCSEG_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.cache_root(Path("/given")) == Path("/given")
    assert cache.cache_root() == Path("/own")
    monkeypatch.delenv("NUCSEG_CACHE")
    assert cache.cache_root() == Path("/xdg/nucseg")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache.cache_root() == Path("/home/someone/.cache/nucseg")
