"""S3 as a store: what only S3 has; a real service answers, not an imitation."""

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError

from sweeps.s3_store import S3Store
from sweeps.storage import StorageError, fetch, open_store, use_s3_endpoint


def test_the_root_of_a_bucket_is_a_store(s3_admin):
    root = open_store("s3://sweeps")
    root.write_bytes("at-the-root", b"here")

    assert root.uri == "s3://sweeps"
    assert "at-the-root" in root.list()
    root.delete("at-the-root")


def check_fails(uri, sentence):
    with pytest.raises(StorageError, match=sentence) as caught:
        open_store(uri).check_writable()
    assert "\n" not in str(caught.value)


def test_another_service_can_be_named(s3_server, monkeypatch):
    s3_server.use(monkeypatch, s3_server.admin)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "")  # to be as it was after the test
    use_s3_endpoint(s3_server.endpoint)

    open_store("s3://sweeps/x").check_writable()


def test_another_service_must_be_a_web_address():
    with pytest.raises(StorageError, match=r"must be http://HOST:PORT or https://HOST, not s3\."):
        use_s3_endpoint("s3.example")


def test_the_wrong_region_is_told(s3_admin):
    class Refusing:
        """As Amazon answers; SeaweedFS has no regions."""

        def put_object(self, **_):
            answer = {"Error": {"Code": "PermanentRedirect", "Message": "use the other endpoint"}}
            raise ClientError(answer, "PutObject")

    with patch.object(S3Store, "_client", Refusing()):
        check_fails("s3://sweeps/x", "the bucket is in another region: set AWS_DEFAULT_REGION")


def test_missing_credentials_are_told(s3_server, monkeypatch):
    s3_server.use(monkeypatch, None)

    check_fails("s3://sweeps/x", "s3://sweeps/x/.* can't be written: no credentials were found")


def test_a_wrong_access_key_and_a_wrong_secret_are_told_apart(s3_server, monkeypatch):
    s3_server.use(monkeypatch, ("nobody", "admin-secret"))
    check_fails("s3://sweeps/x", "does not know the access key")

    s3_server.use(monkeypatch, ("admin", "wrong-secret"))
    check_fails("s3://sweeps/x", "the secret key is wrong")


def test_a_missing_bucket_is_told(s3_admin):
    check_fails("s3://no-such-bucket/x", "the bucket does not exist")


def test_a_missing_right_is_told(s3_server, monkeypatch):
    s3_server.use(monkeypatch, s3_server.reader)

    check_fails("s3://sweeps/x", "have no right to do that there")


def test_a_service_that_can_not_be_reached_is_told(s3_server, monkeypatch):
    s3_server.use(monkeypatch, s3_server.admin)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    check_fails("s3://sweeps/x", "can't be reached; check the network and AWS_ENDPOINT_URL")


def test_a_bucket_name_that_can_not_be_is_told(s3_admin):
    check_fails("s3://no bucket!/x", "that is no valid name of a bucket")


def test_an_object_is_downloaded_once(s3_admin, tmp_path, monkeypatch):
    store = open_store(f"s3://sweeps/{tmp_path.name}")
    store.write_bytes("data.zip", b"first")
    store.write_bytes("data.zip.old", b"not asked for")

    path = fetch(f"{store.uri}/data.zip", tmp_path / "cache")

    assert path.name == "data.zip"
    assert path.read_bytes() == b"first"
    monkeypatch.setattr(S3Store, "_copy", None)  # a second download would fail
    assert fetch(f"{store.uri}/data.zip", tmp_path / "cache") == path


def test_a_changed_object_is_downloaded_anew(s3_admin, tmp_path):
    store = open_store(f"s3://sweeps/{tmp_path.name}")
    store.write_bytes("data.zip", b"first")
    fetch(f"{store.uri}/data.zip", tmp_path / "cache")
    store.write_bytes("data.zip", b"newer")

    assert fetch(f"{store.uri}/data.zip", tmp_path / "cache").read_bytes() == b"newer"


def test_two_who_fetch_at_once_get_one_whole_copy(s3_admin, tmp_path):
    store = open_store(f"s3://sweeps/{tmp_path.name}")
    for number in range(8):
        store.write_bytes(f"images/{number}.png", bytes([number]))
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(fetch, f"{store.uri}/images", tmp_path / "cache") for _ in range(4)]
        folders = {call.result() for call in calls}

    assert len(folders) == 1
    assert len(list(folders.pop().iterdir())) == 8
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_prefix_is_downloaded_as_a_folder(s3_admin, tmp_path):
    store = open_store(f"s3://sweeps/{tmp_path.name}")
    store.write_bytes("images/a.png", b"a")
    store.write_bytes("images/sub/b.png", b"bb")
    store.write_bytes("images2/c.png", b"not asked for")

    folder = fetch(f"{store.uri}/images/", tmp_path / "cache")

    assert folder.name == "images"
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == {"a.png", "sub/b.png"}
    assert (folder / "sub/b.png").read_bytes() == b"bb"


def test_a_download_that_fails_leaves_nothing_in_the_cache(s3_admin, tmp_path, monkeypatch):
    store = open_store(f"s3://sweeps/{tmp_path.name}")
    store.write_bytes("data.zip", b"first")

    def change_meanwhile(self, remote, target):
        target.mkdir(parents=True)
        (target / "data.zip").write_bytes(b"first")
        store.write_bytes("data.zip", b"newer")

    monkeypatch.setattr(S3Store, "_copy", change_meanwhile)
    with pytest.raises(StorageError, match="changed while it was fetched: try again"):
        fetch(f"{store.uri}/data.zip", tmp_path / "cache")

    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_told_with_what_to_set(s3_admin, tmp_path):
    store = open_store(f"s3://sweeps/{tmp_path.name}")
    store.write_bytes("data.zip", b"first")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"can't be kept in .*: set NUCSEG_CACHE"):
        fetch(f"{store.uri}/data.zip", tmp_path / "file" / "cache")


def test_what_lies_beside_an_object_comes_with_it_where_it_is_there(s3_admin, tmp_path):
    store = open_store(f"s3://sweeps/{tmp_path.name}")
    store.write_bytes("test.zip", b"zip")
    store.write_bytes("table.csv", b"rows")
    path = fetch(f"{store.uri}/test.zip", tmp_path / "cache", beside=("table.csv", "none.csv"))

    assert path.read_bytes() == b"zip"
    assert sorted(each.name for each in path.parent.iterdir()) == ["table.csv", "test.zip"]


def test_fetching_what_is_not_there_names_it(s3_admin, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no object and no folder s3://sweeps/no"):
        fetch("s3://sweeps/none.zip", tmp_path / "cache")


def test_a_password_in_the_services_address_is_refused_and_not_repeated(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hidden-key@127.0.0.1:9")
    with pytest.raises(StorageError, match="must hold no credentials") as caught:
        open_store("s3://sweeps/x").check_writable()
    assert "hidden-key" not in str(caught.value)


def test_an_object_whose_name_no_file_may_bear_is_not_copied(s3_admin, tmp_path):
    remote = {"../x": ("hostile/../x", 1, "etag")}
    with (
        patch.object(S3Store, "_remote", lambda *_: remote),
        pytest.raises(StorageError, match=r"an object can't be downloaded.*'\.\./x'"),
    ):
        fetch("s3://sweeps/hostile", tmp_path / "cache")
    assert list(tmp_path.rglob("*")) == []
