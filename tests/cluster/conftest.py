"""Made-up machines, an S3 service and a cluster on them."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import hosts
from tests.cluster.hosts import PROJECT, Host, Network
from tests.conftest import S3Server, write_identities

CONTROL = "10.77.0.1"  # the host from which a person works; S3 is there too
INSIDE = PROJECT / "tests" / "cluster" / "inside.py"
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "AWS_ENDPOINT_URL_S3": f"http://{CONTROL}:8333",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ACCESS_KEY_ID": S3Server.admin[0],
    "AWS_SECRET_ACCESS_KEY": S3Server.admin[1],
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@pytest.fixture(scope="session", autouse=True)
def can_make_hosts(request: pytest.FixtureRequest) -> None:
    """These tests run only where they are asked for, and then they must be able to."""
    if not request.config.getoption("--cluster"):
        pytest.skip("`make test-cluster` runs these: as root, in minutes, on made-up machines")
    if why := hosts.why_not():
        pytest.fail(why)


@pytest.fixture
def network() -> Iterator[Network]:
    """A network without hosts; what is left of it is removed."""
    folder = Path(tempfile.mkdtemp(prefix="nucseg-hosts-", dir="/var/tmp"))
    made = Network(folder)
    try:
        yield made
    finally:
        made.remove()
        shutil.rmtree(folder)


@pytest.fixture
def control(network: Network) -> Host:
    """The host from which a person works, with a token, and with an S3 service that has a bucket
    called ``sweeps``.
    """
    host = network.add(CONTROL, ENVIRONMENT)
    data = network.folder / "s3"
    data.mkdir()
    write_identities(data / "s3.json")
    serve = (
        f"cd {data} && exec weed server -dir={data} -ip={CONTROL} -ip.bind=0.0.0.0 "
        "-master.volumeSizeLimitMB=64 -volume.max=20 -filer -s3 -s3.port=8333 "
        f"-s3.config={data}/s3.json -s3.port.iceberg=0 -s3.port.lance=0 "
        "-s3.autoCreateBucket=false -master.telemetry=false"
    )
    host.start(serve, network.folder / "s3.log")
    host.shell(f"python {INSIDE} bucket sweeps")
    host.shell("ray get-auth-token --generate && chmod 600 ~/.ray/auth_token")
    return host


@pytest.fixture
def installed(network: Network) -> Callable[[Host], None]:
    """Puts the project's environment where cluster.yaml puts it, as a prepared image has it: there
    is no package registry in the network.
    """

    def install(host: Host) -> None:
        real = Path(sys.executable).parents[1]
        folder = host.folder / "home" / "nucseg-sweeps" / ".venv"
        folder.mkdir(parents=True)
        for entry in ("bin", "lib", "include", "pyvenv.cfg"):
            (folder / entry).symlink_to(real / entry)
        newer = time.time() + 24 * 3600  # than the files that are about to be copied there
        for mark in ("installed", "installed-gpu", "installed-dashboard"):
            (folder / mark).touch()
            os.utime(folder / mark, (newer, newer))

    return install


class Log:
    """What a command in the background prints."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def text(self) -> str:
        return self.path.read_text(errors="replace")

    def wait_for(self, happened: Callable[[str], object], seconds: float) -> float:
        """Seconds until what was printed fulfils a condition; fails where it takes longer."""
        begun = time.monotonic()
        while not happened(self.text()):
            if time.monotonic() - begun > seconds:
                pytest.fail(f"it did not happen within {seconds} s:\n{self.text()[-4000:]}")
            time.sleep(0.2)
        return time.monotonic() - begun


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Prints a figure that documentation quotes when its test has ended, passed or not."""
    return lambda line: record_property("said", line)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Runs in the process that prints, whichever ran the test."""
    if report.when == "call":
        for name, line in report.user_properties:
            if name == "said":
                print(f"\n  {line}", flush=True)


os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
