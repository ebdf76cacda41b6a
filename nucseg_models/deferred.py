"""Keras, imported when it is first used.

The command line reads search spaces and the paper's rows only: importing a backend for that
would cost it ten seconds and 700 MB.
"""

from __future__ import annotations

import importlib
from typing import Any


class _Deferred:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


keras: Any = _Deferred("keras")
