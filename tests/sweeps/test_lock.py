"""One driver at a time runs a sweep, and a dead one is seen as dead."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from sweeps import lock as lock_module
from sweeps.checks import ConfigError
from sweeps.lock import FILE, Lock
from sweeps.storage import StorageError, open_store

HOLDER = """
import sys, time
from sweeps.lock import Lock
from sweeps.storage import open_store
with Lock(open_store(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "night")


@pytest.fixture
def other(store, request):
    """A process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, store.uri],
        stdout=subprocess.PIPE,
        text=True,
        cwd=request.config.rootpath,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def refused(store):
    with pytest.raises(ConfigError, match=r"is being run by process \d+ of .*: stop that first"):
        Lock(store, print).__enter__()


def test_it_is_there_while_it_is_held_and_gone_afterwards(store):
    with Lock(store, print):
        assert store.list() == [FILE]
    assert store.list() == []


def test_a_second_driver_is_refused_while_the_first_lives(store, other):
    refused(store)
    other.send_signal(signal.SIGSTOP)  # it lives all the same
    refused(store)


def test_a_driver_of_this_machine_that_was_killed_is_seen_as_dead_at_once(store, other):
    other.kill()
    other.wait()
    begun = time.monotonic()
    with Lock(store, print):
        assert time.monotonic() - begun < 5


def test_a_process_that_only_has_the_dead_drivers_number_is_not_it(store):
    lock = Lock(store, print)
    store.write_bytes(FILE, json.dumps({**lock._mine, "token": "x", "began": "1"}).encode())

    with lock:
        assert json.loads(store.read_bytes(FILE))["token"] == lock._mine["token"]


@pytest.fixture
def elsewhere(store, monkeypatch):
    """A driver of another machine; returns what gives a sign of its life."""
    monkeypatch.setattr(lock_module, "PATIENCE", 3.0)
    mark = {**Lock(store, print)._mine, "token": "x", "machine": "another", "host": "far"}
    store.write_bytes(FILE, json.dumps({**mark, "beats": 1}).encode())
    return lambda: store.write_bytes(FILE, json.dumps({**mark, "beats": 2}).encode())


def test_a_driver_of_another_machine_without_a_sign_of_life_is_taken_for_dead(store, elsewhere):
    heard = []
    with Lock(store, heard.append):
        assert heard == ["waiting for a sign of life of far, which last ran this sweep"]


def test_one_with_a_sign_of_life_is_not(store, elsewhere, monkeypatch):
    monkeypatch.setattr(lock_module.time, "sleep", lambda seconds: elsewhere())

    refused(store)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}"])
def test_a_mark_that_can_not_be_read_is_nobodys(store, content):
    store.write_bytes(FILE, content)

    with Lock(store, print):
        pass


def test_a_driver_whose_sweep_was_taken_over_stops(store, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT", 0.05)
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # as Tune sets its own
    heard = []
    try:
        with pytest.raises(KeyboardInterrupt), Lock(store, heard.append):
            store.write_bytes(FILE, b'{"token": "another"}')
            for _ in range(100):
                time.sleep(0.1)
    finally:
        signal.signal(signal.SIGINT, usual)

    assert heard == ["another driver has taken this sweep over: this one stops"]
    assert json.loads(store.read_bytes(FILE)) == {"token": "another"}  # it is not ours to remove


def test_a_driver_that_slept_while_another_took_over_may_write_no_more(store, monkeypatch):
    with Lock(store, print) as lock:
        store.write_bytes(FILE, b'{"token": "another"}')
        lock.check()  # nobody takes over what gave a sign of life a moment ago
        later = lock_module._now() + 20
        monkeypatch.setattr(lock_module, "_now", lambda: later)
        with pytest.raises(StorageError, match="another driver has taken this sweep over"):
            lock.check()


def test_one_that_slept_while_nobody_took_over_goes_on(store, monkeypatch):
    with Lock(store, print) as lock:
        later = lock_module._now() + 3600
        monkeypatch.setattr(lock_module, "_now", lambda: later)
        lock.check()


def test_storage_that_is_away_for_a_while_ends_nothing(store, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT", 0.02)
    with Lock(store, print) as lock:
        whole, away = type(store).write_bytes, []

        def write(self, name, data):
            if len(away) < 3:
                away.append(name)
                raise StorageError("away")
            whole(self, name, data)

        monkeypatch.setattr(type(store), "write_bytes", write)
        deadline = time.monotonic() + 10
        while json.loads(store.read_bytes(FILE))["beats"] < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert json.loads(store.read_bytes(FILE))["beats"] >= 4
        assert lock._thread.is_alive()


def test_on_s3_too_the_first_wins(s3_admin):
    store = open_store(f"s3://sweeps/lock-{os.getpid()}")
    with Lock(store, print):
        refused(store)
    with Lock(store, print):
        pass
    assert store.list() == []
