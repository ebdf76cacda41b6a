"""Small whole inputs of each kind, to be damaged."""

import io
import zipfile

import numpy as np
import tifffile
from PIL import Image

from nucseg_models.data.synthetic import synthetic

GREY = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)


def image_file(pixels, kind, **options):
    stream = io.BytesIO()
    if kind == "tiff":
        tifffile.imwrite(stream, pixels, **options)
    else:
        Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


IMAGES = {
    "a.png": image_file(GREY, "png"),
    "16.png": image_file(GREY.astype(np.uint16) * 256, "png"),
    "colour.png": image_file(np.stack([GREY] * 3, axis=-1), "png"),
    "a.tif": image_file(GREY, "tiff"),
    "packed.tif": image_file(np.stack([GREY] * 3), "tiff", compression="zlib"),
    "float.tif": image_file(GREY.astype(np.float32), "tiff"),
    "a.jpg": image_file(GREY, "jpeg"),
    "a.bmp": image_file(GREY, "bmp"),
}


def kaggle_zip():
    """Two images with a mask each, in the layout of the competition."""
    mask = np.zeros_like(GREY)
    mask[2:6, 3:7] = 255
    synthetic_images = synthetic(2, seed=0, sides=(48, 48)).images
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number, pixels in enumerate(synthetic_images):
            archive.writestr(f"{number}/images/{number}.png", image_file(pixels[:20, :24], "png"))
            archive.writestr(f"{number}/masks/a.png", image_file(mask, "png"))
    return stream.getvalue()


ZIP = kaggle_zip()


RUN_LENGTHS = b"ImageId,EncodedPixels,Height,Width,Usage\na,1 2 30 4,20,24,Public\nb,7 1,,,\n"
TOML = b"""arch = ["unet"]\ntrials = 4\ntime-budget = "30m"\nmax_memory = "4GB"\nseed = 7
warm-start = ["results/a"]\nobjective = "iou"\nquiet = true\nusd-per-hour = 0.5\nname = "night"\n"""
PRICES = b'[T4]\non_demand = 0.5\nspot = 0.25\n["Tesla T4"]\non_demand = 1\nspot = 0.75\n'
