"""What made a result: the commit of this project and the versions of what it stands on."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("ray", "tensorflow", "keras", "jax", "torch", "optuna", "numpy", "scikit-image")


def git_commit() -> str | None:
    """The project's commit, with "-dirty" after it where files differ; None outside git."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if commit and changed else commit or None


def versions() -> dict[str, str]:
    """Version of Python and of each package that is installed and bears on results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git(folder: Path, *arguments: str) -> str:
    """What a git command prints; nothing where it fails or there is no git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
