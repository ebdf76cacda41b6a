"""The options of a sweep from the command line and from a config file."""

import argparse
import json
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, fields
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from sweeps.checks import ConfigError, check_installed, refuse
from sweeps.config import OPTIONS, SweepConfig
from sweeps.options import Option, flag, folder_name, nearest, switch
from sweeps.record import SWEEP_FILE
from sweeps.storage import open_store, refuse_credentials, use_s3_endpoint

# A resumed search goes on with these as they were, else its trials could not be compared.
_FIXED_ON_RESUME = ("data", "image_size", "max_epochs", "objective", "pretrained", "seed")

_EXAMPLES = """\
examples:
  sweeps/run.py --arch all
      search every architecture on built-in synthetic nuclei
  sweeps/run.py --arch unet resnet --data stage1_train.zip --time-budget 2h
      search two on Kaggle's images, for two hours at most
  sweeps/run.py --config sweep.toml --trials 8
      options from a file (trials = 16, arch = ["unet"]); the command line wins
  sweeps/run.py --resume --name night --time-budget 1h
      go on with the sweep called night, as it was asked for, for one hour more
"""


def parse(argv: Sequence[str], architectures: Sequence[str]) -> SweepConfig:
    """Options from the command line (without the program's name) and the file that it names.

    The command line wins over ``--config FILE.toml``, that over the sweep that is resumed, that
    over the defaults. `architectures` are the names that ``--arch`` may take. Raises ConfigError;
    ``--help`` prints the help and ends the program.
    """
    refuse_credentials(argv)  # before anything is said that repeats them
    values = _from_command_line(argv, architectures)
    if "config" in values:
        values = _from_file(Path(values.pop("config"))) | values
    if values.get("s3_endpoint"):
        use_s3_endpoint(str(values["s3_endpoint"]))
    if values.get("resume"):
        values = _from_resumed(values) | values
    values["arch"] = _known_architectures(values.get("arch"), architectures)
    if "name" not in values:
        values["name"] = "-".join([f"{datetime.now():%Y%m%d-%H%M%S}", *values["arch"]])
    config = SweepConfig(**values)
    check_installed(config)
    return config


class _Parser(argparse.ArgumentParser):
    """Raises what argparse would print, and exit with."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def _parser(architectures: Sequence[str]) -> argparse.ArgumentParser:
    """The command line: one flag an option; what is not given is absent from the result."""
    parser = _Parser(
        usage="sweeps/run.py --arch NAME... [options]",
        description="Search architectures and hyperparameters that segment cell nuclei.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file that holds options by name")
    defaults = {field.name: field.default for field in fields(SweepConfig)}
    groups: dict[str, Any] = {}
    for name, option in OPTIONS.items():
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        known = f" ({', '.join(architectures)})" if name == "arch" else ""
        described = f"{option.help}{known} ({_default(option, defaults[name])})"
        add = groups[option.group].add_argument
        if option.convert is switch:
            add(flag(name), help=described, action=argparse.BooleanOptionalAction)
        else:
            several = "+" if name in ("arch", "warm_start") else None
            add(flag(name), help=described, metavar=option.metavar, nargs=several)
    return parser


def _default(option: Option, default: Any) -> str:
    """What happens where an option is not given, in words."""
    if default is MISSING or default is None or default == ():
        return (
            option.otherwise if option.otherwise == "required" else f"default: {option.otherwise}"
        )
    if isinstance(default, bool):
        return "default: on" if default else "default: off"
    if isinstance(default, tuple):
        return f"default: {','.join(default)}"
    return f"default: {default:g}" if isinstance(default, float) else f"default: {default}"


def _from_command_line(argv: Sequence[str], architectures: Sequence[str]) -> dict[str, Any]:
    """What was given on the command line, by the options' names."""
    parser = _parser(architectures)
    known, unknown = parser.parse_known_args(argv)
    flags = [flag(name) for name in OPTIONS] + ["--config"]
    refuse(
        f"unknown option {word}{nearest(word.partition('=')[0], flags)}"
        for word in unknown
        if word.startswith("-")
    )
    if unknown:
        raise ConfigError(f"{' '.join(unknown)} belongs to no option; --help lists the options")
    return vars(known)


def _from_file(path: Path) -> dict[str, Any]:
    """What a TOML file gives, by the options' names; its keys may have hyphens or underscores."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {path} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # not TOML, or not UTF-8
        raise ConfigError(f"--config {path} is not a TOML file: {error}") from None
    values = {key.replace("-", "_"): value for key, value in given.items()}
    refuse(
        f"unknown option {key!r} in {path}{nearest(key, OPTIONS)}"
        for key in values
        if key not in OPTIONS
    )
    if len(values) < len(given):
        raise ConfigError(f"an option is given twice in {path}, with a hyphen and an underscore")
    return values


def _from_resumed(given: dict[str, Any]) -> dict[str, Any]:
    """What the sweep that is to be resumed was asked, by the options' names."""
    if "name" not in given:
        raise ConfigError("--resume needs --name, the name of the sweep to go on with")
    try:
        name = folder_name(given["name"])
    except ValueError as error:
        raise ConfigError(f"--name {error}") from None
    store = open_store(str(given.get("results", SweepConfig.results))).child(name)
    uri = store.uri
    try:
        asked = json.loads(store.read_bytes(SWEEP_FILE))["config"]
        saved: dict[str, Any] = {"objective": ["iou"], **asked}  # which older ones do not say
        SweepConfig(**saved)
    except FileNotFoundError:
        raise ConfigError(f"--resume finds no sweep in {uri}; without it, one begins") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"--resume can't read {uri}/{SWEEP_FILE}: {error}") from None
    refuse(
        f"{flag(name)} must stay {_shown(saved[name])} on --resume, not {_shown(given[name])}: its "
        f"trials could not be compared with the earlier ones; begin a sweep of another name"
        for name in _FIXED_ON_RESUME
        if name in given and _shown(given[name]) != _shown(saved[name])
    )
    return saved


def _shown(value: Any) -> str:
    """A value as on the command line."""
    return ",".join(value) if isinstance(value, list) else str(value)


def _known_architectures(wanted: Any, known: Sequence[str]) -> Sequence[str]:
    """The architectures asked for, ``all`` being each that is known."""
    every = f"one or more of {', '.join(known)}, or all"
    if not wanted:
        raise ConfigError(f"--arch is required: {every}")
    wanted = wanted if isinstance(wanted, list) else [wanted]
    refuse(
        f"--arch must be {every}, not {name!r}{nearest(str(name), known)}"
        for name in wanted
        if name not in [*known, "all"]
    )
    return known if "all" in wanted else wanted
