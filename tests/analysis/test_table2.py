from analysis import load, table2


def settings(table, model):
    rows = table.filter(model=model).iter_rows(named=True)
    return {row["setting"]: (row["the_paper"], row["found_here"]) for row in rows}


def test_the_best_trials_settings_stand_beside_the_papers(sweep_folder, ten_trials):
    table = table2.table(load.trials([sweep_folder(ten_trials)]))
    cnn = settings(table, "Simple CNN")
    assert cnn["learning_rate"] == ("0.100", "-")  # the made-up trials have none
    assert cnn["width"] == ("0, as run here", "3")  # what the paper leaves open
    assert cnn["epochs"] == ("15", "20")
    assert cnn["validation IoU here"] == ("0, as run here", "0.650")


def test_the_papers_column_is_its_own_row_not_its_luckiest_repeat(sweep_folder, trial_record):
    paper = trial_record(is_paper=True, val_iou=0.5)
    again = trial_record(trial_id="unet-0-again-1", is_paper=True, confirms="unet-0", val_iou=0.8)
    table = table2.table(load.trials([sweep_folder([paper, again])]))
    assert settings(table, "U-Net")["validation IoU here"][0] == "0.500, as run here"


def test_an_architecture_without_trials_has_the_papers_values_alone(sweep_folder, ten_trials):
    table = table2.table(load.trials([sweep_folder(ten_trials)]))
    assert settings(table, "Mask R-CNN")["optimizer"] == ("sgd", "-")


def test_the_command_prints_the_table(sweep_folder, ten_trials, capsys):
    assert table2.main([sweep_folder(ten_trials)]) == 0
    assert "19 convolutions" in capsys.readouterr().out


def test_a_sweep_without_an_ended_trial_leaves_the_papers_rows(sweep_folder, capsys):
    assert table2.main([sweep_folder([])]) == 0
    assert "U-Net" in capsys.readouterr().out
