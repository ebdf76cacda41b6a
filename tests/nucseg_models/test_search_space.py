import pytest

from nucseg_models.search_space import LEARNING, Choice, Float, Int, check

SPACE = {"rate": Float(0.1, 0.5), "depth": Int(2, 4), "style": Choice("plain", True, 2)}
GOOD = {"rate": 0.1, "depth": 4, "style": "plain"}


@pytest.mark.parametrize(
    ("distribution", "inside", "outside"),
    [
        (Float(0.1, 1.0), [0.1, 0.5, 1.0, 1], [0.09, 1.01, float("nan"), "0.5", None, True]),
        (Int(1, 4), [1, 3, 4], [0, 5, 2.0, "2", None, True]),
        (Choice(1, 2.5, "a", False), [1, 2.5, "a", False], [True, 0, 1.0, "b", None, 2]),
    ],
)
def test_what_lies_within_a_distribution(distribution, inside, outside):
    assert [value in distribution for value in inside] == [True] * len(inside)
    assert [value in distribution for value in outside] == [False] * len(outside)


def test_distributions_read_well_in_a_sentence():
    described = [str(d) for d in (Float(1e-4, 0.3), Int(2, 8), Choice("none", "batch"))]
    assert described == ["0.0001 to 0.3", "2 to 8", "none, batch"]


def test_good_hyperparameters_pass():
    check(GOOD, SPACE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.6}, "hyperparameter rate must be 0.1 to 0.5; got 0.6"),
        ({"depth": 2.0}, "hyperparameter depth must be 2 to 4; got 2.0"),
        ({"style": "fancy"}, "hyperparameter style must be plain, True, 2; got 'fancy'"),
    ],
)
def test_a_value_outside_is_refused_with_what_would_do(changes, message):
    with pytest.raises(ValueError) as refusal:
        check({**GOOD, **changes}, SPACE)
    assert str(refusal.value) == message


def test_unknown_and_missing_names_are_told():
    with pytest.raises(ValueError, match=r"unknown \['size'\], missing \['rate', 'style'\]"):
        check({"depth": 3, "size": 1}, SPACE)


@pytest.mark.parametrize(
    ("size", "is_accepted"),
    [
        (128, True),
        (320, True),
        (96, False),
        (1024, True),
        (100, False),
        (0, False),
        (-32, False),
        (64.0, False),
    ],
)
def test_the_image_size_may_be_pinned_to_any_multiple_of_64(size, is_accepted):
    space = {"image_size": LEARNING["image_size"]}
    if is_accepted:
        check({"image_size": size}, space)
    else:
        with pytest.raises(ValueError, match="image_size"):
            check({"image_size": size}, space)
