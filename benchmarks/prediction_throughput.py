"""Images a second that the prediction command segments, beside a bare `model.predict`.

    python benchmarks/prediction_throughput.py results/NAME/best/unet --images FOLDER --rounds 3

Both see the same files of one size. The command reads them, segments them and writes labels,
overlays and tables; the bare model, in a process of its own that leaves all settings of the
backend as they are, gets one array, ready made, and its outputs are thrown away. They take turns;
starting, loading the model and compiling it are in neither time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Measure each winner and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("winners", type=Path, nargs="+")
    parser.add_argument("--images", type=Path, required=True, help="a folder of image files")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from nucseg_models import device

    device.prepare(os.cpu_count() or 1)
    files = alike(arguments.images, arguments.count)
    print(f"{len(files)} images")
    for folder in arguments.winners:
        measure(folder, files, arguments.rounds)


def alike(folder: Path, count: int) -> dict[str, Path]:
    """Files of the most frequent size, by name."""
    from PIL import Image

    sizes = {path: Image.open(path).size for path in sorted(folder.rglob("*.png"))}
    ((size, _),) = Counter(sizes.values()).most_common(1)
    chosen = [path for path in sizes if sizes[path] == size][:count]
    return {f"{number}": path for number, path in enumerate(chosen)}


def measure(folder: Path, files: dict[str, Path], rounds: int) -> None:
    """Time both in turn, after one round that is not counted."""
    from nucseg_models.prediction.winner import Winner

    winner = Winner(folder)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        other.submit(load_bare, folder, as_array(files)).result()
        found = [(other.submit(bare).result(), whole(winner, files)) for _ in range(rounds + 1)]
    ratios = [bare_seconds / seconds for bare_seconds, seconds in found[1:]]
    rates = [len(files) / seconds for _, seconds in found[1:]]
    print("seconds of both, in turn:", " ".join(f"{b:.2f}/{w:.2f}" for b, w in found[1:]))
    print(
        f"{winner.architecture.name}: {statistics.median(ratios):.2f} of model.predict "
        f"({min(ratios):.2f} to {max(ratios):.2f}), {statistics.median(rates):.1f} images/s"
    )


def as_array(files: dict[str, Path]) -> np.ndarray[Any, Any]:
    """The images as a model wants them: float32 (N, H, W, 3)."""
    from nucseg_models.data import normalise
    from nucseg_models.prediction import pages

    images = [normalise(pages.read(path)[0].image) for path in files.values()]
    return np.stack(images).astype(np.float32) / 255


BARE: list[Any] = []  # of the other process: the model and its images


def load_bare(folder: Path, array: np.ndarray[Any, Any]) -> None:
    """Get ready to predict, as a person would who has the file and Keras."""
    import nucseg_models

    BARE[:] = nucseg_models.get(folder.name).load(folder / "model.keras"), array


def bare() -> float:
    """Seconds of the network alone."""
    model, array = BARE
    started = time.perf_counter()
    model.predict(array, batch_size=8, verbose=0)
    return time.perf_counter() - started


def whole(winner: Any, files: dict[str, Path]) -> float:
    """Seconds of all that the command does."""
    from nucseg_models import predict
    from nucseg_models.prediction.output import Output

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        output = Output(Path(folder))
        predict.segment(winner, files, output)
        output.finish()
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
