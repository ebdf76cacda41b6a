"""Sweeps' folders for all tests of analysis/: ten trials whose answers were worked out by hand."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sweeps.record import (
    CURVES_FILE,
    SUMMARY_FILE,
    EpochRecord,
    TrialRecord,
    to_table,
)
from sweeps.winner_record import GALLERY_FILE, IMAGES_FILE, GalleryRecord, ImageRecord

BEGUN = datetime(2026, 5, 1, 12, tzinfo=UTC)
# architecture, number, device-seconds, IoU; each ended an hour after the one before.
TEN = (
    ("cnn", 0, 10.0, 0.0),  # the paper's row diverged
    ("unet", 0, 40.0, 0.70),
    ("cnn", 1, 20.0, 0.60),
    ("unet", 1, 100.0, 0.85),
    ("cnn", 2, 30.0, 0.595),
    ("unet", 2, 60.0, 0.842),
    ("cnn", 3, 80.0, 0.65),
    ("unet", 3, 60.0, 0.70),
    ("cnn", 4, 25.0, 0.645),
    ("unet", 4, 5.0, None),  # failed
)
BEST = {("cnn", 3), ("unet", 1)}


@pytest.fixture(scope="session")
def ten_trials(trial_record: Callable[..., TrialRecord]) -> list[TrialRecord]:
    """The rows of TEN."""

    def row(hour: int, architecture: str, number: int, cost: float, iou: float | None) -> Any:
        return trial_record(
            architecture=architecture,
            trial_id=f"{architecture}-{number}",
            is_paper=number == 0,
            is_best=(architecture, number) in BEST,
            status="failed" if iou is None else "completed",
            error="out of memory" if iou is None else None,
            device_seconds=cost,
            val_iou=iou,
            hyperparameters=f'{{"optimizer": "adam", "width": {number}}}',
            started_at=BEGUN + timedelta(hours=hour),
            ended_at=BEGUN + timedelta(hours=hour + 1),
        )

    return [row(hour, *values) for hour, values in enumerate(TEN)]


@pytest.fixture(scope="session")
def write_sweep() -> Callable[..., str]:
    """Writes rows as a sweep's folder, and returns it."""

    def write(
        folder: Path,
        trials: Sequence[TrialRecord] = (),
        epochs: Sequence[EpochRecord] = (),
        images: Sequence[ImageRecord] = (),
        gallery: Sequence[GalleryRecord] = (),
    ) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(to_table(TrialRecord, trials), folder / SUMMARY_FILE)
        pq.write_table(to_table(EpochRecord, epochs), folder / CURVES_FILE)
        if images:
            pq.write_table(to_table(ImageRecord, images), folder / IMAGES_FILE)
        if gallery:
            pq.write_table(to_table(GalleryRecord, gallery), folder / GALLERY_FILE)
        return str(folder)

    return write


@pytest.fixture
def sweep_folder(tmp_path: Path, write_sweep: Callable[..., str]) -> Callable[..., str]:
    """The same, in a folder of the test's own."""

    def write(*rows: Any, name: str = "night", **more_rows: Any) -> str:
        return write_sweep(tmp_path / name, *rows, **more_rows)

    return write
