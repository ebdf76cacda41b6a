import json

import numpy as np
import pytest

import nucseg_models
from nucseg_models.data import DataError
from nucseg_models.prediction.winner import Winner


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tiny):
    """Folders of tiny untrained winners, by architecture."""
    folders = {}
    for name in nucseg_models.names():
        architecture = nucseg_models.get(name)
        folders[name] = folder = tmp_path_factory.mktemp(name)
        hyperparameters = tiny(architecture)
        architecture.build(hyperparameters, None).save(folder / "model.keras")
        description = {"architecture": name, "hyperparameters": hyperparameters}
        (folder / "config.json").write_text(json.dumps(description))
    return folders


@pytest.mark.parametrize("name", nucseg_models.names())
def test_every_architecture_segments_images_of_any_size(saved, name, nuclei):
    images = [nuclei.images[0], nuclei.images[1][:33, :47], np.zeros((300, 40, 3), np.uint8)]
    winner = Winner(saved[name])
    found = {index: winner.nuclei(output) for index, output in winner.outputs(images)}
    assert sorted(found) == [0, 1, 2]
    for index, image in enumerate(images):
        labels, certainty = found[index].labels, found[index].certainty
        assert (labels.shape, labels.dtype) == (image.shape[:2], np.int32)
        assert certainty.shape == (labels.max(initial=0),)
        assert ((certainty >= 0) & (certainty <= 1)).all()


def test_a_folder_without_a_model_says_what_a_winner_is(tmp_path):
    with pytest.raises(DataError, match=r"there is no model in .*such as results/NAME/best/unet"):
        Winner(tmp_path)


@pytest.mark.parametrize(
    ("description", "complaint"),
    [
        ("{", "can't be read"),
        ("[]", "holds no description"),
        ('{"architecture": "fcn"}', "no architecture is called 'fcn'"),
        ('{"architecture": "unet", "hyperparameters": {"wdth": 8}}', "unknown .*wdth"),
    ],
)
def test_a_description_that_fits_nothing_is_refused(tmp_path, description, complaint):
    (tmp_path / "config.json").write_text(description)
    with pytest.raises(DataError, match=complaint):
        Winner(tmp_path)


@pytest.mark.parametrize("content", [None, b"no model"])
def test_a_model_that_is_missing_or_damaged_is_named(saved, tmp_path, content):
    (tmp_path / "config.json").write_bytes((saved["unet"] / "config.json").read_bytes())
    if content:
        (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(DataError, match=r"model.keras can't be loaded"):
        Winner(tmp_path)
