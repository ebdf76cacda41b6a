"""The winners' models: saved, and only now looked at on the test images."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ray

from nucseg_models.data import Dataset
from sweeps.record import TrialRecord
from sweeps.recorder import Recorder
from sweeps.storage import Store

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Crowned:
    """A winner's model file, and its scores on validation and test images by column name."""

    model: bytes
    scores: Mapping[str, Any]


def crown(
    recorder: Recorder,
    store: Store,
    architectures: Sequence[str],
    images: Mapping[str, Dataset | None],
    resources: Mapping[str, float],
) -> None:
    """Save each architecture's best model to best/<architecture>/ and fill in its row.

    images: the validation and the test images, by these names.
    resources: the CPUs and GPUs that a trial had.
    """
    tasks = {}
    references = {name: ray.put(dataset) for name, dataset in images.items()}
    worker = ray.remote(num_cpus=resources["CPU"], num_gpus=resources["GPU"], max_calls=1)(_crown)
    for name in architectures:
        best = recorder.best(name)
        if best is not None and _crowned_trial(store, name) != best.trial_id:
            weights = store.read_bytes(f"{latest_checkpoint(store, best.trial_id)}/state.npz")
            tasks[name] = worker.remote(best, ray.put(weights), **references)
    for name, task in tasks.items():
        best = recorder.best(name)
        if best is not None:
            _keep(recorder, store, best, ray.get(task))


def latest_checkpoint(store: Store, trial: str) -> str:
    """The newest checkpoint folder of a trial, within the sweep's folder.

    FileNotFoundError where there is none.
    """
    names = store.list(f"{CHECKPOINTS}/{trial}/")
    folders = {name.rpartition("/")[0] for name in names if name.endswith("/state.npz")}
    if not folders:
        raise FileNotFoundError(f"trial {trial} has no checkpoint in {store.uri}/{CHECKPOINTS}")
    return max(folders)


def _crowned_trial(store: Store, architecture: str) -> str | None:
    """The trial whose model is already saved, if any."""
    try:
        config = json.loads(store.read_bytes(f"best/{architecture}/config.json"))
    except FileNotFoundError:
        return None
    return str(config["trial_id"])


def _keep(recorder: Recorder, store: Store, best: TrialRecord, crowned: Crowned) -> None:
    """Write the model, its description and its row."""
    record = replace(best, **crowned.scores)
    folder = store.child("best").child(best.architecture)
    folder.write_bytes("model.keras", crowned.model)
    description = {
        "architecture": record.architecture,
        "hyperparameters": json.loads(record.hyperparameters),
        "sweep": record.sweep,
        "trial_id": record.trial_id,
        "dataset": record.dataset,
        "dataset_sha256": record.dataset_sha256,
        "scores": crowned.scores,
        "git_commit": record.git_commit,
        "versions": json.loads(record.versions),
        "input": "float32 (B, H, W, 3), nucseg_models.data.normalise(image) / 255",
        "output": "logits; nucseg_models.get(architecture).postprocess gives labels",
    }
    folder.write_bytes("config.json", json.dumps(description, indent=2).encode())
    recorder.replace(record)


def _crown(
    best: TrialRecord, state: bytes, *, validation: Dataset, test: Dataset | None
) -> Crowned:
    """Runs on a worker: the model with its best weights, saved and scored."""
    # A worker imports Keras; the driver, which imports this file, must not.
    import nucseg_models  # noqa: PLC0415
    from nucseg_models import device  # noqa: PLC0415
    from nucseg_models.evaluation import evaluate  # noqa: PLC0415
    from nucseg_models.training import best_weights  # noqa: PLC0415

    device.prepare(1)
    architecture = nucseg_models.get(best.architecture)
    hyperparameters = json.loads(best.hyperparameters)
    model = architecture.build(hyperparameters, None)
    model.set_weights(best_weights(state))
    evaluation = evaluate(model, architecture, hyperparameters, validation)
    scores = _columns("val", evaluation.scores) | {"predict_seconds": evaluation.predict_seconds}
    if test is not None:
        scores |= _columns("test", evaluate(model, architecture, hyperparameters, test).scores)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return Crowned(path.read_bytes(), scores)


def _columns(prefix: str, scores: Any) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in asdict(scores).items()}
