"""What of a trial nothing chooses, as a person, or a file of weights, has settled it."""

from __future__ import annotations

from typing import Any

from nucseg_models.architecture import Architecture
from sweeps.config import SweepConfig


def weights(architecture: Architecture, pretrained: str | None) -> str | None:
    """The weights to start from, where the architecture takes any.

    pretrained: what `sweeps.inputs.weights_path` gave.
    """
    return pretrained if architecture.accepts_pretrained() else None


def pinned(
    config: SweepConfig, architecture: Architecture, pretrained: str | None
) -> dict[str, Any]:
    """The hyperparameters that are the same in all of an architecture's trials."""
    found: dict[str, Any] = {"image_size": config.image_size} if config.image_size else {}
    start = weights(architecture, pretrained)
    return found | dict(architecture.fixed_by(start)) if start else found
