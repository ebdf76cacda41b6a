"""What can't be done as it was asked for is found out before anything begins."""

import sys

import pytest

from sweeps.checks import ConfigError, check_installed, check_name_is_free
from sweeps.config import SweepConfig
from sweeps.storage import open_store


def config(**changes):
    return SweepConfig(**({"arch": ("unet",), "name": "night"} | changes))


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


@pytest.mark.parametrize(
    "asked",
    [{"max_memory": "4GB"}, {"max_seconds_per_image": 1}, {"objective": "iou,device_seconds"}],
)
def test_a_sampler_that_can_not_learn_what_is_asked_for_is_refused(asked):
    with pytest.raises(ConfigError, match=r"--sampler cmaes can learn neither .*: use tpe, nsgaii"):
        config(sampler="cmaes", **asked)
    config(sampler="tpe", **asked)


@pytest.mark.parametrize("sampler", ["gp", "nsgaii"])
def test_a_sampler_that_never_hears_of_stopped_trials_is_refused_with_limits_alone(sampler):
    with pytest.raises(ConfigError, match=f"--sampler {sampler} learns from completed trials"):
        config(sampler=sampler, max_memory="4GB")
    config(sampler=sampler, max_memory="4GB", objective="iou,device_seconds")


def test_a_limit_in_dollars_needs_a_price():
    with pytest.raises(ConfigError, match="--max-usd needs --usd-per-hour"):
        config(max_usd=10)
    config(max_usd=10, usd_per_hour=0.5)


def test_spot_prices_need_a_table_that_has_them():
    with pytest.raises(ConfigError, match=r"--spot needs --usd-per-hour FILE.toml"):
        config(spot=True, usd_per_hour=0.5)
    config(spot=True, usd_per_hour="prices.toml")
