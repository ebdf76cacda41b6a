"""What one worker is told to do: a trial, whole, as plain values."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

DEFAULT_EPOCHS = 30


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One trial: a configuration of one architecture, and how to train it.

    trial: its name, architecture and number from 0, such as "unet-0003".
    epochs: at most so many. deadline: UNIX time by which it must end itself, or None.
    pretrained: "imagenet", a weights file's path, or None. threads: CPU cores it may use.
    precision: Keras's dtype policy that networks compute by.
    checkpoint: folder, as a URI, of the state to go on from, or None.
    confirms: the trial that this one repeats with another seed, or None.
    """

    trial: str
    architecture: str
    hyperparameters: Mapping[str, Any] = field(hash=False)
    epochs: int
    seed: int
    is_paper: bool
    threads: int
    precision: str = "float32"
    pretrained: str | None = None
    deadline: float | None = None
    checkpoint: str | None = None
    confirms: str | None = None

    def to_config(self) -> dict[str, Any]:
        """As Ray Tune hands it to a worker, and as running.json keeps it."""
        return {**vars(self), "hyperparameters": dict(self.hyperparameters)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Assignment:
        """The reverse of `to_config`."""
        return cls(**config)


def trial_name(architecture: str, number: int) -> str:
    """Trial number `number` (from 0) of an architecture."""
    return f"{architecture}-{number:04d}"


def trial_number(trial: str) -> int:
    """The number in a trial's name."""
    return int(trial.rpartition("-")[2])


def trial_architecture(trial: str) -> str:
    """The architecture in a trial's name."""
    return trial.rpartition("-")[0]


def trial_seed(seed: int, trial: str) -> int:
    """The seed of one trial, from the sweep's: the same whatever else is searched beside it."""
    mixed = np.random.SeedSequence([seed, zlib.crc32(trial.encode())])
    return int(mixed.generate_state(1)[0])
