"""Each architecture on a GPU: speed, use, memory, and time to a given IoU; no Ray, no TensorFlow.

    KERAS_BACKEND=jax python benchmarks/gpu.py --data ../shared/data/dsb2018 --minutes 5

For each architecture and precision, in a process of its own, at the best known start's
hyperparameters: from a new start, the seconds until the first step is done and until the
validation IoU is first 0.80 and 0.85, building the graphs included; how busy nvidia-smi says that
the GPU was after the first epoch, evaluation included, and the most memory that it held; then
images a second of `TrainingRun`'s training and of a bare Keras `fit` on an epoch's arrays (median
over rounds, the two in turn), and how many crops a second the processor alone cuts. --data is what
--data of a sweep is, or a file that `python benchmarks/gpu.py --pack FILE.npz --data DATA` wrote:
the images, split and normalised, which a machine without this project's packages can read. Writes
benchmarks/results/gpu-DEVICE.json; without a GPU it says so, and only --cpu makes it go on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # else memory says nothing

import numpy as np

import nucseg_models
from nucseg_models import data
from nucseg_models.data import Dataset

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
GOALS = (0.80, 0.85)
PARTS = ("train", "validation")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure everything, each in a process of its own; or, with --one, one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--arch", nargs="+", default=nucseg_models.names())
    parser.add_argument("--minutes", type=float, default=5.0, help="at most, to the goals")
    parser.add_argument("--precision", nargs="+", default=PRECISIONS[:2], choices=PRECISIONS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="cutting crops")
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
        rows: list[dict[str, Any]] = []
        for name, precision in itertools.product(arguments.arch, arguments.precision):
            rows.append(one(name, precision))
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
    """The two parts of the images, small enough to carry to another machine."""
    arrays: dict[str, Any] = {}
    for name, part in zip(PARTS, images(source), strict=True):
        arrays[f"{name}-ids"], arrays[f"{name}-kinds"] = [*part.ids], [*part.kinds]
        for number, (image, labels) in enumerate(zip(part.images, part.labels, strict=True)):
            grey = (image == image[..., :1]).all()
            arrays[f"{name}-{number}"] = image[..., :1] if grey else image
            arrays[f"{name}-{number}-labels"] = labels.astype(np.uint16)
    np.savez_compressed(path, **arrays)


def images(source: str) -> tuple[Dataset, Dataset]:
    """Normalised images to train on and to score, split by seed 1, with which a U-Net on
    processors reached 0.85.
    """
    if source.endswith(".npz"):
        return _unpacked(Path(source))
    train, validation = (
        replace(part, images=[data.normalise(image) for image in part.images])
        for part in data.split(data.load(source), seed=1)
    )
    return train, validation


def _unpacked(path: Path) -> tuple[Dataset, Dataset]:
    """What `pack` wrote."""
    with np.load(path) as arrays:
        train, validation = (_part(arrays, name) for name in PARTS)
    return train, validation


def _part(arrays: Any, name: str) -> Dataset:
    count = range(len(arrays[f"{name}-ids"]))
    return replace(
        data.load("synthetic"),
        name="packed",
        ids=tuple(map(str, arrays[f"{name}-ids"])),
        kinds=tuple(map(str, arrays[f"{name}-kinds"])),
        images=[_coloured(arrays[f"{name}-{n}"]) for n in count],
        labels=[arrays[f"{name}-{n}-labels"].astype(np.int32) for n in count],
    )


def _coloured(image: Any) -> Any:
    """(H, W, 1) or (H, W, 3) to (H, W, 3)."""
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def measure(name: str, precision: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of one architecture in one precision."""
    import keras

    from nucseg_models import device
    from nucseg_models.training import TrainingRun

    device.prepare(arguments.threads, precision)
    train, validation = images(arguments.data)
    architecture = nucseg_models.get(name)
    begun = time.time()
    run = TrainingRun(
        architecture,
        dict(architecture.starts[0]),
        train=train,
        validation=validation,
        epochs=1000,
        seed=0,
        deadline=begun + 60 * arguments.minutes,
        threads=arguments.threads,
    )
    row = {"arch": name, "precision": precision, "device": device.name()}
    row |= {"backend": keras.backend.backend(), "keras": keras.__version__}
    row |= {"threads": arguments.threads, "image_size": run.hyperparameters["image_size"]}
    return row | to_goals(run, begun) | throughput(run, arguments.rounds) | cutting(run)


def to_goals(run: Any, begun: float) -> dict[str, Any]:
    """Seconds to each goal (None: not reached), the most memory held, how busy the GPU was."""
    from nucseg_models import device

    reached: dict[str, float | None] = {f"{goal:.2f}": None for goal in GOALS}
    with Watch() as watch:
        while not run.done() and None in reached.values():
            run.epoch()
            if run.epochs_run == 1:
                first = time.time() - begun
                watch.restart()
            for goal, seconds in reached.items():
                if seconds is None and run.best.iou >= float(goal):
                    reached[goal] = time.time() - begun
    return {
        "seconds_to_first_step": run.clock.start,
        "seconds_to_first_epoch": first,
        "seconds_to": reached,
        "best_iou": run.best.iou,
        "epochs": run.epochs_run,
        "seconds_an_epoch": run.epoch_seconds,
        "peak_memory_bytes": device.peak_memory_bytes(),
        "gpu_percent": watch.mean(),
    }


def throughput(run: Any, rounds: int) -> dict[str, Any]:
    """Images a second of this project's loop and of a bare `fit`, in turn."""
    import keras

    from nucseg_models import losses, optimizers

    run.validation, run.deadline = run.validation.subset([0]), None
    items = [run.batches[number] for number in range(len(run.batches))]
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


def cutting(run: Any) -> dict[str, Any]:
    """Crops a second that the processor cuts, nothing trained."""
    begun, count = time.perf_counter(), min(len(run.batches), 32)
    with ThreadPoolExecutor(run.batches.workers) as pool:
        list(pool.map(run.batches.__getitem__, range(count)))
    return {"crops_per_second": count * run.batches.batch_size / (time.perf_counter() - begun)}


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

    def restart(self) -> None:
        """Forget what was seen."""
        self._seen.clear()

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
