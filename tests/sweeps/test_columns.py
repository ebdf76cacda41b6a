"""Columns declared on dataclasses: checks, schema and tables follow from one declaration."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

import numpy as np
import pyarrow as pa
import pytest

from sweeps.columns import (
    Checked,
    Column,
    as_written,
    canonical_json,
    from_table,
    schema,
    to_table,
)


@dataclass(frozen=True, kw_only=True)
class Nucleus(Checked):
    """A small row type with one column of each kind."""

    label: Annotated[int, Column("number", "Label", at_least=1)]
    area: Annotated[float | None, Column("pixels", "Area", at_least=0, at_most=100)] = None
    touches: Annotated[bool, Column("flag", "Touches another")] = False
    kind: Annotated[str, Column("name", "Kind", choices=("round", "long"))] = "round"
    code: Annotated[str, Column("hexadecimal", "Code", pattern="[0-9a-f]+")] = "0"
    facts: Annotated[str, Column("JSON object", "Facts", json=True)] = "{}"
    seen: Annotated[datetime, Column("UTC time", "Seen")] = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_schema_says_type_nullability_description_and_unit_of_each_column():
    found = schema(Nucleus)

    assert found.names == ["label", "area", "touches", "kind", "code", "facts", "seen"]
    assert found.field("area").type == pa.float64()
    assert found.field("area").nullable
    assert not found.field("label").nullable
    assert found.field("area").metadata == {b"description": b"Area", b"unit": b"pixels"}
    assert found.field("seen").type == pa.timestamp("us", tz="UTC")
    assert found.metadata == {b"schema_version": b"1"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"label": 0}, "label must be at least 1, not 0"),
        ({"label": True}, "label must be a whole number, not True"),
        ({"label": 1.0}, "label must be a whole number, not 1.0"),
        ({"label": None}, "label must be a whole number, not None"),
        ({"label": 2**63}, "label must be a number that fits into 64 bits"),
        ({"area": 100.5}, "area must be at most 100, not 100.5"),
        ({"area": float("nan")}, "area must be a finite number, not nan"),
        ({"area": float("inf")}, "area must be a finite number, not inf"),
        ({"area": "5"}, "area must be a finite number, not '5'"),
        ({"touches": 1}, "touches must be True or False, not 1"),
        ({"kind": ""}, "kind must be text that is not empty"),
        ({"kind": "square"}, "kind must be one of round, long, not 'square'"),
        ({"code": "xyz"}, r"code must be text that matches \[0-9a-f\]\+, not 'xyz'"),
        ({"facts": "[1]"}, "facts must be a JSON object"),
        ({"facts": '{"b": 1, "a": 2}'}, "facts must be a JSON object with sorted keys"),
        ({"facts": '{"a": NaN}'}, "facts must be a JSON object"),
        ({"seen": datetime(2026, 1, 1)}, "seen must be a time with its time zone"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(changes, complaint):
    with pytest.raises(ValueError, match=f"^Nucleus.{complaint}"):
        Nucleus(**({"label": 1} | changes))


def test_numpy_scalars_become_pythons_own_and_times_become_utc():
    east = timezone(timedelta(hours=2))
    nucleus = Nucleus(
        label=np.int32(3), area=np.float32(0.5), seen=datetime(2026, 1, 1, 2, tzinfo=east)
    )

    assert type(nucleus.label) is int
    assert type(nucleus.area) is float
    assert nucleus.seen.isoformat() == "2026-01-01T00:00:00+00:00"


def test_broken_bytes_in_a_message_do_not_lose_the_row():
    @dataclass(frozen=True)
    class Note(Checked):
        text: Annotated[str, Column("text", "Text")]

    note = Note("out of memory \udcff")

    assert from_table(Note, to_table(Note, [note])) == [Note("out of memory ?")]


def test_a_table_of_another_version_is_refused_with_what_would_work():
    table = to_table(Nucleus, []).replace_schema_metadata({"schema_version": "99"})

    with pytest.raises(ValueError, match=r"schema_version is 99.* reads 1: use the version that"):
        from_table(Nucleus, table)


def test_a_table_with_a_column_missing_or_of_another_type_is_refused_by_column():
    table = to_table(Nucleus, [Nucleus(label=1)]).drop_columns(["kind"])
    table = table.set_column(0, "label", pa.array(["1"]))

    with pytest.raises(
        ValueError, match=r"not hold Nucleus rows: .*kind \(string\), label \(int64\)"
    ):
        from_table(Nucleus, table)


def test_an_older_file_may_lack_columns_that_may_be_null():
    older = to_table(Nucleus, [Nucleus(label=1, area=2.0)]).drop_columns(["area"])

    assert from_table(Nucleus, older) == [Nucleus(label=1)]
    assert as_written(Nucleus, older).schema == schema(Nucleus)


def test_equal_mappings_have_equal_json_text():
    assert canonical_json({"b": 1, "a": "µ"}) == canonical_json({"a": "µ", "b": 1})
    assert canonical_json({"b": 1, "a": "µ"}) == '{"a": "µ", "b": 1}'
