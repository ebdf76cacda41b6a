"""Dataclasses whose annotated fields are the columns of a Parquet file.

A field is declared once, as ``name: Annotated[type, Column(unit, description, ...)]``; its checks,
its Arrow field and its documentation all follow from that one line, so they can't disagree.
"""

import json
import math
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from numbers import Integral, Real
from typing import Any, TypeVar, get_args, get_type_hints

import pyarrow as pa

SCHEMA_VERSION = 1
"""Version of the files' schema; it rises when a column changes its name, type, unit or meaning."""

_ARROW_TYPES = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    bytes: pa.binary(),
    datetime: pa.timestamp("us", tz="UTC"),
}
_LARGEST_INTEGER = 2**63 - 1

Row = TypeVar("Row", bound="Checked")
_columns: dict[type, Mapping[str, tuple[type, bool, "Column"]]] = {}  # read once, used for each row


@dataclass(frozen=True)
class Column:
    """What a column holds, beyond its type.

    `at_least` and `at_most` bound numbers (inclusive), `choices` and `pattern` (a regular
    expression that matches the whole) bound text, `json` says that the text is a JSON object
    as `canonical_json` writes it.
    """

    unit: str
    description: str
    at_least: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    json: bool = False


class Checked:
    """Base of the row types: every field is checked, and put into its column's type, on creation.

    NumPy's scalars become Python's own, times become UTC. Raises ValueError, naming the column,
    where a value does not fit; a number that is NaN or infinite never fits (use None).
    """

    def __post_init__(self) -> None:
        for name, (kind, nullable, column) in columns(type(self)).items():
            value = getattr(self, name)
            if value is None and nullable:
                continue
            try:
                # A frozen dataclass offers no other way to put a checked value in its place.
                object.__setattr__(self, name, _checked(kind, column, value))
            except ValueError as error:
                raise ValueError(f"{type(self).__name__}.{name} must be {error}") from None


def columns(row_type: type[Checked]) -> Mapping[str, tuple[type, bool, Column]]:
    """Name -> (Python type, whether it may be null, its `Column`), in the order of the file."""
    if row_type not in _columns:
        _columns[row_type] = _declared_columns(row_type)
    return _columns[row_type]


def _declared_columns(row_type: type[Any]) -> Mapping[str, tuple[type, bool, Column]]:
    """What `columns` answers, read from the annotations."""
    hints = get_type_hints(row_type, include_extras=True)
    result = {}
    for field in fields(row_type):
        kind, column = get_args(hints[field.name])
        nullable = isinstance(kind, types.UnionType)
        result[field.name] = (get_args(kind)[0] if nullable else kind, nullable, column)
    return types.MappingProxyType(result)


def schema(row_type: type[Checked]) -> pa.Schema:
    """Arrow schema of a row type's file; each field's metadata has its `description` and `unit`."""
    arrow_fields = [
        pa.field(
            name,
            _ARROW_TYPES[kind],
            nullable=nullable,
            metadata={"description": column.description, "unit": column.unit},
        )
        for name, (kind, nullable, column) in columns(row_type).items()
    ]
    return pa.schema(arrow_fields, metadata={"schema_version": str(SCHEMA_VERSION)})


def to_table(row_type: type[Row], rows: Iterable[Row]) -> pa.Table:
    """Arrow table of the rows, in their order, with `schema(row_type)` even without any."""
    rows = list(rows)
    row_schema = schema(row_type)
    arrays = [
        pa.array([getattr(row, field.name) for row in rows], type=field.type)
        for field in row_schema
    ]
    return pa.Table.from_arrays(arrays, schema=row_schema)


def from_table(row_type: type[Row], table: pa.Table) -> list[Row]:
    """Rows of an Arrow table that `as_written` takes."""
    table = as_written(row_type, table)
    values = (table.column(name).to_pylist() for name in table.column_names)
    return [
        row_type(**dict(zip(table.column_names, row, strict=True)))
        for row in zip(*values, strict=True)
    ]


def as_written(row_type: type[Checked], table: pa.Table) -> pa.Table:
    """The table with a row type's columns, in their order, as `to_table` makes it.

    Columns that may be null and came later than the file are added, null. Raises ValueError for a
    table of another schema version, or without the row type's other columns and types.
    """
    wanted = schema(row_type)
    _check_version(table.schema)
    missing = [f for f in wanted if f.name not in table.column_names]
    wrong = [
        *(field for field in missing if not field.nullable),
        *(f for f in wanted if f not in missing and table.schema.field(f.name).type != f.type),
    ]
    if wrong:
        named = ", ".join(f"{field.name} ({field.type})" for field in wrong)
        raise ValueError(
            f"the table does not hold {row_type.__name__} rows: "
            f"missing, or of another type: {named}"
        )
    for field in missing:
        table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(wanted.names).cast(wanted)


def _check_version(found: pa.Schema) -> None:
    version = (found.metadata or {}).get(b"schema_version", b"none").decode()
    if version != str(SCHEMA_VERSION):
        raise ValueError(
            f"the table's schema_version is {version}, but this version of the project reads "
            f"{SCHEMA_VERSION}: use the version that wrote it, or run the sweep anew"
        )


def canonical_json(value: Mapping[str, Any]) -> str:
    """JSON text of a mapping, keys sorted, so that equal mappings have equal text; refuses NaN."""
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)


def _checked(kind: type, column: Column, value: Any) -> Any:
    """The value in its column's Python type; ValueError says what it must be, and what came."""
    if kind is str:
        return _checked_text(column, value)
    if kind is datetime:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
        raise ValueError(f"a time with its time zone, not {value!r}")
    if kind is bytes:
        if isinstance(value, bytes) and value:
            return value
        raise ValueError(f"bytes, and some of them, not {type(value).__name__}")
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise ValueError(f"True or False, not {value!r}")
    return _checked_number(kind, column, value)


def _checked_number(kind: type, column: Column, value: Any) -> Any:
    """An int or a finite float within the column's bounds."""
    wanted = Integral if kind is int else Real
    if not isinstance(value, wanted) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{'a whole' if kind is int else 'a finite'} number, not {value!r}")
    number = kind(value)
    if column.at_least is not None and number < column.at_least:
        raise ValueError(f"at least {column.at_least:g}, not {number!r}")
    if column.at_most is not None and number > column.at_most:
        raise ValueError(f"at most {column.at_most:g}, not {number!r}")
    if kind is int and abs(number) > _LARGEST_INTEGER:
        raise ValueError(f"a number that fits into 64 bits, not {number!r}")
    return number


def _checked_text(column: Column, value: Any) -> str:
    """Text that is not empty, is UTF-8, and is what the column allows."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"text that is not empty, not {value!r}")
    if column.choices and value not in column.choices:
        raise ValueError(f"one of {', '.join(column.choices)}, not {value!r}")
    if column.pattern and not re.fullmatch(column.pattern, value):
        raise ValueError(f"text that matches {column.pattern}, not {value!r}")
    if column.json and not _is_canonical_json(value):
        raise ValueError(f"a JSON object with sorted keys, not {value!r}")
    # Messages of failed libraries may hold broken bytes, which Arrow would refuse.
    whole = value.encode("utf-8", "replace").decode()
    return value if whole == value else whole  # what all rows of a sweep share is kept once


def _is_canonical_json(text: str) -> bool:
    """Whether the text is what `canonical_json` writes for the object that it holds."""
    try:
        value = json.loads(text)
        return isinstance(value, dict) and canonical_json(value) == text
    except ValueError:
        return False
