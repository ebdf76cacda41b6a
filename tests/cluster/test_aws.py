"""cluster.yaml as shipped, before a service that answers as EC2 and IAM, on made-up machines."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.cluster.conftest import CONTROL, ENVIRONMENT, INSIDE, Log
from tests.cluster.hosts import PROJECT, Host, Network

# Machines of EC2 find it, and their rights, by their role; these find them here.
ACCOUNT = {**ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://{CONTROL}:5000"}
SWEEP = (  # piped, so that it prints a line an event
    "set -o pipefail; cd nucseg-sweeps; python sweeps/run.py --arch cnn --trials 6 --max-epochs 20 "
    "--scheduler none --image-size 64 --concurrency 2 --gpus-per-trial 1 --results s3://sweeps/aws "
    "--name night | cat"
)


class Cloud:
    """Boots a made-up host for each machine that EC2 says is there, and ends those that are not."""

    def __init__(self, network: Network, control: Host, install: Callable[[Host], None]) -> None:
        self._network, self._control, self._install = network, control, install
        self._file = network.folder / "machines.json"
        self._file.write_text("[]")
        self._booted: dict[str, Host] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.errors: list[Exception] = []

    def __enter__(self) -> Cloud:
        log = self._network.folder / "watch.log"
        self._control.start(f"exec python {INSIDE} watch {self._file}", log)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def machines(self, state: str = "running") -> list[dict[str, Any]]:
        """What EC2 says of its machines in that state."""
        return [each for each in json.loads(self._file.read_text()) if each["state"] == state]

    def _follow(self) -> None:
        while not self._over.wait(0.3):
            try:
                self._boot_and_end()
            except Exception as error:
                self.errors.append(error)
                return

    def _boot_and_end(self) -> None:
        wanted = {each["id"]: each["address"] for each in self.machines()}
        for gone in {*self._booted} - {*wanted}:
            self._booted.pop(gone).end()
        for new in {*wanted} - {*self._booted}:
            (private_key,) = (self._control.folder / "home" / ".ssh").glob("ray-autoscaler*.pem")
            public = subprocess.run(
                ["ssh-keygen", "-y", "-f", private_key], capture_output=True, text=True, check=True
            )
            self._booted[new] = self._network.add(
                wanted[new], ACCOUNT, user="ec2-user", public_key=public.stdout
            )
            self._install(self._booted[new])


@pytest.fixture
def cloud(network, control, installed) -> Iterator[Cloud]:
    """An account with what docs/cluster.md tells a person to make."""
    bashrc = control.folder / "home" / ".bashrc"
    bashrc.write_text(bashrc.read_text() + f"export AWS_ENDPOINT_URL=http://{CONTROL}:5000\n")
    control.start(f"exec python {INSIDE} ec2 {CONTROL}", network.folder / "moto.log")
    wait = "until exec 3<>/dev/tcp/{}/5000; do sleep 0.2; done 2>/dev/null"
    control.shell(wait.format(CONTROL))
    with Cloud(network, control, installed) as found:
        yield found


@pytest.fixture
def cluster_file(network, control, cloud) -> Path:
    """cluster.yaml as shipped, but for the subnet, which is private, its group, and the image."""
    made = json.loads(control.shell(f"python {INSIDE} account"))
    asked = yaml.safe_load((PROJECT / "cluster.yaml").read_text())
    asked["provider"]["use_internal_ips"] = True
    asked["file_mounts"]["/home/ec2-user/nucseg-sweeps/.git"] = str(PROJECT / ".git")
    for kind in asked["available_node_types"].values():
        kind["node_config"] |= {
            "SubnetIds": [made["subnet"]],
            "SecurityGroupIds": [made["group"]],
            "ImageId": made["image"],
        }
    path = network.folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(asked))
    return path


def test_the_cluster_grows_from_none_bears_a_loss_and_leaves_no_machine(
    network, control, cloud, cluster_file, say
):
    begun = time.monotonic()
    control.shell(f"ray up -y {cluster_file}")
    say(f"AWS: ray up: {time.monotonic() - begun:.0f} s")
    (head,) = cloud.machines()
    assert (head["type"], head["profile"], head["spot"]) == ("m6i.large", "nucseg-head", False)

    log = Log(network.folder / "sweep.log")
    sweep = control.start(f"ray exec {cluster_file} '{SWEEP}'", log.path)
    log.wait_for(lambda text: re.search("cnn-0000: epoch .* cnn-0001: epoch", text, re.S), 400)
    say(f"AWS: ray up to first epochs on two new workers: {time.monotonic() - begun:.0f} s")
    workers = [each for each in cloud.machines() if each["id"] != head["id"]]
    assert [each["type"] for each in workers] == ["g4dn.xlarge"] * 2
    assert all(each["spot"] for each in workers)
    # Of the machines of one request, moto gives only the first its profile.
    assert "nucseg-worker" in {each["profile"] for each in workers} <= {"nucseg-worker", ""}

    control.shell(f"python {INSIDE} terminate {workers[0]['address']}")
    took = log.wait_for(lambda text: "its machine was lost" in text, 120)
    say(f"AWS: a machine taken away, noticed after {took:.0f} s")
    assert sweep.wait(timeout=500) == 0, log.text()
    assert "room for 2 trials at once" in log.text()
    assert "Traceback" not in log.text()
    assert len({each["id"] for each in cloud.machines("terminated")}) == 1
    replaced_and_recorded(control, cloud, network.folder / "fetched")

    control.shell(f"ray down -y {cluster_file}")
    deadline = time.monotonic() + 30
    while cloud.machines() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert cloud.machines() == []
    assert cloud.errors == []


def replaced_and_recorded(control: Host, cloud: Cloud, folder: Path) -> None:
    assert len(cloud.machines()) == 3  # the head, a worker, and the one in place of the lost
    control.shell(f"python {INSIDE} fetch s3://sweeps/aws/night {folder}")
    rows = pq.read_table(folder / "summary.parquet").to_pylist()
    assert sorted(row["trial_id"] for row in rows) == [f"cnn-{n:04d}" for n in range(6)]
    assert {row["status"] for row in rows} == {"completed"}
    assert len({row["worker"].split(":")[0] for row in rows}) >= 2
