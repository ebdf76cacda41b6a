"""A whole sweep on another backend than TensorFlow."""

import pyarrow.parquet as pq


def test_a_sweep_on_jax_trains_and_saves_its_winner(launched_once, tmp_path):
    asked = ("--arch", "cnn", "--trials", "1", "--max-epochs", "1", "--image-size", "64")
    run = launched_once(tmp_path, [*asked, "--backend", "jax", "--name", "night"])

    assert run.status() == 0, run.printed()
    (row,) = pq.read_table(tmp_path / "results" / "night" / "summary.parquet").to_pylist()
    assert (row["backend"], row["status"], row["epochs_run"]) == ("jax", "completed", 1)
    assert (tmp_path / "results" / "night" / "best" / "cnn" / "model.keras").exists()
