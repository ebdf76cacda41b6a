"""``sweeps/run.py`` with trials that sleep instead of training: a real Ray, record and checkpoints.

    python tests/faults/pretended.py --arch cnn --trials 4 --max-epochs 5 --name night

A trial's scores follow from its seed, so that one that went on from a checkpoint can be told from
one that was not disturbed. FAULTS_LOG names a file that gets a line for each epoch that begins,
FAULTS_SECONDS is how long one takes, FAULTS_HANG the trial that tells nothing for ever,
FAULTS_MACHINE another machine than this one, for the driver to be of. At SIGUSR2 its clocks jump by
FAULTS_JUMP seconds.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from datetime import datetime, timedelta


def train(config, **_):
    """A trainable that reports and checkpoints as sweeps/trial.py does."""
    curve = restored(config["checkpoint"])
    earlier = curve[:]
    seconds = float(os.environ.get("FAULTS_SECONDS", "0.3"))
    while True:
        epoch = len(curve) + 1
        if epoch <= config["epochs"]:
            note(config["trial"], epoch)
            time.sleep(3600 if config["trial"] == os.environ.get("FAULTS_HANG") else seconds)
            curve.append(figures(config["seed"], epoch))
        whole = len(curve) >= config["epochs"]
        final = ending(curve) if whole else {}
        last = curve[-1] if epoch <= config["epochs"] else {"device": "none"}
        report({**last, **final, "earlier": earlier}, curve)
        earlier = []
        if whole:
            return


def restored(resumed_from):
    """The figures of the epochs before, from Tune's checkpoint or that of the sweep's."""
    import json
    import tempfile
    from pathlib import Path

    import numpy as np

    from sweeps import handover

    with tempfile.TemporaryDirectory() as folder:
        if not handover.take_up(resumed_from, Path(folder)):
            return []
        curve = json.loads((Path(folder) / "curve.json").read_text())
        with np.load(Path(folder) / "state.npz") as state:
            if state["scores"].tolist() != [row["val_iou"] for row in curve]:
                raise ValueError("the state is not that of the curve")
    return curve


def note(trial, epoch):
    """Say that an epoch begins; one line is written whole."""
    if path := os.environ.get("FAULTS_LOG"):
        with open(path, "a") as log:  # noqa: PTH123 - runs where pathlib is not imported
            log.write(f"{trial} {epoch} {time.time():.3f}\n")


def score(seed, epoch):
    """A trial's validation IoU after an epoch."""
    import zlib

    return zlib.crc32(f"{seed} {epoch}".encode()) / 2**32


def figures(seed, epoch):
    """What an epoch reports."""
    best = max(score(seed, each) for each in range(1, epoch + 1))
    shown = dict.fromkeys(("best_iou", "best_dice", "best_accuracy"), best)
    facts = {"loss": 0.5, "learning_rate": 0.1, "device": "none", "val_accuracy": 0.5}
    return {"epoch": epoch, "val_iou": score(seed, epoch), **shown, **facts}


def ending(curve):
    """What the last result adds; the mean of all scores stands for the training images' IoU."""
    scores = [row["val_iou"] for row in curve]
    return {"finished": True, "final_iou": max(scores), "train_iou": sum(scores) / len(scores)}


def report(told, curve):
    """Tell the driver, with a checkpoint of some size."""
    import json
    import tempfile
    from pathlib import Path

    import numpy as np

    from sweeps import handover

    with tempfile.TemporaryDirectory() as folder:
        scores = [row["val_iou"] for row in curve]
        np.savez(Path(folder) / "state.npz", scores=scores, weights=np.zeros(50_000, np.float32))
        (Path(folder) / "counters.json").write_text(json.dumps({"epoch": len(curve)}))
        (Path(folder) / "curve.json").write_text(json.dumps(curve))
        handover.report(told, Path(folder))


def jump_clocks(*_):
    """Have this process see another time of day from now on."""
    import sweeps.recording
    import sweeps.rows

    jump, real = float(os.environ["FAULTS_JUMP"]), time.time

    class Shifted(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=jump)

    time.time = lambda: real() + jump
    sweeps.recording.datetime = sweeps.rows.datetime = Shifted


def main(arguments):
    """Run a sweep; there are no models that could become winners."""
    from sweeps.quiet import silence_ray

    silence_ray()
    from sweeps import crowning, lock, run, runner, search

    if machine := os.environ.get("FAULTS_MACHINE"):
        lock._machine = lambda: machine
    signal.signal(signal.SIGUSR2, jump_clocks)
    search.Runner = functools.partial(runner.Runner, trainable=train)
    crowning.crown = lambda *_: True
    return run.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
