"""The end of a sweep in words."""

from dataclasses import replace

from sweeps.winners import winners_table

FILES = {
    "summary": "results/night/summary.parquet",
    "curves": "results/night/curves.parquet",
    "winners": "results/night/best",
}


def trials(make):
    return [
        make(trial_id="0", is_paper=True, val_iou=0.5),
        make(
            trial_id="1",
            is_best=True,
            val_iou=0.84321,
            val_map=0.48149,
            batch_size=16,
            image_size=256,
            learning_rate=0.00123,
            device_seconds=1234.56,
            epochs_run=12,
        ),
        make(trial_id="2", architecture="mask_rcnn", is_best=True, val_iou=0.8),
    ]


def test_the_winner_stands_beside_the_papers_row(trial_record):
    lines = winners_table(trials(trial_record), FILES).splitlines()

    unet = next(line for line in lines if line.startswith("unet"))
    assert unet.split()[1:6] == ["0.843", "0.481", "0.500", "12", "1235"]
    assert "adam, rate 0.0012" in unet
    other = next(line for line in lines if line.startswith("mask_rcnn"))
    assert other.split()[1:4] == ["0.800", "-", "-"]


def test_the_shared_settings_are_told(trial_record):
    text = " ".join(winners_table(trials(trial_record), FILES).split())

    for part in ("batch", "256 px"):
        assert part in text


def test_it_is_said_where_everything_is(trial_record):
    lines = winners_table(trials(trial_record), FILES).splitlines()

    assert lines[-3:] == [
        "summary  results/night/summary.parquet",
        "curves   results/night/curves.parquet",
        "winners  results/night/best",
    ]


def test_the_table_fits_eighty_columns_with_test_figures_too(trial_record):
    rows = trials(trial_record)
    rows[2] = trial_record(
        trial_id="2",
        architecture="an_architecture_of_long_name",
        is_best=True,
        test_iou=0.81,
        optimizer="adadelta",
        learning_rate=1e-7,
        batch_size=128,
        image_size=1024,
        device_seconds=1234567.8,
    )

    lines = winners_table(rows, FILES).splitlines()

    assert max(map(len, lines)) <= 80
    assert any("0.810" in line and "1234568" in line for line in lines)


def test_an_architecture_without_a_winner_has_its_reason(trial_record):
    failed = trial_record(status="failed", error="NaN\nloss", val_iou=None)

    text = winners_table([failed], FILES)

    assert "unet has no winner: of 1 trials 1 failed; the first: NaN loss" in text
    assert "score" not in text


def test_nothing_ended_is_said():
    assert winners_table([], {}).splitlines() == ["No trial has ended."]


def test_repeats_with_fresh_seeds_are_told_apart_from_what_won(trial_record):
    again = [
        trial_record(trial_id=f"unet-0-again-{n}", confirms="unet-0", val_iou=iou)
        for n, iou in enumerate((0.6, 0.7))
    ]
    table = winners_table([trial_record(is_best=True, val_iou=0.9), *again], {})
    assert "0.900" in table
    assert "unet with fresh seeds (2): IoU 0.650 on average, 0.600 to 0.700" in table


def test_below_a_winner_stand_the_cheaper_ones_that_nothing_beats(trial_record):
    costs = {"unet-0001": (0.9, 300.0), "unet-0002": (0.5, 10.0), "unet-0003": (0.7, 100.0)}
    records = [
        trial_record(trial_id=name, val_iou=iou, device_seconds=cost, on_front=True)
        for name, (iou, cost) in costs.items()
    ]
    told = winners_table([replace(records[0], is_best=True), *records[1:]], FILES)

    names = [line.split()[0] for line in told.splitlines()[1:4]]
    assert names == ["unet", "unet-0003", "unet-0002"]
    assert "cheaper trials that none beats" in told
    assert max(map(len, told.splitlines())) <= 80
