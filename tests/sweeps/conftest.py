"""Rows to build on, a real S3 service, and real runs, for all tests of sweeps/."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image

from nucseg_models.data.synthetic import synthetic
from sweeps.record import EpochRecord, TrialRecord

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def write_images() -> Callable[..., str]:
    """Writes tiny synthetic images as folders of images and label images; returns the folder."""

    def write(folder: Path, count: int = 6, seed: int = 0) -> str:
        made = synthetic(count, seed=seed, sides=(48, 64))
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True)
        for name, image, labels in zip(made.ids, made.images, made.labels, strict=True):
            Image.fromarray(image).save(folder / "images" / f"{name}.png")
            Image.fromarray(labels.astype(np.uint16)).save(folder / "labels" / f"{name}.png")
        return str(folder)

    return write


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
    """SeaweedFS on free ports of this machine, with a bucket called ``sweeps``."""
    folder = tmp_path_factory.mktemp("seaweedfs")
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


def _take_terminal() -> None:
    """Make standard input the terminal whose keys reach this process and its children."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


WORKER = "ray::ImplicitFunc"
"""How the command line begins of a process that trains."""


class Launched:
    """A run of ``sweeps/run.py`` as a process of its own, from a folder that is not the project's.

    On a terminal, what it prints is what a person would see, and Ctrl-C is a key.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], *, terminal: bool = False) -> None:
        self._mark = uuid.uuid4().hex  # in the environment of all processes that it starts
        self.out, self.err = folder / f"{self._mark}.out", folder / f"{self._mark}.err"
        self._master, slave = pty.openpty() if terminal else (None, None)
        environment = os.environ | {"SWEEP_TEST": self._mark, "NUCSEG_CACHE": str(folder / "cache")}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(PROJECT / "sweeps" / "run.py"), *arguments],
                cwd=folder,
                env=environment | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
                stdin=slave or subprocess.DEVNULL,
                stdout=slave or out,
                stderr=slave or err,
                start_new_session=True,
                preexec_fn=_take_terminal if terminal else None,  # noqa: PLW1509 - it locks nothing
            )
        if slave:
            os.close(slave)
            threading.Thread(target=self._copy_terminal, daemon=True).start()

    def _copy_terminal(self) -> None:
        with self.out.open("wb", buffering=0) as out, suppress(OSError):  # the end of a terminal
            while data := os.read(self._master, 65536):
                out.write(data)

    def press_ctrl_c(self) -> None:
        """As a person does: every process that belongs to the terminal gets a SIGINT."""
        os.write(self._master, b"\x03")

    def printed(self) -> str:
        return self.out.read_text()

    def wait_until(self, happened: Callable[[], Any], seconds: float = 180) -> None:
        """Wait until something has happened; fail where the run ends before it."""
        deadline = time.monotonic() + seconds
        while not happened():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"it did not happen:\n{self.printed()}\n{self.err.read_text()}")
            time.sleep(0.05)

    def wait_for(self, pattern: str) -> None:
        """Wait until it has printed what the regular expression matches."""
        self.wait_until(lambda: re.search(pattern, self.printed()))

    def status(self, seconds: float = 240) -> int:
        """Wait for its end; its exit status."""
        return self.process.wait(timeout=seconds)

    def processes(self) -> dict[int, str]:
        """Process id -> command line of all processes that it started and that still live."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it may end while it is looked at
                if f"SWEEP_TEST={self._mark}".encode() in (folder / "environ").read_bytes():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(folder.name)] = command.strip()
        return found

    def left(self, command: str = "", seconds: float = 30) -> list[str]:
        """Processes, whose command line begins so, that still live after some seconds."""
        deadline = time.monotonic() + seconds
        while True:
            left = [line for line in self.processes().values() if line.startswith(command)]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.2)

    def kill_workers(self) -> None:
        """Kill each process that trains, without warning."""
        for process, command in self.processes().items():
            if command.startswith(WORKER):
                os.kill(process, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the run itself, without warning."""
        self.process.kill()
        self.process.wait()


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
