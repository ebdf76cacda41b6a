"""First weights come to a machine once, whole, under their own name."""

from sweeps.weights import Weights


def test_no_file_is_carried_where_none_is_asked_for():
    assert Weights.of(None) is None
    assert Weights.of("imagenet") is None


def test_a_file_is_placed_once_with_its_name_and_content(tmp_path):
    (tmp_path / "mine.weights.h5").write_bytes(b"numbers")
    weights = Weights.of(str(tmp_path / "mine.weights.h5"))

    path = weights.placed(tmp_path / "cache")
    written = path.stat().st_mtime_ns
    assert path.name == "mine.weights.h5"
    assert path.read_bytes() == b"numbers"
    assert weights.placed(tmp_path / "cache") == path
    assert path.stat().st_mtime_ns == written


def test_files_of_one_name_and_other_content_are_kept_apart(tmp_path):
    first = Weights("w.weights.h5", b"one").placed(tmp_path)
    second = Weights("w.weights.h5", b"two").placed(tmp_path)

    assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")
