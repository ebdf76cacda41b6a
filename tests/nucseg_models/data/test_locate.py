import os

import pytest

from nucseg_models.data import DataError, load, load_test


def competition(make, root):
    """A folder as the competition's files lie in it, the solution apart."""
    make.zip(root / "stage1_train.zip", make.kaggle_files(3))
    make.zip(root / "stage1_train_fixes.zip", {"removed.txt": b""})
    make.zip(root / "stage1_test.zip", make.kaggle_files(1))
    return root


def test_a_folder_of_the_competition_means_its_training_or_its_test_images(make, tmp_path):
    root = competition(make, tmp_path)
    assert len(load(root)) == 3
    assert len(load_test(root)) == 1


def test_an_unpacked_folder_goes_before_the_zip(make, tmp_path):
    root = competition(make, tmp_path)
    make.folder(root / "stage1_train", make.kaggle_files(2))
    assert len(load(root)) == 2


def test_training_images_are_not_taken_for_test_images(make, tmp_path):
    make.zip(tmp_path / "stage1_train.zip", make.kaggle_files(3))
    with pytest.raises(DataError, match=r"holds stage1_train.zip but no test images"):
        load_test(tmp_path)


def test_any_annotated_folder_can_be_a_test_set(make, tmp_path):
    assert len(load_test(make.folder(tmp_path, make.kaggle_files(2)))) == 2


def test_a_path_may_be_text_and_start_at_home(make, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    make.folder(tmp_path / "data", make.kaggle_files(2))
    dataset = load("~/data")
    assert dataset.name == "~/data"


def test_a_missing_path_is_named_with_what_would_work(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: there is no such file.* What would work") as e:
        load(tmp_path / "nowhere")
    assert "synthetic" in str(e.value)


@pytest.mark.parametrize("scheme", ["s3", "https"])
def test_a_remote_address_is_refused_and_not_repeated_as_it_may_hold_a_password(scheme):
    with pytest.raises(DataError, match=f"only local files are read here, not {scheme}://") as e:
        load(f"{scheme}://user:password@example.org/data.zip")
    assert "password" not in str(e.value)


def test_what_is_neither_a_file_nor_a_folder_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(DataError, match=r"pipe.zip: is neither a file nor a folder"):
        load(tmp_path / "pipe.zip")


@pytest.mark.parametrize("source", ["x" * 5000, "a\0b", "~nobody-of-that-name/data"])
def test_a_path_that_no_system_takes_is_refused(source):
    with pytest.raises(DataError, match="What would work"):
        load(source)
