from pathlib import Path

from sweeps.documentation import documentation
from sweeps.record import TrialRecord, columns
from sweeps.winner_record import ImageRecord

SCHEMA = Path(__file__).parents[2] / "docs" / "schema.md"


def test_the_committed_documentation_is_up_to_date():
    committed = SCHEMA.read_text(encoding="utf-8")
    assert committed == documentation(), "run: python -m sweeps.documentation > docs/schema.md"


def test_every_column_has_its_line():
    for row_type in (TrialRecord, ImageRecord):
        for name, (_, _, column) in columns(row_type).items():
            assert f"| `{name}` |" in documentation()
            assert f"| {column.unit} | {column.description} |" in documentation()
