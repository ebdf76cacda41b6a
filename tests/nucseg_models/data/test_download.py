import io
import socket
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from nucseg_models.data import DataError
from nucseg_models.data.download import fetch


def archive():
    """The bytes of a zip of about 3 MB."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for i in range(3):
            opened.writestr(f"{i}.bin", np.random.default_rng(i).bytes(1_000_000))
    return stream.getvalue()


CONTENT = archive()


class Server(ThreadingHTTPServer):
    """Serves `content` at any address on 127.0.0.1, in one of the ways that servers do."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = []  # the Range header of each request
        self.cuts = []  # after how many bytes to cut each coming response
        self.honours_range = True
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        content = self.server.content
        if self.path.endswith("missing.zip"):
            self.send_error(404)
            return
        start = 0
        if wanted and self.server.honours_range:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + self.server.cuts.pop(0) if self.server.cuts else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_is_fetched_whole_once_with_progress(server, tmp_path):
    steps = []
    path = fetch(
        "a.zip", tmp_path / "new", base_url=server.url, progress=lambda *step: steps.append(step)
    )
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["a.zip"]
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert fetch("a.zip", tmp_path / "new", base_url=server.url) == path
    assert server.ranges == [None]


def test_a_cut_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.cuts = [1_500_000, 100_000]
    assert fetch("a.zip", tmp_path, base_url=server.url).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1500000-", "bytes=1600000-"]


def test_a_later_call_goes_on_from_what_an_earlier_one_brought(server, tmp_path):
    server.cuts = [500_000, 0]
    with pytest.raises(DataError, match=r"cut after 500000 bytes.* goes on from there"):
        fetch("a.zip", tmp_path, base_url=server.url)
    assert (tmp_path / "a.zip.part").stat().st_size == 500_000
    assert not (tmp_path / "a.zip").exists()
    assert fetch("a.zip", tmp_path, base_url=server.url).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=500000-"


def test_a_server_that_ignores_ranges_sends_it_all_again(server, tmp_path):
    server.honours_range = False
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:1000])
    assert fetch("a.zip", tmp_path, base_url=server.url).read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_only_checked(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    assert fetch("a.zip", tmp_path, base_url=server.url).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_started_afresh(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT + b"rest of another file")
    assert fetch("a.zip", tmp_path, base_url=server.url).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "content", [b"<html>no</html>", CONTENT.replace(CONTENT[99:199], b"x" * 100)]
)
def test_a_damaged_zip_is_thrown_away(server, tmp_path, content):
    server.content = content
    with pytest.raises(DataError, match=r"a.zip: what was downloaded is damaged"):
        fetch("a.zip", tmp_path, base_url=server.url)
    assert not (tmp_path / "a.zip").exists()
    server.content = CONTENT
    assert fetch("a.zip", tmp_path, base_url=server.url).read_bytes() == CONTENT


def test_a_zip_is_thrown_away_wherever_its_packed_bytes_are_damaged(server, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(range(256)) * 2)
    for place in range(40, 140):
        content = bytearray(packed.getvalue())
        content[place] ^= 255
        server.content = bytes(content)
        with pytest.raises(DataError, match=r"a.zip: what was downloaded is damaged"):
            fetch("a.zip", tmp_path, base_url=server.url)
        assert (tmp_path / "a.zip.part").stat().st_size == 0


def test_a_page_of_a_login_is_not_taken_for_the_table(server, tmp_path):
    server.content = b"<html>please log in</html>"
    with pytest.raises(DataError, match=r"a.csv: what was downloaded is damaged \(no table"):
        fetch("a.csv", tmp_path, base_url=server.url)
    server.content = b"ImageId,EncodedPixels\na,1 2\n"
    assert fetch("a.csv", tmp_path, base_url=server.url).read_bytes() == server.content


def test_a_missing_file_is_told_with_the_servers_answer(server, tmp_path):
    with pytest.raises(DataError, match=r"missing.zip: can't be downloaded: .* 404 Not Found"):
        fetch("missing.zip", tmp_path, base_url=server.url)


def test_a_server_that_cannot_be_reached_is_told_with_what_would_work(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(DataError, match=r"can't be downloaded: .*refused.*'synthetic'"):
            fetch("a.zip", tmp_path, base_url=url)


def test_two_that_want_the_same_file_fetch_it_once(server, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(fetch, "a.zip", tmp_path, base_url=server.url) for _ in range(2)]
        assert all(job.result().read_bytes() == CONTENT for job in jobs)
    assert server.ranges == [None]


def test_a_folder_that_cannot_be_made_is_told_with_what_to_set(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"downloads can't be kept there .*: set NUCSEG_CACHE"):
        fetch("a.zip", tmp_path / "file" / "cache")
