import pytest

from nucseg_models.data import DataError, load, load_test


def damaged(make):
    """Ten images, six of them bad in a way of its own, and a mask without an image."""
    files = make.kaggle_files(10)
    files["id0/images/id0.png"] = b"not an image"
    files["id1/masks/b.png"] = make.png(make.block((0, 1), (0, 1), shape=(9, 9)))
    files["id2/masks/b.png"] = files["id2/masks/b.png"][:40]
    del files["id3/masks/a.png"], files["id3/masks/b.png"]
    files["id4/images/second.png"] = files["id4/images/id4.png"]
    files["lost/masks/a.png"] = files["id5/masks/a.png"]
    return files


NAMES = [
    "id0/images/id0.png: can't be decoded",
    "id1/masks/b.png: is 9 x 9 pixels",
    "id2/masks/b.png: can't be decoded",
    "id3/images/id3.png: has no mask (id3/masks/*.png)",
    "id4/images: holds 2 images, needs one",
    "lost/masks: has no image (lost/images/*.png)",
]


def test_all_bad_images_are_in_one_error_that_says_what_would_work(make, tmp_path):
    for source in (
        make.folder(tmp_path / "folder", damaged(make)),
        make.zip(tmp_path / "a.zip", damaged(make)),
    ):
        with pytest.raises(DataError) as caught:
            load(source)
        message = str(caught.value)
        assert message.startswith(f"{source}: 6 of 11 images can't be used:\n")
        for name in NAMES:
            assert name in message
        assert "--skip-bad-images" in message


def test_a_file_that_cannot_be_opened_is_a_bad_image_too(make, tmp_path):
    source = make.folder(tmp_path / "data", make.kaggle_files(2))
    (source / "id0/masks/c.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"1 of 2 images .*\n  id0/images/id0.png: can't be read"):
        load(source)
    assert load(source, skip_bad_images=True).ids == ("id1",)


def test_bad_images_can_be_left_out_and_are_listed_from_the_cache_too(make, tmp_path):
    source = make.folder(tmp_path / "data", damaged(make))
    for dataset in (load(source, skip_bad_images=True), load(source, skip_bad_images=True)):
        assert dataset.ids == ("id5", "id6", "id7", "id8", "id9")
        assert len(dataset.skipped) == 6
        for name in NAMES:
            assert any(sentence.startswith(name) for sentence in dataset.skipped)


def test_what_was_cached_with_bad_images_left_out_does_not_serve_a_strict_load(make, tmp_path):
    source = make.folder(tmp_path / "data", damaged(make))
    load(source, skip_bad_images=True)
    with pytest.raises(DataError, match="6 of 11 images"):
        load(source)


def test_a_clean_set_has_nothing_skipped_either_way(make, tmp_path):
    source = make.folder(tmp_path, make.kaggle_files(2))
    assert load(source).skipped == load(source, skip_bad_images=True).skipped == ()


@pytest.mark.parametrize("skip_bad_images", [False, True])
def test_if_no_image_remains_it_is_an_error_either_way(make, tmp_path, skip_bad_images):
    files = make.kaggle_files(1) | {"id0/images/id0.png": b""}
    with pytest.raises(DataError, match=r"no image can be used:\n  id0/images/id0.png"):
        load(make.folder(tmp_path, files), skip_bad_images=skip_bad_images)


def test_a_set_without_a_single_nucleus_is_an_error(make, tmp_path):
    files = make.kaggle_files(1)
    for name in ("id0/masks/a.png", "id0/masks/b.png"):
        files[name] = make.png(make.block((0, 0), (0, 0)))
    with pytest.raises(DataError, match="the annotations hold no nucleus"):
        load(make.folder(tmp_path, files))


def test_a_second_load_decodes_nothing(make, tmp_path):
    source = make.folder(tmp_path / "data", make.kaggle_files(3))
    steps = []
    first = load(source, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    second = load(source, progress=lambda *_: pytest.fail("decoded again"))
    assert first.ids == second.ids
    assert all((a == b).all() for a, b in zip(first.labels, second.labels, strict=True))


def test_changed_content_is_not_served_from_the_cache(make, tmp_path):
    files = make.kaggle_files(2)
    before = load(make.folder(tmp_path / "data", files))
    files["id0/images/id0.png"] = make.png(make.fluorescence(9))
    after = load(make.folder(tmp_path / "data", files))
    assert (after.images[0] == make.fluorescence(9)).all()
    assert before.sha256 != after.sha256


def test_a_damaged_cache_is_rebuilt(make, tmp_path):
    source = make.folder(tmp_path / "data", make.kaggle_files(2))
    root = tmp_path / "cache"
    load(source, cache_folder=root)
    (stored,) = root.glob("*.nucseg")
    sound = stored.read_bytes()
    stored.write_bytes(sound[:-100] + bytes(100))
    again = load(source, cache_folder=root)
    assert (again.images[1] == make.fluorescence(1)).all()
    assert stored.read_bytes() == sound


def test_more_pixels_than_memory_has_room_for_are_refused(make, tmp_path, monkeypatch):
    source = make.folder(tmp_path / "data", make.kaggle_files(3))
    monkeypatch.setattr("nucseg_models.data.loading.os.sysconf", lambda _: 60)  # 1,800 bytes
    with pytest.raises(DataError, match="data: the decoded images need more than 0 GB, half of"):
        load(source)
    with pytest.raises(DataError, match="half of this machine's memory"):
        load(source, skip_bad_images=True)


def test_a_cache_that_cannot_be_written_is_told_and_done_without(make, tmp_path):
    source = make.folder(tmp_path / "data", make.kaggle_files(2))
    (tmp_path / "file").write_bytes(b"")
    with pytest.warns(UserWarning, match="can't be kept there.*Set NUCSEG_CACHE"):
        dataset = load(source, cache_folder=tmp_path / "file" / "cache")
    assert len(dataset) == 2


def test_the_name_is_what_the_user_gave_even_if_another_path_filled_the_cache(make, tmp_path):
    files = make.kaggle_files(2)
    load(make.folder(tmp_path / "one", files))
    assert load(make.folder(tmp_path / "two", files)).name == str(tmp_path / "two")


def test_synthetic_test_images_differ_from_the_training_images():
    train, test = load("synthetic", seed=5), load_test("synthetic", seed=5)
    assert train.name == test.name == "synthetic"
    assert not {image.tobytes() for image in train.images} & {i.tobytes() for i in test.images}
    assert load("synthetic", seed=5).sha256 == train.sha256 != load("synthetic", seed=6).sha256


def test_the_public_download_is_taken_from_the_cache_if_it_is_there(make, tmp_path):
    folder = tmp_path / "bbbc038"
    folder.mkdir()
    make.zip(folder / "stage1_train.zip", make.kaggle_files(3))
    make.zip(folder / "stage1_test.zip", {"a/images/a.png": make.png(make.fluorescence())})
    (folder / "stage1_solution.csv").write_text("ImageId,EncodedPixels\na,1 2\n")
    assert len(load("bbbc038", cache_folder=tmp_path)) == 3
    assert load_test("bbbc038", cache_folder=tmp_path).ids == ("a",)
