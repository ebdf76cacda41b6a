"""Ray, joined where a cluster runs, else started for the sweep; what its machines can offer."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
import yaml
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import nucseg_models
from sweeps.checks import ConfigError
from sweeps.config import SweepConfig
from sweeps.failure import reason
from sweeps.storage import LocalStore, StorageError, Store

# `ray up` leaves it on the head: what the cluster may grow to.
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
TOKEN = Path("~/.ray/auth_token")
PATIENCE, SECONDS = 300.0, 5.0  # with machines that are starting; between two looks
Bundle = Mapping[str, float]

WORKER_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Convolutions by oneDNN, on all processors: TensorFlow takes it by itself on the newest
    # only, and a U-Net's step took 1.6 times as long without.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # else JAX takes most of a GPU, which may be shared
    # See nucseg_models.device: memory of large tensors is kept, in all threads.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # a slow end of one trial would lose the next
}
# Where S3 is, which every machine must know; never keys, which Ray would write into its logs.
PASSED_ON = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_REGION")


@contextmanager
def ray_running(config: SweepConfig, say: Callable[[str], None] = print) -> Iterator[Bundle]:
    """Ray, left or ended after the sweep; yields what one trial may use.

    `say` tells a person what is waited for. ConfigError where no cluster can be joined, or no
    machine has room for a trial.
    """
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    _connect(config, {**WORKER_ENVIRONMENT, **passed_on, "KERAS_BACKEND": config.backend})
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are rows, and told
    try:
        _await_workers(say)
        yield _bundle(config)
    finally:
        ray.shutdown()


def machines() -> list[Bundle]:
    """What each machine of the cluster has, this one included."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def may_have() -> list[Bundle]:
    """What each machine has that the cluster may grow to, the head aside; [] where not known."""
    asked = _bootstrap()
    kinds = asked.get("available_node_types", {})
    workers = [
        kind["resources"]
        for name, kind in kinds.items()
        if name != asked["head_node_type"] and kind.get("resources")
        for _ in range(kind.get("max_workers", asked.get("max_workers", 0)))
    ]
    return workers[: asked.get("max_workers", len(workers))]


def places(bundle: Bundle, machines: Sequence[Bundle]) -> int:
    """How many trials that use `bundle` have room on the machines at once."""
    return sum(
        int(min(machine.get(name, 0.0) / amount for name, amount in bundle.items() if amount))
        for machine in machines
    )


def check_results_can_be_written(store: Store) -> None:
    """ConfigError where another machine can't write into `store`: its trials would be lost."""
    others = [node for node in ray.nodes() if node["Alive"] and not _is_mine(node)]
    if isinstance(store, LocalStore) and not others and may_have():
        raise _not_shared(store)
    mark = f".seen-by-all-{uuid.uuid4().hex}"
    store.write_bytes(mark, b"may be removed")
    try:
        look = ray.remote(num_cpus=0, max_retries=0)(_sees)
        asked = [look.options(scheduling_strategy=_on(node)).remote(store, mark) for node in others]
        if not all(ray.get(asked, timeout=PATIENCE)):
            raise _not_shared(store)
    except (RayError, StorageError) as error:
        raise ConfigError(
            f"not every machine of the cluster can write to {store.uri}: {reason(error)}"
        ) from error
    finally:
        store.delete(mark)


def _not_shared(store: Store) -> ConfigError:
    return ConfigError(
        f"--results {store.uri} is a folder of this machine alone, but the sweep runs on several: "
        "give an s3://bucket/prefix, or a folder that all of them share; or --address local, to "
        "use only this machine"
    )


def _connect(config: SweepConfig, environment: Mapping[str, str]) -> None:
    """Join the cluster that --address names or finds, or start a Ray of one machine."""
    if config.address.startswith("ray://"):
        raise ConfigError(
            "--address ray://... is for programs outside of a cluster: run the sweep on its head, "
            "by `ray exec` or `ray submit` (docs/cluster.md)"
        )
    address = None if config.address == "auto" else config.address
    try:
        ray.init(
            address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": dict(environment)},
        )
    except Exception as error:  # Ray raises many kinds, and bare ones too
        raise ConfigError(_why_not(config, error)) from error
    with suppress(OSError):  # Ray leaves the key to this person's clusters open to be read
        TOKEN.expanduser().chmod(0o600)


def _await_workers(say: Callable[[str], None]) -> None:
    """Give the workers that a cluster always has some time to come up, as after `ray up`."""
    asked = _bootstrap()
    kinds = asked.get("available_node_types", {}).values()
    wanted = sum(kind.get("min_workers", 0) for kind in kinds)
    deadline, told = time.monotonic() + PATIENCE, None
    while (there := len(machines()) - 1) < wanted and time.monotonic() < deadline:
        if there != told:
            say(f"{there} of {wanted} workers are there, waiting for the others")
        told = there
        time.sleep(SECONDS)


def _why_not(config: SweepConfig, error: Exception) -> str:
    """Why no cluster could be joined, and what would work."""
    where = os.environ.get("RAY_ADDRESS") or config.address
    first = next(iter(str(error).splitlines()), "")
    return (
        f"the Ray cluster at --address {where} can't be joined ({type(error).__name__}: {first}): "
        "it must be running (`ray status`), of the same Ray and Python, and both sides need the "
        f"same token in {TOKEN} with RAY_AUTH_MODE=token; --address local uses this machine only"
    )


def _bundle(config: SweepConfig) -> Bundle:
    """What a trial uses; ConfigError where no machine has so much."""
    known = [*machines(), *may_have()]
    gpus = config.gpus_per_trial
    if gpus is None:
        # One share for all: what a network with a smaller one left free, no other could use.
        share = max(nucseg_models.get(name).gpu_share for name in config.arch)
        gpus = share if any(machine.get("GPU") for machine in known) else 0.0
    bundle = {"CPU": config.cpus_per_trial, "GPU": gpus}
    if not places(bundle, known):
        largest = max(known, key=lambda machine: (machine.get("GPU", 0), machine.get("CPU", 0)))
        raise ConfigError(
            f"a trial needs {bundle['CPU']:g} CPU cores and {bundle['GPU']:g} GPUs of one machine, "
            f"but the largest has {largest.get('CPU', 0):g} and {largest.get('GPU', 0):g}: lower "
            "--cpus-per-trial or --gpus-per-trial"
        )
    return bundle


def _bootstrap() -> dict[str, Any]:
    """What `ray up` was told of the cluster that was joined; {} where it is not known."""
    started_here = ray._private.worker._global_node.is_head()  # Ray tells it nowhere else
    if started_here or not BOOTSTRAP.expanduser().exists():
        return {}
    told: dict[str, Any] = yaml.safe_load(BOOTSTRAP.expanduser().read_text())
    return told


def _is_mine(node: Mapping[str, object]) -> bool:
    return bool(node["NodeID"] == ray.get_runtime_context().get_node_id())


def _on(node: Mapping[str, object]) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(str(node["NodeID"]), soft=False)


def _sees(store: Store, mark: str) -> bool:
    """Runs on every other machine: whether it sees what the driver wrote, and may write too."""
    seen = store.exists(mark)
    if seen:
        store.check_writable()
    return seen
