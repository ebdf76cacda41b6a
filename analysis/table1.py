"""The paper's Table 1 with this project's rows, and a verdict on each of its claims.

``python analysis/table1.py results/NAME``
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import Any

import polars as pl

from analysis import claims, load, tables
from analysis.command_line import add_format, add_results, leave, positive, run
from analysis.evidence import Evidence
from analysis.intervals import mean_interval
from analysis.load import AnalysisError
from analysis.paper import ORDER, ROWS
from analysis.tables import WIDTH

T4 = "T4"  # in the name of the paper's device


def main(arguments: list[str]) -> int:
    """Print the table and the verdicts."""
    parser = argparse.ArgumentParser(
        prog="analysis/table1.py",
        description="The paper's Table 1 beside the best trial of each architecture, and what "
        "the results say of the paper's claims. An interval (95 percent) is over the validation "
        "images, or over fresh seeds where --confirm trained the winner's settings again.",
    )
    add_results(parser)
    add_format(parser)
    parser.add_argument(
        "--t4-factor",
        type=positive,
        metavar="F",
        help="how many hours an NVIDIA T4 takes for what takes your device one, as you measured "
        "it; without it, times are scaled only if they were measured on a T4",
    )
    return run(parser, arguments, _analyse)


def _analyse(arguments: argparse.Namespace) -> None:
    trials = load.trials_if_any(arguments.results)
    images = load.images(arguments.results).filter(pl.col("images") == "validation")
    evidence = Evidence(trials, images)
    print(tables.FORMATS[arguments.format](table(evidence, arguments.t4_factor)), "\n")
    print(f"{_scaling(evidence, arguments.t4_factor)}\n")
    for verdict in claims.verdicts(evidence):
        print(textwrap.fill(f"{verdict.verdict.upper()}: {verdict.claim}", WIDTH))
        print("".join(f"  {figure}\n" for figure in verdict.figures))


def table(evidence: Evidence, t4_factor: float | None = None) -> pl.DataFrame:
    """Two rows an architecture: the paper's, and this project's best trial where there is one."""
    rows: list[dict[str, Any]] = []
    for name in ORDER:
        paper = ROWS[name]
        rows.append(
            {
                "model": paper.model,
                "of": "the paper",
                "train_accuracy": paper.train_accuracy,
                "test_accuracy": paper.test_accuracy,
                "iou": paper.iou,
                "T4_hours": float(paper.hours),
            }
        )
        best = evidence.winner(name).to_dicts()
        rows += [_measured(evidence, trial, t4_factor) for trial in best]
    return pl.DataFrame(rows, schema=SCHEMA)


def _scaling(evidence: Evidence, t4_factor: float | None) -> str:
    """What the hours on a T4 are; AnalysisError where one factor would stand for two devices."""
    found = {trial["device"] for name in ORDER for trial in evidence.winner(name).to_dicts()}
    others = sorted(device or "an unknown device" for device in found if not _is_t4(device))
    if t4_factor is None or not others:
        return "T4_hours: as measured on a T4; on other devices not known (--t4-factor)"
    if len(others) > 1:
        raise AnalysisError(
            f"--t4-factor is of one device, but the best trials ran on {', '.join(others)}: name "
            "only results of one device besides T4"
        )
    return f"T4_hours: hours on {others[0]}, times {t4_factor:g} as given by --t4-factor"


def _is_t4(device: str | None) -> bool:
    return T4 in (device or "").split()


SCHEMA = {
    "model": pl.String,
    "of": pl.String,
    "train_accuracy": pl.Float64,
    "test_accuracy": pl.Float64,
    "iou": pl.Float64,
    "test_iou": pl.Float64,
    "val_iou": pl.String,
    "val_iou_of_fresh_seeds": pl.String,
    "hours": pl.Float64,
    "T4_hours": pl.Float64,
    "device": pl.String,
}


def _measured(evidence: Evidence, trial: dict[str, Any], t4_factor: float | None) -> dict[str, Any]:
    """The best trial's row; hours are those in which its device was held."""
    mine = evidence.images.filter(
        pl.col("trial_id") == trial["trial_id"], pl.col("sweep") == trial["sweep"]
    )
    hours = trial["device_seconds"] / 3600
    again = evidence.again(trial)
    factor = 1.0 if _is_t4(trial["device"]) else t4_factor
    return {
        "model": ROWS[trial["architecture"]].model,
        "of": f"{trial['sweep']}, {trial['trial_id']}",
        "train_accuracy": trial["train_accuracy"],
        "test_accuracy": trial["test_accuracy"],
        "test_iou": trial["test_iou"],
        "val_iou": str(mean_interval(mine["iou"]))
        if mine.height
        else tables.cell(trial["val_iou"]),
        "val_iou_of_fresh_seeds": str(mean_interval(again)) if len(again) else None,
        "hours": hours,
        "T4_hours": None if factor is None else hours * factor,
        "device": trial["device"],
    }


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
