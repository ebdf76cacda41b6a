import io

import polars as pl

from analysis import tables

TABLE = pl.DataFrame(
    {
        "trial_id": ["unet-1", "a|b"],
        "val_iou": [0.81234, None],
        "device_seconds": [1494.4, 0.00012],
        "hyperparameters": ['{"depth": 4, "residual": true, "loss": "bce"}', "{}"],
    }
)


def test_text_has_aligned_columns_of_rounded_numbers():
    assert tables.text(TABLE).splitlines() == [
        "trial id  val iou  device seconds",
        "unet-1      0.812            1494",
        "a|b             -         0.00012",
    ]


def test_all_hyperparameters_can_be_had_in_full():
    assert tables.in_full(TABLE[:1]) == "  unet-1: depth 4, residual yes, loss bce"


def test_markdown_is_a_table_whatever_its_cells_hold():
    assert tables.markdown(TABLE[["trial_id", "val_iou"]]) == (
        "| trial_id | val_iou |\n| :-- | --: |\n| unet-1 | 0.812 |\n| a&#124;b | - |\n"
    )


def test_csv_keeps_every_digit():
    assert pl.read_csv(io.StringIO(tables.csv(TABLE))).equals(TABLE)


def test_a_text_that_only_begins_like_settings_is_shown_as_it_is():
    assert tables.cell("{bad} thing") == "{bad} thing"
