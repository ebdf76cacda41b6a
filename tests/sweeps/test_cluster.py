"""What a cluster offers, and what a sweep may use of it. On many machines: tests/cluster."""

import math
import re
import signal
import stat
from types import SimpleNamespace

import pytest
import ray

from sweeps import cluster
from sweeps.checks import ConfigError
from sweeps.config import SweepConfig
from sweeps.machines import Machines
from sweeps.quiet import silence_ray
from sweeps.storage import open_store

TWO_GPUS_AT_MOST = {
    "head_node_type": "head",
    "max_workers": 3,
    "available_node_types": {
        "head": {"resources": {"CPU": 0}},
        "t4": {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 2},
        "cpu": {"resources": {"CPU": 8}},
    },
}


def asked(arch="unet", **options):
    return SweepConfig(arch=arch, name="night", address="local", **options)


RUNNING, WAITING = SimpleNamespace(status="RUNNING"), SimpleNamespace(status="PENDING")


class Heard(list):
    """A progress display that only remembers."""

    def message(self, text):
        self.append(text)


@pytest.fixture(scope="module")
def running():
    """A Ray of this machine."""
    silence_ray()
    with cluster.ray_running(asked()):
        yield


@pytest.fixture
def may_grow(running, monkeypatch):
    """The same, taken for a cluster that `ray up` told that it may grow by two GPUs."""
    monkeypatch.setattr(cluster, "_bootstrap", lambda: TWO_GPUS_AT_MOST)


def test_a_trial_has_room_where_all_that_it_needs_is_on_one_machine():
    machines = [{"CPU": 4, "GPU": 1}, {"CPU": 3}, {}]

    assert cluster.places({"CPU": 1, "GPU": 0}, machines) == 7
    assert cluster.places({"CPU": 2, "GPU": 0}, machines) == 3
    assert cluster.places({"CPU": 1, "GPU": 1}, machines) == 1
    assert cluster.places({"CPU": 1, "GPU": 0.25}, machines) == 4
    assert cluster.places({"CPU": 5, "GPU": 0}, machines) == 0


def test_a_ray_of_its_own_can_not_grow(running):
    assert cluster.may_have() == []


def test_a_cluster_may_grow_by_the_workers_of_its_file(may_grow):
    # Of each kind as many as it allows, of all together three.
    assert cluster.may_have() == [{"CPU": 4, "GPU": 1}] * 2 + [{"CPU": 8}]


def test_a_trial_gets_a_gpu_where_one_may_come_and_none_elsewhere(running, may_grow):
    assert cluster._bundle(asked()) == {"CPU": 1, "GPU": 1}
    assert cluster._bundle(asked(gpus_per_trial=0.25)) == {"CPU": 1, "GPU": 0.25}


def test_small_networks_alone_share_a_gpu_and_beside_large_ones_do_not(running, may_grow):
    assert cluster._bundle(asked("cnn")) == {"CPU": 1, "GPU": 0.5}
    assert cluster._bundle(asked(["cnn", "unet"])) == {"CPU": 1, "GPU": 1}
    assert cluster._bundle(asked("cnn", gpus_per_trial=1)) == {"CPU": 1, "GPU": 1}


def test_a_trial_that_fits_on_no_machine_is_refused_before_anything_is_tried(running):
    with pytest.raises(ConfigError, match=r"needs 1 CPU cores and 4 GPUs of one machine, but the"):
        cluster._bundle(asked(gpus_per_trial=4))


def test_a_folder_of_one_machine_will_do_for_one_but_not_for_those_that_may_come(
    running, tmp_path, request, s3_admin
):
    store = open_store(tmp_path)
    cluster.check_results_can_be_written(store)
    request.getfixturevalue("may_grow")
    cluster.check_results_can_be_written(open_store("s3://sweeps/x"))
    with pytest.raises(ConfigError, match="is a folder of this machine alone"):
        cluster.check_results_can_be_written(store)
    assert store.list() == []


def test_the_token_of_a_persons_clusters_can_be_read_by_nobody_else(running):
    assert stat.S_IMODE(cluster.TOKEN.expanduser().stat().st_mode) == 0o600


def test_workers_that_a_cluster_always_has_are_waited_for_a_while(running, monkeypatch):
    told = {"available_node_types": {"local.cluster.node": {"min_workers": 2}}}
    monkeypatch.setattr(cluster, "_bootstrap", lambda: told)
    monkeypatch.setattr(cluster, "SECONDS", 0.01)
    coming = iter([1, 1, 2, 3])
    monkeypatch.setattr(cluster, "machines", lambda: [{}] * next(coming))
    heard = Heard()

    cluster._await_workers(heard.message)
    assert heard == [f"{n} of 2 workers are there, waiting for the others" for n in (0, 1)]


def test_an_address_for_programs_outside_is_refused():
    with pytest.raises(ConfigError, match="run the sweep on its head"):
        cluster._connect(SimpleNamespace(address="ray://10.0.0.1:10001"), {})


def test_a_cluster_that_does_not_answer_is_told():
    config = SimpleNamespace(address="127.0.0.1:9")

    said = cluster._why_not(config, ConnectionError("no answer\nat all"))
    assert "at --address 127.0.0.1:9 can't be joined (ConnectionError: no answer)" in said
    assert "--address local uses this machine only" in said


def open_requests():
    table = ray.util.placement_group_table().values()
    return [list(group["bundles"].values()) for group in table if group["state"] == "PENDING"]


def test_all_machines_that_are_missing_are_asked_for_at_once_and_given_up_with_the_trials(
    may_grow, monkeypatch
):
    heard = Heard()
    machines = Machines({"CPU": 1, "GPU": 1}, trials=3, limit=None, progress=heard)
    monkeypatch.setattr("sweeps.machines.SECONDS", 0)

    machines.on_step_begin(0, [RUNNING])
    machines.on_step_begin(1, [RUNNING])
    assert open_requests() == [[{"CPU": 1, "GPU": 1}] * 2]  # for two of three: it grows no further
    machines.on_trial_complete(2, [], SimpleNamespace())
    machines.on_trial_error(2, [], SimpleNamespace())
    machines.on_step_begin(2, [RUNNING])
    assert open_requests() == [[{"CPU": 1, "GPU": 1}]]
    machines.on_experiment_end([])
    assert open_requests() == []
    assert len(heard) == 1  # the machines stayed the same
    assert heard[0].startswith("1 machine: ")
    assert re.search(r" \d+ CPU cores?, 0 GPUs, room for 0 trials at once$", heard[0])


def test_what_tune_asks_for_itself_is_not_asked_for_twice(may_grow, monkeypatch):
    machines = Machines({"CPU": 1, "GPU": 1}, trials=3, limit=None, progress=Heard())
    monkeypatch.setattr("sweeps.machines.SECONDS", 0)

    machines.on_step_begin(0, [])
    machines.on_step_begin(1, [WAITING])  # which Tune had not yet when it was looked first
    assert open_requests() == []
    machines.on_step_begin(2, [WAITING, RUNNING])
    assert open_requests() == [[{"CPU": 1, "GPU": 1}]]
    machines.on_experiment_end([])


def test_a_request_is_given_up_as_soon_as_tune_makes_it_itself(may_grow, monkeypatch):
    machines = Machines({"CPU": 1, "GPU": 1}, trials=3, limit=None, progress=Heard())
    monkeypatch.setattr("sweeps.machines.SECONDS", 0)
    machines.on_step_begin(0, [RUNNING])
    machines.on_step_begin(1, [RUNNING])
    monkeypatch.setattr(machines, "_next", math.inf)  # no look is due for long

    machines.on_step_begin(2, [RUNNING, WAITING])
    assert open_requests() == [[{"CPU": 1, "GPU": 1}]]
    machines.on_step_begin(3, [RUNNING, WAITING, WAITING])
    assert open_requests() == []


def test_no_more_machines_are_asked_for_than_trials_may_run_at_once(may_grow, monkeypatch):
    machines = Machines({"CPU": 1, "GPU": 1}, trials=9, limit=1, progress=Heard())
    monkeypatch.setattr("sweeps.machines.SECONDS", 0)

    machines.on_step_begin(0, [RUNNING])
    machines.on_step_begin(1, [RUNNING])
    assert open_requests() == [[{"CPU": 1, "GPU": 1}]]
    machines.on_experiment_end([])


def test_a_request_that_is_granted_is_given_back_for_the_trials_to_use(may_grow, monkeypatch):
    monkeypatch.setattr("sweeps.machines.SECONDS", 0)
    monkeypatch.setattr(cluster, "machines", lambda: [{}])  # as if Ray had not told of others yet
    machines = Machines({"CPU": 1, "GPU": 0}, trials=1, limit=None, progress=Heard())

    machines.on_step_begin(0, [RUNNING])
    machines.on_step_begin(1, [RUNNING])
    group = machines._asked.id.hex()
    ray.get(machines._asked.ready(), timeout=20)
    machines.on_step_begin(2, [RUNNING])
    assert ray.util.placement_group_table()[group]["state"] == "REMOVED"


def test_where_even_this_machine_is_lost_the_sweep_stops_instead_of_waiting(running, monkeypatch):
    monkeypatch.setattr("sweeps.machines.SECONDS", 0)
    heard = Heard()
    machines = Machines({"CPU": 1, "GPU": 0}, trials=1, limit=None, progress=heard)
    machines.on_step_begin(0, [RUNNING])
    monkeypatch.setattr(cluster, "machines", list)
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # as Tune sets its own
    try:
        with pytest.raises(KeyboardInterrupt):
            machines.on_step_begin(1, [RUNNING])
    finally:
        signal.signal(signal.SIGINT, usual)
    assert heard[-1] == "Ray has lost every machine, this one too: the sweep stops"
    machines.on_step_begin(2, [RUNNING])  # said once: a second signal would break Tune off


def test_on_a_ray_of_its_own_nothing_is_asked_for(running, monkeypatch):
    monkeypatch.setattr("sweeps.machines.SECONDS", 0)
    machines = Machines({"CPU": 1, "GPU": 0}, trials=99, limit=None, progress=Heard())

    machines.on_step_begin(0, [RUNNING])
    machines.on_step_begin(1, [RUNNING])
    assert open_requests() == []
