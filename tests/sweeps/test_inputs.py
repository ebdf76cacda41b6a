"""The images of a sweep, read and split once."""

import http.server
import io
import threading
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from nucseg_models import data
from sweeps import inputs
from sweeps.checks import ConfigError
from sweeps.config import SweepConfig
from sweeps.storage import open_store


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NUCSEG_CACHE", str(tmp_path / "cache"))


def config(**asked):
    return SweepConfig(**{"arch": "cnn", "name": "night", **asked})


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
    found = inputs.read(config(data=source, skip_bad_images=True))
    skipped = found.describe()["train"]["skipped"]
    assert found.left_out() == ["images that can't be used and are left out: 1", *skipped]
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
    assert inputs.weights_path(config()) is None
    assert inputs.weights_path(config(arch="resnet")) is None


def test_weights_that_no_architecture_takes_are_refused():
    with pytest.raises(ConfigError, match=r"--pretrained imagenet needs an architecture .* cnn"):
        inputs.weights_path(config(pretrained="imagenet"))


def kernels(path, count):
    """A file with so many convolutions' kernels, as far as their shapes go."""
    with h5py.File(path, "w") as file:
        for number in range(count):
            file[f"layers/conv{number}/kernel"] = np.zeros((1, 1, 1, 1), np.float32)
            file[f"layers/conv{number}/bias"] = np.zeros(1, np.float32)


@pytest.fixture
def served():
    """The address of a service of this machine that answers, if only that there is no such page."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_imagenet_that_cannot_be_reached_is_said_before_a_trial(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "KERAS_MODELS", tmp_path)
    monkeypatch.setattr(inputs, "IMAGENET", "http://127.0.0.1:9")  # nobody listens
    asked = config(arch="resnet", pretrained="imagenet")
    with pytest.raises(ConfigError, match=r"can't be reached .*: connect this machine, or give"):
        inputs.weights_path(asked)
    (tmp_path / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5").touch()
    assert inputs.weights_path(asked) == "imagenet"


def test_imagenet_is_left_to_the_worker_and_a_file_becomes_its_whole_path(
    tmp_path, monkeypatch, served
):
    monkeypatch.setattr(inputs, "KERAS_MODELS", tmp_path / "none")
    monkeypatch.setattr(inputs, "IMAGENET", served)
    asked = {"arch": ["cnn", "resnet"]}
    assert inputs.weights_path(config(**asked, pretrained="imagenet")) == "imagenet"

    kernels(tmp_path / "mine.weights.h5", 53)
    monkeypatch.chdir(tmp_path)
    found = inputs.weights_path(config(**asked, pretrained="mine.weights.h5"))
    assert found == str(tmp_path / "mine.weights.h5")  # a worker's folder is another one


def test_weights_on_s3_are_fetched(s3_admin, tmp_path, monkeypatch):
    monkeypatch.setenv("NUCSEG_CACHE", str(tmp_path / "cache"))
    kernels(tmp_path / "mine.weights.h5", 155)
    store = open_store("s3://sweeps/weights-test")
    store.write_file("mine.weights.h5", tmp_path / "mine.weights.h5")
    found = inputs.weights_path(
        config(arch="resnet", pretrained="s3://sweeps/weights-test/mine.weights.h5")
    )
    assert Path(found).read_bytes() == (tmp_path / "mine.weights.h5").read_bytes()


def test_a_weights_file_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h5"):
        inputs.weights_path(config(arch="resnet", pretrained="nowhere.h5"))


def test_a_file_of_other_weights_is_refused_before_anything_begins(tmp_path):
    path = tmp_path / "other.h5"
    path.write_bytes(b"no weights in here")
    with pytest.raises(ConfigError, match=r"other\.h5 is no file of weights"):
        inputs.weights_path(config(arch="resnet", pretrained=str(path)))
    kernels(path, 54)
    with pytest.raises(ConfigError, match=r"holds 54 convolutions; .* which have \[53, 104, 155\]"):
        inputs.weights_path(config(arch="resnet", pretrained=str(path)))


def test_run_lengths_that_lie_beside_a_zip_on_s3_are_read_with_it(s3_admin, tmp_path, monkeypatch):
    monkeypatch.setenv("NUCSEG_CACHE", str(tmp_path / "cache"))
    png = io.BytesIO()
    Image.fromarray(np.full((16, 16), 9, np.uint8)).save(png, "png")
    with zipfile.ZipFile(tmp_path / "stage1_test.zip", "w") as archive:
        archive.writestr("a/images/a.png", png.getvalue())
    store = open_store("s3://sweeps/run-length-test")
    store.write_file("stage1_test.zip", tmp_path / "stage1_test.zip")
    store.write_bytes(
        "stage1_solution.csv", b"ImageId,EncodedPixels,Height,Width,Usage\na,1 2,16,16,Public\n"
    )
    found = inputs.read(config(test_data="s3://sweeps/run-length-test/stage1_test.zip"))

    (labels,) = found.test.labels
    assert np.flatnonzero(labels.T).tolist() == [0, 1]  # counted down the columns


def test_images_are_known_again_by_content_and_split(tmp_path, write_images):
    source = write_images(tmp_path / "mine")
    found = inputs.read(config(data=source))

    assert found.are_those_of(found.describe())
    assert inputs.read(config(data=source)).are_those_of(found.describe())
    assert not inputs.read(config(data=source, seed=1)).are_those_of(found.describe())
    other = write_images(tmp_path / "other", seed=1)
    assert not inputs.read(config(data=other)).are_those_of(found.describe())
    assert not found.are_those_of({})


def test_test_images_may_be_given_later_but_not_be_changed(tmp_path, write_images):
    source, one, other = (
        write_images(tmp_path / name, seed=seed)
        for seed, name in enumerate(("mine", "one", "other"))
    )
    untested, first, second = (
        inputs.read(config(data=source, test_data=test)) for test in (None, one, other)
    )
    assert first.are_those_of(untested.describe())
    assert first.are_those_of(first.describe())
    assert not second.are_those_of(first.describe())
