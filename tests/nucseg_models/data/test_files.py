import hashlib
import os
import zipfile

import pytest

from nucseg_models.data import DataError, files
from nucseg_models.data.files import FolderFiles, ZipFiles

CONTENT = {"b/images/b.png": b"second", "a/images/a.png": b"first"}
JUNK = {
    "__MACOSX/a/images/._a.png": b"x",
    ".DS_Store": b"x",
    "a/images/._a.png": b"x",
    "a/Thumbs.db": b"x",
}


def test_a_folder_and_a_zip_of_it_are_read_alike_and_junk_is_ignored(make, tmp_path):
    folder = FolderFiles(make.folder(tmp_path / "folder", CONTENT | JUNK))
    archive = ZipFiles(make.zip(tmp_path / "a.zip", CONTENT | JUNK))
    assert folder.names == archive.names == ("a/images/a.png", "b/images/b.png")
    for name in folder.names:
        assert folder.read(name) == archive.read(name) == CONTENT[name]


def test_the_digest_of_a_zip_is_that_of_the_file(make, tmp_path):
    path = make.zip(tmp_path / "a.zip", CONTENT)
    assert ZipFiles(path).sha256([]) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digest_of_a_folder_depends_on_names_and_bytes_but_not_on_its_place(make, tmp_path):
    def digest(folder, files):
        found = FolderFiles(make.folder(tmp_path / folder, files))
        return found.sha256(found.names)

    original = digest("one", CONTENT)
    assert digest("two", dict(reversed(CONTENT.items()))) == original
    assert digest("three", CONTENT | {"a/images/a.png": b"First"}) != original
    assert digest("four", {"c/images/a.png": b"first", "b/images/b.png": b"second"}) != original
    assert digest("five", {"a": b"xb\x001\x00y"}) != digest("six", {"a": b"x", "b": b"y"})


def test_a_linked_folder_is_followed_and_a_circle_is_not(make, tmp_path):
    outside = make.folder(tmp_path / "outside", {"a.png": b"first"})
    inside = make.folder(tmp_path / "inside", {"b.png": b"second"})
    (inside / "images").symlink_to(outside)
    (outside / "again").symlink_to(inside)
    assert FolderFiles(inside).names == ("b.png", "images/a.png")


@pytest.mark.parametrize("content", [b"", b"no zip at all", None], ids=["empty", "text", "cut"])
def test_what_is_no_zip_or_is_cut_short_is_refused_by_name(make, tmp_path, content):
    path = make.zip(tmp_path / "stage.zip", CONTENT)
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    with pytest.raises(DataError, match=r"stage.zip: is not a zip file, or .* cut short.*Fetch"):
        ZipFiles(path)


@pytest.mark.parametrize("member", ["../x.png", "/etc/x.png", "a/../../x.png", "..\\x", "C:\\x"])
def test_a_member_that_would_escape_condemns_the_archive(make, tmp_path, member):
    path = make.zip(tmp_path / "evil.zip", CONTENT | {member: b"x"})
    with pytest.raises(DataError, match=r"evil.zip: has members that would leave") as caught:
        ZipFiles(path)
    assert member in str(caught.value)


def test_two_dots_within_a_name_are_no_escape(make, tmp_path):
    assert ZipFiles(make.zip(tmp_path / "a.zip", {"a/x..y.png": b"x"})).names == ("a/x..y.png",)


def test_backslashes_of_old_windows_archivers_are_separators(make, tmp_path):
    archive = ZipFiles(make.zip(tmp_path / "a.zip", {"a\\images\\a.png": b"first"}))
    assert archive.names == ("a/images/a.png",)
    assert archive.read("a/images/a.png") == b"first"


def test_a_damaged_member_is_refused_by_name(make, tmp_path):
    path = make.zip(tmp_path / "a.zip", CONTENT)
    path.write_bytes(path.read_bytes().replace(b"first", b"f-rst"))
    with pytest.raises(DataError, match=r"a/images/a.png: can't be read from the zip"):
        ZipFiles(path).read("a/images/a.png")


def test_a_member_without_a_name_does_no_harm(tmp_path):
    info = zipfile.ZipInfo()
    info.filename = ""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, b"x")
    assert ZipFiles(tmp_path / "a.zip").names == ("",)


def test_a_folder_entry_of_a_zip_is_no_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.mkdir("a")
    assert ZipFiles(tmp_path / "a.zip").names == ()


def write_member(path, name="a.png", content=b"first", *, method=zipfile.ZIP_STORED, kind=0):
    """A zip of one member, packed by `method`, of the Unix file kind `kind`."""
    info = zipfile.ZipInfo(name)
    info.compress_type, info.external_attr = method, kind << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, content)
    return path


def test_a_link_in_a_zip_is_refused(tmp_path):
    path = write_member(tmp_path / "a.zip", content=b"/etc/passwd", kind=0o120777)
    with pytest.raises(DataError, match=r"(?s)a.zip: has members that are links.*a.png.*folder"):
        ZipFiles(path)


def test_an_encrypted_zip_is_refused_before_anything_is_read(tmp_path):
    path = write_member(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the directory's flags
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"(?s)has members that are encrypted.*a.png"):
        ZipFiles(path)


def test_a_method_that_can_not_be_unpacked_in_bounds_is_refused(tmp_path):
    path = write_member(tmp_path / "a.zip", method=zipfile.ZIP_LZMA)
    with pytest.raises(DataError, match=r"(?s)packed by an unusual method.*packed by Deflate"):
        ZipFiles(path)


def test_a_zip_beyond_a_limit_is_refused(make, tmp_path, monkeypatch):
    path = make.zip(tmp_path / "a.zip", CONTENT)
    for limit, most, said in (
        ("MOST_BYTES", 10, "0.0 GB unpacked, more than"),
        ("MOST_MEMBER_BYTES", 5, "b/images/b.png, of 0.0 GB unpacked, more than"),
        ("MOST_MEMBERS", 1, "2 members, more than 1"),
    ):
        assert ZipFiles(path).names
        with monkeypatch.context() as patched:
            patched.setattr(files, limit, most)
            with pytest.raises(DataError, match=rf"a.zip: holds {said}.*give the folder"):
                ZipFiles(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = write_member(tmp_path / "a.zip", content=bytes(9_000_000), method=zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    assert len(data) < 10_000
    place = data.index(b"PK\x01\x02") + 24  # the size unpacked, in the directory
    path.write_bytes(data[:place] + (1_500_000_000).to_bytes(4, "little") + data[place + 4 :])
    with pytest.raises(DataError, match=r"1.5 GB packed more than 200 to 1, as zip bombs are"):
        ZipFiles(path)


def test_no_more_is_unpacked_than_the_directory_says(tmp_path):
    path = write_member(tmp_path / "a.zip", content=bytes(9_000_000), method=zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    place = data.index(b"PK\x01\x02") + 24
    path.write_bytes(data[:place] + (1_000).to_bytes(4, "little") + data[place + 4 :])
    with pytest.raises(DataError, match=r"a.png: can't be read from the zip"):
        ZipFiles(path).read("a.png")


def test_a_name_that_is_not_utf_8_is_refused(make, tmp_path):
    folder = make.folder(tmp_path / "folder", CONTENT)
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    with pytest.raises(DataError, match=r"(?s)not UTF-8.*udcff.png.*Rename"):
        FolderFiles(folder)
