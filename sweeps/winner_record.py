"""What winners did on single images: the rows of images.parquet and gallery.parquet."""

from dataclasses import dataclass
from typing import Annotated

from sweeps.columns import Checked, Column
from sweeps.score_columns import IMAGE, UNSPLIT, count, score

IMAGES_FILE, GALLERY_FILE = "images.parquet", "gallery.parquet"
IMAGES = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class ImageRecord(Checked):
    """One image as one architecture's winner segmented it: a row of images.parquet."""

    sweep: Annotated[str, Column("name", "Sweep that the winner comes from")]
    trial_id: Annotated[str, Column("name", "Winner, as in summary.parquet")]
    architecture: Annotated[str, Column("name", "Architecture, as in summary.parquet")]
    images: Annotated[str, Column("name", "Which images it is one of", choices=IMAGES)]
    image: Annotated[str, Column("name", "Image, by its name in the data")]
    kind: Annotated[str, Column("name", "fluorescence, tissue or brightfield, told by its colours")]
    iou: Annotated[float, score("iou", IMAGE)]
    dice: Annotated[float, score("dice", IMAGE)]
    accuracy: Annotated[float, score("accuracy", IMAGE)]
    map: Annotated[float, score("map", IMAGE)]
    f1_50: Annotated[float, score("f1_50", IMAGE)]
    f1_70: Annotated[float, score("f1_70", IMAGE)]
    aji: Annotated[float, score("aji", IMAGE)]
    splits: Annotated[int, count("splits", IMAGE)]
    merges: Annotated[int, count("merges", IMAGE)]
    map_unsplit: Annotated[float | None, score("map", UNSPLIT)] = None
    merges_unsplit: Annotated[int | None, count("merges", UNSPLIT)] = None


def _verdicts(what: str) -> Column:
    return Column("nuclei", f"In this place: {what}", at_least=0)


@dataclass(frozen=True, kw_only=True)
class GalleryRecord(Checked):
    """A crowded place of a validation image, as one architecture's winner segmented it.

    A row of gallery.parquet. All winners are shown on the same places.
    """

    sweep: Annotated[str, Column("name", "Sweep that the winner comes from")]
    trial_id: Annotated[str, Column("name", "Winner, as in summary.parquet")]
    architecture: Annotated[str, Column("name", "Architecture, as in summary.parquet")]
    image: Annotated[str, Column("name", "Image, by its name in the data")]
    kind: Annotated[str, Column("name", "fluorescence, tissue or brightfield, told by its colours")]
    picture: Annotated[bytes, Column("PNG file", "The place, as networks see it")]
    outlines: Annotated[
        bytes,
        Column(
            "PNG file",
            "Grey values: 0 no outline, 1 hit, 2 poor, 3 missed, 4 merged, 5 split, 6 false",
        ),
    ]
    hit: Annotated[int, _verdicts("predictions with IoU above 0.5")]
    poor: Annotated[int, _verdicts("predictions with IoU above 0.1 only")]
    missed: Annotated[int, _verdicts("true nuclei without a prediction of IoU above 0.1")]
    merged: Annotated[int, _verdicts("predictions that merge several nuclei")]
    split: Annotated[int, _verdicts("predictions that share a nucleus with others")]
    false: Annotated[int, _verdicts("predictions of nothing")]
