"""Which hyperparameters mattered: ``python analysis/importance.py results/NAME -o importance``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

import polars as pl

from analysis import load, tables
from analysis.command_line import add_format, add_gain, add_results, leave, run, warn
from analysis.load import AnalysisError
from analysis.measures import spans_decades
from sweeps.storage import Store, open_store

if TYPE_CHECKING:
    import optuna

MOST = 1500  # trials that are looked at: Optuna takes a millisecond for each
FEWEST = 5
SHOWN = 6  # hyperparameters that get a plot


def main(arguments: list[str]) -> int:
    """Print each architecture's importances; draw slices and interactions into a folder."""
    parser = argparse.ArgumentParser(
        prog="analysis/importance.py",
        description="How much of the difference between good and other trials each hyperparameter "
        "explains (PED-ANOVA: Watanabe et al., IJCAI 2023), for each architecture; they sum to 1.",
    )
    add_results(parser)
    add_gain(parser)
    add_format(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        help="write the table (CSV) and, for each architecture, slices and the two "
        "that matter most together (PNG) there; may be s3://",
    )
    return run(parser, arguments, _analyse)


def _analyse(arguments: argparse.Namespace) -> None:
    every = load.trials(arguments.results)
    warn(every)
    trials = load.competing(every).filter(pl.col(arguments.gain).is_not_null())
    found: list[pl.DataFrame] = []
    for (name,), mine in trials.group_by("architecture", maintain_order=True):
        settings = hyperparameters(mine)
        if mine.height < FEWEST or not settings.width:
            print(f"{name}: importances need {FEWEST} trials or more with different settings")
            continue
        weights = importances(settings, mine[arguments.gain])
        found.append(weights.select(pl.lit(name).alias("architecture"), pl.all()))
        drawn = f", {MOST} of them drawn at random" if mine.height > MOST else ""
        print(f"{name}, {mine.height} trials{drawn}\n{tables.FORMATS[arguments.format](weights)}\n")
        if arguments.output:
            store = open_store(arguments.output)
            _write_figures(store, str(name), settings, mine[arguments.gain], weights)
    if not found:
        raise AnalysisError(f"no architecture has {FEWEST} trials that differ and were scored")
    if arguments.output:
        store = open_store(arguments.output)
        store.write_bytes("importance.csv", tables.csv(pl.concat(found)).encode())
        print(f"table and figures: {store.uri}")


def hyperparameters(trials: pl.DataFrame) -> pl.DataFrame:
    """A column each hyperparameter that was varied, a row a trial."""
    rows = [json.loads(text) for text in trials["hyperparameters"]]
    settings = pl.DataFrame(rows, infer_schema_length=None)
    return settings.select(c for c in settings if c.drop_nulls().n_unique() > 1)


def importances(settings: pl.DataFrame, gain: pl.Series) -> pl.DataFrame:
    """Columns `hyperparameter` and `importance`, the most important first; see Optuna's PED-ANOVA.

    Of more than `MOST` trials, so many are drawn at random (seeded).
    """
    from optuna.importance import get_param_importances  # noqa: PLC0415 - not needed for --help

    found = get_param_importances(study(settings, gain))
    return pl.DataFrame(
        {"hyperparameter": list(found), "importance": list(found.values())},
        schema={"hyperparameter": pl.String, "importance": pl.Float64},
    )


def study(settings: pl.DataFrame, gain: pl.Series) -> optuna.Study:
    """The trials as an Optuna study; ranges are those of the values that were tried."""
    import optuna  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    together = settings.with_columns(gain.alias("gain of trial"))
    if together.height > MOST:
        together = together.sample(MOST, seed=0)
    spaces = {column.name: _distribution(column.drop_nulls()) for column in settings}
    made = optuna.create_study(direction="maximize")
    for row in together.iter_rows(named=True):
        value = row.pop("gain of trial")
        # Trials of an older version lack what is newer: for Optuna a conditional hyperparameter.
        params = {name: chosen for name, chosen in row.items() if chosen is not None}
        own = {name: spaces[name] for name in params}
        made.add_trial(optuna.trial.create_trial(value=value, params=params, distributions=own))
    return made


def _distribution(values: pl.Series) -> optuna.distributions.BaseDistribution:
    """The range that a hyperparameter's values span."""
    from optuna.distributions import (  # noqa: PLC0415
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if not values.dtype.is_numeric():
        return CategoricalDistribution(values.unique().sort().to_list())
    low: Any = values.min()
    high: Any = values.max()
    log = spans_decades(values)
    if values.dtype.is_integer():
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _write_figures(
    store: Store, name: str, settings: pl.DataFrame, gain: pl.Series, weights: pl.DataFrame
) -> None:
    # matplotlib is slow to load, and not always asked for.
    from analysis import plots  # noqa: PLC0415

    shown = weights["hyperparameter"].head(SHOWN).to_list()
    figures = {"slices": plots.slices(settings.select(shown), gain)}
    if len(shown) > 1:
        pair = settings.select(shown[:2])
        figures["interaction"] = plots.figure(lambda axes: plots.draw_interaction(axes, pair, gain))
    for kind, drawn in figures.items():
        store.write_bytes(f"{name}_{kind}.png", plots.as_bytes(drawn, "png"))


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
