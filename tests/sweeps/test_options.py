"""Converters from what a person wrote to an option's value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.options import (
    duration,
    flag,
    folder_name,
    memory,
    names,
    nearest,
    number,
    objectives,
    one_of,
    optional,
    price,
    several,
    share_of_gpus,
    switch,
    text,
    whole_number,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30m", 1800),
        ("2h", 7200),
        ("1h30m", 5400),
        ("900s", 900),
        ("900", 900),
        ("1.5H", 5400),
        ("1h1m1s", 3661),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_a_duration_may_be_written_in_hours_minutes_and_seconds(written, seconds):
    assert duration(written) == seconds


@pytest.mark.parametrize("written", ["", "0", "-5", "m", "30m2h", "1d", "nan", "inf", True])
def test_a_duration_that_is_none_is_refused_with_examples(written):
    with pytest.raises(ValueError, match="must be a time like 30m, 2h, 1h30m or 900s"):
        duration(written)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
def test_a_duration_is_the_sum_of_its_parts(hours, minutes, seconds):
    assert duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@given(st.floats(min_value=0.001, max_value=1e9))
def test_converting_twice_changes_nothing(value):
    assert duration(duration(value)) == duration(value)
    assert number()(number()(str(value))) == value


def test_a_whole_number_comes_from_text_or_number_and_keeps_its_bounds():
    convert = whole_number(64, 1024, multiple_of=32)

    assert convert("128") == 128
    assert convert(1024) == 1024
    for wrong in ("63", "100", 2048, 128.0, "1e2", True, None, "x"):
        with pytest.raises(ValueError, match="a whole number from 64 to 1024, a multiple of 32"):
            convert(wrong)


def test_a_number_is_finite_and_keeps_its_bound():
    assert number(above=0)("0.5") == 0.5
    with pytest.raises(ValueError, match="must be a number above 0, not '0'"):
        number(above=0)("0")
    with pytest.raises(ValueError, match="must be a number of at least 0, not 'nan'"):
        number(at_least=0)("nan")


def test_gpus_are_a_share_of_one_or_whole():
    assert [share_of_gpus(value) for value in ("0", "0.25", 1, "2")] == [0, 0.25, 1, 2]
    with pytest.raises(ValueError, match="must be 0 to 1, or a whole number, not"):
        share_of_gpus("1.5")


def test_a_wrong_choice_names_the_choices_and_the_nearest():
    with pytest.raises(ValueError, match=r"one of tpe, random, not 'rnadom' \(did you mean random"):
        one_of("tpe", "random")("rnadom")


def test_a_word_that_is_near_nothing_gets_no_suggestion():
    assert nearest("xyz", ["trials", "seed"]) == ""


def test_names_are_one_or_several_each_once():
    assert names("unet") == ("unet",)
    assert names(["unet", "cnn", "unet"]) == ("unet", "cnn")
    for wrong in ([], 5, {"unet": 1}, None):
        with pytest.raises(ValueError, match="must be one name or a list of names"):
            names(wrong)
    with pytest.raises(ValueError, match="must be text"):
        names([["unet"]])


def test_a_folder_name_can_not_leave_its_folder():
    assert folder_name("night_2.b-1") == "night_2.b-1"
    for wrong in ("..", ".hidden", "a/b", "a b", "", "-x", "a\n", None):
        with pytest.raises(ValueError, match="must be letters, digits"):
            folder_name(wrong)
    assert folder_name("a" * 128)
    with pytest.raises(ValueError, match="must be of at most 128 characters, not of 129"):
        folder_name("a" * 129)


def test_switches_and_texts_are_what_they_seem():
    assert switch(True) is True
    assert text(" a ") == " a "
    assert optional(text)(None) is None
    with pytest.raises(ValueError, match="must be true or false, not 'yes'"):
        switch("yes")
    with pytest.raises(ValueError, match="must be text that is not empty"):
        text(" ")
    for wrong in ("a\0b", "\udcff"):
        with pytest.raises(ValueError, match="must be text in UTF-8 without null characters"):
            text(wrong)


def test_a_number_that_no_float_can_hold_is_refused():
    with pytest.raises(ValueError, match="must be a number above 0"):
        number(above=0)(10**400)


def test_credentials_in_an_address_are_refused_and_not_repeated():
    with pytest.raises(ValueError, match="is refused: an address must hold no credentials") as e:
        text("s3://KEY:hidden-key@bucket/data.zip")
    assert "hidden-key" not in str(e.value)


def test_a_flag_is_the_name_with_hyphens():
    assert flag("max_epochs") == "--max-epochs"


@pytest.mark.parametrize(
    ("written", "size"), [("4GB", 4e9), ("500 mb", 5e8), ("1.5GB", 1.5e9), ("1000", 1000), (7, 7)]
)
def test_memory_may_be_written_with_its_unit(written, size):
    assert memory(written) == size


@pytest.mark.parametrize("written", ["", "GB", "-1GB", "0", "4GiB", "many", True, None])
def test_memory_that_is_none_is_refused_with_examples(written):
    with pytest.raises(ValueError, match="must be an amount of memory like 4GB or 500MB"):
        memory(written)


@pytest.mark.parametrize("written", ["iou,cost", "iou, cost", ["iou", "cost"], ("iou", "cost")])
def test_objectives_are_parted_by_commas(written):
    assert objectives("iou", "cost")(written) == ("iou", "cost")
    assert objectives("iou", "cost")("iou") == ("iou",)


@pytest.mark.parametrize("written", ["cost", "cost,iou", "iou,price", "", ","])
def test_the_first_objective_can_not_be_left_out_and_others_must_be_known(written):
    with pytest.raises(ValueError, match="must be"):
        objectives("iou", "cost")(written)


def test_a_price_is_a_number_or_a_file():
    assert price("0.5") == price(0.5) == 0.5
    assert price("mine/prices.toml") == "mine/prices.toml"
    for wrong in ("-1", "cheap", "prices.csv"):
        with pytest.raises(ValueError, match=r"or a table of prices, FILE\.toml"):
            price(wrong)


def test_several_may_be_none():
    assert several(None) == several(()) == ()
    assert several(["a", "b", "a"]) == ("a", "b")
