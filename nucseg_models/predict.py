"""Segment new images: ``python -m nucseg_models.predict results/NAME/best/unet IMAGES -o OUT``."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nucseg_models.data import DataError
from nucseg_models.prediction import pages
from nucseg_models.prediction.pages import Page

if TYPE_CHECKING:
    from nucseg_models.prediction.output import Output
    from nucseg_models.prediction.winner import Segmentation, Winner

    Found = tuple[Page, Future[Segmentation]]  # a page, and its nuclei once they are found

SKIPPED, ASKED_WRONG, INTERRUPTED = 1, 2, 130  # exit statuses
AHEAD = 4  # pages whose outputs wait in memory until their nuclei are found
AT_ONCE = 16  # files that are read and written together, and pages that are segmented together
ENOUGH_BYTES = 1 << 28  # of decoded pages: what a group of files has, or passes by one file at most


def main(arguments: Sequence[str]) -> int:
    """0 if every image was segmented, 1 if some were skipped; errors are sentences."""
    chosen = _parser().parse_args(arguments)
    try:
        files = pages.find(chosen.images)
        _check_new(chosen.output)
        return _predict(chosen.model, _named(files), chosen.output)
    except (DataError, OSError) as error:
        print(f"nucseg_models.predict: {error}", file=sys.stderr)
        return ASKED_WRONG
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nucseg_models.predict",
        description="Find the nuclei in images with a model that a sweep chose. OUT gets labels/ "
        "(label TIFFs, for napari and Fiji), overlays/ (PNG, to look at), nuclei.csv and "
        "nuclei.parquet (area, place, intensity and score of each nucleus), and runs.csv (run "
        "lengths, for Kaggle).",
    )
    parser.add_argument(
        "model", type=Path, help="a winner's folder, such as results/NAME/best/unet"
    )
    parser.add_argument(
        "images",
        type=Path,
        nargs="+",
        help="PNG, TIFF (of many pages too), BMP or JPEG files, or folders that hold them (without "
        "the folders in these); 8 or 16 bits a channel, up to 268 million pixels a page "
        "(16,384 x 16,384)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="a new or empty folder"
    )
    return parser


def _check_new(folder: Path) -> None:
    """An earlier prediction's tables must not be lost."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} holds something already: name a new folder with -o")


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """A name for each file's results: its own without its ending, with its folder's if need be."""
    shared = Counter(file.stem for file in files)
    named: dict[str, Path] = {}
    for file in files:
        name = file.stem if shared[file.stem] == 1 else f"{file.resolve().parent.name}_{file.name}"
        if name in named:
            raise DataError(
                f"{named[name]} and {file} would both be called {name}: predict them apart"
            )
        named[name] = file
    return named


def _predict(folder: Path, files: Mapping[str, Path], out: Path) -> int:
    """Load the model, segment, and say what came of it."""
    # Keras takes seconds to load: not before all that was asked is known to be right.
    with _backend_silenced():
        from nucseg_models import device  # noqa: PLC0415
        from nucseg_models.prediction.output import Output  # noqa: PLC0415
        from nucseg_models.prediction.winner import Winner  # noqa: PLC0415

    device.prepare(os.cpu_count() or 1)
    winner, output = Winner(folder), Output(out)
    skipped = segment(winner, files, output)
    nuclei = output.finish()
    print(f"{nuclei} nuclei in {len(files) - skipped} images: {out}")
    return SKIPPED if skipped else 0


def segment(winner: Winner, files: Mapping[str, Path], output: Output) -> int:
    """Read, segment and write, each while the others go on; how many files were skipped."""
    skipped = 0
    with _progress() as progress, _thread() as reader, _thread() as finder, _thread() as writer:
        task = progress.add_task("segmenting", total=len(files))
        written = writer.submit(_write, output, {})
        for group in _read_ahead(reader, files):
            bad = {name: read for name, read in group.items() if isinstance(read, DataError)}
            for error in bad.values():
                progress.console.print(f"skipped: {error}", soft_wrap=True, markup=False)
            good = {name: read for name, read in group.items() if not isinstance(read, DataError)}
            found = _segment(winner, good, finder)
            written.result()  # the group before; raises what went wrong there
            written = writer.submit(_write, output, found)
            skipped += len(bad)
            progress.advance(task, len(group))
        written.result()
    return skipped


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1)


@contextmanager
def _backend_silenced() -> Iterator[None]:
    """While TensorFlow is imported: its C++ half greets before it listens to any setting."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _progress() -> Progress:
    """A bar on a terminal; elsewhere only what is skipped is said."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _read_ahead(
    reader: ThreadPoolExecutor, files: Mapping[str, Path]
) -> Iterator[dict[str, list[Page] | DataError]]:
    """Some files' pages, or what is wrong with them, while the next files are being read."""
    rest = iter(files.items())
    begun = reader.submit(_read_some, rest)
    while group := begun.result():
        begun = reader.submit(_read_some, rest)
        yield group


def _read_some(rest: Iterable[tuple[str, Path]]) -> dict[str, list[Page] | DataError]:
    """The next few files, of so many pixels that they fit into memory; none where all are read."""
    found: dict[str, list[Page] | DataError] = {}
    decoded = 0
    for name, path in islice(rest, AT_ONCE):
        try:
            found[name] = read = pages.read(path)
            decoded += sum(page.image.nbytes + page.intensity.nbytes for page in read)
        except DataError as error:
            found[name] = error
        if decoded >= ENOUGH_BYTES:
            break
    return found


def _segment(
    winner: Winner, group: Mapping[str, list[Page]], finder: ThreadPoolExecutor
) -> dict[str, list[Found]]:
    """Each file's pages with their nuclei, which are found while the network goes on.

    Pages of several files go through the network together.
    """
    pages_of_all = [page for read in group.values() for page in read]
    found: dict[int, Future[Segmentation]] = {}
    for first in range(0, len(pages_of_all), AT_ONCE):
        images = [page.image for page in pages_of_all[first : first + AT_ONCE]]
        unfinished: deque[Future[Segmentation]] = deque()
        for index, output in winner.outputs(images):
            found[first + index] = finder.submit(winner.nuclei, output)
            unfinished.append(found[first + index])
            if len(unfinished) > AHEAD:
                unfinished.popleft().result()
    in_order = zip(pages_of_all, (found[n] for n in range(len(found))), strict=True)
    return {name: list(islice(in_order, len(read))) for name, read in group.items()}


def _write(output: Output, files: Mapping[str, list[Found]]) -> None:
    output.add_all(
        {name: [(page, nuclei.result()) for page, nuclei in found] for name, found in files.items()}
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
