"""Tables as plain text, for the end of a command."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

WIDTH = 80
"""Characters that a table fits into."""


def as_text(table: Table) -> str:
    """A table as plain lines of at most `WIDTH` characters."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
