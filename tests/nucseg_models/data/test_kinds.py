import numpy as np
import pytest

from nucseg_models.data.kinds import has_bright_ground, kind_of


def plain(red, green, blue):
    return np.full((4, 4, 3), (red, green, blue), np.uint8)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (plain(10, 10, 10), "fluorescence"),
        (plain(99, 99, 99), "fluorescence"),
        (plain(100, 100, 100), "brightfield"),
        (plain(0, 0, 200), "fluorescence"),  # blue on black: a mean of 67
        (plain(200, 150, 210), "tissue"),
    ],
)
def test_the_kind_follows_from_brightness_and_colour(image, kind):
    assert kind_of(image) == kind


def test_one_coloured_pixel_makes_a_bright_image_tissue():
    image = plain(200, 200, 200)
    image[3, 3, 0] = 201
    assert kind_of(image) == "tissue"


def test_a_minority_of_bright_pixels_does_not_make_a_bright_ground():
    image = plain(0, 0, 0)
    image[:, 0] = 255
    assert not has_bright_ground(image)
    image[:, 1:3] = 255
    assert has_bright_ground(image)
