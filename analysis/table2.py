"""The paper's Table 2 with what the searches found: ``python analysis/table2.py results/NAME``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import polars as pl

from analysis import load, tables
from analysis.command_line import add_format, add_results, leave, run, warn
from analysis.paper import ORDER, ROWS, PaperRow


def main(arguments: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="analysis/table2.py",
        description="The hyperparameters that the paper found best beside those of each "
        "architecture's best trial here, and what both reached on the validation images.",
    )
    add_results(parser)
    add_format(parser)
    return run(parser, arguments, _analyse)


def _analyse(arguments: argparse.Namespace) -> None:
    trials = load.trials_if_any(arguments.results)
    warn(trials)
    print(tables.FORMATS[arguments.format](table(trials)))


def table(trials: pl.DataFrame) -> pl.DataFrame:
    """A row an architecture and setting: the paper's value, and the best trial's.

    What the paper leaves open is shown as its row was run here, and is said to be so.
    """
    rows = []
    for name in ORDER:
        mine = trials.filter(pl.col("architecture") == name).sort("val_iou", nulls_last=True)
        best = mine.filter("is_best").tail(1).to_dicts()
        is_scored = pl.col("val_iou").is_not_null() & pl.col("confirms").is_null()
        paper_trial = mine.filter("is_paper", is_scored).tail(1).to_dicts()
        found = _found(best[0]) if best else {}
        as_run = _found(paper_trial[0]) if paper_trial else {}
        said = _of_the_paper(ROWS[name])
        paper = {each: f"{tables.cell(value)}, as run here" for each, value in as_run.items()}
        paper |= {each: tables.cell(value) for each, value in said.items()}
        rows += [
            {
                "model": ROWS[name].model,
                "setting": setting,
                "the_paper": paper.get(setting, "-"),
                "found_here": tables.cell(found.get(setting)),
            }
            for setting in dict.fromkeys([*said, *found, *paper])
        ]
    return pl.DataFrame(rows)


def _of_the_paper(row: PaperRow) -> dict[str, Any]:
    return {
        "layers": row.layers,
        "output": row.output,
        "activation": row.activation,
        "optimizer": row.optimizer,
        "learning_rate": row.learning_rate,
        "batch_size": row.batch_size,
        "epochs": row.epochs,
    }


def _found(trial: dict[str, Any]) -> dict[str, Any]:
    """The best trial's settings, its score and epochs first."""
    return {
        "validation IoU here": trial["val_iou"],
        "epochs": trial["epochs_run"],
        **json.loads(trial["hyperparameters"]),
    }


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
