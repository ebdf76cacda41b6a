import io

import polars as pl
import pytest
from PIL import Image

from analysis import plots

GAIN = pl.Series("val_iou", [0.1, 0.5, 0.9])
SETTINGS = pl.DataFrame(
    {
        "rate": [0.0001, 0.01, 0.1],
        "loss": ["bce", "dice", "bce"],
        "width": [8, 16, 32],
        "depth": [2, 3, None],
    }
)


def test_every_slice_is_labelled():
    drawn = plots.slices(SETTINGS, GAIN)
    labels = [axes.get_xlabel() for axes in drawn.axes if axes.axison]
    assert labels == SETTINGS.columns
    assert drawn.axes[0].get_ylabel() == drawn.axes[3].get_ylabel() == "val_iou"


def test_wide_ranges_are_logarithmic():
    scales = [axes.get_xscale() for axes in plots.slices(SETTINGS, GAIN).axes[:3]]
    assert scales == ["log", "linear", "linear"]


def test_trials_without_a_setting_have_no_point_in_its_slice():
    depth = plots.slices(SETTINGS, GAIN).axes[3].collections[0]
    assert depth.get_offsets().tolist() == [[2, 0.1], [3, 0.5]]


def test_an_interaction_shows_the_mean_of_each_cell():
    pair = pl.DataFrame({"loss": ["bce", "bce", "dice"], "width": [8, 8, 16]})
    gain = pl.Series("val_iou", [0.2, 0.4, 0.9])
    drawn = plots.figure(lambda axes: plots.draw_interaction(axes, pair, gain))
    cells = drawn.axes[0].images[0].get_array()
    assert cells.filled(-1).tolist() == [[pytest.approx(0.3), -1], [-1, 0.9]]
    assert [label.get_text() for label in drawn.axes[0].get_xticklabels()] == ["bce", "dice"]


def test_a_figure_becomes_a_picture_file():
    drawn = plots.figure(lambda axes: axes.plot([1, 2]))
    with Image.open(io.BytesIO(plots.as_bytes(drawn, "png"))) as image:
        assert image.size == (1050, 675)
