"""The winners' models: saved, and only now looked at on the test images."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from nucseg_models.data import Dataset
from sweeps import checkpoints
from sweeps.failure import reason
from sweeps.record import TrialRecord
from sweeps.recorder import Recorder
from sweeps.storage import Store
from sweeps.sweep import Sweep
from sweeps.viewing import Viewer
from sweeps.winner_record import GalleryRecord, ImageRecord

MODEL, CONFIG = FILES = ("model.keras", "config.json")  # the second says that all is there


@dataclass(frozen=True)
class Crowned:
    """A winner's model file; its scores on validation and test images by column name; the same of
    each image, by the columns of `ImageRecord`; and of crowded places, of `GalleryRecord`.
    """

    model: bytes
    scores: Mapping[str, Any]
    images: Sequence[Mapping[str, Any]]
    gallery: Sequence[Mapping[str, Any]]


def crown(sweep: Sweep, resources: Mapping[str, float]) -> bool:
    """Save each architecture's winners and fill in their rows.

    The best goes to best/<architecture>/; of two objectives, the others of the front to
    front/<architecture>/<trial>/.

    resources: the CPUs and GPUs that a trial had. Returns whether all could be saved.
    """
    recorder, store = sweep.recorder, sweep.store
    images = {"validation": sweep.inputs.validation, "test": sweep.inputs.test}
    references = {name: ray.put(dataset) for name, dataset in images.items()}
    worker = ray.remote(num_cpus=resources["CPU"], num_gpus=resources["GPU"], max_calls=1)(_crown)
    tasks, whole = [], True
    for winner in [trial for name in sweep.config.arch for trial in recorder.winners(name)]:
        if is_saved(store, winner):
            continue
        folder = checkpoints.latest(store, winner.trial_id)
        if folder is None:
            sweep.progress.message(
                f"{winner.trial_id}: won, but was not saved: it has no whole checkpoint any more"
            )
            whole = False
            continue
        state = ray.put(store.read_bytes(f"{folder}/{checkpoints.STATE}"))
        threads = max(1, int(resources["CPU"]))
        tasks.append((winner, worker.remote(winner, state, threads, **references)))
    for winner, task in tasks:
        try:
            _keep(recorder, store, winner, ray.get(task))
        except RayError as error:  # out of memory, say: the others' winners are saved all the same
            sweep.progress.message(f"{winner.trial_id}: won, but was not saved: {reason(error)}")
            whole = False
    _remove_beaten(recorder, store, sweep.config.arch)
    return whole


def _place(winner: TrialRecord) -> str:
    """The folder of a winner's model."""
    if winner.is_best:
        return f"best/{winner.architecture}"
    return f"front/{winner.architecture}/{winner.trial_id}"


def is_saved(store: Store, winner: TrialRecord) -> bool:
    """Whether a winner's model is in its place, to which that of a former best is brought here.

    The best of two objectives may be saved, and its checkpoints gone, when a later trial beats it,
    and it stays on the front.
    """
    place, best = store.child(_place(winner)), store.child(f"best/{winner.architecture}")
    if _crowned_trial(place) == winner.trial_id:
        return True
    if _crowned_trial(best) != winner.trial_id:
        return False
    for name in FILES:
        place.write_bytes(name, best.read_bytes(name))
    return True


def _remove_beaten(recorder: Recorder, store: Store, architectures: Sequence[str]) -> None:
    """Remove models that were on a front when the sweep last ended and are no more."""
    kept = {_place(trial) for name in architectures for trial in recorder.winners(name)}
    for name in architectures:
        for file in store.list(f"front/{name}/"):
            if file.rpartition("/")[0] not in kept:
                store.delete(file)


def _crowned_trial(folder: Store) -> str | None:
    """The trial whose model is already saved there, if any."""
    try:
        config = json.loads(folder.read_bytes(CONFIG))
    except FileNotFoundError:
        return None
    return str(config["trial_id"])


def _keep(recorder: Recorder, store: Store, winner: TrialRecord, crowned: Crowned) -> None:
    """Write the model, its row, and last its description, which says that all is there."""
    record = replace(winner, **crowned.scores)
    folder = store.child(_place(winner))
    folder.write_bytes(MODEL, crowned.model)
    recorder.replace(record)
    if winner.is_best:
        _keep_images(recorder, winner, crowned)
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
    folder.write_bytes(CONFIG, json.dumps(description, indent=2).encode())


def _keep_images(recorder: Recorder, best: TrialRecord, crowned: Crowned) -> None:
    whose = {key: getattr(best, key) for key in ("sweep", "trial_id", "architecture")}
    recorder.segmented(
        best.architecture,
        [ImageRecord(**whose, **image) for image in crowned.images],
        [GalleryRecord(**whose, **place) for place in crowned.gallery],
    )


def _crown(
    winner: TrialRecord, state: bytes, threads: int, *, validation: Dataset, test: Dataset | None
) -> Crowned:
    """Runs on a worker: the model with its best weights, saved and scored."""
    # A worker imports Keras; the driver, which imports this file, must not.
    import nucseg_models  # noqa: PLC0415
    from nucseg_models import device  # noqa: PLC0415
    from nucseg_models.evaluation import evaluate  # noqa: PLC0415
    from nucseg_models.training import best_weights  # noqa: PLC0415

    device.prepare(threads)
    architecture = nucseg_models.get(winner.architecture)
    hyperparameters = json.loads(winner.hyperparameters)
    model = architecture.build(hyperparameters, None)
    model.set_weights(best_weights(state))
    scores: dict[str, Any] = {}
    images: list[dict[str, Any]] = []
    places: list[dict[str, Any]] = []
    for which, dataset in (("validation", validation), ("test", test)):
        if dataset is None:
            continue
        viewer = Viewer(architecture, hyperparameters, which, dataset)
        found = evaluate(model, architecture, hyperparameters, dataset, viewer.visit)
        scores |= _columns(which.removesuffix("idation"), found.scores)
        if which == "validation":
            if winner.predict_seconds is None:  # else the trial's own, of a network that was warm
                scores["predict_seconds"] = found.predict_seconds
            places = viewer.places
        images += viewer.images(found.by_image)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return Crowned(path.read_bytes(), scores, images, places)


def _columns(prefix: str, scores: Any) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in asdict(scores).items()}
