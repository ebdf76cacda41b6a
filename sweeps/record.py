"""The rows of a sweep's Parquet files: the contract between the search and the analysis.

`TrialRecord` is a row of summary.parquet, `EpochRecord` of curves.parquet; what winners did on
single images is in `winner_record`. Every column is declared there and nowhere else;
docs/schema.md follows from that (`sweeps.documentation`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from sweeps.columns import (
    SCHEMA_VERSION,
    Checked,
    Column,
    as_written,
    canonical_json,
    columns,
    from_table,
    schema,
    to_table,
)
from sweeps.score_columns import TEST, TRAINING, VALIDATION, count, score

__all__ = [
    "BACKENDS",
    "CURVES_FILE",
    "PENDING",
    "PRECISIONS",
    "SCHEMA_VERSION",
    "STATUSES",
    "SUMMARY_FILE",
    "SWEEP_FILE",
    "EpochRecord",
    "TrialRecord",
    "as_written",
    "canonical_json",
    "columns",
    "from_table",
    "schema",
    "to_table",
]

# The files of a sweep's folder; sweep.json's ``config`` holds `SweepConfig.to_json()`.
SUMMARY_FILE, CURVES_FILE, SWEEP_FILE = "summary.parquet", "curves.parquet", "sweep.json"
PENDING = "pending-"  # before the first two: rows that the file of that name does not have yet
STATUSES = ("completed", "stopped", "failed")
BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def _seconds(description: str) -> Column:
    return Column("seconds", description, at_least=0)


@dataclass(frozen=True, kw_only=True, slots=True)  # thousands are kept
class TrialRecord(Checked):
    """One ended trial: a row of summary.parquet. None where a figure was not measured.

    Raises ValueError where a value does not fit its column, where `status` and `error` disagree
    (a failed trial has an error, no other has one), where a completed trial has no `val_iou`, where
    more epochs were run than planned, or where a failed trial is called the best.
    """

    sweep: Annotated[str, Column("name", "Sweep that the trial belongs to")]
    trial_id: Annotated[str, Column("name", "Trial; unique within its sweep and architecture")]
    architecture: Annotated[str, Column("name", "Architecture, by its name on the command line")]
    status: Annotated[
        str,
        Column(
            "name",
            "completed: trained as planned; stopped: ended early by the scheduler, a budget or "
            "the user; failed: ended by an error",
            choices=STATUSES,
        ),
    ]
    error: Annotated[str | None, Column("text", "Why the trial failed; null otherwise")] = None
    is_best: Annotated[
        bool,
        Column("flag", "Highest val_iou of its architecture in this sweep, so far, within limits"),
    ] = False
    on_front: Annotated[
        bool | None,
        Column(
            "flag",
            "No other trial of its architecture is as good in val_iou and device_seconds and "
            "better in one, so far, within limits; null in a sweep for val_iou alone",
        ),
    ] = None
    is_paper: Annotated[bool, Column("flag", "Hyperparameters are the paper's own (its Table 2)")]
    over_limit: Annotated[
        str | None,
        Column("text", "Limits of the sweep that it broke, so that it can't win; null if none"),
    ] = None
    confirms: Annotated[
        str | None,
        Column("name", "Trial whose settings this one repeats with another seed; null in a search"),
    ] = None
    seed: Annotated[int, Column("number", "Seed of the trial's random choices", at_least=0)]
    backend: Annotated[str, Column("name", "Keras backend", choices=BACKENDS)]
    precision: Annotated[
        str | None,
        Column("name", "Keras's dtype policy that the network trained by", choices=PRECISIONS),
    ] = None
    device: Annotated[
        str | None, Column("name", "Device that trained, as the backend or the system names it")
    ] = None
    worker: Annotated[
        str | None, Column("host:process", "Who had the trial last, for a timeline of workers")
    ] = None
    workers_lost: Annotated[
        int | None, Column("times", "How often its worker was lost on the way", at_least=0)
    ] = None
    losses: Annotated[
        str | None,
        Column(
            "JSON object",
            "Workers that it lost: by the time when that was noticed, since when it had been there "
            "(both UTC) and the worker; null if none",
            json=True,
        ),
    ] = None
    dataset: Annotated[str, Column("name", "Data that the sweep was given: a name, path or URI")]
    dataset_sha256: Annotated[
        str,
        Column("hexadecimal", "SHA-256 of what the images were read from", pattern="[0-9a-f]{64}"),
    ]
    hyperparameters: Annotated[
        str, Column("JSON object", "All hyperparameters by name, keys sorted", json=True)
    ]
    optimizer: Annotated[str | None, Column("name", "Optimizer, as Keras names it")] = None
    learning_rate: Annotated[
        float | None, Column("1 (per step)", "Learning rate at the schedule's start", at_least=0)
    ] = None
    batch_size: Annotated[int | None, Column("images", "Images a step", at_least=1)] = None
    image_size: Annotated[
        int | None, Column("pixels", "Side of the square that is trained on", at_least=1)
    ] = None
    epochs_planned: Annotated[
        int, Column("epochs", "Epochs that the trial would train unless stopped", at_least=0)
    ]
    epochs_run: Annotated[
        int,
        Column(
            "epochs", "Epochs finished; repeats after a lost machine not counted twice", at_least=0
        ),
    ]
    parameters: Annotated[
        int | None, Column("weights", "Weights of the model, trainable or not", at_least=0)
    ] = None
    flops_per_image: Annotated[
        float | None,
        Column(
            "operations",
            "Floating-point operations (a multiply-add is two) of a forward pass on one image of "
            "image_size",
            at_least=0,
        ),
    ] = None
    start_seconds: Annotated[
        float | None, _seconds("Wall time from the trial's start to its first training step")
    ] = None
    train_seconds: Annotated[float | None, _seconds("Wall time in training steps")] = None
    eval_seconds: Annotated[float | None, _seconds("Wall time in evaluation")] = None
    device_seconds: Annotated[
        float,
        Column(
            "device-seconds",
            "Whole cost: wall time (start, training, evaluation, failed and repeated work) times "
            "the share of devices held; the device is a GPU where one was used, else the CPU cores",
            at_least=0,
        ),
    ]
    images_per_second: Annotated[
        float | None,
        Column("images per second", "Training throughput, the first step left out", at_least=0),
    ] = None
    predict_seconds: Annotated[
        float | None,
        Column(
            "seconds per image",
            "Prediction on the validation images, post-processing included, mean over images",
            at_least=0,
        ),
    ] = None
    peak_memory_bytes: Annotated[
        int | None,
        Column(
            "bytes",
            "Most memory held: of the GPU where one was used, else of the process",
            at_least=0,
        ),
    ] = None
    usd: Annotated[
        float | None,
        Column("US dollars", "device_seconds at the price given; null without a price", at_least=0),
    ] = None

    val_iou: Annotated[float | None, score("iou", VALIDATION)] = None
    val_dice: Annotated[float | None, score("dice", VALIDATION)] = None
    val_accuracy: Annotated[float | None, score("accuracy", VALIDATION)] = None
    val_map: Annotated[float | None, score("map", VALIDATION)] = None
    val_f1_50: Annotated[float | None, score("f1_50", VALIDATION)] = None
    val_f1_70: Annotated[float | None, score("f1_70", VALIDATION)] = None
    val_aji: Annotated[float | None, score("aji", VALIDATION)] = None
    val_splits: Annotated[int | None, count("splits", VALIDATION)] = None
    val_merges: Annotated[int | None, count("merges", VALIDATION)] = None
    val_by_image: Annotated[
        str | None,
        Column(
            "JSON object",
            "iou and map of each validation image, four decimals, in the order of the images' "
            "names in images.parquet; completed trials only",
            json=True,
        ),
    ] = None
    train_accuracy: Annotated[float | None, score("accuracy", TRAINING)] = None
    train_iou: Annotated[float | None, score("iou", TRAINING)] = None
    test_iou: Annotated[float | None, score("iou", TEST)] = None
    test_dice: Annotated[float | None, score("dice", TEST)] = None
    test_accuracy: Annotated[float | None, score("accuracy", TEST)] = None
    test_map: Annotated[float | None, score("map", TEST)] = None
    test_f1_50: Annotated[float | None, score("f1_50", TEST)] = None
    test_f1_70: Annotated[float | None, score("f1_70", TEST)] = None
    test_aji: Annotated[float | None, score("aji", TEST)] = None
    test_splits: Annotated[int | None, count("splits", TEST)] = None
    test_merges: Annotated[int | None, count("merges", TEST)] = None

    started_at: Annotated[datetime, Column("UTC time", "When the trial started")]
    ended_at: Annotated[datetime, Column("UTC time", "When the trial ended")]
    git_commit: Annotated[
        str | None,
        Column(
            "hexadecimal",
            "Commit of the project, with -dirty after it where files differed; null outside git",
            pattern="[0-9a-f]{7,64}(-dirty)?",
        ),
    ] = None
    versions: Annotated[
        str, Column("JSON object", "Versions of Python and of the packages, by name", json=True)
    ]

    def __post_init__(self) -> None:
        Checked.__post_init__(self)  # super() does not know a class with slots
        failed = self.status == "failed"
        if failed != (self.error is not None):
            raise ValueError(
                f"TrialRecord.error must be given where status is failed, and nowhere else; "
                f"got status {self.status!r} and error {self.error!r}"
            )
        if self.status == "completed" and self.val_iou is None:
            raise ValueError("TrialRecord.val_iou must be given where status is completed")
        if (self.is_best or self.on_front) and (failed or self.val_iou is None):
            raise ValueError(
                "TrialRecord.is_best and on_front must be False where there is no val_iou to win by"
            )
        if self.epochs_run > self.epochs_planned:
            raise ValueError(
                f"TrialRecord.epochs_run must be at most epochs_planned ({self.epochs_planned}), "
                f"not {self.epochs_run}"
            )


@dataclass(frozen=True, kw_only=True)
class EpochRecord(Checked):
    """One epoch of one trial: a row of curves.parquet. None where a figure was not finite."""

    sweep: Annotated[str, Column("name", "Sweep that the trial belongs to")]
    trial_id: Annotated[str, Column("name", "Trial, as in summary.parquet")]
    architecture: Annotated[str, Column("name", "Architecture, as in summary.parquet")]
    epoch: Annotated[int, Column("epochs", "Epochs trained so far; the first is 1", at_least=1)]
    seconds: Annotated[float, _seconds("Wall time since the trial's start")]
    device_seconds: Annotated[
        float,
        Column("device-seconds", "Cost since the trial's start, as in summary.parquet", at_least=0),
    ]
    loss: Annotated[float | None, Column("none", "Training loss, mean over the epoch's steps")] = (
        None
    )
    val_iou: Annotated[float | None, score("iou", VALIDATION)] = None
    val_accuracy: Annotated[float | None, score("accuracy", VALIDATION)] = None
    learning_rate: Annotated[
        float | None, Column("1 (per step)", "Learning rate at the epoch's first step", at_least=0)
    ] = None
    worker: Annotated[
        str | None, Column("host:process", "Who told of the epoch, as in summary.parquet")
    ] = None
    ended_at: Annotated[
        datetime | None, Column("UTC", "When the epoch was told of, for a timeline of what runs")
    ] = None
