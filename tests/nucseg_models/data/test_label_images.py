import io

import numpy as np
import pytest
import tifffile

from nucseg_models.data import DataError, load


def label_files(make, word="labels"):
    labels = make.block((2, 6), (3, 7), value=9) + make.block((10, 15), (12, 18), value=40)
    return {
        f"{top}/{stem}.png": content
        for stem in ("one", "two")
        for top, content in (("images", make.png(make.fluorescence())), (word, make.png(labels)))
    }


@pytest.mark.parametrize("word", ["labels", "masks"])
@pytest.mark.parametrize("top", ["", "train/"])
def test_images_and_label_images_of_the_same_names_belong_together(make, tmp_path, word, top):
    files = {top + name: content for name, content in label_files(make, word).items()}
    for source in (make.folder(tmp_path / "folder", files), make.zip(tmp_path / "a.zip", files)):
        dataset = load(source)
        assert dataset.ids == ("one", "two")
        assert [np.bincount(labels.ravel())[1:].tolist() for labels in dataset.labels] == [
            [16, 30],
            [16, 30],
        ]


def test_the_suffixes_may_differ_and_labels_be_16_bit_tiff(make, tmp_path):
    stream = io.BytesIO()
    tifffile.imwrite(stream, make.block((2, 6), (3, 7)).astype(np.uint16) * 4)
    files = {"images/a.png": make.png(make.fluorescence()), "labels/a.tif": stream.getvalue()}
    assert load(make.folder(tmp_path, files)).labels[0].sum() == 16


def test_labels_are_preferred_where_there_are_masks_too(make, tmp_path):
    files = label_files(make) | {"masks/one.png": b"never read", "masks/three.png": b""}
    assert load(make.folder(tmp_path, files)).ids == ("one", "two")


def test_a_black_and_white_mask_is_cut_into_its_pieces(make, tmp_path):
    mask = make.block((2, 6), (3, 7)) + make.block((10, 15), (12, 18))
    files = {"images/a.png": make.png(make.fluorescence()), "masks/a.png": make.png(mask)}
    assert load(make.folder(tmp_path, files)).labels[0].max() == 2


def test_an_image_of_background_alone_is_kept(make, tmp_path):
    files = label_files(make) | {"labels/two.png": make.png(make.block((0, 0), (0, 0)))}
    assert [labels.max() for labels in load(make.folder(tmp_path, files)).labels] == [2, 0]


def test_all_that_lacks_its_counterpart_is_named(make, tmp_path):
    files = label_files(make)
    files["images/three.png"] = files["images/one.png"]
    files["labels/four.png"] = files["labels/one.png"]
    files["labels/two.tif"] = b""
    with pytest.raises(DataError) as caught:
        load(make.folder(tmp_path, files))
    message = str(caught.value)
    assert "3 of 4 images can't be used" in message
    assert "images/three.png: has no mask (labels/three.png or .tif)" in message
    assert "labels/four.png: has no image (images/four.png or .tif)" in message
    assert "labels/two.png, labels/two.tif: needs one image and one label image" in message


def test_a_jpeg_label_image_is_refused_because_it_is_lossy(make, tmp_path):
    files = {"images/a.png": make.png(make.fluorescence()), "labels/a.jpg": b""}
    with pytest.raises(DataError, match=r"labels/a.jpg: JPEG changes labels"):
        load(make.folder(tmp_path, files))
