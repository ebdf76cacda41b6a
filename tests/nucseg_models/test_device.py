import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from nucseg_models import device

MEGABYTE = 1 << 20


def grow(size):
    """Hold `size` bytes for a moment, all of them written to."""
    block = np.ones(size, np.uint8)
    return int(block[-1])


@pytest.fixture
def can_restart():
    """Whether this system lets a process restart its peak."""
    try:
        device.CLEAR.write_text("5")
    except OSError:
        pytest.skip(f"{device.CLEAR} cannot be written on this system")


def test_a_prepared_worker_uses_no_more_threads_than_it_was_given():
    program = (
        "import tensorflow as tf; from nucseg_models import device; device.prepare(threads=3);"
        "print(tf.config.threading.get_intra_op_parallelism_threads(),"
        " tf.config.threading.get_inter_op_parallelism_threads())"
    )
    # In a process of its own, as this one has computed already.
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert printed.stdout.split() == [b"3", b"1"]


def test_the_device_has_a_name():
    assert device.name().strip()
    assert "\n" not in device.name()


def test_peak_memory_is_that_of_the_system_in_bytes():
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert 10 * MEGABYTE < device.peak_memory_bytes() <= largest * 1.01


def test_the_peak_grows_with_what_was_held_until_it_is_restarted(can_restart):
    device.restart_peak_memory()
    before = device.peak_memory_bytes()
    grow(400 * MEGABYTE)
    peak = device.peak_memory_bytes()
    assert before + 300 * MEGABYTE < peak < before + 600 * MEGABYTE
    device.restart_peak_memory()
    assert device.peak_memory_bytes() < peak - 300 * MEGABYTE


def test_where_the_peak_cannot_be_restarted_nothing_happens(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "CLEAR", tmp_path / "no such folder" / "file")
    device.restart_peak_memory()
    assert device.peak_memory_bytes() > 0


def test_without_linux_status_file_the_system_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "STATUS", tmp_path / "none")
    expected = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert device.peak_memory_bytes() == pytest.approx(expected, rel=0.01)


def test_memory_that_is_given_back_is_not_the_next_trials(can_restart):
    """In a process that keeps what tensors leave, as workers do."""
    program = (
        "import ctypes, re; import numpy as np; from nucseg_models import device;"
        "device.prepare(threads=1);"
        "arrays = [np.ones(1 << 20) for _ in range(40)]; del arrays;"
        "device.restart_peak_memory(); kept = device.peak_memory_bytes();"
        "device.give_back_memory(); print(kept, device.peak_memory_bytes())"
    )
    environment = {
        **os.environ,
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    kept, now = map(int, done.stdout.split())
    assert now < kept - 250 * MEGABYTE
