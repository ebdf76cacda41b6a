"""The end of a sweep in words: who won, and where everything is."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from rich.table import Table

from sweeps.plain_table import as_text
from sweeps.progress import figure
from sweeps.record import TrialRecord

_FRONT = (
    "Below an architecture: its cheaper trials that none beats in both IoU and\n"
    "device-seconds (--objective); their models are in front/."
)
_LEGEND = (
    "On the validation images: IoU; score, the Data Science Bowl's; paper, the IoU of\n"
    "the paper's own settings."
)


def winners_table(records: Sequence[TrialRecord], files: Mapping[str, str]) -> str:
    """The winners in a table, why an architecture has none, and where the files are.

    `records` are all trials of the sweep, with `is_best` set; `files` says what is where, such as
    ``{"summary": "results/night/summary.parquet"}``. The table fits into 80 columns; where a file
    is stands on one line, however long, so that it can be copied.
    """
    architectures = dict.fromkeys(record.architecture for record in records)
    trials = {name: [r for r in records if r.architecture == name] for name in architectures}
    winners = {record.architecture: record for record in records if record.is_best}
    front = [record for record in records if record.on_front and not record.is_best]
    lines = []
    if winners:
        legend = [_LEGEND, _FRONT] if front else [_LEGEND]
        lines += [as_text(_table(winners, front, trials)), "", *legend, ""]
        again = (_confirmed(winner, trials[name]) for name, winner in winners.items())
        lines += filter(None, again)
    lines += [_no_winner(name, trials[name]) for name in trials if name not in winners]
    if not records:
        lines.append("No trial has ended.")
    width = max((len(what) for what in files), default=0)
    lines += [f"{what:<{width}}  {where}" for what, where in files.items()]
    return "\n".join(lines)


def _table(
    winners: Mapping[str, TrialRecord],
    front: Sequence[TrialRecord],
    trials: Mapping[str, Sequence[TrialRecord]],
) -> Table:
    """A row a winner, below it its front; the test's column only where the winners were tested."""
    tested = any(winner.test_iou is not None for winner in winners.values())
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    table.add_column("winner", overflow="fold")
    for heading in ["IoU", *(["test IoU"] if tested else []), "score", "paper", "epochs"]:
        table.add_column(heading, justify="right", min_width=5, no_wrap=True)
    table.add_column("device-s", justify="right", min_width=8, no_wrap=True)
    table.add_column("settings", ratio=1)
    for name, winner in winners.items():
        paper = next((t.val_iou for t in trials[name] if t.is_paper and not t.confirms), None)
        mine = sorted(
            (each for each in front if each.architecture == name), key=lambda t: -t.device_seconds
        )
        for trial in (winner, *mine):
            table.add_row(
                name if trial is winner else f"  {trial.trial_id}",
                figure(trial.val_iou),
                *([figure(trial.test_iou)] if tested else []),
                figure(trial.val_map),
                figure(paper) if trial is winner else "",
                str(trial.epochs_run),
                f"{trial.device_seconds:.0f}",
                _settings(trial),
            )
    return table


def _settings(trial: TrialRecord) -> str:
    """The hyperparameters that all architectures share, in few words."""
    parts = [
        trial.optimizer,
        None if trial.learning_rate is None else f"rate {trial.learning_rate:.2g}",
        None if trial.batch_size is None else f"batch {trial.batch_size}",
        None if trial.image_size is None else f"{trial.image_size} px",
    ]
    return ", ".join(part for part in parts if part)


def _confirmed(winner: TrialRecord, trials: Sequence[TrialRecord]) -> str | None:
    """What the winner's settings reached with other seeds, if they were trained again."""
    again = [t.val_iou for t in trials if t.confirms == winner.trial_id and t.val_iou is not None]
    if not again:
        return None
    seeds = f"{winner.architecture} with fresh seeds ({len(again)})"
    return f"{seeds}: IoU {fmean(again):.3f} on average, {min(again):.3f} to {max(again):.3f}"


def _no_winner(name: str, trials: Sequence[TrialRecord]) -> str:
    """Why an architecture has no winner."""
    errors = [" ".join(trial.error.split()) for trial in trials if trial.error]
    reason = f"{len(errors)} failed; the first: {errors[0]}" if errors else "none was scored"
    return f"{name} has no winner: of {len(trials)} trials {reason}"
