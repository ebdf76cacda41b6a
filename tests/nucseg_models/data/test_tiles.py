import numpy as np

from nucseg_models.data.synthetic import synthetic
from nucseg_models.data.tiles import adjoining


def test_a_picture_cut_in_four_is_put_together_along_its_seams(make):
    whole = make.texture()
    upper_left, upper_right = whole[:80, :70], whole[:80, 70:]
    lower_left, lower_right = whole[80:, :70], whole[80:, 70:]
    pairs = adjoining([lower_right, upper_left, lower_left, upper_right]).tolist()
    assert sorted(map(tuple, map(sorted, pairs))) == [(0, 2), (0, 3), (1, 2), (1, 3)]


def test_unrelated_images_do_not_adjoin(make):
    assert len(adjoining([make.texture(seed) for seed in range(30)])) == 0
    assert len(adjoining(synthetic(30, seed=1, sides=(96, 96)).images)) == 0


def test_a_gap_of_a_few_pixels_is_no_seam(make):
    whole = make.texture()
    assert len(adjoining([whole[:, :70], whole[:, 80:]])) == 0


def test_empty_borders_prove_nothing():
    empty = np.zeros((64, 64, 3), np.uint8)
    assert len(adjoining([empty, empty, empty])) == 0


def test_lighting_that_all_images_share_is_no_seam():
    rows, columns = np.mgrid[-1:1:96j, -1:1:96j]
    light = (220 - 60 * (rows**2 + columns**2))[..., None]
    images = [
        np.repeat(light + np.random.default_rng(i).normal(0, 2, light.shape), 3, axis=2)
        for i in range(8)
    ]
    assert len(adjoining([image.astype(np.uint8) for image in images])) == 0


def test_narrow_images_are_left_out(make):
    whole = make.texture()
    assert adjoining([whole[:3, :3], whole[:3, 3:6]]).shape == (0, 2)
