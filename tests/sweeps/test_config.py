"""Every option, declared once and checked."""

import json
from dataclasses import MISSING, fields

import pytest

from sweeps.checks import ConfigError
from sweeps.config import OPTIONS, SweepConfig


def config(**changes):
    return SweepConfig(**({"arch": ("unet",), "name": "night"} | changes))


def test_every_field_is_an_option_whose_default_its_own_converter_accepts():
    assert list(OPTIONS) == [field.name for field in fields(SweepConfig)]
    for field in fields(SweepConfig):
        if field.default is not MISSING:
            assert OPTIONS[field.name].convert(field.default) == field.default


def test_values_are_converted_whoever_makes_the_config():
    made = config(arch="unet", time_budget="1h", trials="3")

    assert (made.arch, made.time_budget, made.trials) == (("unet",), 3600.0, 3)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        config(trials=0, image_size=100, name="../x")

    lines = str(caught.value).splitlines()
    assert [line.split()[1] for line in lines] == ["--trials", "--image-size", "--name"]


def test_one_thing_wrong_is_one_sentence():
    with pytest.raises(ConfigError, match=r"^--trials must be a whole .* not 0$"):
        config(trials=0)


def test_json_of_a_config_makes_the_same_config_again():
    made = config(
        arch=("unet", "cnn"),
        time_budget=60,
        gpus_per_trial=0.5,
        objective="iou,device_seconds",
        warm_start=("results/a", "s3://b/c"),
        max_memory="4GB",
        usd_per_hour="prices.toml",
    )

    assert SweepConfig(**json.loads(json.dumps(made.to_json()))) == made
