"""Readers given whatever a fuzzer finds that takes them further: read, or refused in a sentence.

    python tests/faults/fuzz.py --seconds 300

Atheris watches which lines of the readers an input reaches, and goes on from those that reach new
ones. Each reader has a process of its own for so many seconds. Exits with 1 where a reader raised
anything but its refusals, took over 25 seconds or over 2 GB; the input is then kept in --keep.
"""

from __future__ import annotations

import argparse
import io
import logging
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT))

import atheris

said = redirect_stderr(io.StringIO())  # a line for every module
with said, atheris.instrument_imports(include=["nucseg_models", "sweeps", "tifffile"]):
    from nucseg_models.data import DataError, decode, run_length
    from nucseg_models.data.files import ZipFiles
    from sweeps.checks import ConfigError
    from sweeps.command_line import parse
    from sweeps.prices import Prices
    from sweeps.storage import StorageError

from sweeps.config import SweepConfig
from tests.faults.whole import GREY, IMAGES, PRICES, RUN_LENGTHS, TOML, ZIP

LIMITS = ("-timeout=25", "-rss_limit_mb=2048", "-max_len=4096", "-print_final_stats=1")


@dataclass(frozen=True)
class Reader:
    """read: raises one of `refusals` for what it can't read. seeds: whole inputs."""

    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]


def _image(data: bytes) -> None:
    decode.image(data, "a.png")


def _tiff(data: bytes) -> None:
    decode.label_image(data, "a.tif", GREY.shape)


def _zip(data: bytes) -> None:
    archive = ZipFiles(_file(data))
    for name in archive.names:
        archive.read(name)


def _run_lengths(data: bytes) -> None:
    folders = {name: {"images": [f"{name}/images/{name}.png"]} for name in "ab"}
    for entry in run_length.listing(folders, data).entries:
        entry.annotate(GREY.shape)


def _config(data: bytes) -> None:
    parse(["--config", str(_file(data))], ["cnn", "unet"])


def _prices(data: bytes) -> None:
    Prices.of(SweepConfig(arch="unet", name="n", usd_per_hour=str(_file(data))))


READERS = {
    "images": Reader(
        _image, (DataError,), tuple(d for n, d in IMAGES.items() if not n.endswith("tif"))
    ),
    "TIFF labels": Reader(
        _tiff, (DataError,), tuple(d for n, d in IMAGES.items() if n.endswith("tif"))
    ),
    "zips": Reader(_zip, (DataError,), (ZIP,)),
    "run lengths": Reader(_run_lengths, (DataError,), (RUN_LENGTHS,)),
    "configurations": Reader(_config, (ConfigError, StorageError), (TOML,)),
    "prices": Reader(_prices, (ConfigError,), (PRICES,)),
}


def main() -> None:
    """Fuzz every reader in turn, or, with --reader, one in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--keep", type=Path, default=Path("crashes"), help="folder for what failed")
    parser.add_argument("--reader", choices=sorted(READERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.reader:
        _fuzz(READERS[arguments.reader], arguments.seconds, arguments.keep)
    found = {name: _in_a_process(name, arguments) for name in READERS}
    print(f"{sum(found.values())} of {len(READERS)} readers failed")
    sys.exit(1 if any(found.values()) else 0)


def _fuzz(reader: Reader, seconds: int, keep: Path) -> None:
    """Never returns: the fuzzer ends the process."""
    logging.disable(logging.CRITICAL)  # tifffile has much to say
    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(reader.seeds):
        (corpus / str(number)).write_bytes(seed)

    def one(data: bytes) -> None:
        try:
            reader.read(data)
        except reader.refusals as error:
            assert str(error).strip()

    options = (f"-max_total_time={seconds}", f"-artifact_prefix={keep}/")
    atheris.Setup([sys.argv[0], *LIMITS, *options, str(corpus)], one)
    atheris.Fuzz()


def _in_a_process(name: str, arguments: argparse.Namespace) -> bool:
    """Fuzz one reader and print what came of it; whether it failed."""
    arguments.keep.mkdir(parents=True, exist_ok=True)
    options = ("--seconds", str(arguments.seconds), "--keep", str(arguments.keep))
    command = [sys.executable, __file__, "--reader", name, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    tried = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    reached = re.findall(r"cov: (\d+)", done.stderr)
    counts = f"{tried[1] if tried else 'no'} inputs, {reached[-1] if reached else 'no'} branches"
    print(f"{name}: {counts}, {'FAILED' if done.returncode else 'all read or refused'}", flush=True)
    if done.returncode:
        print(done.stderr[-4000:], flush=True)
    return done.returncode != 0


def _file(data: bytes) -> Path:
    """A file of this process that holds `data`."""
    path = Path(tempfile.gettempdir()) / "nucseg-fuzzed"
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    main()
