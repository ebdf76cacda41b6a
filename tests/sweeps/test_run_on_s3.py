"""A sweep whose results never touch this machine's disk."""

import json
import signal

from sweeps.recorder import Recorder
from sweeps.storage import open_store


def test_a_sweep_on_s3_keeps_everything_there_and_goes_on_there(launch, tmp_path, s3_admin):
    where = ("--image-size", "64", "--results", "s3://sweeps/e2e", "--name", "night")
    asked = ("--arch", "cnn", "--trials", "4", "--max-epochs", "3", "--sampler", "nsgaii")
    # Hyperband pauses trials: by checkpoints. One worker starts sooner than two.
    run = launch(*asked, *where, "--scheduler", "hyperband", "--concurrency", "1")
    run.wait_for(r"cnn-0000: epoch")
    run.process.send_signal(signal.SIGINT)
    assert run.status(60) == 130
    store = open_store("s3://sweeps/e2e/night")
    assert "cnn-0000" in store.read_bytes("running.json").decode()

    resumed = ("--resume", "--results", "s3://sweeps/e2e", "--name", "night")
    again = launch(*resumed, "--confirm", "1")
    assert again.status() == 0
    assert again.err.read_text() == ""
    found = [row for row in Recorder.resumed(store).trials if not row.confirms]
    assert sorted(row.trial_id for row in found) == [f"cnn-{number:04d}" for number in range(4)]
    assert {row.status for row in found} <= {"completed", "stopped"}  # which, is hyperband's
    (repeat,) = [row for row in Recorder.resumed(store).trials if row.confirms]
    (best,) = [row for row in found if row.is_best]
    assert (repeat.confirms, repeat.status) == (best.trial_id, "completed")
    assert repeat.hyperparameters == best.hyperparameters
    assert repeat.epochs_run == best.epochs_run
    assert repeat.seed != best.seed
    assert json.loads(store.read_bytes("sweep.json"))["config"]["confirm"] == 1
    assert f"cnn with fresh seeds (1): IoU {repeat.val_iou:.3f} on average" in again.printed()
    assert list(filter(None, store.list())) == [  # Tune marks the folder by an empty name
        *("best/cnn/config.json", "best/cnn/model.keras", "curves.parquet", "gallery.parquet"),
        *("images.parquet", "summary.parquet", "sweep.json"),
    ]
    assert "winners  s3://sweeps/e2e/night/best/" in again.printed()
    assert {path.suffix for path in tmp_path.iterdir()} == {".out", ".err"}
