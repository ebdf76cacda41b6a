"""Each architecture on a GPU: speed, use, memory, and time to a given IoU; no Ray, no TensorFlow.

    KERAS_BACKEND=jax python benchmarks/gpu.py --data ../shared/data/dsb2018 --minutes 5

For each architecture and precision, in a process of its own, at the best known start's
hyperparameters: images a second of `TrainingRun` and of a bare Keras `fit` on an epoch's arrays
(median over rounds, the two in turn), how busy nvidia-smi says that the GPU was, the most memory
that it held, and, from a new start, the seconds until the validation IoU is first 0.80 and 0.85,
building the graph included. --data is what --data of a sweep is, or an .npz with the arrays
`images` and `labels`, as `python benchmarks/gpu.py --pack FILE --data DATA` writes one. Writes
benchmarks/results/gpu-DEVICE.json; without a GPU it says so, and only --cpu makes it go on.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # else memory says nothing

import numpy as np

import nucseg_models
from nucseg_models import data
from nucseg_models.data import Dataset

PRECISIONS = ("float32", "mixed_bfloat16")
GOALS = (0.80, 0.85)
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure everything, each in a process of its own; or, with --one, one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--arch", nargs="+", default=nucseg_models.names())
    parser.add_argument("--minutes", type=float, default=5.0, help="at most, to the goals")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pack", type=Path, help="only write the images as an .npz file")
    parser.add_argument("--cpu", action="store_true", help="go on without a GPU, to try it out")
    parser.add_argument("--one", nargs=2, metavar=("ARCH", "PRECISION"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.pack:
        pack(arguments.data, arguments.pack)
    elif arguments.one:
        print(json.dumps(measure(*arguments.one, arguments)))
    elif shutil.which("nvidia-smi") is None and not arguments.cpu:
        sys.exit("benchmarks/gpu.py: no NVIDIA GPU is here (nvidia-smi is missing)")
    else:
        rows = [one(name, precision) for name in arguments.arch for precision in PRECISIONS]
        RESULTS.mkdir(exist_ok=True)
        device = re.sub(r"\W+", "-", rows[0]["device"])
        (RESULTS / f"gpu-{device}.json").write_text(json.dumps(rows, indent=1) + "\n")


def one(name: str, precision: str) -> dict[str, Any]:
    """Run one measurement as a process, and print its row."""
    command = [sys.executable, __file__, *sys.argv[1:], "--one", name, precision]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    print(json.dumps(row), flush=True)
    return row


def pack(source: str, path: Path) -> None:
    """The images as two arrays of objects, small enough to carry to another machine."""
    found = data.load(source)
    arrays = {"images": found.images, "labels": [n.astype(np.uint16) for n in found.labels]}
    objects = {name: _objects(arrays[name]) for name in arrays}
    np.savez_compressed(path, ids=list(found.ids), kinds=list(found.kinds), **objects)


def _objects(arrays: Any) -> np.ndarray[Any, Any]:
    """Arrays of different shapes, one an item."""
    packed = np.empty(len(arrays), dtype=object)
    packed[:] = list(arrays)
    return packed


def images(source: str) -> tuple[Dataset, Dataset]:
    """Normalised images to train on and to score, split by seed 0."""
    found = _unpacked(Path(source)) if source.endswith(".npz") else data.load(source)
    train, validation = (
        replace(part, images=[data.normalise(image) for image in part.images])
        for part in data.split(found, seed=0)
    )
    return train, validation


def _unpacked(path: Path) -> Dataset:
    """What `pack` wrote; such a file of one's own is trusted, as it may hold Python objects."""
    with np.load(path, allow_pickle=True) as arrays:
        made = data.load("synthetic")
        return replace(
            made,
            name=path.name,
            ids=tuple(map(str, arrays["ids"])),
            kinds=tuple(map(str, arrays["kinds"])),
            images=list(arrays["images"]),
            labels=[labels.astype(np.int32) for labels in arrays["labels"]],
        )


def measure(name: str, precision: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of one architecture in one precision."""
    import keras

    from nucseg_models import device

    device.prepare(os.cpu_count() or 1)
    keras.config.set_dtype_policy(precision)
    train, validation = images(arguments.data)
    row = {"arch": name, "precision": precision, "device": device.name()}
    row |= {"backend": keras.backend.backend(), "keras": keras.__version__}
    reached, memory, busy = to_goals(name, train, validation, 60 * arguments.minutes)
    row |= {"seconds_to": reached, "peak_memory_bytes": memory, "gpu_percent": busy}
    return row | throughput(name, train, validation, arguments.rounds)


def to_goals(
    name: str, train: Dataset, validation: Dataset, limit: float
) -> tuple[dict[str, float | None], int, float | None]:
    """Seconds to each goal (None: not reached), the most memory held, and how busy the GPU was."""
    from nucseg_models import device

    begun = time.time()
    run = _run(name, train, validation, deadline=begun + limit)
    reached: dict[str, float | None] = {f"{goal:.2f}": None for goal in GOALS}
    with Watch() as watch:
        while not run.done():
            run.epoch()
            for goal, seconds in reached.items():
                if seconds is None and run.best.iou >= float(goal):
                    reached[goal] = time.time() - begun
    return reached, device.peak_memory_bytes(), watch.mean()


def throughput(name: str, train: Dataset, validation: Dataset, rounds: int) -> dict[str, Any]:
    """Images a second of this project's loop and of a bare `fit`, in turn."""
    import keras

    from nucseg_models import losses, optimizers

    run = _run(name, train, validation.subset([0]))
    items = [run.batches[number] for number in range(min(16, len(run.batches)))]
    inputs, targets = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *items)
    model = run.architecture.build(run.hyperparameters, None)
    loss = run.architecture.loss(model, losses.get(str(run.hyperparameters["loss"])))
    model.compile(optimizer=optimizers.make(run.hyperparameters).inner, loss=loss)
    ours, bare = [], []
    for _ in range(rounds + 1):
        ours.append(run.epoch().images_per_second)
        begun = time.perf_counter()
        model.fit(inputs, targets, batch_size=run.batches.batch_size, verbose=0)
        bare.append(len(inputs) / (time.perf_counter() - begun))
    ratios = [mine / theirs for mine, theirs in zip(ours[1:], bare[1:], strict=True)]
    return {
        "images_per_second": statistics.median(ours[1:]),
        "bare_images_per_second": statistics.median(bare[1:]),
        "ratio": [statistics.median(ratios), min(ratios), max(ratios)],
    }


def _run(name: str, train: Dataset, validation: Dataset, deadline: float | None = None) -> Any:
    from nucseg_models.training import TrainingRun

    architecture = nucseg_models.get(name)
    return TrainingRun(
        architecture,
        dict(architecture.starts[0]),
        train=train,
        validation=validation,
        epochs=1000,
        seed=0,
        deadline=deadline,
    )


class Watch:
    """Asks nvidia-smi five times a second how busy the GPU is."""

    def __enter__(self) -> Watch:
        self._seen: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        if shutil.which("nvidia-smi"):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def mean(self) -> float | None:
        """Percent of the time; None where it can't be asked."""
        return statistics.fmean(self._seen) if self._seen else None

    def _look(self) -> None:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._over.wait(0.2):
            said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            self._seen += [float(said.split()[0])] if said.strip() else []


if __name__ == "__main__":
    main()
