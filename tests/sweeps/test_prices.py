"""What an hour of a device costs."""

from pathlib import Path

import pytest

import sweeps.prices
from sweeps.checks import ConfigError
from sweeps.config import SweepConfig
from sweeps.prices import Prices

TABLE = """
[T4]
on_demand = 0.5
spot = 0.25
["Tesla T4"]
on_demand = 1
spot = 0.75
"""


def asked(price, **options):
    return SweepConfig(arch="cnn", name="night", usd_per_hour=price, **options)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(TABLE)
    return str(path)


def test_one_price_is_for_every_device():
    prices = Prices.of(asked("3.6"))

    assert prices.usd("Tesla T4", 10) == prices.usd(None, 10) == pytest.approx(0.01)


def test_without_a_price_nothing_is_known():
    assert Prices.of(asked(None)).usd("Tesla T4", 10) is None


def test_a_table_is_looked_up_by_the_longest_part_of_the_devices_name(table):
    prices = Prices.of(asked(table))

    assert prices.usd("NVIDIA Tesla T4", 3600) == 1
    assert prices.usd("nvidia t4 tensor core", 3600) == 0.5
    assert prices.usd("A100", 3600) is None
    assert prices.usd(None, 3600) is None


def test_spot_machines_have_their_own_prices(table):
    assert Prices.of(asked(table, spot=True)).usd("Tesla T4", 7200) == 1.5


def test_the_table_that_comes_with_the_project_has_both_prices():
    path = str(Path(sweeps.prices.__file__).with_name("prices.toml"))

    for spot in (False, True):
        assert Prices.of(asked(path, spot=spot)).usd("Tesla T4", 3600) > 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read: No such file"),
        ("[T4", "is not a TOML file"),
        ("T4 = 1", r'\["T4"\] must have on_demand = PRICE'),
        ("[T4]\nspot = 1", "must have on_demand = PRICE"),
        ("[T4]\non_demand = true", "must have on_demand = PRICE"),
        ("[T4]\non_demand = -1", "must have on_demand = PRICE"),
        ("[T4]\non_demand = inf", "must have on_demand = PRICE"),
        ("[T4]\non_demand = 0x" + "f" * 400, "must have on_demand = PRICE"),
        ("T4 = " + "[" * 5000, "is not a TOML file"),
    ],
)
def test_a_file_that_is_no_table_of_prices_is_refused(tmp_path, content, said):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigError, match=said):
        Prices.of(asked(str(path)))
