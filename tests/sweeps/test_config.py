"""Every option, declared once and checked."""

import json
import sys
from dataclasses import MISSING, fields

import pytest

from sweeps.config import (
    OPTIONS,
    ConfigError,
    SweepConfig,
    check_installed,
    check_name_is_free,
)
from sweeps.storage import open_store


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
    made = config(arch=("unet", "cnn"), time_budget=60, gpus_per_trial=0.5)

    assert SweepConfig(**json.loads(json.dumps(made.to_json()))) == made


def test_a_missing_package_is_told_with_its_installation(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # what Python itself takes for "not there"
    monkeypatch.setitem(sys.modules, "jax", None)

    with pytest.raises(
        ConfigError, match=r"--sampler gp needs .* torch: pip install '\.\[torch\]'"
    ):
        check_installed(config(sampler="gp"))
    with pytest.raises(ConfigError, match=r"--backend jax needs .* jax: pip install '\.\[jax\]'"):
        check_installed(config(backend="jax"))
    check_installed(config())


def test_an_earlier_sweep_is_not_written_over(tmp_path):
    results = open_store(tmp_path)
    check_name_is_free(config(), results)
    results.child("night").write_bytes("sweep.json", b"{}")

    with pytest.raises(ConfigError, match=r"--name night is taken .* --resume --name night"):
        check_name_is_free(config(), results)
    check_name_is_free(config(resume=True), results)
