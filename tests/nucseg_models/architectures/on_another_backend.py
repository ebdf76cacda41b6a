"""What `test_backends.py` has another backend do, in a process of its own.

Usage: KERAS_BACKEND=jax python on_another_backend.py FOLDER. In FOLDER lie `images.npy` float32
(B, S, S, 3), `labels.npy` int32 (B, S, S), and `hyperparameters.json` with a model NAME.keras for
each architecture in it. Leaves NAME.npz, the model's outputs for the images, and `report.json`.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

import nucseg_models
from nucseg_models import device
from nucseg_models.detection import matching
from nucseg_models.workshop import Workshop

STEPS = 4
SLOW_STARTERS = {"mask_rcnn": 40}  # see test_contract.py
TRAINED = ("cnn", "unet", "mask_rcnn")  # a ResNet's graph takes too long to compile for a test
ALL_REGIONS = 128  # pixels a region: none is left to be drawn, as each backend draws others


def main(folder):
    device.prepare(threads=1)
    images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    report = {"backend": keras.backend.backend(), "device": device.name()}
    for name, hyperparameters in json.loads((folder / "hyperparameters.json").read_text()).items():
        model = nucseg_models.get(name).load(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", *arrays(model.predict_on_batch(images)))
        if name in TRAINED:
            report[name] = train(model, name, hyperparameters, (images, labels), folder)
    (folder / "report.json").write_text(json.dumps(report))


def arrays(outputs):
    """A model's outputs as a list of arrays, however they are nested."""
    return [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)]


def joint_loss(folder):
    """Mask R-CNN's, of the saved model in training, for the images: what its first step tells."""
    images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    architecture = nucseg_models.get("mask_rcnn")
    model = architecture.load(folder / "mask_rcnn.keras")
    targets = architecture.targets(labels, {})
    targets = {key: keras.ops.convert_to_tensor(value) for key, value in targets.items()}
    usual = matching.PIXELS_A_SAMPLE
    matching.PIXELS_A_SAMPLE = ALL_REGIONS
    try:
        return float(model.compute_loss(y=targets, y_pred=model(images, training=True)))
    finally:
        matching.PIXELS_A_SAMPLE = usual


def train(saved, name, hyperparameters, batch, folder):
    """Losses of a few steps on one batch, from the saved model's weights, and how far a saved
    copy's outputs are off after.
    """
    architecture = nucseg_models.get(name)
    matching.PIXELS_A_SAMPLE = ALL_REGIONS
    model = Workshop().model(architecture, hyperparameters, seed=0)
    model.set_weights(saved.get_weights())
    model.optimizer.read()
    images, labels = batch
    targets = architecture.targets(labels, hyperparameters)
    losses = [
        float(model.train_on_batch(images, targets)) for _ in range(SLOW_STARTERS.get(name, STEPS))
    ]
    copy = architecture.build(hyperparameters, None)
    copy.set_weights(model.get_weights())
    copy.save(folder / "copy.keras")
    loaded = architecture.load(folder / "copy.keras")
    one, other = (arrays(m.predict_on_batch(images)) for m in (model, loaded))
    off = max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
    return {"losses": losses, "off": off}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
