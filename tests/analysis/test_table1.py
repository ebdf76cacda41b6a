import pyarrow.parquet as pq
import pytest

from analysis import load, table1
from analysis.evidence import Evidence
from analysis.paper import ROWS


@pytest.fixture
def evidence(sweep_folder, ten_trials):
    folder = sweep_folder(ten_trials)
    return Evidence(load.trials([folder]), load.images([folder]))


def test_the_best_trial_stands_below_the_papers_row(evidence):
    table = table1.table(evidence)
    ours = [row for row in table.iter_rows(named=True) if row["of"] != "the paper"]
    assert [(row["model"], row["of"]) for row in ours] == [
        ("Simple CNN", "night, cnn-3"),
        ("U-Net", "night, unet-1"),
    ]
    assert ours[0]["hours"] == pytest.approx(80 / 3600)
    assert ours[0]["val_iou"] == "0.650"
    assert table.height == 2 + len(ROWS)


def test_hours_are_scaled_to_a_t4_only_by_a_factor_that_was_given(evidence):
    def hours(**factor):
        return table1.table(evidence, **factor).filter(of="night, cnn-3")["T4_hours"].item()

    assert hours() is None
    assert hours(t4_factor=0.5) == pytest.approx(40 / 3600)


def test_one_factor_is_not_taken_for_two_devices(sweep_folder, trial_record, capsys):
    best = {"is_best": True, "device_seconds": 7200.0}
    rows = [trial_record(**best, device="A10G"), trial_record(**best, architecture="cnn")]
    assert table1.main([sweep_folder(rows), "--t4-factor", "0.5"]) == 2
    assert "--t4-factor is of one device, but the best trials ran on A10G, cpu" in (
        capsys.readouterr().err
    )
    assert table1.main([sweep_folder(rows[:1]), "--t4-factor", "0.5"]) == 0
    assert "T4_hours: hours on A10G, times 0.5 as given by --t4-factor" in capsys.readouterr().out


def test_results_without_a_metric_leave_a_gap(sweep_folder, ten_trials, capsys):
    folder = sweep_folder(ten_trials)
    table = pq.read_table(f"{folder}/summary.parquet").drop_columns(["val_iou"])
    pq.write_table(table, f"{folder}/summary.parquet")
    assert table1.main([folder]) == 0
    assert "NOT ENOUGH EVIDENCE" in capsys.readouterr().out


@pytest.mark.parametrize(("device", "known"), [("Tesla T4", True), ("Quadro T400", False)])
def test_what_ran_on_a_t4_needs_no_factor(sweep_folder, trial_record, device, known):
    folder = sweep_folder([trial_record(is_best=True, device=device, device_seconds=7200.0)])
    table = table1.table(Evidence(load.trials([folder]), load.images([folder])))
    assert table.filter(device=device)["T4_hours"].item() == (2.0 if known else None)


def test_scores_of_images_give_an_interval(sweep_folder, trial_record, image_record):
    images = [image_record(image=name, iou=iou) for name, iou in (("a", 0.4), ("b", 0.6))]
    folder = sweep_folder([trial_record(is_best=True)], images=images)
    table = table1.table(Evidence(load.trials([folder]), load.images([folder])))
    assert table.filter(of="night, unet-0")["val_iou"].item() == "0.500 (-0.771 to 1.771; n = 2)"


def test_the_winners_settings_with_fresh_seeds_have_an_interval_of_their_own(
    sweep_folder, trial_record
):
    again = [
        trial_record(trial_id=f"unet-0-again-{n}", confirms="unet-0", val_iou=iou)
        for n, iou in enumerate((0.6, 0.8))
    ]
    folder = sweep_folder([trial_record(is_best=True, val_iou=0.9), *again])
    table = table1.table(Evidence(load.trials([folder]), load.images([folder])))
    row = table.filter(of="night, unet-0").row(0, named=True)
    assert row["val_iou_of_fresh_seeds"] == "0.700 (-0.571 to 1.971; n = 2)"
    assert row["val_iou"] == "0.900"


def test_the_command_prints_table_and_verdicts(sweep_folder, ten_trials, capsys):
    assert table1.main([sweep_folder(ten_trials), "--format", "markdown"]) == 0
    printed = capsys.readouterr().out
    assert "| U-Net | the paper | 0.998 | 0.980 | 0.830 | - |" in printed
    assert "NOT ENOUGH EVIDENCE: Mask R-CNN separates touching nuclei best" in printed


def test_only_failed_trials_leave_the_papers_rows(sweep_folder, ten_trials, capsys):
    assert table1.main([sweep_folder(ten_trials[-1:])]) == 0
    assert "night" not in capsys.readouterr().out


def test_a_sweep_without_an_ended_trial_leaves_the_papers_rows(sweep_folder, capsys):
    assert table1.main([sweep_folder([])]) == 0
    assert "U-Net" in capsys.readouterr().out


def test_a_factor_that_is_none_is_refused(sweep_folder, ten_trials, capsys):
    with pytest.raises(SystemExit, match="2"):
        table1.main([sweep_folder(ten_trials), "--t4-factor", "-3"])
    assert "above 0" in capsys.readouterr().err


def test_a_winner_whose_device_is_not_known_has_its_row(sweep_folder, trial_record, capsys):
    folder = sweep_folder([trial_record(is_best=True, device=None)])
    assert table1.main([folder, "--t4-factor", "0.5"]) == 0
    assert "hours on an unknown device, times 0.5" in capsys.readouterr().out
