"""A whole sweep on another backend than TensorFlow, in half precision too."""

import keras
import pyarrow.parquet as pq


def test_a_sweep_on_jax_in_half_precision_trains_and_saves_its_winner_in_full(
    launched_once, tmp_path
):
    asked = ("--arch", "cnn", "--trials", "1", "--max-epochs", "1", "--image-size", "64")
    half = ("--backend", "jax", "--precision", "mixed_bfloat16")
    run = launched_once(tmp_path, [*asked, *half, "--name", "night"])

    assert run.status() == 0, run.printed()
    (row,) = pq.read_table(tmp_path / "results" / "night" / "summary.parquet").to_pylist()
    assert (row["backend"], row["status"], row["epochs_run"]) == ("jax", "completed", 1)
    assert row["precision"] == "mixed_bfloat16"
    winner = keras.saving.load_model(tmp_path / "results/night/best/cnn/model.keras")
    assert {layer.compute_dtype for layer in winner.layers} == {"float32"}
