"""Accuracy against compute: ``python analysis/tradeoff.py results/NAME -o tradeoff``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping

import polars as pl

from analysis import load, pareto, tables
from analysis.command_line import (
    add_cost,
    add_format,
    add_gain,
    add_results,
    leave,
    positive,
    run,
    warn,
)
from analysis.load import AnalysisError, competing
from analysis.measures import unit
from sweeps.storage import Store, open_store

SETTINGS = ("optimizer", "learning_rate", "batch_size", "image_size", "epochs_run")
CHEAPEST = "Cheapest within"
WITHIN = 0.01  # what "as good as the best" means: 0.01 of IoU
BEYOND = 1.1  # the hypervolume's reference, of the dearest trial's cost: that trial counts too
MOST_STEPS = 20  # of the hypervolume's course, as it is printed


def main(arguments: list[str]) -> int:
    """Print the trade-off, and write tables and figures into a folder if one is named."""
    parser = argparse.ArgumentParser(
        prog="analysis/tradeoff.py",
        description="Which settings give the most accuracy for their compute, among all trials "
        "that were scored: completed ones, and stopped ones at what they had spent by then.",
    )
    add_results(parser)
    add_cost(parser)
    add_gain(parser)
    parser.add_argument(
        "--budget", type=positive, metavar="COST", help="name the best trials that cost no more too"
    )
    add_format(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        help="write the tables (CSV, Markdown) and figures (PNG, SVG) there; may be s3://",
    )
    return run(parser, arguments, _analyse)


def _analyse(arguments: argparse.Namespace) -> None:
    cost, gain = arguments.cost, arguments.gain
    scored = scored_trials(load.trials(arguments.results), cost, gain)
    warn(scored)
    over_time = hypervolume_over_time(scored, cost, gain)
    found = answers(scored, cost, gain, arguments.budget)
    shown = {
        **found,
        f"Hypervolume (0..1) of {gain} over {cost}, as it rose": course(over_time),
    }
    for title, table in shown.items():
        print(f"{title}\n{tables.FORMATS[arguments.format](table)}\n")
        if arguments.format == "text" and title.startswith(CHEAPEST):
            print(f"in full:\n{tables.in_full(table)}\n")
    if arguments.output:
        store = open_store(arguments.output)
        _write_tables(store, found)
        sections = [f"## {title}\n\n{tables.markdown(table)}" for title, table in shown.items()]
        store.write_bytes("tradeoff.md", "\n".join(sections).encode())
        store.write_bytes("hypervolume.csv", tables.csv(over_time).encode())
        _write_figures(store, scored, over_time, cost, gain)
        print(f"tables and figures: {store.uri}")


def scored_trials(trials: pl.DataFrame, cost: str, gain: str) -> pl.DataFrame:
    """The trials that have both figures, as they ended; AnalysisError if there are none.

    Those that repeat another with a fresh seed are not among them: a search must not win by them.
    """
    scored = competing(trials).filter(pl.col(cost).is_not_null(), pl.col(gain).is_not_null())
    scored = scored.sort("ended_at", "architecture", "trial_id")
    if scored.is_empty():
        failed = trials.filter(pl.col("status") == "failed")
        why = f", the first because: {failed['error'][0]}" if failed.height else ""
        raise AnalysisError(
            f"of {trials.height} trials none was scored with both {gain} and {cost} "
            f"({failed.height} failed{why}); another --cost or --gain may be there"
        )
    return scored


def answers(
    scored: pl.DataFrame, cost: str, gain: str, budget: float | None = None
) -> Mapping[str, pl.DataFrame]:
    """What people ask of a trade-off: a title each, and the trials that answer it."""
    parts = scored.partition_by("architecture", maintain_order=True)
    found = {
        f"Pareto front: nothing is as good for less ({cost})": front(scored, cost, gain),
        "Pareto front of each architecture": _joined(front(part, cost, gain) for part in parts),
        f"{CHEAPEST} {WITHIN} {gain} of the best of all": cheapest_good(scored, cost, gain),
        f"{CHEAPEST} {WITHIN} {gain} of the architecture's best": _joined(
            cheapest_good(part, cost, gain) for part in parts
        ),
    }
    if budget is not None:
        affordable = scored.filter(pl.col(cost) <= budget)
        ranked = affordable.sort(gain, cost, descending=[True, False], maintain_order=True)
        best = ranked.unique("architecture", keep="first")
        found[f"Best of each architecture for at most {budget:g} {unit(cost)}"] = best.sort(
            "architecture"
        )
    shown = ("sweep", "trial_id", gain, cost, *SETTINGS, "hyperparameters")
    return {title: table.select(*shown) for title, table in found.items()}


def _joined(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts).sort("architecture", maintain_order=True)


def front(scored: pl.DataFrame, cost: str, gain: str) -> pl.DataFrame:
    """The trials on the Pareto front, the cheapest first."""
    return scored[pareto.front(scored[cost], scored[gain])]


def cheapest_good(scored: pl.DataFrame, cost: str, gain: str) -> pl.DataFrame:
    """The cheapest trial that is at most `WITHIN` worse than the best."""
    good = scored.filter(pl.col(gain) >= pl.col(gain).max() - WITHIN)
    return good.sort(cost, gain, descending=[False, True], maintain_order=True).head(1)


def hypervolume_over_time(scored: pl.DataFrame, cost: str, gain: str) -> pl.DataFrame:
    """Columns `hours`, since the first trial began, and `hypervolume`, 0..1, as each trial ended.

    The area between the front, gain 0 and a reference a tenth dearer than the dearest trial, as a
    share of that reference.
    """
    reference = BEYOND * float(scored[cost].to_numpy().max())
    volumes = pareto.hypervolumes(scored[cost].to_list(), scored[gain].to_list(), reference)
    hours = (pl.col("ended_at") - pl.col("started_at").min()).dt.total_seconds(fractional=True)
    return scored.select(
        hours=hours / 3600, hypervolume=pl.Series(volumes / reference if reference else volumes)
    )


def course(over_time: pl.DataFrame) -> pl.DataFrame:
    """Where the hypervolume rose: the last step and, evenly, at most `MOST_STEPS` in all."""
    steps = over_time.filter(pl.col("hypervolume").diff().fill_null(1.0) > 0).reverse()
    return steps.gather_every(-(-steps.height // MOST_STEPS)).reverse()


def _write_tables(store: Store, found: Mapping[str, pl.DataFrame]) -> None:
    names = (
        *("front", "fronts_by_architecture", "cheapest_good_of_all", "cheapest_good"),
        "best_under_budget",
    )
    for name, table in zip(names, found.values(), strict=False):
        store.write_bytes(f"{name}.csv", tables.csv(table).encode())


def _write_figures(
    store: Store, scored: pl.DataFrame, over_time: pl.DataFrame, cost: str, gain: str
) -> None:
    # matplotlib is slow to load, and not always asked for.
    from analysis import plots  # noqa: PLC0415

    figures = {
        "tradeoff": plots.figure(lambda axes: plots.draw_tradeoff(axes, scored, cost, gain)),
        "hypervolume": plots.figure(
            lambda axes: plots.draw_hypervolume(axes, over_time, cost, gain)
        ),
    }
    for name, drawn in figures.items():
        for kind in ("png", "svg"):
            store.write_bytes(f"{name}.{kind}", plots.as_bytes(drawn, kind))


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
