"""Where trials' checkpoints are kept while a sweep goes on, and which of them are whole.

Each run of a sweep has its own folder, as Tune counts checkpoints from 0 in each:
``checkpoints/0002/unet-0003/checkpoint_000007/`` holds ``state.npz`` and ``counters.json`` as
`nucseg_models.training` writes them, and ``curve.json``, the figures of each epoch so far.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import PurePosixPath

from nucseg_models.data.files import DAMAGED
from sweeps.storage import Store

FOLDER = "checkpoints"
KEPT = 2  # of a trial: the newest may be found damaged
STATE, COUNTERS, CURVE = "state.npz", "counters.json", "curve.json"


def next_run(store: Store) -> str:
    """Name of the folder, in checkpoints/, of the run that is about to begin."""
    folders = {name.split("/")[1] for name in store.list(f"{FOLDER}/")}
    runs = [int(folder) for folder in folders if folder.isdecimal()]  # nor what others left there
    return f"{max(runs, default=0) + 1:04d}"


def latest(store: Store, trial: str) -> str | None:
    """The newest whole checkpoint of a trial, a folder within the sweep's; None without any."""
    paths = [PurePosixPath(name) for name in store.list(f"{FOLDER}/")]
    folders = {str(path.parent) for path in paths if path.parent.parent.name == trial}
    newest_first = sorted(folders, reverse=True)
    return next((folder for folder in newest_first if _is_whole(store, folder)), None)


def remove(store: Store) -> None:
    """Delete all checkpoints."""
    for name in store.list(f"{FOLDER}/"):
        store.delete(name)
    if "://" not in store.uri:
        shutil.rmtree(f"{store.uri}/{FOLDER}", ignore_errors=True)


def _is_whole(store: Store, folder: str) -> bool:
    """Whether all of it was written, and is as it was: its worker may have been lost meanwhile."""
    try:
        for name in (COUNTERS, CURVE):
            json.loads(store.read_bytes(f"{folder}/{name}"))
        with zipfile.ZipFile(io.BytesIO(store.read_bytes(f"{folder}/{STATE}"))) as state:
            return state.testzip() is None
    except (FileNotFoundError, ValueError, *DAMAGED):
        return False
