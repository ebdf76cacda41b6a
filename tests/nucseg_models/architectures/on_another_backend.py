"""What `test_backends.py` has another backend do, in a process of its own.

Usage: KERAS_BACKEND=jax python on_another_backend.py FOLDER. In FOLDER lie `images.npy` float32
(B, S, S, 3), `labels.npy` int32 (B, S, S), and `hyperparameters.json` with a model NAME.keras for
each architecture in it. Leaves NAME.npy, the model's outputs for the images, and `report.json`.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

import nucseg_models
from nucseg_models import device
from nucseg_models.workshop import Workshop

STEPS = 4
TRAINED = ("cnn", "unet")  # the graph of a ResNet takes too long to compile for a test


def main(folder):
    device.prepare(threads=1)
    images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    report = {"backend": keras.backend.backend(), "device": device.name()}
    for name, hyperparameters in json.loads((folder / "hyperparameters.json").read_text()).items():
        model = keras.saving.load_model(folder / f"{name}.keras", safe_mode=True)
        np.save(folder / f"{name}.npy", model.predict_on_batch(images))
        if name in TRAINED:
            report[name] = train(name, hyperparameters, images, labels, folder)
    (folder / "report.json").write_text(json.dumps(report))


def train(name, hyperparameters, images, labels, folder):
    """Losses of a few steps on one batch, and how far a saved copy's outputs are off after."""
    architecture = nucseg_models.get(name)
    model = Workshop().model(architecture, hyperparameters, seed=0)
    targets = architecture.targets(labels, hyperparameters)
    losses = [float(model.train_on_batch(images, targets)) for _ in range(STEPS)]
    copy = architecture.build(hyperparameters, None)
    copy.set_weights(model.get_weights())
    copy.save(folder / "copy.keras")
    loaded = keras.saving.load_model(folder / "copy.keras", safe_mode=True)
    outputs = [m.predict_on_batch(images) for m in (model, loaded)]
    return {"losses": losses, "off": float(np.abs(outputs[0] - outputs[1]).max())}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
