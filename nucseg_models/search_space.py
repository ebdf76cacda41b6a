"""What a hyperparameter may be, as plain declared values that any sampler can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Value = float | int | str | bool
Hyperparameters = Mapping[str, Any]  # a Value each


@dataclass(frozen=True)
class Float:
    """A real number in [low, high]; `log`: equal chances a decade."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high]."""

    low: int
    high: int
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"


class Choice:
    """One of the named options."""

    def __init__(self, *options: Value) -> None:
        self.options = options

    def __contains__(self, value: object) -> bool:
        return any(value == option and type(value) is type(option) for option in self.options)

    def __str__(self) -> str:
        return ", ".join(str(option) for option in self.options)


Distribution = Float | Int | Choice
SearchSpace = Mapping[str, Distribution]


def check(hyperparameters: Mapping[str, Any], space: SearchSpace) -> None:
    """Raise ValueError unless every hyperparameter of `space` is given, within its range.

    `image_size` may be any multiple of 64, as ``--image-size`` can pin it outside the options; no
    network halves an image more often than that allows.
    """
    unknown = sorted(set(hyperparameters) - set(space))
    missing = sorted(set(space) - set(hyperparameters))
    if unknown or missing:
        raise ValueError(f"hyperparameters: unknown {unknown}, missing {missing}")
    for name, distribution in space.items():
        value = hyperparameters[name]
        pinned = name == "image_size" and isinstance(value, int) and value > 0 and value % 64 == 0
        if value not in distribution and not pinned:
            raise ValueError(f"hyperparameter {name} must be {distribution}; got {value!r}")


# What every architecture can vary: how it learns, and on what views of the images.
LEARNING: SearchSpace = {
    "optimizer": Choice("adam", "adamw", "nadam", "sgd", "adadelta"),
    "learning_rate": Float(1e-4, 0.3, log=True),
    "schedule": Choice("constant", "cosine"),
    "weight_decay": Choice(0.0, 1e-5, 1e-4, 1e-3, 1e-2),
    "batch_size": Choice(4, 8, 10, 16, 32),
    "augmentation": Choice("none", "flips", "full"),
    "emphasis": Choice("none", "rare_kinds"),
    "image_size": Choice(64, 128, 192, 256),
}
