"""The command line as a person uses it: whole sweeps on tiny images, in processes of their own."""

import io
import json
import re
from pathlib import Path
from statistics import fmean

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import nucseg_models
from nucseg_models.data.synthetic import synthetic

SMALL = ("--max-epochs", "2", "--image-size", "64", "--results", "results", "--name", "night")
SCHEMA = Path(__file__).parents[2] / "docs" / "schema.md"


def documented(file):
    """Column -> type, as docs/schema.md says of a file."""
    section = SCHEMA.read_text().split(f"## {file}")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, flags=re.MULTILINE))


def rows(folder, file="summary.parquet"):
    return pq.read_table(folder / file).to_pylist()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, launched_once):
    """A sweep of cnn, and of resnet, all of whose trials fail: the file of weights has as many as
    a ResNet152, of other shapes.
    """
    folder = tmp_path_factory.mktemp("finished")
    with h5py.File(folder / "weights.h5", "w") as file:
        for number in range(155):
            file[f"layers/conv{number}/kernel"] = np.zeros((1, 1, 1, 1), np.float32)
    asked = ("--arch", "cnn", "resnet", "--trials", "2", *SMALL, "--test-data", "synthetic")
    run = launched_once(folder, [*asked, "--pretrained", "weights.h5", "--usd-per-hour", "0.5"])
    run.exit_status = run.status()
    run.folder = folder / "results" / "night"
    return run


def test_columns_are_as_documented(finished):
    for file in ("summary.parquet", "curves.parquet", "images.parquet", "gallery.parquet"):
        schema = pq.read_schema(finished.folder / file)
        assert {field.name: str(field.type) for field in schema} == documented(file)


def test_every_trial_has_its_row(finished):
    found = rows(finished.folder)

    assert sorted(row["trial_id"] for row in found) == [
        *("cnn-0000", "cnn-0001", "resnet-0000", "resnet-0001")
    ]
    assert [row["trial_id"] for row in found if row["is_paper"]] == ["cnn-0000", "resnet-0000"]
    for row in found:
        asked = nucseg_models.get(row["architecture"])
        known = {**(asked.paper if row["is_paper"] else asked.starts[0]), "image_size": 64}
        known |= {"layers": 152} if row["architecture"] == "resnet" else {}
        assert json.loads(row["hyperparameters"]) == known
        assert (row["dataset"], row["backend"]) == ("synthetic", "tensorflow")
        assert row["dataset_sha256"] == synthetic(seed=0).sha256
        assert row["started_at"] < row["ended_at"]
        held = (row["ended_at"] - row["started_at"]).total_seconds()
        assert row["device_seconds"] == pytest.approx(held, abs=0.5)
        assert row["usd"] == pytest.approx(row["device_seconds"] / 3600 * 0.5)


def test_completed_trials_are_measured_in_full(finished):
    completed = [row for row in rows(finished.folder) if row["architecture"] == "cnn"]
    may_be_null = {
        "error",
        *("on_front", "over_limit", "confirms", "losses"),
        "git_commit",
        *(name for name in completed[0] if "test_" in name),
    }

    for row in completed:
        assert row["status"] == "completed"
        assert row["epochs_run"] == row["epochs_planned"] == 2
        assert [name for name in row if row[name] is None and name not in may_be_null] == []
        assert re.fullmatch(r".+:\d+", row["worker"])


def test_exactly_one_trial_of_an_architecture_is_the_best_and_it_alone_is_tested(finished):
    cnn = [row for row in rows(finished.folder) if row["architecture"] == "cnn"]
    (best,) = [row for row in cnn if row["is_best"]]
    (other,) = [row for row in cnn if not row["is_best"]]
    scores = ("iou", "dice", "accuracy", "map", "f1_50", "f1_70", "aji", "splits", "merges")

    assert best["val_iou"] == max(row["val_iou"] for row in cnn)
    assert all(best[f"test_{score}"] is not None for score in scores)
    assert all(other[f"test_{score}"] is None for score in scores)


def test_a_curve_has_a_row_an_epoch(finished):
    found = rows(finished.folder, "curves.parquet")

    assert sorted((row["trial_id"], row["epoch"]) for row in found) == [
        *(("cnn-0000", 1), ("cnn-0000", 2), ("cnn-0001", 1), ("cnn-0001", 2))
    ]
    assert all(None not in row.values() for row in found)


def test_failed_trials_have_their_reason_and_the_sweep_goes_on(finished):
    failed = [row for row in rows(finished.folder) if row["architecture"] == "resnet"]

    assert [row["status"] for row in failed] == ["failed"] * 2
    for row in failed:
        assert "weights.h5" in row["error"]
        assert "\n" not in row["error"]
        assert row["device_seconds"] > 0
        assert row["workers_lost"] == 0  # their workers ended, but they were not tried again
    assert finished.exit_status == 1  # not every architecture has a winner
    assert "resnet has no winner: of 2 trials 2 failed" in finished.printed()


def test_the_winner_can_be_loaded_and_is_described(finished):
    import keras  # noqa: PLC0415 - takes seconds

    (best,) = [row for row in rows(finished.folder) if row["is_best"]]
    described = json.loads((finished.folder / "best" / "cnn" / "config.json").read_text())
    model = keras.saving.load_model(finished.folder / "best" / "cnn" / "model.keras")

    assert described["trial_id"] == best["trial_id"]
    assert described["hyperparameters"] == json.loads(best["hyperparameters"])
    assert described["scores"]["test_iou"] == best["test_iou"]
    assert model.count_params() == best["parameters"]
    assert model(np.zeros((1, 70, 90, 3), np.float32)).shape == (1, 70, 90, 3)


def test_the_winners_row_is_the_mean_of_its_images_rows(finished):
    (best,) = [row for row in rows(finished.folder) if row["is_best"]]
    images = rows(finished.folder, "images.parquet")

    assert {row["trial_id"] for row in images} == {best["trial_id"]}
    for which, prefix in (("validation", "val"), ("test", "test")):
        mine = [row for row in images if row["images"] == which]
        assert len({row["image"] for row in mine}) == len(mine) > 0
        assert best[f"{prefix}_iou"] == pytest.approx(fmean(row["iou"] for row in mine))
        assert best[f"{prefix}_merges"] == sum(row["merges"] for row in mine)
        assert all(0 <= row["map_unsplit"] <= 1 for row in mine)


def test_the_gallery_shows_crowded_places_with_a_verdict_on_each_nucleus(finished):
    places = rows(finished.folder, "gallery.parquet")

    assert {row["architecture"] for row in places} == {"cnn"}
    for row in places:
        picture, outlines = (
            np.asarray(Image.open(io.BytesIO(row[name]))) for name in ("picture", "outlines")
        )
        assert picture.shape == (*outlines.shape, 3)
        verdicts = [row[name] for name in ("hit", "poor", "missed", "merged", "split", "false")]
        drawn = set(np.unique(outlines).tolist()) - {0}
        assert drawn <= {code for code, count in enumerate(verdicts, start=1) if count}


def test_sweep_json_says_what_was_asked_of_what_version_on_what_data(finished):
    described = json.loads((finished.folder / "sweep.json").read_text())

    assert described["config"]["arch"] == ["cnn", "resnet"]
    assert described["config"]["max_epochs"] == 2
    images = {name: part["images"] for name, part in described["data"].items()}
    assert images["train"] + images["validation"] == len(synthetic(seed=0))
    assert images["test"] > 0
    assert {"python", "ray", "keras", "tensorflow"} <= set(described["versions"])
    assert described["schema_version"] == 1


def test_nothing_else_is_left_no_file_and_no_process(finished):
    left = [path.relative_to(finished.folder) for path in finished.folder.rglob("*")]

    assert sorted(map(str, left)) == [
        *("best", "best/cnn", "best/cnn/config.json", "best/cnn/model.keras"),
        *("curves.parquet", "gallery.parquet", "images.parquet"),
        *("summary.parquet", "sweep.json"),
    ]
    assert finished.left() == []


def test_in_a_pipe_it_prints_a_line_an_event_and_the_winners_and_nothing_else(finished):
    told = finished.printed()
    events = [
        re.sub(r"^\[ *\d+\.\d s\] ", "", line) for line in told.splitlines() if line[:1] == "["
    ]
    patterns = [
        r"sweep night: 2 trials each of cnn, resnet on synthetic: \d+ images to train on, .*",
        "with --max-epochs 2 --scheduler asha stops no trial early: it needs 3 epochs at least",
        r"1 machine: \d+ CPU cores?, \d+ GPUs?, room for \d+ trials? at once",
        r"(cnn|resnet)-000\d: started",
        r"cnn-000\d: epoch \d/2, IoU 0\.\d+, loss \d+\.\d+",
        r"cnn-000\d: completed after 2 epochs, IoU 0\.\d+, \d+\.\d device-seconds",
        r"resnet-000\d: failed: .*",
        r"saving the winners",
    ]
    assert [line for line in events if not any(re.fullmatch(p, line) for p in patterns)] == []
    assert len(events) == 1 + 1 + 1 + 4 + 4 + 2 + 2 + 1
    assert re.search(r"^cnn +0\.\d{3} +0\.\d{3} ", told, flags=re.MULTILINE)
    assert "summary  results/night/summary.parquet" in told
    assert len(told.splitlines()) < len(events) + 20
    assert finished.err.read_text() == ""


@pytest.fixture(scope="module")
def frontier(finished, launched_once):
    """A sweep for IoU and cost, within limits and a price, that starts from the one before."""
    asked = ("--arch", "cnn", "--trials", "3", *SMALL[:-1], "both", "--usd-per-hour", "0.5")
    learnt = ("--objective", "iou,device_seconds", "--warm-start", "results/night")
    limits = ("--max-usd", "100", "--max-memory", "50GB")
    command = [*asked, *learnt, *limits, "--concurrency", "1"]  # which starts one worker less
    planned = launched_once(finished.folder.parents[1], [*command, "--plan"])
    assert planned.status() == 0, planned.err.read_text()
    run = launched_once(finished.folder.parents[1], command)
    assert run.status() == 0, run.err.read_text()
    run.planned = planned.printed()
    run.folder = finished.folder.parent / "both"
    return run


def test_two_objectives_give_a_front_whose_models_are_all_saved(frontier):
    found = rows(frontier.folder)
    front = [row for row in found if row["on_front"]]
    (best,) = [row for row in found if row["is_best"]]

    assert best["trial_id"] in {row["trial_id"] for row in front}
    assert best["val_iou"] == max(row["val_iou"] for row in found)
    assert {row["on_front"] for row in found} <= {True, False}
    for row in front:
        place = "best/cnn" if row["is_best"] else f"front/cnn/{row['trial_id']}"
        assert (frontier.folder / place / "model.keras").exists()
        described = json.loads((frontier.folder / place / "config.json").read_text())
        assert described["trial_id"] == row["trial_id"]
    others = {row["trial_id"] for row in front if not row["is_best"]}
    saved = {path.name for path in (frontier.folder / "front" / "cnn").glob("*")}
    assert saved == others


def test_a_plan_says_what_the_sweep_takes_and_the_sweep_how_far_off_that_was(frontier):
    assert re.search(r"^cnn +3 .* earlier trials: 2$", frontier.planned, flags=re.MULTILINE)
    assert re.search(r"device-hours, .* USD, 0:0.* with \d trials? at once", frontier.planned)
    assert re.search(r"planned .* device-hours, took .*: \d+% (more|less)", frontier.printed())


def test_a_warm_start_learns_from_the_other_sweep_and_does_not_try_its_starts_again(frontier):
    assert "starting from 2 trials of results/night" in frontier.printed()
    tried = [json.loads(row["hyperparameters"]) for row in rows(frontier.folder)]
    start = {**nucseg_models.get("cnn").starts[0], "image_size": 64}

    assert start not in tried
    assert sum(row["is_paper"] for row in rows(frontier.folder)) == 1


def bad(*arguments, says):
    return pytest.param(arguments, says, id=" ".join(arguments))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        bad(
            "--arch",
            "cnn",
            "--trails",
            "3",
            says="unknown option --trails (did you mean --trials?)",
        ),
        bad("--arch", "unett", says="--arch must be one or more of "),
        bad("--arch", "cnn", "--data", "nowhere", says="nowhere"),
        bad("--arch", "cnn", "--name", "taken", says="--name taken is taken by an earlier sweep"),
        bad("--arch", "cnn", "--pretrained", "imagenet", says="needs an architecture that takes"),
        bad("--arch", "resnet", "--pretrained", "no.h5", says="there is no file or folder no.h5"),
        bad("--arch", "cnn", "--data", "mine", "--test-data", "mine", says="can't be tested on"),
        bad("--arch", "cnn", "--results", "file", says="can't be written"),
        bad("--resume", "--name", "missing", says="--resume finds no sweep in "),
        bad("--resume", "--name", "taken", says="summary.parquet can't be read"),
        bad("--resume", "--name", "other", says="are not those that sweep other began with"),
    ],
)
def test_what_can_not_be_done_is_one_sentence_and_exit_status_2(
    launch, tmp_path, write_images, arguments, says
):
    taken = tmp_path / "results" / "taken"
    taken.mkdir(parents=True)
    asked = {"arch": ["cnn"], "name": "taken"}
    (taken / "sweep.json").write_text(json.dumps({"config": asked}))
    (taken / "summary.parquet").write_bytes(b"no table")
    nothing = {"sha256": "", "ids": []}
    data = {"train": nothing, "validation": nothing}
    begun = {"config": {**asked, "name": "other"}, "data": data}
    (tmp_path / "results" / "other").mkdir()
    (tmp_path / "results" / "other" / "sweep.json").write_text(json.dumps(begun))
    (tmp_path / "file").write_text("no folder")
    write_images(tmp_path / "mine")
    run = launch(*arguments)

    assert run.status() == 2
    told = run.err.read_text()
    assert told.startswith("sweeps/run.py: ")
    assert says in told
    assert "Traceback" not in told
    assert len(told.splitlines()) <= 10  # a sentence, at most with a list of what would work
    assert run.printed() == ""
    files = [path.name for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert sorted(files) == ["summary.parquet", "sweep.json", "sweep.json"]
