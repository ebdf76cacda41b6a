import numpy as np
import pytest
import tifffile
from PIL import Image

from nucseg_models.data import DataError
from nucseg_models.prediction import pages

RAMP = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16)


def test_a_png_is_one_page(tmp_path):
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "a.png")
    (page,) = pages.read(tmp_path / "a.png")
    assert page.image.shape == (12, 16, 3)
    np.testing.assert_array_equal(page.intensity, RAMP)


def test_intensities_are_the_files_own_whatever_the_network_sees(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RAMP * 100)
    (page,) = pages.read(tmp_path / "a.tif")
    assert (page.image.min(), page.image.max()) == (0, 255)
    np.testing.assert_array_equal(page.intensity, RAMP.astype(np.float32) * 100)


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_a_stack_is_as_many_pages_as_it_has_planes(tmp_path, count):
    stack = np.stack([RAMP + n for n in range(count)])
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    found = pages.read(tmp_path / "a.tif")
    assert [page.intensity[0, 0] for page in found] == list(range(count))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_the_channels_of_an_imagej_stack_are_not_pages_and_none_is_lost(tmp_path, channels):
    planes = [np.zeros_like(RAMP)] * (channels - 1)
    stack = np.stack([np.stack([*planes, RAMP + n]) for n in range(2)])
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    found = pages.read(tmp_path / "a.tif")
    assert [page.intensity[0, 0] for page in found] == [0, pytest.approx(1 / channels)]
    assert all(page.image.max() == 255 for page in found)


def test_a_compression_that_tifffile_lacks_is_read_by_pillow(tmp_path):
    frames = [Image.fromarray(RAMP.astype(np.uint8) + n) for n in range(2)]
    frames[0].save(
        tmp_path / "a.tif", compression="tiff_lzw", save_all=True, append_images=frames[1:]
    )
    found = pages.read(tmp_path / "a.tif")
    assert [page.intensity[0, 0] for page in found] == [0, 1]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_are_not_pages(tmp_path, planar):
    colours = np.stack([RAMP, RAMP, RAMP], axis=-1).astype(np.uint8)
    stored = np.moveaxis(colours, -1, 0) if planar == "separate" else colours
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)
    (page,) = pages.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(page.image, colours)


def test_pages_may_differ_in_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(RAMP)
        file.write(RAMP[:6])
    assert [page.intensity.shape for page in pages.read(tmp_path / "a.tif")] == [(12, 16), (6, 16)]


def test_alpha_is_no_intensity(tmp_path):
    rgba = np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, 255)]).astype(np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pages.read(tmp_path / "a.png")[0].intensity, RAMP)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=name):
        pages.read(tmp_path / name)


def test_folders_are_looked_into_and_each_file_comes_once(tmp_path):
    for name in ("b.png", "a.tif", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "below").mkdir()
    found = pages.find([tmp_path, tmp_path / "b.png"])
    assert [path.name for path in found] == ["a.tif", "b.png"]


def test_nothing_to_read_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r"no images in .*files must end in .png"):
        pages.find([tmp_path])
    with pytest.raises(DataError, match=r"gone.png: there is no such file"):
        pages.find([tmp_path / "gone.png"])


def test_colours_of_16_bits_by_a_compression_that_tifffile_lacks_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((8, 8, 3), 3000, np.uint16), photometric="rgb")
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags["Compression"].valueoffset
    content = bytearray(path.read_bytes())
    content[place : place + 2] = (5).to_bytes(2, "little")  # LZW
    path.write_bytes(content)
    with pytest.raises(DataError, match="more than 8 bits a channel"):
        pages.read(path)
