"""The command as users call it; what it writes is tested in prediction/."""

import contextlib
import json
import os
import pty
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from PIL import Image

import nucseg_models
from nucseg_models import device, predict


@pytest.fixture(scope="module")
def winner(tmp_path_factory, tiny):
    """A winner's folder; its network calls what is bright a nucleus."""
    folder = tmp_path_factory.mktemp("best")
    architecture = nucseg_models.get("cnn")
    hyperparameters = tiny(architecture, hidden_layers=2, activation="relu")
    model = architecture.build(hyperparameters, None)
    for variable in model.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    _pass_brightness(model)
    model.save(folder / "model.keras")
    (folder / "config.json").write_text(
        json.dumps({"architecture": "cnn", "hyperparameters": hyperparameters})
    )
    return folder


def _pass_brightness(model):
    """Set the weights so that nucleus = 20 brightness - 10, and background the opposite."""
    layers = [layer for layer in model.layers if layer.weights]
    layers[0].gamma.assign([1.0, 1.0, 1.0])
    for layer in layers[1:-1]:
        kernel = np.zeros(layer.kernel.shape)
        kernel[..., 0, 0] = 1.0
        layer.kernel.assign(kernel)
    kernel = np.zeros(layers[-1].kernel.shape)
    kernel[1, 1, 0, :] = 20.0, 0.0, -20.0
    layers[-1].kernel.assign(kernel)
    layers[-1].bias.assign([-10.0, -10.0, 10.0])


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """A process's threads can be set once: an earlier test may have done so."""
    monkeypatch.setattr(device, "prepare", lambda threads: None)


@pytest.fixture
def images(tmp_path):
    """A folder with a 16-bit stack, a PNG and a broken file."""
    folder = tmp_path / "images"
    folder.mkdir()
    squares = np.zeros((2, 40, 50), np.uint16)
    squares[0, 5:15, 5:15] = squares[1, 20:30, 20:40] = 4000
    tifffile.imwrite(folder / "stack.tif", squares, photometric="minisblack")
    Image.fromarray((squares[0] // 16).astype(np.uint8)).save(folder / "plain.png")
    (folder / "broken.png").write_bytes(b"not an image")
    return folder


def test_a_folder_of_images_becomes_labels_overlays_and_tables(winner, images, tmp_path):
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "nucseg_models.predict", str(winner), str(images), "-o", str(out)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == predict.SKIPPED
    assert done.stdout == f"3 nuclei in 2 images: {out}\n"
    assert done.stderr.startswith(f"skipped: {images}/broken.png: can't be decoded")
    assert done.stderr.count("\n") == 1
    stack = tifffile.imread(out / "labels" / "stack.tif")
    assert stack.shape == (2, 40, 50)
    assert (stack[0, 5:15, 5:15] == 1).all()
    rows = pq.read_table(out / "nuclei.parquet").to_pylist()
    places = [(row["image"], row["page"], row["area"], row["mean_intensity"]) for row in rows]
    assert places == [("plain", 1, 100, 250), ("stack", 1, 100, 4000), ("stack", 2, 200, 4000)]


def seen_on_a_terminal(command):
    """What a person sees while a command runs, its table of results apart."""
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError), os.fdopen(master, "rb", buffering=0) as screen:
        while more := screen.read(4096):  # Linux ends a terminal that nobody writes to with EIO
            seen += more
    process.wait()
    return seen.decode()


def test_on_a_terminal_a_bar_shows_how_far_it_is(winner, images, tmp_path):
    out = tmp_path / "out"
    seen = seen_on_a_terminal(
        [sys.executable, "-m", "nucseg_models.predict", str(winner), str(images), "-o", str(out)]
    )
    assert "segmenting" in seen
    assert "0/3" in seen and "3/3" in seen
    assert "skipped: " in seen and "broken.png" in seen


def test_files_are_decoded_together_only_while_they_are_small(images, monkeypatch):
    monkeypatch.setattr(predict, "AT_ONCE", 3)
    files = [(str(n), images / name) for n, name in enumerate(["stack.tif", "broken.png"] * 3)]
    rest = iter(files)
    small = predict._read_some(rest)
    monkeypatch.setattr(predict, "ENOUGH_BYTES", 1)
    large = [list(predict._read_some(rest)) for _ in range(3)]

    assert list(small) == ["0", "1", "2"]
    assert large == [["3", "4"], ["5"], []]


def test_good_images_alone_end_with_status_0(winner, images, tmp_path):
    assert predict.main([str(winner), str(images / "plain.png"), "-o", str(tmp_path / "out")]) == 0


def test_files_of_one_name_are_told_apart_by_their_folders(winner, images, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "plain.png").write_bytes((images / "plain.png").read_bytes())
    files = [str(folder / "plain.png") for folder in (images, other)]
    predict.main([str(winner), *files, "-o", str(tmp_path / "out")])
    labels = sorted(path.name for path in (tmp_path / "out" / "labels").iterdir())
    assert labels == ["images_plain.png.tif", "other_plain.png.tif"]


def test_only_broken_files_are_skipped_by_a_network_of_boxes_too(
    tmp_path_factory, tiny, images, tmp_path
):
    best = tmp_path_factory.mktemp("mask_rcnn")
    architecture = nucseg_models.get("mask_rcnn")
    hyperparameters = tiny(architecture)
    architecture.build(hyperparameters, None).save(best / "model.keras")
    description = {"architecture": "mask_rcnn", "hyperparameters": hyperparameters}
    (best / "config.json").write_text(json.dumps(description))
    status = predict.main([str(best), str(images / "broken.png"), "-o", str(tmp_path / "out")])
    assert status == predict.SKIPPED
    assert pq.read_table(tmp_path / "out" / "nuclei.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("nowhere images -o out", "there is no model in nowhere"),
        ("best nowhere.png -o out", "nowhere.png: there is no such file"),
        ("best images -o images", "images holds something already: name a new folder"),
    ],
)
@pytest.mark.usefixtures("images")
def test_what_cannot_be_done_is_said_before_work_starts(tmp_path, capsys, arguments, complaint):
    with contextlib.chdir(tmp_path):
        assert predict.main(arguments.split()) == predict.ASKED_WRONG
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
