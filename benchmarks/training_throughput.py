"""Images a second in training: a sweep's worker beside a bare Keras `fit` of the same model.

    python benchmarks/training_throughput.py [--arch NAME...] [--rounds 5] [--threads 2]

Two processes, each alive throughout, train in turn (A B A B ...), so that a machine whose speed
drifts slows both. "bare" holds an epoch's crops and targets as two arrays and calls `model.fit`
with Keras's own optimizer and TensorFlow's other settings as they come; "ours" is an epoch of
`TrainingRun` in a worker of Ray's, set up as in a sweep, that cuts and augments the same crops as
it goes. Convolutions are by oneDNN on both sides. Prints each round's ratio ours / bare.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

import nucseg_models
from nucseg_models.data import Dataset
from nucseg_models.data.synthetic import synthetic

IMAGES, BATCH = 64, 8


def main() -> None:
    """Measure the architectures asked for, at the best known start's hyperparameters."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", nargs="+", default=nucseg_models.names())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=128)
    arguments = parser.parse_args()
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="1")  # both sides inherit
    print("architecture  bare images/s  ours images/s  ratio: median (lowest to highest)")
    for name in arguments.arch:
        bare, ours = _measure(name, arguments.rounds, arguments.threads, arguments.image_size)
        ratios = [mine / theirs for theirs, mine in zip(bare, ours, strict=True)]
        print(
            f"{name:<12}  {statistics.median(bare):13.2f}  {statistics.median(ours):13.2f}  "
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
            flush=True,
        )


def _measure(name: str, rounds: int, threads: int, size: int) -> tuple[list[float], list[float]]:
    """Images a second of each round, after one that is not counted, of both sides."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for side in (_bare, _ours):
        mine, theirs = spawn.Pipe()
        process = spawn.Process(target=side, args=(theirs, name, threads, size))
        process.start()
        pipes.append(mine)
        processes.append(process)
    results: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for pipe, rates in zip(pipes, results, strict=True):
            pipe.send("epoch")
            rates.append(pipe.recv())
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send("end")
        process.join()
    return results[0][1:], results[1][1:]


def _case(name: str, size: int) -> tuple[nucseg_models.Architecture, dict[str, Any], Dataset]:
    """The best known start, and made-up images that its crops are cut from."""
    architecture = nucseg_models.get(name)
    hyperparameters = {**architecture.starts[0], "image_size": size, "batch_size": BATCH}
    return architecture, hyperparameters, synthetic(IMAGES, seed=0, sides=(2 * size, 2 * size))


def _bare(pipe: Connection, name: str, threads: int, size: int) -> None:
    """Keras alone, on arrays that lie ready."""
    import keras
    import numpy as np
    import tensorflow as tf

    from nucseg_models import losses, optimizers
    from nucseg_models.batches import Batches

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    architecture, hyperparameters, dataset = _case(name, size)
    model = architecture.build(hyperparameters, None)
    optimizer = optimizers.make(hyperparameters).inner
    loss = architecture.loss(model, losses.get(str(hyperparameters["loss"])))
    model.compile(optimizer=optimizer, loss=loss, jit_compile=False)
    batches = Batches(dataset, architecture, hyperparameters, seed=0)
    items = [batches[number] for number in range(len(batches))]
    images, targets = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *items)
    while pipe.recv() == "epoch":
        started = time.perf_counter()
        model.fit(images, targets, batch_size=BATCH, verbose=0)
        pipe.send(IMAGES / (time.perf_counter() - started))


def _ours(pipe: Connection, name: str, threads: int, size: int) -> None:
    """An epoch of this project's training, as a trial runs it."""
    import ray

    from sweeps.cluster import ray_running
    from sweeps.config import SweepConfig
    from sweeps.quiet import silence_ray

    class Worker:  # in here, so that Ray's process need not find this file
        def __init__(self, hyperparameters: dict[str, Any], dataset: Dataset) -> None:
            from nucseg_models import device
            from nucseg_models.training import TrainingRun

            device.prepare(threads)
            self.run = TrainingRun(
                nucseg_models.get(name),
                hyperparameters,
                train=dataset,
                validation=dataset.subset([0]),
                epochs=1000,
                seed=0,
            )

        def epoch(self) -> float:
            return self.run.epoch().images_per_second

    _, hyperparameters, dataset = _case(name, size)
    silence_ray()
    config = SweepConfig(arch=name, name="throughput", address="local", cpus_per_trial=threads)
    with ray_running(config):
        worker = ray.remote(num_cpus=threads)(Worker).remote(hyperparameters, ray.put(dataset))
        while pipe.recv() == "epoch":
            pipe.send(ray.get(worker.epoch.remote()))


if __name__ == "__main__":
    main()
