import csv

import numpy as np
import pyarrow.parquet as pq
import tifffile
from PIL import Image

from nucseg_models.data.masks import paint
from nucseg_models.data.run_length import decode_runs
from nucseg_models.prediction.output import OUTLINE, Output
from nucseg_models.prediction.pages import Page
from nucseg_models.prediction.winner import Segmentation


def page(shape=(20, 30), value=7.0):
    return Page(np.full(shape, value, np.float32), np.full((*shape, 3), 50, np.uint8))


def two_nuclei():
    labels = np.zeros((20, 30), np.int32)
    labels[2:6, 3:7] = 1
    labels[10:12, 20:25] = 2
    return Segmentation(labels, np.array([0.75, 0.5], np.float32))


def nothing():
    return Segmentation(np.zeros((20, 30), np.int32), np.zeros(0, np.float32))


def test_labels_come_back_from_their_tiff(tmp_path):
    Output(tmp_path).add_all({"a": [(page(), two_nuclei()), (page(), nothing())]})
    stored = tifffile.imread(tmp_path / "labels" / "a.tif")
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored[0], two_nuclei().labels)
    assert stored[1].max() == 0


def test_more_nuclei_than_16_bits_can_count_take_32(tmp_path):
    count = 70_000
    labels = np.arange(1, count + 1, dtype=np.int32).reshape(200, -1)
    many = Segmentation(labels, np.ones(count, np.float32))
    Output(tmp_path).add_all({"a": [(page(labels.shape), many)]})
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "labels" / "a.tif"), labels)


def test_the_table_has_a_row_a_nucleus(tmp_path):
    output = Output(tmp_path)
    output.add_all({"a": [(page(), two_nuclei())], "b": [(page(), nothing())]})
    assert output.finish() == 2
    first, second = pq.read_table(tmp_path / "nuclei.parquet").to_pylist()
    assert first == {
        "image": "a",
        "page": 1,
        "label": 1,
        "area": 16,
        "centroid_row": 3.5,
        "centroid_column": 4.5,
        "mean_intensity": 7.0,
        "score": 0.75,
    }
    assert (second["label"], second["area"], second["score"]) == (2, 10, 0.5)
    with (tmp_path / "nuclei.csv").open() as file:
        assert [row["area"] for row in csv.DictReader(file)] == ["16", "10"]


def test_run_lengths_give_the_labels_back(tmp_path):
    output = Output(tmp_path)
    output.add_all({"a": [(page(), two_nuclei()), (page(), nothing())]})
    output.finish()
    with (tmp_path / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["ImageId"] for row in rows] == ["a/1", "a/1", "a/2"]
    masks = [decode_runs(row["EncodedPixels"], (20, 30)) for row in rows[:2]]
    np.testing.assert_array_equal(paint(masks, (20, 30)), two_nuclei().labels)
    assert rows[2]["EncodedPixels"] == ""


def test_outlines_are_drawn_on_the_image(tmp_path):
    Output(tmp_path).add_all({"a": [(page(), two_nuclei()), (page(), nothing())]})
    with Image.open(tmp_path / "overlays" / "a" / "1.png") as opened:
        drawn = np.asarray(opened)
    assert drawn[2, 3].tolist() == list(OUTLINE)
    assert drawn[4, 5].tolist() == drawn[0, 0].tolist() == [50, 50, 50]
    assert (tmp_path / "overlays" / "a" / "2.png").exists()


def test_nothing_at_all_leaves_tables_without_rows(tmp_path):
    assert Output(tmp_path).finish() == 0
    assert pq.read_table(tmp_path / "nuclei.parquet").num_rows == 0


def test_no_temporary_file_stays(tmp_path):
    output = Output(tmp_path)
    output.add_all({"a": [(page(), two_nuclei())]})
    output.finish()
    assert not list(tmp_path.rglob(".*"))
