"""`ray up` with the provider `local`: a sweep spread over machines outlives the loss of each."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.cluster.conftest import ENVIRONMENT, INSIDE, Log
from tests.cluster.hosts import PROJECT

HEAD, WORKERS = "10.77.0.2", ["10.77.0.3", "10.77.0.4"]
ARRIVED = "cat /sys/class/net/eth0/statistics/rx_bytes"  # at the host where S3 is
SWEEP = (  # piped, so that it prints a line an event
    "set -o pipefail; cd nucseg-sweeps; python sweeps/run.py --arch cnn --trials 6 --max-epochs 12 "
    "--scheduler none --image-size 64 --results s3://sweeps/three --name night | cat"
)


@pytest.fixture
def cluster_file(network, control):
    """cluster-local.yaml as shipped, but for what it tells a person to change, and for memory."""
    asked = yaml.safe_load((PROJECT / "cluster-local.yaml").read_text())
    asked["provider"] |= {"head_ip": HEAD, "worker_ips": WORKERS}
    asked["auth"] = {"ssh_user": "lab", "ssh_private_key": str(network.key)}
    asked["file_mounts"]["~/nucseg-sweeps/.git"] = str(PROJECT / ".git")
    for which, cores in (("head", ""), ("worker", " --num-cpus=1")):
        asked[f"{which}_start_ray_commands"] = [
            command.replace("ray start", f"ray start --object-store-memory=200000000{cores}")
            for command in asked[f"{which}_start_ray_commands"]
        ]
    path = network.folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(asked))
    return path


@pytest.fixture
def machines(network, control, installed):
    """A head and two workers, switched on, with nothing running."""
    found = [network.add(address, ENVIRONMENT) for address in (HEAD, *WORKERS)]
    for host in found:
        installed(host)
    return found


def test_a_sweep_on_three_machines_survives_a_cut_link_and_a_killed_agent(
    network, control, machines, cluster_file, say
):
    head, first, second = machines
    begun = time.monotonic()
    control.shell(f"RAY_UP_enable_autoscaler_v2=0 ray up -y {cluster_file}")
    up = time.monotonic() - begun
    say(f"ray up: {up:.0f} s")
    a_person_may_submit_attach_and_look(control, cluster_file)

    begun = time.monotonic()
    log, arrived = Log(network.folder / "sweep.log"), int(control.shell(ARRIVED))
    sweep = control.start(f"ray exec {cluster_file} '{SWEEP}'", log.path)
    log.wait_for(lambda text: re.search("cnn-0000: epoch .* cnn-0001: epoch", text, re.S), 240)
    say(f"ray up to first epochs on both workers: {up + time.monotonic() - begun:.0f} s")

    second.cut()
    say(f"cut link, noticed after {lost(log, 1):.0f} s")
    first.kill_raylet()
    say(f"killed agent, noticed after {lost(log, 2):.0f} s")
    epochs = len(re.findall("epoch", log.text()))
    again = log.wait_for(lambda text: len(re.findall("epoch", text)) > epochs, 240)
    say(f"both workers lost, training again after {again:.0f} s more")

    begun = time.monotonic()
    assert sweep.wait(timeout=400) == 0, log.text()
    say(f"the rest of the sweep: {time.monotonic() - begun:.0f} s")
    megabytes = (int(control.shell(ARRIVED)) - arrived) / 1e6
    say(f"sent to S3: {megabytes / 6:.1f} MB a trial of 12 epochs")
    assert "3 machines: 2 CPU cores, 0 GPUs, room for 2 trials at once" in log.text()
    assert "Traceback" not in log.text()
    everything_is_there(control, network.folder / "fetched")
    a_wrong_or_missing_token_is_refused(head)

    begun = time.monotonic()
    control.shell(f"RAY_UP_enable_autoscaler_v2=0 ray down -y {cluster_file}")
    say(f"ray down, with one machine that can't be reached: {time.monotonic() - begun:.0f} s")
    assert head.shell("pgrep -x raylet", check=False) == ""


def lost(log: Log, times: int) -> float:
    """Seconds until the sweep has said so often that a machine was lost."""
    return log.wait_for(lambda text: text.count("its machine was lost") >= times, 120)


def everything_is_there(control, folder: Path) -> None:
    rows = fetched(control, "three/night", folder)
    curves = pq.read_table(folder / "curves.parquet").to_pylist()
    assert sorted(rows) == [f"cnn-{n:04d}" for n in range(6)]
    assert {row["status"] for row in rows.values()} == {"completed"}
    assert sum(row["workers_lost"] for row in rows.values()) >= 2
    for row in rows.values():
        losses = json.loads(row["losses"] or "{}")
        assert len(losses) == row["workers_lost"]
        assert all(loss["worker"] != row["worker"] for loss in losses.values())
    for trial, row in rows.items():
        told = [each["epoch"] for each in curves if each["trial_id"] == trial]
        assert sorted(told) == list(range(1, row["epochs_planned"] + 1))
    assert (folder / "best" / "cnn" / "model.keras").exists()
    assert not (folder / "running.json").exists()


def a_wrong_or_missing_token_is_refused(head) -> None:
    for without in ("RAY_AUTH_TOKEN=wrong", "HOME=/tmp"):
        said = head.shell(
            f"cd nucseg-sweeps; {without} python sweeps/run.py --arch cnn --trials 1 "
            f"--results s3://sweeps/refused --address {HEAD}:6379 2>&1; echo status $?"
        )
        assert "can't be joined" in said
        assert "same token" in said
        assert "Traceback" not in said
        assert said.endswith("status 2\n")


def a_person_may_submit_attach_and_look(control, cluster_file) -> None:
    """The other commands of docs/cluster.md."""
    asked = "--arch cnn --trials 1 --max-epochs 1 --image-size 64 --name night"
    where = "--results s3://sweeps/submitted"
    said = control.shell(f"ray submit {cluster_file} {PROJECT}/sweeps/run.py {asked} {where}")
    assert "winners  s3://sweeps/submitted/night/best/" in said

    typed = r"printf 'echo on the $(hostname -I)\nexit\n'"
    said = control.shell(f"{typed} | script -qec 'ray attach {cluster_file}' /dev/null")
    assert f"on the {HEAD}" in said

    control.start(f"exec ray dashboard {cluster_file}", cluster_file.with_name("dashboard.log"))
    url = "http://127.0.0.1:8265"
    page = control.shell(f"curl --silent --retry 30 --retry-all-errors --retry-delay 1 {url}/")
    assert "<title>Ray Dashboard</title>" in page
    nodes = f"{url}/nodes?view=summary"
    assert "401" in control.shell(f"curl --silent --include {nodes} | head -1")
    token = '--header "Authorization: Bearer $(cat ~/.ray/auth_token)"'
    assert f'"{HEAD}"' in control.shell(f"curl --silent {token} {nodes}")


def test_after_the_heads_death_another_machine_goes_on_from_s3(network, control, say):
    head = network.add(HEAD, ENVIRONMENT)
    asked = "--arch cnn --trials 3 --max-epochs 12 --scheduler none --image-size 64"
    where = "--results s3://sweeps/head --name night"
    log = Log(network.folder / "first.log")
    head.start(f"cd {PROJECT}; python sweeps/run.py {asked} {where} | cat", log.path)
    log.wait_for(lambda text: "completed after" in text, 120)
    epochs = len(re.findall("epoch", log.text()))
    log.wait_for(lambda text: len(re.findall("epoch", text)) > epochs, 60)
    head.end()
    before = fetched(control, "head/night", network.folder / "before")

    begun = time.monotonic()
    said = control.shell(f"cd {PROJECT}; python sweeps/run.py --resume {where}")
    say(f"after the head's death, another machine took {time.monotonic() - begun:.0f} s to end it")
    after = fetched(control, "head/night", network.folder / "after")
    assert "winners  s3://sweeps/head/night/best/" in said
    assert sorted(after) == ["cnn-0000", "cnn-0001", "cnn-0002"]
    for trial, row in before.items():  # but for who is the best of all, and its tests
        assert after[trial]["ended_at"] == row["ended_at"]
        assert after[trial]["val_iou"] == row["val_iou"]


def fetched(control, sweep: str, folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of a sweep on S3, by trial."""
    control.shell(f"python {INSIDE} fetch s3://sweeps/{sweep} {folder}")
    rows = pq.read_table(folder / "summary.parquet").to_pylist()
    return {row["trial_id"]: row for row in rows}
