"""Sweeps whose trials sleep instead of training: what is left is the cost of running them."""

from __future__ import annotations

import tempfile
import time
from typing import Any


def sweep(
    trials: int, epochs: int, seconds: float, cpus_per_trial: float = 1.0
) -> tuple[float, list[float]]:
    """A sweep on the Ray that is there, or is started, with trials that sleep.

    Returns its seconds, and after how many each of its trials had ended, in order.
    """
    from sweeps.quiet import silence_ray

    silence_ray()
    import optuna

    import nucseg_models
    from nucseg_models import data
    from sweeps.cluster import ray_running
    from sweeps.config import SweepConfig
    from sweeps.inputs import Inputs
    from sweeps.progress import Progress
    from sweeps.recorder import Recorder
    from sweeps.recording import Recording
    from sweeps.runner import Runner
    from sweeps.scheduler import SchedulerPerArchitecture
    from sweeps.search import facts
    from sweeps.searcher import StudyPerArchitecture
    from sweeps.storage import open_store
    from sweeps.sweep import Sweep

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = SweepConfig(
        arch="unet",
        trials=trials,
        max_epochs=epochs,
        sampler="random",
        name="bench",
        cpus_per_trial=cpus_per_trial,
    )
    images = data.load("synthetic")
    with tempfile.TemporaryDirectory() as folder:
        store, quiet = open_store(folder), Progress(["unet"], trials, quiet=True)
        inputs = Inputs(images, images, None)
        asked = Sweep(config, inputs, store, Recorder(store), quiet, None, time.time())
        with ray_running(config) as resources:
            recording = Recording(facts(asked, resources), asked.recorder, asked.progress, store)
            search = StudyPerArchitecture(
                config,
                [nucseg_models.get("unet")],
                deadline=None,
                pretrained=None,
                device_seconds=recording.device_seconds,
            )
            scheduler = SchedulerPerArchitecture("none", ["unet"], epochs)
            began, started = time.time(), time.perf_counter()
            Runner(asked, resources, recording, sleeping(epochs, seconds)).run(
                search, scheduler, trials=trials
            )
            taken = time.perf_counter() - started
        assert len(asked.recorder.trials) == trials
        assert {row.status for row in asked.recorder.trials} == {"completed"}
        ends = sorted(row.ended_at.timestamp() - began for row in asked.recorder.trials)
    return taken, ends


def sleeping(epochs: int, seconds: float) -> Any:
    """A trainable whose epochs sleep and report."""

    def train(config: dict[str, Any], **_: Any) -> None:
        from ray import tune

        for epoch in range(1, epochs + 1):
            time.sleep(seconds)
            figures: dict[str, Any] = dict.fromkeys(
                ("val_iou", "val_accuracy", "best_iou", "best_dice", "best_accuracy"), 0.5
            )
            figures |= {"epoch": epoch, "loss": 0.5, "learning_rate": 0.1, "device": "none"}
            if epoch == epochs:
                figures |= {"finished": True, "final_iou": 0.5}
            tune.report(figures)

    return train
