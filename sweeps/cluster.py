"""Ray, joined where a cluster runs, else started for the sweep; what its machines can offer."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import ray
import yaml
from ray.exceptions import AuthenticationError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.config import ConfigError, SweepConfig
from sweeps.storage import LocalStore, Store

# `ray up` leaves it on the head: what the cluster may grow to.
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
TOKEN = Path("~/.ray/auth_token")
Bundle = Mapping[str, float]

WORKER_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Convolutions by oneDNN, on all processors: TensorFlow takes it by itself on the newest
    # only, and a U-Net's step took 1.6 times as long without.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # See nucseg_models.device: memory of large tensors is kept, in all threads.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # a slow end of one trial would lose the next
}
# Where S3 is, which every machine must know; never keys, which Ray would write into its logs.
PASSED_ON = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_REGION")


@contextmanager
def ray_running(config: SweepConfig) -> Iterator[Bundle]:
    """Ray, left or ended after the sweep; yields what one trial may use.

    ConfigError where no cluster can be joined, or no machine has room for a trial.
    """
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    _connect(config, {**WORKER_ENVIRONMENT, **passed_on, "KERAS_BACKEND": config.backend})
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    try:
        yield _bundle(config)
    finally:
        ray.shutdown()


def machines() -> list[Bundle]:
    """What each machine of the cluster has, this one included."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def may_join() -> list[Bundle]:
    """What each machine has that the cluster may still start, by its configuration."""
    if not _joined() or not BOOTSTRAP.expanduser().exists():
        return []
    asked = yaml.safe_load(BOOTSTRAP.expanduser().read_text())
    kinds = asked.get("available_node_types", {})
    return [
        kind.get("resources", {})
        for name, kind in kinds.items()
        if name != asked.get("head_node_type")
        for _ in range(kind.get("max_workers", asked.get("max_workers", 0)))
    ]


def places(bundle: Bundle, machines: Sequence[Bundle]) -> int:
    """How many trials that use `bundle` have room on the machines at once."""
    return sum(
        int(min(machine.get(name, 0.0) / amount for name, amount in bundle.items() if amount))
        for machine in machines
    )


def check_results_are_shared(store: Store) -> None:
    """ConfigError where other machines could not write into `store`: theirs would be lost."""
    others = [node for node in ray.nodes() if node["Alive"] and not _is_mine(node)]
    if not isinstance(store, LocalStore) or not (others or may_join()):
        return
    mark = "sweep-of-several-machines"
    store.write_bytes(mark, b"seen by all?")
    path = (store.folder / mark).absolute()
    look = ray.remote(num_cpus=0)(_exists)
    seen = [look.options(scheduling_strategy=_on(node)).remote(str(path)) for node in others]
    try:
        shared = bool(others) and all(ray.get(seen))
    finally:
        store.delete(mark)
    if not shared:
        raise ConfigError(
            f"--results {store.folder.parent} is a folder of this machine alone, but the sweep "
            "runs on several: give an s3://bucket/prefix, or a folder that all of them share; or "
            "--address local, to use only this machine"
        )


def _connect(config: SweepConfig, environment: Mapping[str, str]) -> None:
    """Join the cluster that --address names or finds, or start a Ray of one machine."""
    address = None if config.address == "auto" else config.address
    try:
        ray.init(
            address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": dict(environment)},
        )
    except (AuthenticationError, ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(_why_not(config, error)) from error
    with suppress(OSError):  # Ray leaves the key to this person's clusters open to be read
        TOKEN.expanduser().chmod(0o600)


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
    known = [*machines(), *may_join()]
    gpus = config.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if any(machine.get("GPU") for machine in known) else 0.0
    bundle = {"CPU": config.cpus_per_trial, "GPU": gpus}
    if not places(bundle, known):
        largest = max(known, key=lambda machine: (machine.get("GPU", 0), machine.get("CPU", 0)))
        raise ConfigError(
            f"a trial needs {bundle['CPU']:g} CPU cores and {bundle['GPU']:g} GPUs of one machine, "
            f"but the largest has {largest.get('CPU', 0):g} and {largest.get('GPU', 0):g}: lower "
            "--cpus-per-trial or --gpus-per-trial"
        )
    return bundle


def _joined() -> bool:
    """Whether Ray ran before this sweep and will run on after it."""
    return not ray._private.worker._global_node.is_head()  # Ray tells it nowhere else


def _is_mine(node: Mapping[str, object]) -> bool:
    return bool(node["NodeID"] == ray.get_runtime_context().get_node_id())


def _on(node: Mapping[str, object]) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(str(node["NodeID"]), soft=False)


def _exists(path: str) -> bool:
    """Runs on every other machine."""
    return Path(path).exists()
