"""Many read a summary while it is written: each finds a whole one, and never fewer rows."""

import json
import subprocess
import sys
from pathlib import Path

from sweeps.recorder import Recorder
from sweeps.storage import open_store

READERS, TRIALS = 8, 700  # of more than 500 trials the newest rows go to a file of their own
READER = """
import json, sys, time
import pyarrow.parquet as pq
counts = []
print("ready", flush=True)
while not counts or counts[-1] < int(sys.argv[2]):
    trials = pq.ParquetFile(sys.argv[1]).read()["trial_id"].to_pylist()  # opens it once
    assert len(set(trials)) == len(trials)
    counts.append(len(trials))
    time.sleep(0.01)  # which leaves the writer some of a small machine
print(json.dumps(counts))
"""


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_eight_readers_of_a_summary_find_whole_files_while_it_is_written(tmp_path, trial_record):
    recorder = Recorder(open_store(tmp_path / "night"))
    recorder.ended(trial_record(trial_id="unet-0000"))
    summary = tmp_path / "night" / "summary.parquet"
    command = [sys.executable, "-c", READER, str(summary), str(TRIALS)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(READERS)]
    for reader in readers:
        assert reader.stdout.readline() == "ready\n"
    before = open_files()

    for number in range(1, TRIALS):
        recorder.ended(trial_record(trial_id=f"unet-{number:04d}"))
    recorder.flush()

    for reader in readers:
        counts = json.loads(reader.communicate(timeout=60)[0])
        assert reader.returncode == 0
        assert counts == sorted(counts)
        assert counts[0] < TRIALS
    assert open_files() <= before
