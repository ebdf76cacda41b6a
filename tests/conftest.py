"""What all tests share: quiet libraries, property tests that find the same in every run, rows to
build on, a real S3 service, and runs of the command line.
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import settings
from numpy.typing import NDArray
from PIL import Image

from sweeps.record import EpochRecord, TrialRecord
from sweeps.winner_record import GalleryRecord, ImageRecord
from tests.launched import Launched

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# Several test processes share the cores: more threads in each would only wait for one another.
for threads in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(threads, "1")

# No deadline: the machine that runs the tests may be busy with others.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


# The files that take longest come first, so that none runs alone at the end.
LONGEST = (
    *("test_run.py", "test_run_on_s3.py", "test_backends.py", "test_time_budget.py"),
    *("test_contract.py", "test_chaos.py", "test_resume.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files; each keeps the order of its tests."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONGEST)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-cluster` asks for tests/cluster, which need root and minutes."""
    parser.addoption("--cluster", action="store_true", help="run the tests on made-up machines")


@pytest.fixture(scope="session")
def trial_record() -> Callable[..., TrialRecord]:
    """Makes a valid completed row; arguments replace its values."""

    def make(**changes: Any) -> TrialRecord:
        values: dict[str, Any] = {
            "sweep": "night",
            "trial_id": "unet-0",
            "architecture": "unet",
            "status": "completed",
            "is_paper": False,
            "seed": 7,
            "backend": "tensorflow",
            "device": "cpu",
            "dataset": "synthetic",
            "dataset_sha256": "0123456789abcdef" * 4,
            "hyperparameters": '{"learning_rate": 0.01, "optimizer": "adam"}',
            "optimizer": "adam",
            "learning_rate": 0.01,
            "epochs_planned": 20,
            "epochs_run": 20,
            "device_seconds": 12.5,
            "val_iou": 0.75,
            "started_at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
            "ended_at": datetime(2026, 1, 2, 3, 4, 17, tzinfo=UTC),
            "versions": '{"keras": "3.15.1"}',
        }
        return TrialRecord(**(values | changes))

    return make


@pytest.fixture(scope="session")
def epoch_record() -> Callable[..., EpochRecord]:
    """Makes a valid row of a curve; arguments replace its values."""

    def make(**changes: Any) -> EpochRecord:
        values: dict[str, Any] = {
            "sweep": "night",
            "trial_id": "unet-0",
            "architecture": "unet",
            "epoch": 1,
            "seconds": 2.0,
            "device_seconds": 2.0,
            "loss": 0.5,
            "val_iou": 0.25,
            "val_accuracy": 0.875,
            "learning_rate": 0.01,
        }
        return EpochRecord(**(values | changes))

    return make


@pytest.fixture(scope="session")
def image_record() -> Callable[..., ImageRecord]:
    """Makes a valid row of a winner's image; arguments replace its values."""

    def make(**changes: Any) -> ImageRecord:
        values: dict[str, Any] = {
            "sweep": "night",
            "trial_id": "unet-0",
            "architecture": "unet",
            "images": "validation",
            "image": "a",
            "kind": "tissue",
            **dict.fromkeys(("iou", "dice", "accuracy", "map", "f1_50", "f1_70", "aji"), 0.5),
            "splits": 1,
            "merges": 2,
        }
        return ImageRecord(**(values | changes))

    return make


@pytest.fixture(scope="session")
def gallery_record() -> Callable[..., GalleryRecord]:
    """Makes a valid row of the gallery: a grey place with one hit; arguments replace its values."""

    def png(pixels: NDArray[np.uint8]) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    outlines = np.zeros((20, 30), np.uint8)
    outlines[5:10, 5:10] = 1

    def make(**changes: Any) -> GalleryRecord:
        values: dict[str, Any] = {
            "sweep": "night",
            "trial_id": "unet-0",
            "architecture": "unet",
            "image": "a",
            "kind": "tissue",
            "picture": png(np.full((20, 30, 3), 99, np.uint8)),
            "outlines": png(outlines),
            **dict.fromkeys(("hit", "poor", "missed", "merged", "split", "false"), 0),
        }
        return GalleryRecord(**(values | {"hit": 1} | changes))

    return make


@dataclass(frozen=True)
class S3Server:
    """A running S3 service: its address, and a user who may do all and one who may only read."""

    endpoint: str
    admin: tuple[str, str] = ("admin", "admin-secret")
    reader: tuple[str, str] = ("reader", "reader-secret")

    def use(self, monkeypatch: pytest.MonkeyPatch, user: tuple[str, str] | None) -> None:
        """Have boto3 talk to this service as that user, or without credentials."""
        monkeypatch.setenv("AWS_ENDPOINT_URL", self.endpoint)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        for variable, value in zip(
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), user or (None, None), strict=True
        ):
            if value:
                monkeypatch.setenv(variable, value)
            else:
                monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A service that all tests share."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@contextmanager
def seaweedfs(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS on free ports of this machine, with a bucket called ``sweeps``."""
    write_identities(folder / "s3.json")
    s3, master, volume, filer = free_ports(4)
    command = [
        *(str(Path(sys.executable).with_name("weed")), "server", f"-dir={folder}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}"),
        *("-master.volumeSizeLimitMB=64", "-volume.max=20", f"-volume.port={volume}"),
        *("-filer", f"-filer.port={filer}", "-s3", f"-s3.port={s3}", "-s3.port.iceberg=0"),
        *("-s3.port.lance=0", "-s3.autoCreateBucket=false"),
        *(f"-s3.config={folder / 's3.json'}", "-master.telemetry=false"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        server = S3Server(f"http://127.0.0.1:{s3}")
        make_bucket(server, "sweeps", process, folder / "log")
        yield server
    finally:
        process.kill()  # its data is thrown away; an orderly end takes it half a minute
        process.wait()


@pytest.fixture
def s3_admin(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The real service, as the user who may do all."""
    s3_server.use(monkeypatch, s3_server.admin)
    return s3_server


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, nor on the ones 10,000 above, which SeaweedFS takes as well."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port = low.getsockname()[1] - 20_000
            try:
                high.bind(("127.0.0.1", port + 10_000))
                socket.create_connection(("127.0.0.1", port), timeout=0.1).close()
            except ConnectionRefusedError:
                if port not in found:
                    found.append(port)
            except OSError:
                continue
    return found


def write_identities(path: Path) -> None:
    """The users whom the service knows, and what they may do."""
    rights = {
        S3Server.admin: ["Admin", "Read", "List", "Tagging", "Write"],
        S3Server.reader: ["Read", "List"],
    }
    identities = [
        {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
        for (key, secret), actions in rights.items()
    ]
    path.write_text(json.dumps({"identities": identities}))


def make_bucket(server: S3Server, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait, at most a minute, until the service can make a bucket and keep an object."""
    key, secret = server.admin
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            client.create_bucket(Bucket=name)
            client.put_object(Bucket=name, Key="ready", Body=b"")
            client.delete_object(Bucket=name, Key="ready")
            return
        except (BotoCoreError, ClientError):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)


@pytest.fixture(scope="session")
def launched_once() -> Iterator[Callable[..., Launched]]:
    """Starts ``sweeps/run.py`` in a folder; what still runs when all tests end is killed."""
    runs: list[Launched] = []

    def start(folder: Path, arguments: Sequence[str], **how: Any) -> Launched:
        runs.append(Launched(folder, arguments, **how))
        return runs[-1]

    yield start
    for run in runs:
        for process in run.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@pytest.fixture
def launch(launched_once: Callable[..., Launched], tmp_path: Path) -> Callable[..., Launched]:
    """Starts ``sweeps/run.py ARGUMENTS`` in the test's folder."""
    return lambda *arguments, **how: launched_once(tmp_path, arguments, **how)
