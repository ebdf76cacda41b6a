"""What the commands of analysis/ share: RESULTS, and errors as sentences."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

import polars as pl

from analysis.load import AnalysisError, mixtures
from analysis.measures import COSTS, GAINS
from analysis.tables import FORMATS
from sweeps.storage import StorageError, refuse_credentials, use_s3_endpoint

ASKED_WRONG, INTERRUPTED = 2, 130  # exit statuses


def add_results(parser: argparse.ArgumentParser) -> None:
    """One or more folders of sweeps."""
    parser.add_argument(
        "results",
        nargs="+",
        metavar="RESULTS",
        help="a sweep's folder, such as results/NAME, or one that holds such folders; "
        "s3://bucket/prefix too; a sweep may still be running",
    )
    parser.add_argument(
        "--s3-endpoint",
        metavar="URL",
        help="the service that s3:// means (default: AWS_ENDPOINT_URL_S3, else Amazon's)",
    )


def add_cost(parser: argparse.ArgumentParser) -> None:
    """What is to be low."""
    parser.add_argument(
        "--cost", choices=COSTS, default="device_seconds", help="default: %(default)s"
    )


def add_gain(parser: argparse.ArgumentParser) -> None:
    """What is to be high."""
    parser.add_argument("--gain", choices=GAINS, default="val_iou", help="default: %(default)s")


def add_format(parser: argparse.ArgumentParser) -> None:
    """How tables are printed."""
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="of what is printed (default: text)"
    )


def positive(text: str) -> float:
    """A number above 0, as argparse converts it."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")
    return value


def warn(trials: pl.DataFrame) -> None:
    """Say on standard error what should not be compared, and is."""
    for said in mixtures(trials):
        print(said, file=sys.stderr)


def leave(status: int) -> NoReturn:
    """End this process without the threads of Arrow and Polars, one of which may else abort it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody may be reading any more
            stream.flush()
    os._exit(status)


def run(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str],
    command: Callable[[argparse.Namespace], None],
) -> int:
    """The exit status of a command; its errors go to standard error, a sentence each."""
    try:
        refuse_credentials(arguments)  # before anything is said that repeats them
        parsed = parser.parse_args(arguments)
        if parsed.s3_endpoint:
            use_s3_endpoint(parsed.s3_endpoint)
        command(parsed)
        sys.stdout.flush()
    except (AnalysisError, StorageError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return ASKED_WRONG
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `... | head` has read enough; Python must not flush into nothing
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
