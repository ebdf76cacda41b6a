"""Each architecture on JAX and torch, beside TensorFlow."""

import importlib.util
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nucseg_models
from nucseg_models import device

# JAX compiles for each shape that it meets, which takes far longer than to run so little.
QUICK_COMPILING = "--xla_backend_optimization_level=0"
PROGRAM = Path(__file__).with_name("on_another_backend.py")
SHARED = runpy.run_path(str(PROGRAM))
every_architecture = pytest.mark.parametrize("name", nucseg_models.names())


@pytest.fixture(scope="module")
def prepared(tiny, nuclei, tmp_path_factory):
    """A folder with a tiny model of each architecture as TensorFlow saved it, its weights away
    from their first values, and TensorFlow's outputs.
    """
    folder = tmp_path_factory.mktemp("models")
    images = np.stack([image[:32, :32] for image in nuclei.images[:2]]) / np.float32(255)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", np.stack([labels[:32, :32] for labels in nuclei.labels[:2]]))
    chosen, outputs, rng = {}, {}, np.random.default_rng(0)
    for name in nucseg_models.names():
        architecture = nucseg_models.get(name)
        chosen[name] = tiny(architecture, optimizer="nadam", learning_rate=1e-3)
        model = architecture.build(chosen[name], None)
        model.set_weights([w * rng.uniform(0.8, 1.2, w.shape) for w in model.get_weights()])
        model.save(folder / f"{name}.keras")
        outputs[name] = SHARED["arrays"](model(images))
    (folder / "hyperparameters.json").write_text(json.dumps(chosen))
    outputs["joint loss"] = SHARED["joint_loss"](folder)
    return folder, outputs


@pytest.fixture(scope="module", params=["jax", "torch"])
def ran(request, prepared):
    """The folder after another backend has worked on it, its report, TensorFlow's outputs."""
    backend = request.param
    if backend == "torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: `make torch` installs it, in gigabytes")
    folder, outputs = prepared
    done = subprocess.run(
        [sys.executable, PROGRAM, folder],
        env={**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": QUICK_COMPILING},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((folder / "report.json").read_text())
    assert report["backend"] == backend
    return folder, report, outputs


@every_architecture
def test_one_models_outputs_are_those_of_tensorflow(name, ran):
    folder, _, outputs = ran
    with np.load(folder / f"{name}.npz") as saved:
        found = [saved[key] for key in saved.files]
    assert max(expected.std() for expected in outputs[name]) > 1e-3
    for one, expected in zip(found, outputs[name], strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-4 * max(1.0, np.abs(expected).max()))


def test_mask_rcnns_joint_loss_is_that_of_tensorflow(ran):
    _, report, outputs = ran
    assert np.isfinite(outputs["joint loss"])
    assert report["mask_rcnn"]["losses"][0] == pytest.approx(outputs["joint loss"], rel=1e-3)


def test_the_device_has_the_same_name(ran):
    assert ran[1]["device"] == device.name()


@pytest.mark.parametrize("name", SHARED["TRAINED"])
def test_a_few_steps_lower_the_loss(name, ran):
    losses = ran[1][name]["losses"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", SHARED["TRAINED"])
def test_a_saved_model_gives_the_same_outputs(name, ran):
    assert ran[1][name]["off"] < 1e-5
