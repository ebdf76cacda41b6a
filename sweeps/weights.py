"""First weights on their way to the workers, whose machines may not have the driver's files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sweeps.storage import LocalStore


@dataclass(frozen=True)
class Weights:
    """A weights file, its name (whose ending says its format) and content."""

    name: str
    content: bytes

    @classmethod
    def of(cls, pretrained: str | None) -> Weights | None:
        """What `sweeps.inputs.weights_path` gave, if it is a file."""
        if pretrained in (None, "imagenet"):
            return None
        path = Path(str(pretrained))
        return cls(path.name, path.read_bytes())

    def placed(self, cache: Path) -> Path:
        """The file on this machine, written once whatever the number of workers and trials."""
        folder = LocalStore(cache / "pretrained" / hashlib.sha256(self.content).hexdigest()[:32])
        if not folder.exists(self.name):
            folder.write_bytes(self.name, self.content)
        return folder.folder / self.name
