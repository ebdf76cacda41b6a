import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from nucseg_models import metrics
from nucseg_models.data import Dataset
from sweeps.record import from_table, to_table
from sweeps.viewing import Viewer
from sweeps.winner_record import GalleryRecord, ImageRecord

WHOSE = {"sweep": "night", "trial_id": "unet-0", "architecture": "unet"}


@pytest.fixture
def dataset():
    """Two touching nuclei in the first image, one in the second."""
    labels = np.zeros((2, 20, 30), np.int32)
    labels[0, 5:15, 5:15], labels[0, 5:15, 15:25], labels[1, 2:8, 2:8] = 1, 2, 1
    images = list(np.zeros((2, 20, 30, 3), np.uint8))
    return Dataset("made up", images, list(labels), ("a", "b"), ("tissue", "tissue"), "0")


@pytest.fixture
def viewer(dataset):
    """One that saw a perfect segmentation of both images."""
    architecture = SimpleNamespace(foreground=lambda output, hyperparameters: output > 0)
    viewer = Viewer(architecture, {}, "validation", dataset)
    for index, labels in enumerate(dataset.labels):
        viewer.visit(index, labels, labels)
    return viewer


def test_an_image_is_scored_with_its_touching_nuclei_unsplit_too(viewer, dataset):
    labels = dict(zip(dataset.ids, dataset.labels, strict=True))
    perfect = {name: metrics.score_image(truth, truth) for name, truth in labels.items()}
    first, second = (ImageRecord(**WHOSE, **row) for row in viewer.images(perfect))
    assert (first.image, first.map, first.map_unsplit, first.merges_unsplit) == ("a", 1.0, 0.0, 1)
    assert (second.image, second.map_unsplit, second.merges_unsplit) == ("b", 1.0, 0)


def test_crowded_places_are_kept_with_their_verdicts(viewer):
    places = [GalleryRecord(**WHOSE, **row) for row in viewer.places]
    assert [(place.image, place.hit) for place in places] == [("a", 2), ("b", 1)]
    assert Image.open(io.BytesIO(places[0].picture)).size == (30, 20)
    assert from_table(GalleryRecord, to_table(GalleryRecord, places)) == places
