"""Small image files, written for the tests that read them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

SHAPE = (20, 24)


def png(pixels, mode=None):
    """The bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels), mode).save(stream, "png")
    return stream.getvalue()


def block(rows, columns, shape=SHAPE, value=255):
    """A black uint8 image with one rectangle of `value`."""
    pixels = np.zeros(shape, np.uint8)
    pixels[rows[0] : rows[1], columns[0] : columns[1]] = value
    return pixels


def fluorescence(seed=0, shape=SHAPE):
    """A dark grey image of noise, uint8 (H, W, 3)."""
    noise = np.random.default_rng(seed).integers(0, 60, shape, dtype=np.uint8)
    return np.repeat(noise[..., None], 3, axis=2)


def texture(seed=0, side=160):
    """A square image with structure everywhere, like stained tissue, uint8 (side, side, 3)."""
    smooth = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 3)
    grey = np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def kaggle_files(count=2):
    """Relative name -> bytes: `count` images of two nuclei, of 4 x 4 and 5 x 6 pixels."""
    files = {}
    for i in range(count):
        files[f"id{i}/images/id{i}.png"] = png(fluorescence(i))
        files[f"id{i}/masks/a.png"] = png(block((2, 6), (3, 7)))
        files[f"id{i}/masks/b.png"] = png(block((10, 15), (12, 18)))
    return files


def write_folder(root, files):
    """Write relative name -> bytes below the folder `root`, and return it."""
    for name, content in files.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Path(root)


def write_zip(path, files):
    """Write relative name -> bytes into a zip at `path`, and return that."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def make():
    """The functions above, for tests: files in the layouts that are read."""
    return Maker


class Maker:
    """The functions of this module under one name."""

    png = staticmethod(png)
    block = staticmethod(block)
    fluorescence = staticmethod(fluorescence)
    texture = staticmethod(texture)
    kaggle_files = staticmethod(kaggle_files)
    folder = staticmethod(write_folder)
    zip = staticmethod(write_zip)
    shape = SHAPE


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or fills the cache of the user who runs it."""
    monkeypatch.setenv("NUCSEG_CACHE", str(tmp_path / "own-cache"))
