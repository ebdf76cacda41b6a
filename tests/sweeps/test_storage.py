"""Local folders and S3 prefixes keep one contract; S3 is a real service, not an imitation."""

import contextlib
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sweeps.storage import LocalStore, StorageError, fetch, open_store, use_s3_endpoint


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    """A fresh store of each kind."""
    if request.param == "local":
        return open_store(tmp_path / "results")
    request.getfixturevalue("s3_admin")
    return open_store(f"s3://sweeps/{tmp_path.name}/results/")


def test_what_was_written_is_read_listed_and_removed(store):
    store.write_bytes("summary.parquet", b"rows")
    store.write_bytes("best/unet/config.json", b"{}")

    assert store.read_bytes("summary.parquet") == b"rows"
    assert store.list() == ["best/unet/config.json", "summary.parquet"]
    assert store.list("best/") == ["best/unet/config.json"]
    assert store.exists("summary.parquet")
    assert not store.exists("summary")
    store.delete("summary.parquet")
    store.delete("summary.parquet")
    assert not store.exists("summary.parquet")


def test_writing_again_replaces_the_whole(store):
    store.write_bytes("file", b"a long first content")
    store.write_bytes("file", b"short")

    assert store.read_bytes("file") == b"short"
    assert store.list() == ["file"]


def test_a_file_is_created_once_and_only_by_one_of_many(store):
    def create(number):
        try:
            store.create_bytes("first.json", f"by {number}".encode())
        except FileExistsError as error:
            assert "first.json exists" in str(error)
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        (winner,) = [number for number in pool.map(create, range(8)) if number is not None]
    assert store.read_bytes("first.json") == f"by {winner}".encode()
    assert store.list() == ["first.json"]


def test_a_file_of_any_size_can_be_copied_in(store, tmp_path):
    model = tmp_path / "model.keras"
    model.write_bytes(bytes(range(256)) * 40_000)  # more than one part of a multipart transfer

    store.write_file("best/unet/model.keras", model)

    assert store.read_bytes("best/unet/model.keras") == model.read_bytes()


def test_a_child_is_a_folder_within(store):
    store.child("night").write_bytes("sweep.json", b"{}")

    assert store.read_bytes("night/sweep.json") == b"{}"
    assert store.child("night").uri == f"{store.uri}/night"
    assert store.child("other").list() == []


def test_reading_what_is_not_there_names_it(store):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        store.read_bytes("none.json")


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/etc/passwd", ""])
def test_names_stay_within_the_store(store, name):
    with pytest.raises(ValueError, match="relative path without"):
        store.write_bytes(name, b"")


def test_a_store_that_can_be_written_passes_its_check_and_stays_empty(store):
    store.check_writable()

    assert store.list() == []


def test_a_store_can_be_sent_to_another_process(store):
    store.write_bytes("file", b"content")

    assert pickle.loads(pickle.dumps(store)).read_bytes("file") == b"content"


def test_readers_never_see_half_a_file(tmp_path):
    store = LocalStore(tmp_path)
    contents = [b"a" * 300_000, b"b" * 300_000]
    store.write_bytes("file", contents[0])
    done = threading.Event()

    def write():
        for turn in range(40):
            store.write_bytes("file", contents[turn % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert store.read_bytes("file") in contents
    writer.join()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    store = LocalStore(tmp_path)
    store.write_bytes("file", b"old")
    (tmp_path / "folder/file").mkdir(parents=True)  # a file can't take a folder's place

    with pytest.raises(StorageError, match="folder/file can't be written: Is a directory"):
        store.write_bytes("folder/file", b"new")

    assert store.list() == ["file"]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]


def test_files_being_written_are_not_listed(tmp_path):
    store = LocalStore(tmp_path)
    store.write_bytes("file", b"")
    (tmp_path / ".file.0123.unfinished").write_bytes(b"left by a killed process")

    assert store.list() == ["file"]


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(store, tmp_path):
    store.write_bytes("below/file", b"whole")
    if isinstance(store, LocalStore):
        (store.folder / "below" / ".file.0123.unfinished").write_bytes(b"ha")
    store.tidy()

    assert store.list() == ["below/file"]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] in ([], ["file"])


def test_a_folder_that_can_not_be_made_fails_the_check(tmp_path):
    (tmp_path / "results").write_text("a file, not a folder")

    with pytest.raises(StorageError, match=r"results/night.*can't be written: Not a directory"):
        open_store(tmp_path / "results/night").check_writable()


def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert open_store("~/results").uri == str(tmp_path / "results")


@pytest.mark.parametrize("uri", ["gs://bucket/prefix", "http://host/x"])
def test_other_kinds_of_storage_are_refused(uri, tmp_path):
    with pytest.raises(StorageError, match="must be a local path or s3://bucket/prefix"):
        open_store(uri)
    with pytest.raises(StorageError, match="must be at a local path or s3://bucket/key"):
        fetch(uri, tmp_path)


def test_an_s3_address_needs_a_bucket():
    with pytest.raises(StorageError, match="must be s3://bucket/prefix, not s3:///prefix"):
        open_store("s3:///prefix")


def test_an_s3_address_can_not_leave_the_folder_that_it_is_copied_to():
    with pytest.raises(StorageError, match=r"must be s3://bucket/prefix, not s3://bucket/a/\.\."):
        open_store("s3://bucket/a/..")


def test_a_local_path_is_used_where_it_is(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"zip")

    assert fetch(tmp_path / "data.zip", tmp_path / "cache") == tmp_path / "data.zip"
    assert not (tmp_path / "cache").exists()
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder .*none.zip"):
        fetch(tmp_path / "none.zip", tmp_path / "cache")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://KEY:hidden-key@bucket/prefix",
        "S3://KEY:hidden-key@bucket/prefix",
        "s3:/KEY:hidden-key@bucket/prefix",
        "s3://KEY:half/hidden-key@bucket/prefix",  # secret keys of Amazon's hold slashes
        "s3://KEY:hidden-key/bucket",
        "s3://hidden-key@bucket/prefix",
        "https://user:hidden-key@host/data.zip",
        "https://bucket.host/data.zip?X-Amz-Signature=hidden-key",
        "s3://bucket/data.zip?AWSAccessKeyId=KEY&Signature=hidden-key",
    ],
)
def test_an_address_with_credentials_is_refused_and_not_repeated(uri, tmp_path):
    for use in (open_store, use_s3_endpoint, lambda uri: fetch(uri, tmp_path)):
        with pytest.raises(StorageError, match=r"must hold no credentials.*AWS_PROFILE") as caught:
            use(uri)
        assert "hidden-key" not in str(caught.value)


def test_an_endpoint_without_its_scheme_does_not_give_its_password_away():
    with pytest.raises(StorageError, match="must hold no credentials") as caught:
        use_s3_endpoint("user:hidden-key@host:8333")
    assert "hidden-key" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["s3://bucket/of@home/a:b", "s3://arn:aws:s3:us-west-2:123:accesspoint:x/prefix"]
)
def test_addresses_that_only_look_like_it_are_taken(uri):
    assert open_store(uri).uri == uri


@pytest.mark.parametrize(
    "name",
    ["with space", "Zellkerne-\u00e4\u6838\U0001f52c", 'it\'s "quoted"', "-x", "%41;&#", "x" * 200],
)
def test_any_name_that_the_system_takes_is_a_folder(name, tmp_path):
    store = open_store(tmp_path / name)
    store.child("night").write_bytes("sweep.json", b"{}")

    assert store.list() == ["night/sweep.json"]
    assert store.uri == str(tmp_path / name)


def test_relative_and_linked_folders_are_the_folders_that_they_mean(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with contextlib.chdir(tmp_path):
        open_store("link").write_bytes("file", b"content")
        assert open_store("./link/../real").read_bytes("file") == b"content"


@pytest.mark.parametrize("make", [lambda path: path / ("x" * 300), lambda path: path / "loop"])
def test_a_folder_that_no_system_takes_is_refused(make, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    store = open_store(make(tmp_path))

    with pytest.raises(StorageError, match="can't be written"):
        store.check_writable()
    with pytest.raises((StorageError, FileNotFoundError), match=r"can't be read|there is no file"):
        fetch(make(tmp_path), tmp_path / "cache")


def test_a_home_folder_of_nobody_is_an_ordinary_name():
    assert open_store("~nobody-of-that-name/x").uri == "~nobody-of-that-name/x"
