"""The images of a sweep, read and split once."""

import numpy as np
import pytest

from nucseg_models import data
from sweeps import inputs
from sweeps.checks import ConfigError
from sweeps.config import SweepConfig


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NUCSEG_CACHE", str(tmp_path / "cache"))


def config(**asked):
    return SweepConfig(arch="cnn", name="night", **asked)


def test_images_are_split_and_normalised(tmp_path, write_images):
    source = write_images(tmp_path / "mine")
    found = inputs.read(config(data=source))
    plain_train, plain_validation = data.split(data.load(source), seed=0)

    assert (found.train.ids, found.validation.ids) == (plain_train.ids, plain_validation.ids)
    for image, plain in zip(found.train.images, plain_train.images, strict=True):
        np.testing.assert_array_equal(image, data.normalise(plain))
    assert found.test is None
    assert found.train.name == found.validation.name == source


def test_the_split_follows_the_seed():
    splits = [inputs.read(config(seed=seed)).validation.ids for seed in (0, 0, 1)]

    assert splits[0] == splits[1] != splits[2]


def test_synthetic_test_images_are_others_than_those_to_train_on():
    found = inputs.read(config(test_data="synthetic"))

    assert found.test is not None
    assert found.test.sha256 != found.train.sha256


def test_test_images_that_are_trained_on_are_refused(tmp_path, write_images):
    source = write_images(tmp_path / "mine")
    copy = write_images(tmp_path / "copy")

    with pytest.raises(ConfigError, match="can't be tested on what they were trained on"):
        inputs.read(config(data=source, test_data=copy))


def test_other_test_images_are_read_and_described(tmp_path, write_images):
    source = write_images(tmp_path / "mine")
    other = write_images(tmp_path / "other", count=3, seed=1)
    found = inputs.read(config(data=source, test_data=other))
    described = found.describe()

    assert set(described) == {"train", "validation", "test"}
    assert (described["test"]["images"], described["test"]["name"]) == (3, other)
    assert described["train"]["images"] + described["validation"]["images"] == 6
    assert described["test"]["nuclei"] == sum(int(labels.max()) for labels in found.test.labels)
    assert described["train"]["sha256"] == found.train.sha256
    assert sum(described["test"]["kinds"].values()) == 3


def test_images_that_can_not_be_used_are_named_or_left_out_and_listed(tmp_path, write_images):
    source = write_images(tmp_path / "mine")
    bad = tmp_path / "mine" / "images" / "synthetic-0001.png"
    bad.write_bytes(b"no image")

    with pytest.raises(data.DataError, match=r"synthetic-0001\.png"):
        inputs.read(config(data=source))
    skipped = inputs.read(config(data=source, skip_bad_images=True)).describe()["train"]["skipped"]
    assert len(skipped) == 1
    assert "synthetic-0001.png" in skipped[0]


def test_images_on_s3_are_fetched(s3_admin, tmp_path, write_images):
    from sweeps.storage import open_store  # noqa: PLC0415

    source = write_images(tmp_path / "mine")
    store = open_store("s3://sweeps/inputs-test")
    for path in sorted((tmp_path / "mine").rglob("*.png")):
        store.write_file(str(path.relative_to(tmp_path / "mine")), path)
    fetched = inputs.read(config(data="s3://sweeps/inputs-test"))

    assert fetched.train.ids == inputs.read(config(data=source)).train.ids
    assert fetched.train.name == "s3://sweeps/inputs-test"


def test_weights_are_none_unless_asked_for():
    assert inputs.weights_path(config(), accepted=False) is None
    assert inputs.weights_path(config(), accepted=True) is None


def test_weights_that_no_architecture_takes_are_refused():
    with pytest.raises(ConfigError, match=r"--pretrained imagenet needs an architecture .* cnn"):
        inputs.weights_path(config(pretrained="imagenet"), accepted=False)


def test_imagenet_is_left_to_the_worker_and_a_file_becomes_its_whole_path(tmp_path, monkeypatch):
    assert inputs.weights_path(config(pretrained="imagenet"), accepted=True) == "imagenet"

    (tmp_path / "mine.weights.h5").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    found = inputs.weights_path(config(pretrained="mine.weights.h5"), accepted=True)
    assert found == str(tmp_path / "mine.weights.h5")  # a worker's folder is another one


def test_a_weights_file_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h5"):
        inputs.weights_path(config(pretrained="nowhere.h5"), accepted=True)


def test_images_are_known_again_by_content_and_split(tmp_path, write_images):
    source = write_images(tmp_path / "mine")
    found = inputs.read(config(data=source))

    assert found.are_those_of(found.describe())
    assert inputs.read(config(data=source)).are_those_of(found.describe())
    assert not inputs.read(config(data=source, seed=1)).are_those_of(found.describe())
    other = write_images(tmp_path / "other", seed=1)
    assert not inputs.read(config(data=other)).are_those_of(found.describe())
