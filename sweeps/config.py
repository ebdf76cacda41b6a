"""What a sweep was asked to do: every option, declared once and checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, get_type_hints

from sweeps.checks import contradictions, refuse
from sweeps.options import (
    Option,
    duration,
    flag,
    folder_name,
    memory,
    names,
    number,
    objectives,
    one_of,
    optional,
    price,
    several,
    share_of_gpus,
    switch,
    text,
    whole_number,
)
from sweeps.record import BACKENDS, PRECISIONS

_WHAT, _DATA, _SEARCH = "what to search", "data", "search"
_MACHINES, _RESULTS = "machines", "results"


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """All options of a sweep, checked; each is ``--name`` on the command line, with hyphens.

    Raises ConfigError, listing every option that is wrong, where a value does not fit.
    """

    arch: Annotated[
        tuple[str, ...],
        Option(_WHAT, names, "NAME", "architectures to search, or all", "required"),
    ]
    trials: Annotated[
        int,
        Option(_WHAT, whole_number(1), "N", "trials of each architecture, the paper's row first"),
    ] = 16
    max_epochs: Annotated[
        int | None,
        Option(
            _WHAT,
            optional(whole_number(1)),
            "N",
            "epochs a trial trains at most",
            "the paper's row its own number, others 30",
        ),
    ] = None
    time_budget: Annotated[
        float | None,
        Option(_WHAT, optional(duration), "TIME", "when to end, as 30m, 1h30m or 900s", "no limit"),
    ] = None
    trial_timeout: Annotated[
        float | None,
        Option(_WHAT, optional(duration), "TIME", "longest that a trial may take", "no limit"),
    ] = None
    max_usd: Annotated[
        float | None,
        Option(_WHAT, optional(number(above=0)), "USD", "what all trials may cost", "no limit"),
    ] = None
    max_memory: Annotated[
        float | None,
        Option(
            _WHAT,
            optional(memory),
            "SIZE",
            "most memory that a trial may take, as 4GB or 500MB: of the GPU, else of its process; "
            "what takes more can't win, and the sampler learns to keep off",
            "no limit",
        ),
    ] = None
    max_seconds_per_image: Annotated[
        float | None,
        Option(_WHAT, optional(number(above=0)), "S", "longest to segment an image", "no limit"),
    ] = None
    confirm: Annotated[
        int,
        Option(
            _WHAT,
            whole_number(0),
            "N",
            "after the search and its time budget, train each architecture's best settings again "
            "with so many fresh seeds",
        ),
    ] = 0
    image_size: Annotated[
        int | None,
        Option(
            _WHAT,
            optional(whole_number(64, 1024, multiple_of=64)),
            "PIXELS",
            "side of the squares to train on: 64 to 1024 pixels, a multiple of 64",
            "searched",
        ),
    ] = None
    pretrained: Annotated[
        str,
        Option(
            _WHAT,
            text,
            "WEIGHTS",
            "weights to start from, where an architecture takes them: none, imagenet (downloads), "
            "or a path or s3:// URI of a weights file",
        ),
    ] = "none"

    data: Annotated[
        str,
        Option(
            _DATA,
            text,
            "DATA",
            "annotated images: synthetic, bbbc038 (downloads), or a path or s3:// URI of a folder "
            "or zip",
        ),
    ] = "synthetic"
    test_data: Annotated[
        str | None,
        Option(_DATA, optional(text), "DATA", "images that only the winners are tested on"),
    ] = None
    skip_bad_images: Annotated[
        bool, Option(_DATA, switch, "", "leave out images that can't be used, and list them")
    ] = False

    sampler: Annotated[
        str,
        Option(
            _SEARCH,
            one_of("tpe", "random", "gp", "cmaes", "nsgaii"),
            "NAME",
            "how hyperparameters are chosen: tpe, random, gp, cmaes or nsgaii",
        ),
    ] = "tpe"
    scheduler: Annotated[
        str,
        Option(
            _SEARCH,
            one_of("asha", "none", "hyperband"),
            "NAME",
            "how poor trials are stopped early: asha, hyperband or none",
        ),
    ] = "asha"
    objective: Annotated[
        tuple[str, ...],
        Option(
            _SEARCH,
            objectives("iou", "device_seconds"),
            "NAMES",
            "what is searched for: iou, or iou,device_seconds for the best IoU at every cost",
        ),
    ] = ("iou",)
    warm_start: Annotated[
        tuple[str, ...],
        Option(
            _SEARCH,
            several,
            "URI",
            "folders or s3:// URIs of sweeps on the same --data with the same --seed, whose trials "
            "the sampler learns from",
            "nothing",
        ),
    ] = ()
    seed: Annotated[
        int, Option(_SEARCH, whole_number(0, 2**32 - 1), "N", "seed of all random choices")
    ] = 0

    backend: Annotated[
        str,
        Option(_MACHINES, one_of(*BACKENDS), "NAME", "Keras backend: tensorflow, jax or torch"),
    ] = "tensorflow"
    precision: Annotated[
        str,
        Option(_MACHINES, one_of(*PRECISIONS), "NAME", "Keras's dtype policy; see docs/gpu.md"),
    ] = "float32"
    address: Annotated[
        str,
        Option(
            _MACHINES,
            text,
            "ADDRESS",
            "Ray cluster to run on: auto (the one that this machine belongs to, else this machine "
            "alone), local (this machine alone) or HOST:PORT",
        ),
    ] = "auto"
    concurrency: Annotated[
        int | None,
        Option(
            _MACHINES,
            optional(whole_number(1)),
            "N",
            "trials at once, all architectures together",
            "as many as the machines have room for",
        ),
    ] = None
    cpus_per_trial: Annotated[
        float, Option(_MACHINES, number(above=0), "N", "CPU cores a trial holds")
    ] = 1.0
    gpus_per_trial: Annotated[
        float | None,
        Option(
            _MACHINES,
            optional(share_of_gpus),
            "N",
            "GPUs a trial holds; 0.5 lets two trials share one",
            "1 where there is a GPU, less for small networks alone; else 0",
        ),
    ] = None
    usd_per_hour: Annotated[
        float | str | None,
        Option(
            _MACHINES,
            optional(price),
            "USD",
            "price of one device (a GPU, else a CPU core) in US dollars an hour, or a table of "
            "prices by the device's name, as sweeps/prices.toml",
            "costs are left empty",
        ),
    ] = None
    spot: Annotated[
        bool, Option(_MACHINES, switch, "", "of such a table, take the prices of spot machines")
    ] = False

    results: Annotated[
        str,
        Option(_RESULTS, text, "URI", "folder or s3:// URI that holds a folder for each sweep"),
    ] = "results"
    s3_endpoint: Annotated[
        str | None,
        Option(
            _RESULTS,
            optional(text),
            "URL",
            "the service that s3:// means, if it is not Amazon's",
            "AWS_ENDPOINT_URL_S3, else Amazon's",
        ),
    ] = None
    optuna_journal: Annotated[
        str | None,
        Option(
            _RESULTS,
            optional(text),
            "FILE",
            "file of this machine that `optuna-dashboard FILE` shows while the sweep runs",
        ),
    ] = None
    name: Annotated[
        str,
        Option(
            _RESULTS,
            folder_name,
            "NAME",
            "name of the sweep and its folder",
            "date, time and architectures",
        ),
    ]
    plan: Annotated[
        bool,
        Option(
            _RESULTS,
            switch,
            "",
            "say what the sweep would take, after a short probe of each architecture, or from "
            "--warm-start; train nothing else",
        ),
    ] = False
    resume: Annotated[
        bool, Option(_RESULTS, switch, "", "go on with the sweep called --name, as it was asked")
    ] = False
    quiet: Annotated[bool, Option(_RESULTS, switch, "", "print nothing but the end")] = False

    def __post_init__(self) -> None:
        problems = []
        for name, option in OPTIONS.items():
            try:
                # A frozen dataclass offers no other way to put a converted value in its place.
                object.__setattr__(self, name, option.convert(getattr(self, name)))
            except ValueError as error:
                problems.append(f"{flag(name)} {error}")
        refuse(problems)
        refuse(contradictions(self))

    def to_json(self) -> dict[str, Any]:
        """The options as JSON values, by name: ``config`` in sweep.json."""
        asked = asdict(self)
        return {k: list(value) if isinstance(value, tuple) else value for k, value in asked.items()}


OPTIONS: Mapping[str, Option] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(SweepConfig, include_extras=True).items()
}
"""Every option by its name, in the order of the help."""
