"""What docs/reliability.md promises, held against what is left of a sweep after a fault."""

from __future__ import annotations

from collections import Counter

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from pretended import score
from sweep_process import EPOCHS, TRIALS, Sweep, Watch, table

from sweeps.storage import Store

WANTED = [f"cnn-{number:04d}" for number in range(TRIALS)]


def broken(sweep: Sweep, store: Store, watch: Watch, *, may_fail: bool, losses: int) -> list[str]:
    """Every promise that was not kept; `may_fail`: trials whose checkpoints had no place to go."""
    rows = {row["trial_id"]: row for row in table(store, "summary.parquet")}
    found = list(watch.broken)
    if sorted(rows) != WANTED:
        found.append(f"the trials are {sorted(rows)}")
    if missing := sweep.told_of_ends() - set(rows):
        found.append(f"{sorted(missing)} were said to have ended, but have no row")
    for name, row in rows.items():
        if row["status"] == "completed":
            found += _as_undisturbed(store, name, row)
        elif not (may_fail and row["status"] == "failed" and row["error"]):
            found.append(f"{name} {row['status']}: {row['error']}")
    if (most := max(repeated(sweep).values(), default=0)) > losses:
        found.append(f"{most} epochs of a trial were repeated")
    return [*found, *_left_running(sweep), *_left_over(store)]


def repeated(sweep: Sweep) -> Counter[str]:
    """How many epochs each trial began more than once."""
    begun = Counter((trial, epoch) for trial, epoch, _ in sweep.begun())
    return Counter({key[0]: 0 for key in begun}) + Counter(
        trial for (trial, _), times in begun.items() for _ in range(times - 1)
    )


def failed(store: Store) -> list[str]:
    """Reasons of the trials that failed."""
    return [row["error"] for row in table(store, "summary.parquet") if row["status"] == "failed"]


def _as_undisturbed(store: Store, name: str, row: dict) -> list[str]:
    scores = [score(row["seed"], epoch) for epoch in range(1, EPOCHS + 1)]
    curve = [each for each in table(store, "curves.parquet") if each["trial_id"] == name]
    found = []
    if (row["val_iou"], row["train_iou"]) != (max(scores), sum(scores) / len(scores)):
        found.append(f"{name} has other scores than without the fault")
    if [(each["epoch"], each["val_iou"]) for each in curve] != list(enumerate(scores, 1)):
        found.append(f"{name} has another curve than without the fault")
    return found


def _left_running(sweep: Sweep) -> list[str]:
    storage = JournalStorage(JournalFileBackend(str(sweep.journal)))
    studies = optuna.get_all_study_summaries(storage)
    states = [
        trial.state.name for study in studies for trial in storage.get_all_trials(study._study_id)
    ]
    if "RUNNING" in states:
        return ["a study has a trial that runs for ever"]
    return [] if len(states) >= TRIALS else [f"the study knows of {len(states)} trials only"]


def _left_over(store: Store) -> list[str]:
    known = {"curves.parquet", "summary.parquet", "sweep.json"}
    left = set(filter(None, store.list())) - known  # on S3, an empty name marks a folder
    return [f"left over: {sorted(left)}"] if left else []
