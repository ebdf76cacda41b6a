"""The command line: ``python sweeps/run.py --arch unet --data stage1_train.zip``."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import nucseg_models
from nucseg_models.data import DataError
from sweeps import provenance
from sweeps.checks import ConfigError, check_name_is_free, name_is_taken
from sweeps.command_line import parse
from sweeps.config import SweepConfig
from sweeps.inputs import Inputs, read, weights_path
from sweeps.lock import Lock
from sweeps.plan import held_against
from sweeps.progress import Progress
from sweeps.quiet import silence_ray
from sweeps.record import CURVES_FILE, SCHEMA_VERSION, SUMMARY_FILE, SWEEP_FILE
from sweeps.recorder import Recorder
from sweeps.storage import Store, open_store
from sweeps.sweep import Sweep
from sweeps.winners import winners_table

ASKED_WRONG, FAILED, INTERRUPTED = 2, 1, 130  # exit statuses


def main(arguments: list[str]) -> int:
    """Run a sweep; 0 if each architecture has a winner. Errors are sentences on standard error."""
    try:
        return _run(parse(arguments, nucseg_models.names()))
    except (ConfigError, DataError, OSError) as error:  # StorageError is an OSError
        print(f"sweeps/run.py: {error}", file=sys.stderr)
        return ASKED_WRONG
    except KeyboardInterrupt:
        print("sweeps/run.py: stopped before the first trial began", file=sys.stderr)
        return INTERRUPTED


def _run(config: SweepConfig) -> int:
    started = time.time()
    results = open_store(config.results)
    check_name_is_free(config, results)
    store = open_store(results.child(config.name).uri)
    store.check_writable()
    pretrained = weights_path(config)
    inputs = read(config)
    if config.resume:
        _check_images(config, store, inputs)

    def sweep(check: Callable[[], None] = lambda: None) -> Sweep:
        recorder = _recorder(config, store, check)
        progress = _progress(config, recorder)
        return Sweep(config, inputs, store, recorder, progress, pretrained, started)

    if config.plan:
        return _plan(sweep())
    with Lock(store, lambda text: print(f"sweeps/run.py: {text}", file=sys.stderr)) as lock:
        return _run_alone(sweep(lock.check))


def _check_images(config: SweepConfig, store: Store, inputs: Inputs) -> None:
    """ConfigError where a sweep was begun on other images: its scores could not be compared."""
    described = json.loads(store.read_bytes(SWEEP_FILE)).get("data")
    if described is not None and not inputs.are_those_of(described):
        raise ConfigError(
            f"the images in --data {config.data} (or --test-data) are not those that sweep "
            f"{config.name} began with (some were added, removed or changed): bring those back, or "
            "begin a sweep of another name"
        )


def _run_alone(sweep: Sweep) -> int:
    """The sweep, which no other driver runs; the exit status."""
    sweep.store.tidy()
    whole = _search(sweep)
    return _say_the_end(sweep.config, sweep.store, sweep.recorder, whole=whole)


def _progress(config: SweepConfig, recorder: Recorder) -> Progress:
    return Progress(
        config.arch,
        config.trials + config.confirm,
        time_budget=config.time_budget,
        quiet=config.quiet,
        earlier=recorder.trials,
    )


def _plan(sweep: Sweep) -> int:
    """Say what the sweep will take, and keep that, to be held against what it took."""
    silence_ray()
    from sweeps.cluster import ray_running  # noqa: PLC0415 - Ray takes seconds to import
    from sweeps.planning import plan  # noqa: PLC0415

    message = sweep.progress.message
    with sweep.progress, ray_running(sweep.config, message) as resources:
        made = plan(sweep, resources)
    made.write(sweep.store)
    print(made.told())
    print(f"To begin it: the same command with --name {sweep.config.name} and without --plan")
    return 0


def _recorder(config: SweepConfig, store: Store, check: Callable[[], None]) -> Recorder:
    """A recorder that goes on from what is stored, if anything is."""
    try:
        return Recorder.resumed(store, objective=config.objective, check=check)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _search(sweep: Sweep) -> bool:
    """Search, and show how it goes; whether all trials came to their end."""
    silence_ray()
    # Ray takes seconds to import: not before all that was asked is known to be right.
    from sweeps.cluster import check_results_can_be_written, ray_running  # noqa: PLC0415
    from sweeps.search import search  # noqa: PLC0415
    from sweeps.study import begin_journal  # noqa: PLC0415

    config, store = sweep.config, sweep.store
    with sweep.progress as progress:
        for line in (_opening(config, sweep.inputs), *sweep.inputs.left_out()):
            progress.message(line)
        with ray_running(config, progress.message) as resources:
            check_results_can_be_written(store)
            begin_journal(config)
            _describe(sweep)
            try:
                return search(sweep, resources)
            except KeyboardInterrupt:  # while winners were saved; Tune hears the others
                sweep.recorder.flush()
                return False


def _say_the_end(config: SweepConfig, store: Store, recorder: Recorder, *, whole: bool) -> int:
    """The winners, where everything is, and how to go on; the exit status."""
    files = {"summary": f"{store.uri}/{SUMMARY_FILE}", "curves": f"{store.uri}/{CURVES_FILE}"}
    if whole and any(record.is_best for record in recorder.trials):
        files["winners"] = f"{store.uri}/best/"
    print(winners_table(recorder.trials, files))
    if whole and (off := held_against(store, recorder.trials)):
        print(off)
    if not whole:
        print(
            "Stopped before the end. To go on:\n"
            f"python sweeps/run.py --resume --name {config.name} "
            + shlex.quote(f"--results={config.results}")  # which may begin with a dash
        )
        return INTERRUPTED
    return 0 if all(recorder.best(name) for name in config.arch) else FAILED


def _opening(config: SweepConfig, inputs: Inputs) -> str:
    """What is about to happen, in one line."""
    test = f", {len(inputs.test)} to test winners on" if inputs.test else ""
    return (
        f"sweep {config.name}: {config.trials} trials each of {', '.join(config.arch)} on "
        f"{config.data}: {len(inputs.train)} images to train on, {len(inputs.validation)} to "
        f"choose by{test}"
    )


def _describe(sweep: Sweep) -> None:
    """Write sweep.json, the first file of a sweep; when it goes on, with what is asked now."""
    if sweep.config.resume:
        described = json.loads(sweep.store.read_bytes(SWEEP_FILE))
        config = {**sweep.config.to_json(), "resume": False}
        sweep.recorder.describe({**described, "config": config})
        return
    try:
        sweep.recorder.describe_first(_description(sweep.config, sweep.inputs))
    except FileExistsError:
        raise name_is_taken(sweep.config) from None


def _description(config: SweepConfig, inputs: Inputs) -> dict[str, Any]:
    """The content of sweep.json."""
    return {
        "config": config.to_json(),
        "data": inputs.describe(),
        "schema_version": SCHEMA_VERSION,
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "started_at": datetime.now(UTC).isoformat(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
