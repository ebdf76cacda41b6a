"""The science: architectures, data, metrics and training; no Ray, no Optuna, no cloud.

`names()` lists the architectures, `get(name)` gives one. Importing this imports no backend.
"""

from __future__ import annotations

import importlib
import pkgutil

from nucseg_models import architectures
from nucseg_models.architecture import Architecture


def names() -> list[str]:
    """The architectures there are, one for each file in `architectures/`, by name."""
    return sorted(module.name for module in pkgutil.iter_modules(architectures.__path__))


def get(name: str) -> Architecture:
    """The architecture called `name`; ValueError names those there are."""
    if name not in names():
        raise ValueError(f"no architecture is called {name!r}; there are: {', '.join(names())}")
    module = importlib.import_module(f"nucseg_models.architectures.{name}")
    architecture: Architecture = module.ARCHITECTURE
    return architecture
