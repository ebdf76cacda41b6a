"""The winners' models: saved, and only now looked at on the test images."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from PIL import Image
from ray.exceptions import RayError

from nucseg_models import gallery
from nucseg_models.architecture import Architecture
from nucseg_models.data import Dataset
from sweeps import checkpoints
from sweeps.failure import reason
from sweeps.record import TrialRecord
from sweeps.recorder import Recorder
from sweeps.storage import Store
from sweeps.sweep import Sweep
from sweeps.winner_record import GalleryRecord, ImageRecord

GALLERY_IMAGES = 9


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
    """Save each architecture's best model to best/<architecture>/ and fill in its row.

    resources: the CPUs and GPUs that a trial had. Returns whether all could be saved.
    """
    recorder, store = sweep.recorder, sweep.store
    images = {"validation": sweep.inputs.validation, "test": sweep.inputs.test}
    references = {name: ray.put(dataset) for name, dataset in images.items()}
    worker = ray.remote(num_cpus=resources["CPU"], num_gpus=resources["GPU"], max_calls=1)(_crown)
    tasks = []
    for best in filter(None, map(recorder.best, sweep.config.arch)):
        if _crowned_trial(store, best.architecture) != best.trial_id:
            folder = checkpoints.latest(store, best.trial_id)
            state = ray.put(store.read_bytes(f"{folder}/{checkpoints.STATE}"))
            tasks.append((best, worker.remote(best, state, **references)))
    whole = True
    for best, task in tasks:
        try:
            _keep(recorder, store, best, ray.get(task))
        except RayError as error:  # out of memory, say: the others' winners are saved all the same
            sweep.progress.message(f"{best.trial_id}: won, but was not saved: {reason(error)}")
            whole = False
    return whole


def _crowned_trial(store: Store, architecture: str) -> str | None:
    """The trial whose model is already saved, if any."""
    try:
        config = json.loads(store.read_bytes(f"best/{architecture}/config.json"))
    except FileNotFoundError:
        return None
    return str(config["trial_id"])


def _keep(recorder: Recorder, store: Store, best: TrialRecord, crowned: Crowned) -> None:
    """Write the model, its row, and last its description, which says that all is there."""
    record = replace(best, **crowned.scores)
    folder = store.child("best").child(best.architecture)
    folder.write_bytes("model.keras", crowned.model)
    recorder.replace(record)
    whose = {key: getattr(best, key) for key in ("sweep", "trial_id", "architecture")}
    recorder.segmented(
        best.architecture,
        [ImageRecord(**whose, **image) for image in crowned.images],
        [GalleryRecord(**whose, **place) for place in crowned.gallery],
    )
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
    images = _each("validation", validation, evaluation.by_image)
    if test is not None:
        tested = evaluate(model, architecture, hyperparameters, test)
        scores |= _columns("test", tested.scores)
        images += _each("test", test, tested.by_image)
    places = _gallery(model, architecture, hyperparameters, validation)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return Crowned(path.read_bytes(), scores, images, places)


def _columns(prefix: str, scores: Any) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in asdict(scores).items()}


def _each(which: str, dataset: Dataset, scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row an image, in the columns of `ImageRecord`."""
    kinds = zip(dataset.ids, dataset.kinds, strict=True)
    return [
        {"images": which, "image": image, "kind": kind, **asdict(scores[image])}
        for image, kind in kinds
    ]


def _gallery(
    model: Any, architecture: Architecture, hyperparameters: Mapping[str, Any], dataset: Dataset
) -> list[dict[str, Any]]:
    """A row a crowded place, in the columns of `GalleryRecord`."""
    chosen = dataset.subset(gallery.crowded(dataset, GALLERY_IMAGES))
    rows = []
    for index, output in architecture.outputs(model, chosen.images, hyperparameters):
        labels = architecture.postprocess(output, hyperparameters)
        place = gallery.place(chosen.labels[index])
        judged = gallery.judge(chosen.labels[index][place], labels[place])
        rows.append(
            {
                "image": chosen.ids[index],
                "kind": chosen.kinds[index],
                "picture": _png(chosen.images[index][place]),
                "outlines": _png(judged.outlines),
                **judged.counts,
            }
        )
    return rows


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()
