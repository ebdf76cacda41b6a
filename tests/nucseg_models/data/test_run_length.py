import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nucseg_models.data import DataError, load_test
from nucseg_models.data.masks import paint
from nucseg_models.data.run_length import decode_runs, encode_runs, listing

HEADER = "ImageId,EncodedPixels,Height,Width,Usage\n"


def images(make, *ids):
    return {f"{i}/images/{i}.png": make.png(make.fluorescence(n)) for n, i in enumerate(ids)}


def test_positions_count_from_one_and_run_down_the_columns():
    # 3 high, 2 wide: position 3 is the foot of the first column, 4 the top of the second.
    assert paint([decode_runs("3 2", (3, 2))], (3, 2)).tolist() == [[0, 1], [0, 0], [1, 0]]
    assert paint([decode_runs("1 1 6 1", (3, 2))], (3, 2)).tolist() == [[1, 0], [0, 0], [0, 1]]


@given(
    arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 3))
)
def test_what_was_encoded_comes_back(labels):
    runs = encode_runs(labels)
    assert len(runs) == labels.max()
    for label, nucleus in enumerate(runs, start=1):
        assert (
            paint([decode_runs(nucleus, labels.shape)], labels.shape) == (labels == label)
        ).all()


@given(st.lists(st.integers(1, 5), min_size=2, max_size=12).filter(lambda gaps: sum(gaps) <= 30))
def test_what_was_decoded_is_encoded_as_it_was(gaps):
    starts, ends = np.cumsum(gaps)[: len(gaps) // 2 * 2].reshape(-1, 2).T
    runs = " ".join(f"{s + 1} {e - s}" for s, e in zip(starts, ends, strict=True))
    assert encode_runs(paint([decode_runs(runs, (5, 6))], (5, 6))) == [runs]


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ("3", "odd number"),
        ("6 2", "leaves"),
        ("0 1", "leaves"),
        ("1 0", "leaves"),
        ("1 x", "must be pairs of whole numbers"),
        ("1 2.5", "must be pairs of whole numbers"),
        ("1 99999999999999999999", "must be pairs of whole numbers"),
        ("-1 1", "leaves"),
        ("9223372036854775807 9223372036854775807", "leaves"),
        ("1 9223372036854775807", "leaves"),
        ("1 6 1 6", "claims more pixels than its image has"),
    ],
)
def test_runs_that_make_no_sense_are_refused(runs, reason):
    with pytest.raises(ValueError, match=reason):
        decode_runs(runs, (3, 2))


def test_a_test_set_is_read_from_images_and_the_table_beside_them(make, tmp_path):
    rows = "a,1 2,20,24,Public\nb,21 1,20,24,Public\na,22 3,20,24,Public\n"
    make.zip(tmp_path / "stage1_test.zip", images(make, "b", "a"))
    (tmp_path / "stage1_solution.csv").write_text(HEADER + rows)
    for source in (tmp_path, tmp_path / "stage1_test.zip"):
        dataset = load_test(source)
        assert dataset.ids == ("a", "b")
        assert [labels.max() for labels in dataset.labels] == [2, 1]
        assert dataset.labels[0][:, :2].tolist()[:5] == [[1, 0], [1, 2], [0, 2], [0, 2], [0, 0]]


def test_another_table_makes_other_content(make, tmp_path):
    make.folder(tmp_path / "stage1_test", images(make, "a"))
    digests = set()
    for row in ("a,1 2\n", "a,1 3\n"):
        (tmp_path / "stage1_solution.csv").write_text("ImageId,EncodedPixels\n" + row)
        digests.add(load_test(tmp_path).sha256)
    assert len(digests) == 2


def test_an_empty_row_says_that_there_is_no_nucleus(make, tmp_path):
    make.folder(tmp_path / "stage1_test", images(make, "a", "b"))
    (tmp_path / "stage1_solution.csv").write_text(HEADER + "a,1 2,,,\nb,,,,\n")
    assert [labels.max() for labels in load_test(tmp_path).labels] == [1, 0]


def test_images_without_rows_and_rows_without_images_are_named():
    folders = {"a": {"images": ["a/images/a.png"]}}
    found = listing(folders, b"ImageId,EncodedPixels\nb,1 2\n")
    assert found.problems == (
        "a/images/a.png: has no row in stage1_solution.csv",
        "stage1_solution.csv: b: has no image",
    )


def test_a_run_outside_its_image_is_named(make, tmp_path):
    make.folder(tmp_path / "stage1_test", images(make, "a"))
    (tmp_path / "stage1_solution.csv").write_text(HEADER + "a,480 2,,,\n")
    with pytest.raises(DataError, match=r"stage1_solution.csv: a: a mask leaves the image"):
        load_test(tmp_path)


def test_a_table_of_something_else_is_refused_with_what_it_holds(make, tmp_path):
    make.folder(tmp_path / "stage1_test", images(make, "a"))
    (tmp_path / "stage1_solution.csv").write_text("name,age\nx,3\n")
    with pytest.raises(DataError, match="needs the columns ImageId, EncodedPixels, has name, age"):
        load_test(tmp_path)


def test_a_row_without_an_id_and_a_field_too_long_are_refused(make, tmp_path):
    make.folder(tmp_path / "stage1_test", images(make, "a"))
    table = tmp_path / "stage1_solution.csv"
    table.write_text("EncodedPixels,ImageId\n1 2,a\n1 2\n")
    with pytest.raises(DataError, match="1 of 2 images can't be used"):
        load_test(tmp_path)
    table.write_text(HEADER + "a," + "1 " * 100_000)
    with pytest.raises(DataError, match=r"stage1_solution.csv: is no table of .*field larger"):
        load_test(tmp_path)
