"""What the report shows, part by part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import polars as pl

from analysis import charts, gallery, headline, importance, lanes, running, thinning, tradeoff
from analysis.load import TRIAL, AnalysisError, competing
from analysis.page.render import ChartPlace, Page, Section, table
from analysis.tables import cell

MOST_ROWS = 200  # of a table


@dataclass(frozen=True)
class Results:
    """What was measured, and by which cost and gain it is to be judged."""

    trials: pl.DataFrame
    curves: pl.DataFrame
    images: pl.DataFrame
    gallery: pl.DataFrame
    cost: str
    gain: str

    @cached_property
    def scored(self) -> pl.DataFrame:
        """Trials that have both figures; no rows if there are none."""
        try:
            return tradeoff.scored_trials(self.trials, self.cost, self.gain)
        except AnalysisError:
            return self.trials.clear()

    @cached_property
    def judged(self) -> pl.DataFrame:
        """Trials that may win and have the gain, whatever is known of their cost."""
        return competing(self.trials).filter(pl.col(self.gain).is_not_null())

    @cached_property
    def running(self) -> pl.DataFrame:
        """The epochs of trials that have not ended."""
        return running.epochs(self.curves, self.trials)

    @cached_property
    def shown(self) -> pl.DataFrame:
        """Scored trials, as many as can be drawn."""
        if self.scored.is_empty():
            return self.scored
        return thinning.trials(self.scored, self.cost, self.gain)


def page(results: Results, now: datetime) -> Page:
    """The whole report: what can be drawn of the results as they are."""
    sweeps = results.curves["sweep"].append(results.trials["sweep"]).unique().sort().to_list()
    made = Page(
        title=f"Nucleus segmentation: {', '.join(sweeps[:3])}{' and more' * (len(sweeps) > 3)}",
        headline=_headline(results),
        filters=_filters(results, sweeps),
        footer=f"Drawn {now:%Y-%m-%d %H:%M} UTC from {results.trials.height} trials of "
        f"{len(sweeps)} sweeps; data: {', '.join(results.trials['dataset'].unique().sort())}.",
    )
    repeats = results.trials.filter(pl.col("confirms").is_not_null()).tail(MOST_ROWS)
    bars = results.trials.head(lanes.MOST_BARS)  # all of them, where the timeline has them apart
    runs = running.trials(results.running).head(thinning.MOST_CURVES)
    for trials in (results.shown, repeats, _failed(results), bars, runs):
        made.trials |= {charts.key(row): _facts(row) for row in trials.iter_rows(named=True)}
    for part in (_tradeoff, _gallery, _curves, _settings, _workers, _costs, _failures):
        made.sections += list(part(results, made))
    return made


def _filters(results: Results, sweeps: list[str]) -> Mapping[str, list[str]]:
    """What can be hidden: architectures always, others where they are several."""
    architectures = results.curves["architecture"].append(results.trials["architecture"])
    status = results.trials["status"].unique().sort().to_list()
    others = {"sweep": sweeps, "status": status + ["running"] * (results.running.height > 0)}
    return {
        "architecture": architectures.unique().sort().to_list(),
        **{kind: names for kind, names in others.items() if len(names) > 1},
    }


def _headline(results: Results) -> list[str]:
    """What was found, or why nothing can be said yet."""
    if results.trials.is_empty():
        return ["No trial has ended yet."]
    try:
        tradeoff.scored_trials(results.trials, results.cost, results.gain)
    except AnalysisError as error:
        return [f"{error}.", headline.spent(results.trials)]
    return headline.sentences(
        results.trials, results.scored, results.images, results.cost, results.gain
    )


def _tradeoff(results: Results, made: Page) -> Iterator[Section]:
    if results.scored.is_empty():
        return
    made.charts["pareto"] = charts.pareto(results.shown, results.cost, results.gain)
    tables = tradeoff.answers(results.scored, results.cost, results.gain)
    thinned = results.scored.height - results.shown.height
    yield Section(
        "tradeoff",
        "Accuracy against compute",
        "Each point is a trial; the line is what nothing cheaper reaches; stars are the paper's "
        "own settings. Point at a trial for its settings, click it for its page. The line stays "
        "that of all trials, whatever is hidden above."
        + (
            f" {thinned} trials, drawn at random, are left out here; none of the front."
            if thinned
            else ""
        ),
        [
            ChartPlace(
                "pareto",
                f"Scatter plot of {results.gain} over {results.cost}; "
                "the table below has the front.",
            )
        ],
        [
            table(found.head(MOST_ROWS), title, pages=made.trials, folded=number > 0)
            for number, (title, found) in enumerate(tables.items())
        ],
    )


def _gallery(results: Results, made: Page) -> Iterator[Section]:
    """Each architecture's best winner, on the places that its sweep shows."""
    best = results.trials.filter("is_best").sort("val_iou", descending=True)
    chosen = best.unique("architecture", keep="first").select(TRIAL)
    rows = results.gallery.join(chosen, on=TRIAL)
    if rows.height:
        yield Section(
            "gallery",
            "What the winners see",
            "The most crowded places among the validation images, the same for all winners of a "
            "sweep.",
            pictures=gallery.pictures(rows),
            legend=list(gallery.VERDICTS.values()),
        )


def _curves(results: Results, made: Page) -> Iterator[Section]:
    """Curves of the best trials, the fronts, the paper's rows, some others, and what runs."""
    wanted = running.trials(results.running).select(TRIAL).head(thinning.MOST_CURVES)
    if results.scored.height:
        ended = thinning.trials(results.scored, results.cost, results.gain, thinning.MOST_CURVES)
    else:
        best_first = results.trials.sort(results.gain, descending=True, nulls_last=True)
        ended = best_first.head(thinning.MOST_CURVES)
    made.trials |= {charts.key(row): _facts(row) for row in ended.iter_rows(named=True)}
    wanted = pl.concat([ended.select(TRIAL), wanted])
    found = results.curves.join(wanted, on=TRIAL).sort("epoch")
    curves = {
        charts.key(curve.row(0, named=True)): curve[thinning.evenly(curve.height)]
        for curve in found.partition_by(TRIAL)
    }
    if not curves:
        return
    made.charts["curves"] = charts.learning_curves(curves, found)
    made.curves = {
        name: charts.learning_curves({name: curve}, found) for name, curve in curves.items()
    }
    reached = found.group_by(TRIAL).agg(
        epochs=pl.col("epoch").max(), best_val_iou=pl.col("val_iou").max()
    )
    yield Section(
        "curves",
        "Learning curves",
        f"Validation IoU after each epoch of {len(curves)} trials: the fronts, the best, the "
        "paper's rows, those that still run, and some others.",
        [ChartPlace("curves", "Lines of validation IoU over device-seconds; the table has where.")],
        [
            table(
                reached.sort("best_val_iou", descending=True, nulls_last=True),
                "Where the curves end",
                pages=made.trials,
                folded=True,
            )
        ],
    )


def _settings(results: Results, made: Page) -> Iterator[Section]:
    """Parallel coordinates and importances, an architecture at a time."""
    places = []
    for (name,), mine in results.judged.group_by("architecture", maintain_order=True):
        settings = importance.hyperparameters(mine)
        if mine.height < importance.FEWEST or not settings.width:
            continue
        weights = importance.importances(settings, mine[results.gain])
        most = thinning.MOST_TRIALS
        few = mine if mine.height <= most else results.shown.filter(architecture=name)
        made.charts[f"importance-{name}"] = charts.importances(weights)
        made.charts[f"parallel-{name}"] = charts.parallel(few, results.gain, weights)
        strongest = ", ".join(weights["hyperparameter"].head(3))
        places += [
            ChartPlace(
                f"importance-{name}",
                f"Bars of importance; the most important: {strongest}.",
                heading=str(name),
                architecture=str(name),
            ),
            ChartPlace(
                f"parallel-{name}",
                f"A line a trial of {name} through its settings.",
                architecture=str(name),
            ),
        ]
    if places:
        yield Section(
            "settings",
            "Which settings mattered",
            "The bars show how much each hyperparameter explains of what sets good trials apart "
            "(PED-ANOVA). Below, each line is a trial; drag along an axis to pick some.",
            places,
        )


def _workers(results: Results, made: Page) -> Iterator[Section]:
    held = pl.concat([lanes.of_ended(results.trials), lanes.of_running(results.running)])
    if held.is_empty():
        return
    made.charts["timeline"] = charts.timeline(held.sort("begun"))
    hours = (pl.col("ended") - pl.col("begun")).sum() / 3_600_000
    workers = held.group_by("worker").agg(
        trials=pl.struct(TRIAL).n_unique(),
        hours_held=hours,
        failed=pl.col("failed").sum(),
        times_lost=pl.col("lost").sum(),
    )
    yield Section(
        "workers",
        "Who was busy, idle or lost",
        "A row a worker: coloured while it held a trial, empty while it was idle; crosses are "
        "failed trials, triangles workers that were lost with a trial, which went on elsewhere; "
        "what still runs is drawn until its last epoch. "
        "Click a bar for its trial's page.",
        [ChartPlace("timeline", "Bars of busy time by worker; the table has the hours.")],
        [table(workers.sort("worker"), "Hours by worker", folded=True)],
    )


def _costs(results: Results, made: Page) -> Iterator[Section]:
    if results.trials.is_empty():
        return
    costs = (
        results.trials.group_by("architecture", "status")
        .agg(
            trials=pl.len(),
            device_hours=pl.col("device_seconds").sum() / 3600,
            usd=pl.when(pl.col("usd").count() > 0).then(pl.col("usd").sum()),
        )
        .sort("architecture", "status")
    )
    yield Section(
        "costs",
        "What it cost",
        "Start, training, evaluation, failed and repeated work are all in it.",
        tables=[table(costs)],
    )


def _failures(results: Results, made: Page) -> Iterator[Section]:
    failed = _failed(results)
    if failed.height:
        shown = failed.select("architecture", "sweep", "trial_id", "error", "device_seconds")
        yield Section(
            "failures",
            "What failed, and why",
            f"The last {failed.height} of "
            f"{results.trials.filter(pl.col('status') == 'failed').height} failed trials.",
            tables=[table(shown, pages=made.trials)],
        )


def _failed(results: Results) -> pl.DataFrame:
    return results.trials.filter(pl.col("status") == "failed").tail(MOST_ROWS)


def _facts(row: Mapping[str, Any]) -> Mapping[str, str]:
    """All that is known of a trial, as its page shows it."""
    known = {name: value for name, value in row.items() if value is not None}
    settings = json.loads(known.pop("hyperparameters", "{}"))  # none of what still runs
    facts = {name: cell(value) for name, value in known.items() if name != "versions"}
    return facts | {f"setting: {name}": cell(value) for name, value in settings.items()}
