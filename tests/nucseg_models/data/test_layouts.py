import pytest

from nucseg_models.data import DataError, load
from nucseg_models.data.files import FolderFiles
from nucseg_models.data.layouts import find


def found(make, root, *names):
    files = FolderFiles(make.folder(root, dict.fromkeys(names, b"")))
    return [(entry.id, entry.image) for entry in find(files, None).entries]


def test_one_image_named_like_its_folder_is_the_kaggle_layout(make, tmp_path):
    names = ("top/images/top.png", "top/masks/m.png")
    assert found(make, tmp_path, *names) == [("top", "top/images/top.png")]


def test_one_image_named_like_its_mask_is_an_image_and_label_folder(make, tmp_path):
    names = ("top/images/x.png", "top/masks/x.png")
    assert found(make, tmp_path, *names) == [("x", "top/images/x.png")]


def test_many_folders_with_one_image_each_are_the_kaggle_layout_whatever_its_name(make, tmp_path):
    names = ("a/images/x.png", "a/masks/1.png", "b/images/x.png", "b/masks/1.png")
    assert found(make, tmp_path, *names) == [("a", "a/images/x.png"), ("b", "b/images/x.png")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.png", "b.png"], r"has no images/ folder with images \(2 image files in all\)"),
        (["notes.txt"], r"has no images/ folder with images \(0 image files in all\)"),
        (["images/notes.txt", "labels/a.png"], "has no images/ folder"),
        (["images/a.png", "images/b.png"], "has images/, but neither labels/ nor masks/"),
        (
            [
                f"{part}/{word}/{i}.png"
                for part in "xy"
                for word in ("images", "labels")
                for i in "12"
            ],
            r"holds several data sets \(x, y\): give one of them",
        ),
        (["a/images/a.png", "b/images/b.png"], "has images without masks, and no stage1_sol"),
    ],
)
def test_what_is_in_no_layout_is_refused_with_the_layouts_that_would_work(
    make, tmp_path, names, message
):
    root = make.folder(tmp_path / "data", dict.fromkeys(names, b""))
    with pytest.raises(DataError, match=f"data: {message}") as caught:
        load(root)
    assert "ID/images/ID.png with ID/masks/*.png" in str(caught.value)


def test_an_empty_folder_has_no_images(tmp_path):
    with pytest.raises(DataError, match="has no images/ folder"):
        load(tmp_path)
