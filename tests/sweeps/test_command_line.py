"""Options from the command line, a config file and an earlier sweep."""

import json
import os
import re

import pytest

from sweeps.checks import ConfigError
from sweeps.command_line import parse
from sweeps.config import OPTIONS
from sweeps.options import flag
from sweeps.storage import StorageError

ARCHITECTURES = ["cnn", "resnet", "unet"]


def parsed(line):
    return parse(line.split(), ARCHITECTURES)


def test_defaults_are_those_promised():
    config = parsed("--arch unet")

    assert config.arch == ("unet",)
    assert (config.data, config.trials, config.sampler, config.scheduler) == (
        "synthetic",
        16,
        "tpe",
        "asha",
    )
    assert (config.results, config.seed, config.cpus_per_trial) == ("results", 0, 1)
    assert (config.backend, config.pretrained) == ("tensorflow", "none")
    assert not config.resume
    for unset in (
        "max_epochs",
        "time_budget",
        "trial_timeout",
        "image_size",
        "gpus_per_trial",
        "usd_per_hour",
    ):
        assert getattr(config, unset) is None


def test_every_option_can_be_given(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "")
    config = parsed(
        "--arch unet cnn --trials 3 --max-epochs 2 --time-budget 1h30m --image-size 128 "
        "--trial-timeout 10m --confirm 3 --max-usd 9 --max-memory 4GB --max-seconds-per-image 0.5 "
        "--pretrained imagenet --data d --test-data t --skip-bad-images --sampler nsgaii "
        "--objective iou,device_seconds --warm-start results/a s3://b/c "
        "--scheduler hyperband --seed 7 --backend tensorflow --concurrency 2 --cpus-per-trial 0.5 "
        "--gpus-per-trial 0.25 --usd-per-hour prices.toml --spot --results s3://b/p --name n "
        "--quiet --address 10.0.0.1:6379 --s3-endpoint http://10.0.0.2:8333 "
        "--optuna-journal night.journal --precision mixed_float16"
    )

    assert os.environ["AWS_ENDPOINT_URL_S3"] == "http://10.0.0.2:8333"

    assert config.to_json() == {
        "arch": ["unet", "cnn"],
        "trials": 3,
        "max_epochs": 2,
        "time_budget": 5400.0,
        "trial_timeout": 600.0,
        "max_usd": 9.0,
        "max_memory": 4e9,
        "max_seconds_per_image": 0.5,
        "confirm": 3,
        "image_size": 128,
        "pretrained": "imagenet",
        "data": "d",
        "test_data": "t",
        "skip_bad_images": True,
        "sampler": "nsgaii",
        "scheduler": "hyperband",
        "objective": ["iou", "device_seconds"],
        "warm_start": ["results/a", "s3://b/c"],
        "seed": 7,
        "backend": "tensorflow",
        "precision": "mixed_float16",
        "address": "10.0.0.1:6379",
        "concurrency": 2,
        "cpus_per_trial": 0.5,
        "gpus_per_trial": 0.25,
        "usd_per_hour": "prices.toml",
        "spot": True,
        "results": "s3://b/p",
        "s3_endpoint": "http://10.0.0.2:8333",
        "optuna_journal": "night.journal",
        "name": "n",
        "plan": False,
        "resume": False,
        "quiet": True,
    }


def test_all_is_every_architecture():
    assert parsed("--arch all").arch == ("cnn", "resnet", "unet")


def test_the_name_is_made_from_the_time_and_the_architectures():
    assert re.fullmatch(r"\d{8}-\d{6}-cnn-unet", parsed("--arch cnn unet").name)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "--arch is required: one or more of cnn, resnet, unet, or all"),
        ("--arch unte", "--arch must be one or more of .* not 'unte' (did you mean unet?)"),
        ("--arch unet --tirals 4", "unknown option --tirals (did you mean --trials?)"),
        ("--arch unet --trial 4", "unknown option --trial (did you mean --trials?)"),
        ("--arch unet --quiet now", "now belongs to no option; --help lists the options"),
        ("--arch unet --sampler tpee", "--sampler must be one of .* (did you mean tpe?)"),
        ("--arch unet --trials", "argument --trials: expected one argument"),
        ("--arch unet --gpus-per-trial 1.5", "--gpus-per-trial must be 0 to 1, or a whole number"),
        ("--resume", "--resume needs --name"),
        ("--config none.toml", "--config none.toml can't be read: No such file"),
    ],
)
def test_what_is_wrong_is_refused_with_what_would_work(line, complaint):
    pattern = re.escape(complaint).replace(r"\.\*", ".*")

    with pytest.raises(ConfigError, match=pattern):
        parsed(line)


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text('arch = ["cnn", "unet"]\ntrials = 4\ntime-budget = "30m"\nmax_epochs = 5\n')

    config = parsed(f"--config {file} --trials 8")

    assert config.arch == ("cnn", "unet")
    assert (config.trials, config.time_budget, config.max_epochs) == (8, 1800, 5)


def test_a_switch_of_the_file_can_be_turned_off(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text('arch = "cnn"\nquiet = true\n')

    assert parsed(f"--config {file}").quiet
    assert not parsed(f"--config {file} --no-quiet").quiet


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("tirals = 4", r"unknown option 'tirals' in .*sweep.toml \(did you mean trials\?\)"),
        ("[search]\ntrials = 4", "unknown option 'search' in"),
        ("trials = x", r"is not a TOML file: .*line 1"),
        ("max-epochs = 1\nmax_epochs = 2", "given twice"),
        ('arch = "unet"\nquiet = "yes"', "--quiet must be true or false, not 'yes'"),
        ('arch = "unet"\ntrials = 1.5', "--trials must be a whole number of at least 1, not 1.5"),
        ("arch = [1]", "--arch must be one or more of cnn, resnet, unet, or all, not 1"),
        ("arch = 1", "--arch must be one or more of cnn, resnet, unet, or all, not 1"),
        ("arch = [[1]]", r"--arch must be one or more of cnn, resnet, unet, or all, not \[1\]"),
        ('arch = "unet"\nwarm-start = 5', "--warm-start must be one name or a list of names"),
        ('arch = "unet"\nobjective = 5', "--objective must be one name or a list of names"),
        ("trials = " + "[" * 5000, "is not a TOML file"),
    ],
)
def test_a_wrong_file_is_refused_with_its_fault(tmp_path, content, complaint):
    file = tmp_path / "sweep.toml"
    file.write_text(content)

    with pytest.raises(ConfigError, match=complaint):
        parsed(f"--config {file}")


@pytest.mark.parametrize(
    "line",
    [
        "--arch unet --data s3://KEY:hidden-key@bucket/x.zip",
        "--arch unet --resluts=s3://KEY:hidden-key@bucket/x",
        "--arch unet --quiet s3://KEY:hidden-key@bucket/x",
        "--arch s3://KEY:hidden-key@bucket/x",
        "--resume --name night --results s3://KEY:hidden-key@bucket/x",
        "--arch unet --s3-endpoint user:hidden-key@host:8333",
        "--config {file}",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(tmp_path, line):
    file = tmp_path / "sweep.toml"
    file.write_text('arch = "unet"\nwarm-start = ["s3://KEY:hidden-key@bucket/x"]')

    with pytest.raises((ConfigError, StorageError), match="hold no credentials") as caught:
        parsed(line.format(file=file))
    assert "hidden-key" not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", '{"config": 5}', "[" * 100_000, '{"config": {"x": 1}}'])
def test_a_description_that_no_sweep_wrote_is_refused_on_resume(tmp_path, content):
    (tmp_path / "night").mkdir()
    (tmp_path / "night/sweep.json").write_text(content)

    with pytest.raises(ConfigError, match=r"--resume can't read .*night/sweep.json"):
        parsed(f"--resume --name night --results {tmp_path}")


def save_sweep(tmp_path, line):
    config = parsed(f"{line} --results {tmp_path} --name night")
    (tmp_path / "night").mkdir()
    (tmp_path / "night/sweep.json").write_text(json.dumps({"config": config.to_json()}))


def test_a_resumed_sweep_goes_on_as_it_was_asked(tmp_path):
    save_sweep(tmp_path, "--arch unet --trials 5 --image-size 64")

    config = parsed(f"--results {tmp_path} --name night --resume --trials 9")

    assert (config.arch, config.trials, config.image_size) == (("unet",), 9, 64)
    assert config.resume


def test_a_sweep_is_looked_for_where_it_was_begun_though_the_prefix_ends_in_a_slash(s3_admin):
    # SeaweedFS takes two slashes for one; Amazon's S3 does not.
    with pytest.raises(ConfigError, match="finds no sweep in s3://sweeps/none/night;"):
        parsed("--results s3://sweeps/none/ --name night --resume")


def test_what_would_make_trials_incomparable_must_stay_on_resume(tmp_path):
    save_sweep(tmp_path, "--arch unet --seed 3")

    assert parsed(f"--results {tmp_path} --name night --resume --seed 3").seed == 3
    with pytest.raises(ConfigError, match="--seed must stay 3 on --resume, not 4"):
        parsed(f"--results {tmp_path} --name night --resume --seed 4")


def test_resuming_what_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"--resume finds no sweep in .*/night"):
        parsed(f"--results {tmp_path} --name night --resume")
    with pytest.raises(ConfigError, match="--name must be letters, digits"):
        parsed(f"--results {tmp_path} --name ../night --resume")


def test_a_broken_sweep_file_is_told(tmp_path):
    (tmp_path / "night").mkdir()
    (tmp_path / "night/sweep.json").write_text('{"confi')

    with pytest.raises(ConfigError, match=r"--resume can't read .*night/sweep.json"):
        parsed(f"--results {tmp_path} --name night --resume")


def test_help_tells_every_option_its_default_and_examples(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        parsed("--help")

    shown = capsys.readouterr().out
    assert ended.value.code == 0
    for name in OPTIONS:
        assert f"{flag(name)}" in shown
    assert "(default: 16)" in shown
    assert "cnn, resnet, unet" in shown
    assert "examples:" in shown
    assert max(map(len, shown.splitlines())) <= 80
