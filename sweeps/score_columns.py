"""The columns of scores, which trials, winners' images and tests share."""

from sweeps.columns import Column

_SCORES = {
    "iou": "foreground intersection over union",
    "dice": "foreground Dice coefficient",
    "accuracy": "share of pixels labelled rightly",
    "map": "Data Science Bowl score: mean of TP / (TP + FP + FN) over the IoU thresholds "
    "0.50, 0.55 ... 0.95",
    "f1_50": "F1 of nuclei matched at IoU 0.5",
    "f1_70": "F1 of nuclei matched at IoU 0.7",
    "aji": "aggregated Jaccard index",
}
_COUNTS = {
    "splits": "true nuclei that the prediction split into several",
    "merges": "predicted nuclei that merge several true ones",
}
# Over several images counts are sums, all other scores means.
VALIDATION = "validation images, {}"
TEST = "test images (winners only), {}"
TRAINING = "training images, {}"
IMAGE = "this image"
UNSPLIT = "this image, each connected component of the foreground taken for a nucleus"


def score(name: str, images: str) -> Column:
    """Column of a score between 0 and 1, the higher the better."""
    return Column(
        "ratio, 0 to 1", f"{images.format('mean')}: {_SCORES[name]}", at_least=0, at_most=1
    )


def count(name: str, images: str) -> Column:
    """Column of a count of errors, the lower the better."""
    return Column("nuclei", f"{images.format('sum')}: {_COUNTS[name]}", at_least=0)
