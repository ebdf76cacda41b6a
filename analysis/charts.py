"""The report's interactive charts, as Plotly's own data: plain dictionaries, drawn by the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis import importance, lanes, thinning, tradeoff
from analysis.colours import COLOURS, colours
from analysis.measures import spans_decades, unit
from analysis.tables import cell

Chart = dict[str, Any]
SYMBOLS = {"completed": "circle", "stopped": "circle-open", "failed": "x"}
MOST_AXES = 7  # of parallel coordinates: more can't be told apart
TALL = 28  # pixels a row of a chart with named rows


def key(row: Mapping[str, Any]) -> str:
    """What names a trial in the page, and in its address."""
    return f"{row['sweep']}/{row['trial_id']}"


def pareto(shown: pl.DataFrame, cost: str, gain: str) -> Chart:
    """Every shown trial; each architecture's front as a line."""
    traces: list[Chart] = []
    palette = colours(shown["architecture"])
    for (name,), mine in shown.group_by("architecture", maintain_order=True):
        rows = list(mine.iter_rows(named=True))
        traces.append(
            {
                "type": "scattergl",
                "mode": "markers",
                "name": name,
                "legendgroup": name,
                "x": _rounded(mine[cost]),
                "y": _rounded(mine[gain]),
                "customdata": [key(row) for row in rows],
                "text": [_hover(row, cost, gain) for row in rows],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {
                    "color": palette[str(name)],
                    "size": [14 if row["is_paper"] else 8 for row in rows],
                    "symbol": [
                        "star" if row["is_paper"] else SYMBOLS[row["status"]] for row in rows
                    ],
                },
            }
        )
        front = tradeoff.front(mine, cost, gain)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"{name}, front",
                "legendgroup": name,
                "showlegend": False,
                "hoverinfo": "skip",
                "x": _rounded(front[cost]),
                "y": _rounded(front[gain]),
                "line": {"shape": "hv", "color": palette[str(name)]},
            }
        )
    axis: Chart = {"title": {"text": f"{cost} ({unit(cost)})"}}
    if spans_decades(shown[cost]):
        axis["type"] = "log"
    return {"data": traces, "layout": {"xaxis": axis, "yaxis": {"title": {"text": gain}}}}


def learning_curves(curves: Mapping[str, pl.DataFrame], found: pl.DataFrame) -> Chart:
    """The validation IoU of some trials after each epoch, over what they had cost by then.

    found: all rows, so that one curve alone has the colour that it has among the others.
    """
    palette = colours(found["architecture"])
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "legendgroup": curve["architecture"][0],
            "customdata": [name] * curve.height,
            "x": _rounded(curve["device_seconds"]),
            "y": _rounded(curve["val_iou"]),
            "text": [f"{name}, epoch {epoch}" for epoch in curve["epoch"]],
            "hovertemplate": "%{text}: %{y}<extra></extra>",
            "line": {"color": palette[curve["architecture"][0]], "width": 1},
            "marker": {"size": 4},
        }
        for name, curve in curves.items()
    ]
    layout = {
        "xaxis": {"title": {"text": "device-seconds since the trial's start"}},
        "yaxis": {"title": {"text": "val_iou"}},
        "showlegend": len(traces) <= 12,
    }
    return {"data": traces, "layout": layout}


def parallel(mine: pl.DataFrame, gain: str, weights: pl.DataFrame) -> Chart:
    """One architecture's trials as lines through the hyperparameters that matter most, and the
    gain.
    """
    settings = importance.hyperparameters(mine)
    strongest = [name for name in weights["hyperparameter"] if name in settings.columns]
    dimensions = [_dimension(settings[name]) for name in strongest[:MOST_AXES]]
    dimensions.append({"label": gain, "values": _rounded(mine[gain])})
    line = {"color": _rounded(mine[gain]), "colorscale": "Viridis", "showscale": True}
    trace = {"type": "parcoords", "dimensions": dimensions, "line": line}
    return {"data": [trace], "layout": {"height": 420, "margin": {"t": 60, "b": 30, "l": 90}}}


def importances(weights: pl.DataFrame) -> Chart:
    """A bar each hyperparameter, the most important above."""
    upwards = weights.reverse()
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": _rounded(upwards["importance"]),
        "y": upwards["hyperparameter"].to_list(),
        "marker": {"color": COLOURS[0]},
    }
    layout = {"height": 90 + TALL * weights.height, "margin": {"t": 5, "l": 140, "b": 40, "r": 20}}
    return {"data": [trace], "layout": layout}


def timeline(held: pl.DataFrame) -> Chart:
    """When each worker was busy, by `analysis.lanes`; gaps are idle. Failed trials and lost workers
    stand out.
    """
    palette = colours(held["architecture"])
    bars = held if held.height <= lanes.MOST_BARS else lanes.joined(held)
    traces = []
    for (name,), mine in held.group_by("architecture", maintain_order=True):
        traces.append(_bars(str(name), bars.filter(architecture=name), palette[str(name)]))
        traces += _marks(str(name), mine)
    layout = {
        "barmode": "overlay",
        "xaxis": {"type": "date", "title": {"text": "UTC"}},
        "yaxis": {"type": "category", "automargin": True},
        "height": 140 + TALL * held["worker"].n_unique(),
    }
    return {"data": traces, "layout": layout}


def _bars(name: str, bars: pl.DataFrame, colour: str) -> Chart:
    rows = list(bars.iter_rows(named=True))
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "legendgroup": name,
        "y": [row["worker"] for row in rows],
        "base": [row["begun"] for row in rows],
        "x": [row["ended"] - row["begun"] for row in rows],
        "customdata": [key(row) if row["trial_id"] else None for row in rows],
        "text": [row["trial_id"] or name for row in rows],
        "textposition": "none",
        "marker": {"color": colour, "line": {"width": 1, "color": "white"}},
        "hovertemplate": "%{text}, from %{base}<extra>%{y}</extra>",
    }


def _marks(architecture: str, held: pl.DataFrame) -> list[Chart]:
    """Where a trial failed, and where a worker was lost."""
    marks = {"failed": "x", "lost": "triangle-down"}
    traces = []
    for name, symbol in marks.items():
        chosen = held.filter(name).tail(thinning.MOST_TRIALS)
        if chosen.height:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": f"{architecture}, {name}",
                    "legendgroup": architecture,
                    "x": chosen["ended"].to_list(),
                    "y": chosen["worker"].to_list(),
                    "customdata": [key(row) for row in chosen.iter_rows(named=True)],
                    "text": [f"{row['trial_id']}: {name}" for row in chosen.iter_rows(named=True)],
                    "hovertemplate": "%{text}<extra></extra>",
                    "marker": {"symbol": symbol, "size": 11, "color": "#b00020"},
                }
            )
    return traces


def _dimension(values: pl.Series) -> Chart:
    """An axis of parallel coordinates; names become numbers with labels."""
    if values.dtype.is_numeric():
        return {"label": values.name, "values": _rounded(values)}
    names = sorted(cell(value) for value in values.unique())
    places = [names.index(cell(value)) for value in values]
    return {
        "label": values.name,
        "values": places,
        "tickvals": list(range(len(names))),
        "ticktext": names,
    }


def _hover(row: Mapping[str, Any], cost: str, gain: str) -> str:
    """The configuration, a line each."""
    lines = [
        f"<b>{key(row)}</b> {row['status']}",
        f"{gain} {cell(row[gain])}, {cost} {cell(row[cost])}",
    ]
    return "<br>".join([*lines, *cell(row["hyperparameters"]).split(", ")])


def _rounded(values: pl.Series) -> list[Any]:
    """Numbers with five digits: more would only make the file larger."""
    return [None if v is None else float(f"{v:.5g}") for v in values]
