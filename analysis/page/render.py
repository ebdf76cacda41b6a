"""The report's parts become one HTML file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.charts import key
from analysis.gallery import Picture
from analysis.tables import cell


@dataclass(frozen=True)
class ChartPlace:
    """A chart of the page: its name in the page's data, what it shows for those who listen, and the
    architecture that it is of, if it is of one alone.
    """

    id: str
    description: str
    heading: str = ""
    architecture: str = ""


@dataclass(frozen=True)
class PageTable:
    """A table of the page; `folded` ones are opened by a click."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page under its heading, with a sentence on how to read it."""

    id: str
    heading: str
    words: str
    charts: Sequence[ChartPlace] = ()
    tables: Sequence[PageTable] = ()
    pictures: Sequence[Sequence[Picture]] = ()
    legend: Sequence[tuple[str, str, str]] = ()  # name, colour, meaning


@dataclass
class Page:
    """All that the page shows. charts, curves: Plotly's data by name; trials: facts by trial.

    filters: the values of a fact that can be hidden, by its name.
    """

    title: str
    headline: Sequence[str]
    filters: Mapping[str, Sequence[str]]
    footer: str
    sections: list[Section] = field(default_factory=list)
    charts: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)
    trials: dict[str, Mapping[str, str]] = field(default_factory=dict)


def table(
    frame: pl.DataFrame, heading: str = "", *, pages: Mapping[str, Any] = {}, folded: bool = False
) -> PageTable:
    """A frame as the page's table; trials that have a page of their own are links to it."""
    shown = [name for name in frame.columns if name != "hyperparameters"]
    rows = [
        {
            "architecture": row.get("architecture", ""),
            "status": row.get("status", ""),
            "trial": key(row) if "trial_id" in row else "",
            "cells": [_cell(name, row, pages) for name in shown],
        }
        for row in frame.iter_rows(named=True)
    ]
    return PageTable(heading, [name.replace("_", " ") for name in shown], rows, folded)


def _cell(name: str, row: Mapping[str, Any], pages: Mapping[str, Any]) -> dict[str, Any]:
    value = row[name]
    trial = key(row) if name == "trial_id" else ""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"text": cell(value), "number": is_number, "trial": trial if trial in pages else ""}


def html(page: Page) -> str:
    """The page as one file: style, script and Plotly inside it."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - five megabytes, not for --help

    environment = Environment(
        loader=PackageLoader("analysis", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = resources.files("analysis.page")
    values = {name: value for name, value in vars(page).items() if name not in _IN_DATA}
    return environment.get_template("page.html").render(
        **values,
        data=_embedded({name: getattr(page, name) for name in _IN_DATA}),
        style=Markup(own.joinpath("page.css").read_text()),
        script=Markup(own.joinpath("page.js").read_text()),
        plotly=Markup(get_plotlyjs()),
    )


_IN_DATA = ("charts", "curves", "trials")


def _embedded(data: Mapping[str, Any]) -> Markup:
    """JSON that no browser takes for the end of its script element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
