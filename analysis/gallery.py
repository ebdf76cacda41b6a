"""The same crowded places for each winner, with outlines of what it did to every nucleus."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl
from PIL import Image

from analysis.load import AnalysisError
from sweeps.winner_record import GALLERY_FILE

# By the grey values of `GalleryRecord.outlines`: name, colour, what it means. Okabe and Ito's
# colours, some lighter, as they lie on dark pictures.
VERDICTS = {
    1: ("hit", "#00d09a", "found, with IoU above 0.5"),
    2: ("poor", "#f0e442", "found, but badly outlined"),
    3: ("missed", "#56b4e9", "a nucleus that was not found"),
    4: ("merged", "#e69f00", "several nuclei taken for one"),
    5: ("split", "#ff9fd6", "a part of a nucleus taken for one"),
    6: ("false", "#ff5e00", "nothing there taken for a nucleus"),
}
JPEG_QUALITY = 85
MOST_PIXELS = 1 << 24  # of a place, which has some 256 pixels a side


@dataclass(frozen=True)
class Picture:
    """One place as one winner segmented it; `picture` and `outlines` are data URIs."""

    heading: str
    architecture: str
    picture: str
    outlines: str
    words: str


def pictures(rows: pl.DataFrame) -> list[list[Picture]]:
    """For each place its pictures, one a winner, architectures always in the same order."""
    ordered = rows.sort("image", "architecture", "sweep")
    return [
        [_picture(row) for row in place.iter_rows(named=True)]
        for place in ordered.partition_by("image", maintain_order=True)
    ]


def _picture(row: Mapping[str, Any]) -> Picture:
    counts = {name: row[name] for name, _, _ in VERDICTS.values()}
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no nuclei"
    return Picture(
        heading=f"{row['image']} ({row['kind']})",
        architecture=row["architecture"],
        picture=_as_jpeg(row["picture"]),
        outlines=_as_overlay(row["outlines"]),
        words=f"{row['architecture']}, {row['sweep']}: {said}",
    )


@contextmanager
def _opened(png: bytes) -> Iterator[Image.Image]:
    """A picture of the file; PNG alone, as Pillow hands some formats to programs of their own."""
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise ValueError(f"{opened.width} x {opened.height} pixels are too many")
            yield opened
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise AnalysisError(
            f"{GALLERY_FILE} holds a picture that can't be shown ({error}): remove the file, and "
            "the report is drawn without its gallery"
        ) from error


def _as_jpeg(png: bytes) -> str:
    """A photograph takes a third of the space as JPEG."""
    with _opened(png) as opened:
        return _uri(opened.convert("RGB"), "jpeg", quality=JPEG_QUALITY)


def _as_overlay(png: bytes) -> str:
    """Outlines in their colours, all else transparent."""
    with _opened(png) as opened:
        overlay = Image.frombytes("P", opened.size, opened.convert("L").tobytes())
    palette = [0] * 768
    for code, (_, colour, _) in VERDICTS.items():
        palette[3 * code : 3 * code + 3] = bytes.fromhex(colour[1:])
    overlay.putpalette(palette)
    return _uri(overlay, "png", transparency=0, optimize=True)


def _uri(image: Image.Image, kind: str, **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
