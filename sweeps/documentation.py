"""docs/schema.md, from the declarations of the rows: ``python -m sweeps.documentation``."""

from sweeps.record import (
    CURVES_FILE,
    SCHEMA_VERSION,
    SUMMARY_FILE,
    EpochRecord,
    TrialRecord,
    columns,
    schema,
)
from sweeps.winner_record import GALLERY_FILE, IMAGES_FILE, GalleryRecord, ImageRecord

FILES = (
    (SUMMARY_FILE, "One row a trial.", TrialRecord),
    (CURVES_FILE, "One row an epoch of a trial.", EpochRecord),
    (IMAGES_FILE, "One row an image that a winner segmented.", ImageRecord),
    (GALLERY_FILE, "One row a crowded place that a winner segmented.", GalleryRecord),
)


def documentation() -> str:
    """The columns of all files as Markdown: the content of docs/schema.md."""
    lines = [
        "# Columns of the results",
        "",
        f"Schema version {SCHEMA_VERSION}, as `python -m sweeps.documentation > docs/schema.md` "
        "wrote it.",
        "The files say the same of themselves: each Parquet field's metadata holds its",
        "`description` and `unit`, the file's its `schema_version`.",
    ]
    for file, what, row_type in FILES:
        lines += ["", f"## {file}", "", what, ""]
        lines += [
            "| column | type | null | unit | description |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| `{name}` | {schema(row_type).field(name).type} | {'yes' if nullable else 'no'} "
            f"| {column.unit} | {column.description} |"
            for name, (_, nullable, column) in columns(row_type).items()
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(documentation(), end="")
