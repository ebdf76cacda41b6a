"""What the commands of analysis/ share: RESULTS, and errors as sentences."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from analysis.load import AnalysisError
from sweeps.storage import StorageError

ASKED_WRONG = 2  # exit status


def add_results(parser: argparse.ArgumentParser) -> None:
    """One or more folders of sweeps."""
    parser.add_argument(
        "results",
        nargs="+",
        metavar="RESULTS",
        help="a sweep's folder, such as results/NAME, or one that holds such folders; "
        "s3://bucket/prefix too; a sweep may still be running",
    )


def run(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str],
    command: Callable[[argparse.Namespace], None],
) -> int:
    """The exit status of a command; its errors go to standard error, a sentence each."""
    try:
        command(parser.parse_args(arguments))
    except (AnalysisError, StorageError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return ASKED_WRONG
    except KeyboardInterrupt:
        return 130
    return 0
