"""What a prediction leaves in its folder; each file is there whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import tifffile
from numpy.typing import NDArray
from PIL import Image

from nucseg_models.data.run_length import COLUMNS, encode_runs
from nucseg_models.instances import borders, means
from nucseg_models.prediction.pages import Page
from nucseg_models.prediction.winner import Segmentation

Segmented = Sequence[tuple[Page, Segmentation]]  # the pages of a file, each with its nuclei
OUTLINE = (255, 217, 0)  # red, green, blue: yellow, seen on dark grounds and on stains
FAST = 1  # of PNG's nine levels of compression: a third of the time of the usual 6, a sixth larger
NUCLEI = pa.schema(
    [
        pa.field("image", pa.string()),
        pa.field("page", pa.int32(), metadata={"unit": "from 1"}),
        pa.field("label", pa.int32(), metadata={"unit": "value in the label TIFF"}),
        pa.field("area", pa.int64(), metadata={"unit": "pixels"}),
        pa.field("centroid_row", pa.float32(), metadata={"unit": "pixels from the top"}),
        pa.field("centroid_column", pa.float32(), metadata={"unit": "pixels from the left"}),
        pa.field("mean_intensity", pa.float32(), metadata={"unit": "the image file's own"}),
        pa.field("score", pa.float32(), metadata={"unit": "0 to 1, the network's certainty"}),
    ]
)
RUNS = pa.schema([pa.field(name, pa.string()) for name in COLUMNS])


class Output:
    """The folder that a prediction writes.

    labels/NAME.tif: a page of labels for each page of the image, 0 background, 1..n nuclei, 16 bits
    (32 where a page has more than 65,535 nuclei). overlays/NAME.png: the image, outlines in yellow;
    NAME/1.png and so on where it has several pages. nuclei.parquet and nuclei.csv: a row a nucleus
    (NUCLEI). runs.csv: the run lengths that Kaggle takes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._nuclei: list[pa.Table] = []
        self._runs: list[pa.Table] = []

    def add_all(self, files: Mapping[str, Segmented]) -> None:
        """Write the labels and overlays of some files, and keep their rows for `finish`."""
        for name, segmented in files.items():
            found = [nuclei for _, nuclei in segmented]
            self._write(f"labels/{name}.tif", partial(_write_labels, found))
            for number, (page, nuclei) in enumerate(segmented, start=1):
                place = name if len(segmented) == 1 else f"{name}/{number}"
                save = partial(_overlay(page, nuclei).save, compress_level=FAST)
                self._write(f"overlays/{place}.png", save)
                self._nuclei.append(_nuclei(name, number, page, nuclei))
                self._runs.append(_runs(place, nuclei.labels))

    def finish(self) -> int:
        """Write the tables of all that was added; the number of nuclei."""
        nuclei = pa.concat_tables([NUCLEI.empty_table(), *self._nuclei])
        self._write("nuclei.parquet", lambda path: pa.parquet.write_table(nuclei, path))
        self._write("nuclei.csv", lambda path: pa.csv.write_csv(nuclei, path))
        runs = pa.concat_tables([RUNS.empty_table(), *self._runs])
        self._write("runs.csv", lambda path: pa.csv.write_csv(runs, path))
        return int(nuclei.num_rows)

    def _write(self, name: str, write: Callable[[Path], Any]) -> None:
        """Have a file written under a temporary name, then give it its own."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{secrets.token_hex(4)}{path.suffix}")
        try:
            write(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _overlay(page: Page, nuclei: Segmentation) -> Image.Image:
    """The image, with the outlines of the nuclei."""
    drawn = page.image.copy()
    drawn[borders(nuclei.labels)] = OUTLINE
    return Image.fromarray(drawn)


def _write_labels(found: Sequence[Segmentation], path: Path) -> None:
    """A page each; pages of one size as one stack, which is what viewers open as such."""
    kind = np.uint16 if max(len(nuclei.certainty) for nuclei in found) < 1 << 16 else np.uint32
    labels = [nuclei.labels.astype(kind) for nuclei in found]
    is_stack = len(labels) > 1 and len({page.shape for page in labels}) == 1
    with tifffile.TiffWriter(path) as file:
        for page in [np.stack(labels)] if is_stack else labels:
            file.write(page, compression="zlib", photometric="minisblack")


def _nuclei(name: str, number: int, page: Page, nuclei: Segmentation) -> pa.Table:
    """A row a nucleus, in the order of the labels."""
    labels, count = nuclei.labels, len(nuclei.certainty)
    places = np.indices(labels.shape, np.float32)
    values = {
        "image": [name] * count,
        "page": np.full(count, number),
        "label": np.arange(1, count + 1),
        "area": np.bincount(labels.ravel(), minlength=count + 1)[1:],
        "centroid_row": means(places[0], labels),
        "centroid_column": means(places[1], labels),
        "mean_intensity": means(page.intensity, labels),
        "score": nuclei.certainty,
    }
    arrays = [pa.array(values[field.name]).cast(field.type) for field in NUCLEI]
    return pa.Table.from_arrays(arrays, schema=NUCLEI)


def _runs(name: str, labels: NDArray[np.int32]) -> pa.Table:
    """A row a nucleus; one with no run lengths where there is none, as Kaggle asks."""
    runs = encode_runs(labels) or [""]
    return pa.Table.from_arrays([pa.array([name] * len(runs)), pa.array(runs)], schema=RUNS)
