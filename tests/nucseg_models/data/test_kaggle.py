from nucseg_models.data import load
from nucseg_models.data.kaggle import unique_ids


def test_a_folder_a_zip_and_a_zip_with_a_top_folder_hold_the_same(make, tmp_path):
    files = make.kaggle_files(3)
    below = {f"stage1_train/{name}": content for name, content in files.items()}
    sources = [
        make.folder(tmp_path / "folder", files),
        make.zip(tmp_path / "plain.zip", files),
        make.zip(tmp_path / "below.zip", below),
    ]
    for dataset in map(load, sources):
        assert dataset.ids == ("id0", "id1", "id2")
        for image, labels, seed in zip(dataset.images, dataset.labels, range(3), strict=True):
            assert (image == make.fluorescence(seed)).all()
            assert [(labels == n).sum() for n in (0, 1, 2)] == [20 * 24 - 16 - 30, 16, 30]
            assert labels[2, 3] == 1


def test_overlaps_go_to_the_smaller_nucleus_and_empty_masks_are_dropped(make, tmp_path):
    files = make.kaggle_files(1)
    files["id0/masks/0empty.png"] = make.png(make.block((0, 0), (0, 0)))
    files["id0/masks/c.png"] = make.png(make.block((2, 4), (3, 5)))  # within a.png
    labels = load(make.folder(tmp_path / "data", files)).labels[0]
    assert labels.max() == 3
    assert labels[2, 3] == 3
    assert labels[5, 6] == 1


def test_masks_that_are_all_empty_say_that_there_is_no_nucleus(make, tmp_path):
    files = make.kaggle_files(2)
    for mask in ("a", "b"):
        files[f"id1/masks/{mask}.png"] = make.png(make.block((0, 0), (0, 0)))
    assert [labels.max() for labels in load(make.folder(tmp_path, files)).labels] == [2, 0]


def test_an_id_that_occurs_in_two_folders_is_told_apart_by_its_path():
    assert unique_ids({"x/a": {}, "x/b": {}}) == {"x/a": "a", "x/b": "b"}
    assert unique_ids({"x/a": {}, "y/a": {}}) == {"x/a": "x/a", "y/a": "y/a"}
