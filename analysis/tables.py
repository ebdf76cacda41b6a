"""Tables for people: as text for a terminal, as Markdown, as CSV."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

WIDTH = 120  # characters that a text table fits into
FOLDED = 24  # characters: longer words are folded where the table gets too wide
INDENTED: Any = {"initial_indent": "  ", "subsequent_indent": "    "}


def text(table: pl.DataFrame) -> str:
    """A table with aligned columns for a terminal; without hyperparameters, see `in_full`."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table = table.drop("hyperparameters", strict=False)
    for name, kind in table.schema.items():
        cells = [*map(cell, table[name]), *name.split("_")]
        if kind.is_numeric():
            shown.add_column(name.replace("_", " "), justify="right", min_width=_longest(cells))
        else:  # may be folded between words
            words = " ".join(cells).split()
            shown.add_column(name.replace("_", " "), min_width=min(_longest(words), FOLDED))
    for row in table.iter_rows():
        shown.add_row(*map(cell, row))
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _longest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)


def in_full(table: pl.DataFrame) -> str:
    """Each row's trial and all its hyperparameters, wrapped for a terminal."""
    return "\n".join(
        textwrap.fill(f"{row['trial_id']}: {cell(row['hyperparameters'])}", WIDTH, **INDENTED)
        for row in table.iter_rows(named=True)
    )


def markdown(table: pl.DataFrame) -> str:
    """A table in GitHub's Markdown."""
    sides = ["--:" if kind.is_numeric() else ":--" for kind in table.schema.values()]
    rows = [list(table.columns), sides, *(list(map(cell, row)) for row in table.iter_rows())]
    return "".join(f"| {' | '.join(c.replace('|', '&#124;') for c in row)} |\n" for row in rows)


def csv(table: pl.DataFrame) -> str:
    """A table with all digits, for other programs."""
    return table.write_csv()


FORMATS: dict[str, Callable[[pl.DataFrame], str]] = {"text": text, "csv": csv, "markdown": markdown}


def cell(value: Any) -> str:
    """A value in few characters: numbers to four digits, hyperparameters as a plain list."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if 0.001 <= abs(value) < 1 else f"{value:.4g}"
    if isinstance(value, str) and value.startswith("{"):
        with suppress(ValueError, RecursionError):  # some texts only begin like settings
            return settings(json.loads(value))
    return str(value)


def settings(hyperparameters: dict[str, Any]) -> str:
    """Hyperparameters as ``name value, name value``."""
    return ", ".join(f"{name} {cell(value)}" for name, value in hyperparameters.items())
