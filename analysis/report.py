"""One HTML file to look at: ``python analysis/report.py results/NAME -o report.html``."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import PurePosixPath

from analysis import load, parts
from analysis.command_line import add_cost, add_gain, add_results, leave, run
from analysis.load import AnalysisError
from sweeps.storage import open_store


def main(arguments: list[str]) -> int:
    """Write the report and say where it is."""
    parser = argparse.ArgumentParser(
        prog="analysis/report.py",
        description="A page that shows what sweeps found, to open in any browser; it needs no "
        "network, so it can be mailed or kept.",
    )
    add_results(parser)
    add_cost(parser)
    add_gain(parser)
    parser.add_argument(
        "-o",
        "--output",
        default="report.html",
        metavar="FILE",
        help="the file to write, here or on s3:// (default: %(default)s)",
    )
    return run(parser, arguments, _report)


def _report(arguments: argparse.Namespace) -> None:
    folder, name = _place(arguments.output)
    results = parts.Results(
        trials=load.trials_if_any(arguments.results),
        curves=load.curves(arguments.results),
        images=load.images(arguments.results),
        gallery=load.gallery(arguments.results),
        cost=arguments.cost,
        gain=arguments.gain,
    )
    # Plotly and the templates are not needed to refuse a bad folder.
    from analysis.page import render  # noqa: PLC0415

    text = render.html(parts.page(results, datetime.now(UTC)))
    store = open_store(folder)
    store.write_bytes(name, text.encode())
    print(f"{store.uri}/{name}: {results.trials.height} trials, {len(text) / 1e6:.1f} MB")


def _place(output: str) -> tuple[str, str]:
    """Folder and name of the file to write."""
    open_store(output)  # refuses what is neither a path nor on S3
    path = PurePosixPath(output.removeprefix("s3://"))
    if path.suffix.lower() not in (".html", ".htm"):
        raise AnalysisError(f"-o must name a file that ends in .html, not {output}")
    folder = str(path.parent)
    return (f"s3://{folder}" if output.startswith("s3://") else folder), path.name


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
