"""How one option of a sweep is described, and how what a person wrote becomes its value.

A converter takes text from the command line, or a value from a config file, or a value that it
made before (which it leaves as it is), and raises ValueError, saying what the value must be.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sweeps.storage import StorageError, refuse_credentials

Converter = Callable[[Any], Any]

LONGEST_NAME = 128  # of a sweep; file systems allow 255, and paths are made of more than it
_UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9}
_MEMORY = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMG]B)")
_DURATION = re.compile(
    r"(?:(?P<hours>\d+(?:\.\d+)?)h)?(?:(?P<minutes>\d+(?:\.\d+)?)m)?(?:(?P<seconds>\d+(?:\.\d+)?)s)?"
)


@dataclass(frozen=True)
class Option:
    """One option: its group in the help, its converter, how its value is named, what it means.

    `otherwise` says in words what happens where it is not given and its default is None.
    """

    group: str
    convert: Converter
    metavar: str
    help: str
    otherwise: str = "none"


def flag(name: str) -> str:
    """``max_epochs`` -> ``--max-epochs``."""
    return "--" + name.replace("_", "-")


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)`` for the known word that is nearest, or nothing where none is near."""
    matches = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


def optional(convert: Converter) -> Converter:
    """A converter that also lets None pass."""
    return lambda value: None if value is None else convert(value)


def text(value: Any) -> str:
    """Text that is not empty, can be a path, and gives away no credentials."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be text that is not empty, not {value!r}")
    if "\0" in value or value.encode("utf-8", "replace").decode() != value:
        raise ValueError(f"must be text in UTF-8 without null characters, not {value!r}")
    try:
        refuse_credentials([value])
    except StorageError as error:
        raise ValueError(f"is refused: {error}") from None
    return value


def switch(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def one_of(*choices: str) -> Converter:
    """A converter to one of the choices."""

    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError(
                f"must be one of {', '.join(choices)}, not {value!r}{nearest(str(value), choices)}"
            )
        return str(value)

    return convert


def names(value: Any) -> tuple[str, ...]:
    """One name or several, each once, in their order."""
    if not isinstance(value, str | list | tuple) or not value:
        raise ValueError(f"must be one name or a list of names, not {value!r}")
    several = (value,) if isinstance(value, str) else value
    return tuple(dict.fromkeys(text(name) for name in several))


def whole_number(at_least: int, at_most: float = math.inf, multiple_of: int = 1) -> Converter:
    """A converter to a whole number within bounds (inclusive)."""
    bounds = f"of at least {at_least}" if at_most == math.inf else f"from {at_least} to {at_most}"
    wanted = f"a whole number {bounds}"
    if multiple_of > 1:
        wanted += f", a multiple of {multiple_of}"

    def convert(value: Any) -> int:
        number = _read(int, value)
        if number is None or not at_least <= number <= at_most or number % multiple_of:
            raise ValueError(f"must be {wanted}, not {value!r}")
        return int(number)

    return convert


def number(at_least: float = -math.inf, above: float = -math.inf) -> Converter:
    """A converter to a finite number of at least, or above, a bound."""
    wanted = f"above {above:g}" if above > -math.inf else f"of at least {at_least:g}"

    def convert(value: Any) -> float:
        found: float | None = _read(float, value)
        if found is None or not math.isfinite(found) or found < at_least or found <= above:
            raise ValueError(f"must be a number {wanted}, not {value!r}")
        return found

    return convert


def share_of_gpus(value: Any) -> float:
    """A number of GPUs: a share of one, or a whole number, since Ray splits no more than one."""
    found: float = number(at_least=0)(value)
    if found > 1 and found % 1:
        raise ValueError(f"must be 0 to 1, or a whole number, not {value!r}")
    return found


def objectives(*choices: str) -> Converter:
    """A converter to one or several of the choices, parted by commas, the first always."""

    def convert(value: Any) -> tuple[str, ...]:
        several = value.split(",") if isinstance(value, str) else names(value)
        found = names([name.strip() for name in several])
        if found[0] != choices[0] or not set(found) <= set(choices):
            raise ValueError(
                f"must be {choices[0]}, or {','.join(choices)}, not {','.join(found)!r}"
            )
        return found

    return convert


def memory(value: Any) -> float:
    """Bytes above 0, from ``4GB``, ``500MB`` (powers of ten) or a plain number of bytes."""
    found: float | None = _read(float, value)
    if found is None and isinstance(value, str):
        parts = _MEMORY.fullmatch(value.strip().upper())
        found = float(parts["number"]) * _UNITS[parts["unit"]] if parts else None
    if found is None or not 0 < found < math.inf:
        raise ValueError(f"must be an amount of memory like 4GB or 500MB, not {value!r}")
    return found


def price(value: Any) -> float | str:
    """A number of at least 0, or a TOML file's path."""
    if isinstance(value, str) and value.endswith(".toml"):
        return value
    try:
        found: float = number(at_least=0)(value)
    except ValueError as error:
        raise ValueError(f"{error}; or a table of prices, FILE.toml") from None
    return found


def several(value: Any) -> tuple[str, ...]:
    """None, one text or more, each once."""
    return names(value) if value else ()


def duration(value: Any) -> float:
    """Seconds above 0, from ``30m``, ``2h``, ``1h30m``, ``900s`` or a plain number of seconds."""
    found: float | None = _read(float, value)
    if found is None and isinstance(value, str) and value:
        parts = _DURATION.fullmatch(value.strip().lower())
        if parts:
            hours, minutes, seconds = (float(part or 0) for part in parts.groups())
            found = hours * 3600 + minutes * 60 + seconds
    if found is None or not 0 < found < math.inf:
        raise ValueError(f"must be a time like 30m, 2h, 1h30m or 900s (above 0), not {value!r}")
    return found


def folder_name(value: Any) -> str:
    """A name that is a safe folder name on every system and in every URI."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
        raise ValueError(
            f"must be letters, digits, '.', '_' and '-', beginning with a letter or digit, "
            f"not {value!r}"
        )
    if len(value) > LONGEST_NAME:
        raise ValueError(f"must be of at most {LONGEST_NAME} characters, not of {len(value)}")
    return value


def _read(kind: type, value: Any) -> Any:
    """The value as an int or a float, or None where it is none (a truth value is none either)."""
    whole_lost = kind is int and isinstance(value, float)
    if isinstance(value, bool) or whole_lost or not isinstance(value, str | int | float):
        return None
    try:
        return kind(value)
    except (ValueError, OverflowError):
        return None
