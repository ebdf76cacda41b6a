import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from nucseg_models.data import decode
from nucseg_models.data.errors import DataError
from nucseg_models.data.masks import paint

RNG = np.random.default_rng(0)


def tiff(pixels, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def test_every_kind_of_8_bit_png_becomes_three_channels(make):
    grey = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
    colour = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    alpha = np.full((5, 7, 1), 30, np.uint8)
    as_colour = np.repeat(grey[..., None], 3, axis=2)
    for stored, wanted in [
        (grey, as_colour),
        (np.concatenate([grey[..., None], alpha], axis=2), as_colour),
        (colour, colour),
        (np.concatenate([colour, alpha], axis=2), colour),
    ]:
        decoded = decode.image(make.png(stored), "a.png")
        assert (decoded == wanted).all()
        assert decoded.dtype == np.uint8


def test_a_palette_image_has_its_colours():
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putdata([0, 1])
    stream = io.BytesIO()
    picture.save(stream, "png")
    assert decode.image(stream.getvalue(), "a.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_16_bits_are_scaled_between_percentiles_so_that_a_hot_pixel_does_not_matter(make):
    ramp = np.linspace(100, 1124, 40_000).reshape(200, 200).astype(np.uint16)
    ramp[0, 0] = 65535
    for decoded in (
        decode.image(make.png(ramp), "a.png"),
        decode.image(tiff(ramp), "a.tif"),
        decode.image(tiff(ramp.astype(np.float32)), "a.TIFF"),
    ):
        assert decoded[100, 0, 0] == pytest.approx(128, abs=2)
        assert decoded[-1, -1].tolist() == [255, 255, 255]
        assert decoded[0, 1, 0] == 0


def test_a_sparse_16_bit_image_keeps_its_one_bright_pixel(make):
    pixels = np.zeros((100, 100), np.uint16)
    pixels[3, 4] = 900
    assert decode.image(make.png(pixels), "a.png")[3, 4, 0] == 255


def test_a_constant_16_bit_image_is_black(make):
    assert not decode.image(make.png(np.full((3, 3), 700, np.uint16)), "a.png").any()


def test_16_bit_colour_and_channels_first_tiff_are_read():
    pixels = RNG.integers(0, 4000, (3, 30, 40), dtype=np.uint16)
    first = decode.image(tiff(pixels, photometric="rgb", planarconfig="separate"), "a.tif")
    last = decode.image(tiff(np.moveaxis(pixels, 0, 2), photometric="rgb"), "a.tif")
    assert first.shape == (30, 40, 3)
    assert (first == last).all()


@pytest.mark.parametrize("colour_type", [2, 4, 6])
def test_16_bit_colour_png_is_refused_rather_than_coarsened(make, colour_type):
    data = bytearray(make.png(np.zeros((3, 3, 3), np.uint8)))
    data[24:26] = bytes([16, colour_type])  # bit depth and colour type
    with pytest.raises(DataError, match=r"^a.png: PNG files with 16 bits .* save it as a 16-bit"):
        decode.image(bytes(data), "a.png")


def test_a_compressed_tiff_is_read():
    stream = io.BytesIO()
    pixels = RNG.integers(0, 256, (30, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "tiff", compression="tiff_lzw")
    assert (decode.image(stream.getvalue(), "a.tif")[..., 0] == pixels).all()


@pytest.mark.parametrize("name", ["broken.png", "broken.tif"])
def test_what_is_no_image_is_refused_by_name(name):
    for read in (
        lambda data: decode.image(data, name),
        lambda data: decode.mask(data, name, (2, 2)),
        lambda data: decode.label_image(data, name, (2, 2)),
    ):
        with pytest.raises(DataError, match=f"^{name}: can't be decoded"):
            read(b"not an image")


def test_a_png_that_is_cut_short_is_refused(make):
    data = make.png(RNG.integers(0, 256, (64, 64), dtype=np.uint8))
    with pytest.raises(DataError, match=r"^a.png: can't be decoded"):
        decode.image(data[: len(data) // 2], "a.png")
    with pytest.raises(DataError, match=r"^a.png: can't be decoded"):
        decode.mask(data[: len(data) // 2], "a.png", (64, 64))


def test_a_stack_and_a_float_image_with_gaps_are_refused():
    with pytest.raises(DataError, match=r"has shape \(5, 8, 9\)"):
        decode.image(tiff(np.zeros((5, 8, 9), np.uint8)), "stack.tif")
    with pytest.raises(DataError, match="not finite"):
        decode.image(tiff(np.array([[np.nan, 1.0]], np.float32)), "gap.tif")


@pytest.mark.parametrize(
    "mask",
    [
        np.array([[0, 0, 0], [0, 255, 0]], np.uint8),
        np.array([[0, 0, 0], [0, 1, 0]], np.uint8),
        np.array([[False, False, False], [False, True, False]]),
        np.array([[0, 0, 0], [0, 300, 0]], np.uint16),
        np.array(
            [[[0, 0, 0, 255]] * 3, [[0, 0, 0, 255], [0, 9, 0, 255], [0, 0, 0, 255]]], np.uint8
        ),
    ],
    ids=["255", "1", "1 bit", "16 bit", "colour with alpha"],
)
def test_a_mask_is_all_that_is_not_black(make, mask):
    decoded = decode.mask(make.png(mask), "m.png", (2, 3))
    assert paint([decoded], (2, 3)).tolist() == [[0, 0, 0], [0, 1, 0]]


def test_a_mask_of_another_size_is_refused_with_both_sizes(make):
    with pytest.raises(DataError, match=r"^m.png: is 4 x 5 pixels .* its image is 5 x 4"):
        decode.mask(make.png(np.zeros((4, 5), np.uint8)), "m.png", (5, 4))


def test_labels_may_be_16_bit_colour_palette_or_float(make):
    wanted = np.array([[0, 1, 2], [2, 2, 0]])
    colours = np.array([[0, 0, 0], [0, 200, 0], [0, 0, 90]], np.uint8)
    palette = Image.fromarray(wanted.astype(np.uint8), "L").convert("P")
    stream = io.BytesIO()
    palette.save(stream, "png")
    for name, data in [
        ("16.png", make.png((wanted * 300).astype(np.uint16))),
        ("colour.png", make.png(colours[wanted])),
        ("palette.png", stream.getvalue()),
        ("float.tif", tiff(wanted.astype(np.float32))),
        ("32.tif", tiff(wanted.astype(np.uint32) * 100_000)),
    ]:
        labels = decode.label_image(data, name, (2, 3))
        assert len(np.unique(labels)) == 3, name
        assert ((labels > 0) == (wanted > 0)).all(), name


@pytest.mark.parametrize("value", [-1.0, 0.5])
def test_labels_that_are_no_counting_numbers_are_refused(value):
    with pytest.raises(DataError, match="whole numbers from 0"):
        decode.label_image(tiff(np.array([[value, 1.0]], np.float32)), "l.tif", (1, 2))


def readers(name):
    """Every reader of an image file, as a function of the file's bytes."""
    return (
        lambda data: decode.image(data, name),
        lambda data: decode.mask(data, name, (2, 2)),
        lambda data: decode.label_image(data, name, (2, 2)),
    )


def png_of_size(height, width):
    """A PNG of a few bytes that claims to be so large."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        decode.PNG_SIGNATURE
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def tiff_of_size(height, width):
    """A TIFF of a few bytes that claims to be so large."""
    data = bytearray(tiff(np.zeros((7, 9), np.uint8), software="", metadata=None))
    for tag, value in ((256, width), (257, height), (278, height)):
        place = data.index(struct.pack("<HHI", tag, 4, 1)) + 8
        data[place : place + 4] = struct.pack("<I", value)
    return bytes(data)


@pytest.mark.parametrize(
    ("make_file", "name"), [(png_of_size, "a.png"), (tiff_of_size, "a.tif")], ids=["png", "tiff"]
)
def test_an_image_that_claims_too_many_pixels_is_refused_before_it_is_decoded(make_file, name):
    for read in readers(name):
        with pytest.raises(
            DataError,
            match=rf"^{name}: is 60000 x 50000 pixels \(H x W\), 3,000 million, .* into tiles",
        ):
            read(make_file(60_000, 50_000))


def test_a_stack_that_claims_too_many_values_is_refused(monkeypatch):
    monkeypatch.setattr(decode, "MOST_SAMPLES", 100)
    with pytest.raises(DataError, match=r"^a.tif: holds .* in all its pages.* several files"):
        decode.image(tiff(np.zeros((3, 8, 9), np.uint8), photometric="minisblack"), "a.tif")


def test_a_tiff_that_claims_far_more_than_it_holds_is_refused_before_it_is_decoded():
    with pytest.raises(DataError, match=r"^a.tif: claims 100 MB of pixels in 0.\d kB: it is dama"):
        decode.image(tiff_of_size(10_000, 10_000), "a.tif")


def test_an_image_without_pixels_is_refused():
    with pytest.raises(DataError, match=r"^a.png: can't be decoded|needs one or more"):
        decode.image(png_of_size(0, 5), "a.png")
    with pytest.raises(DataError, match=r"^a.tif: (is|can't be decoded|has shape)"):
        decode.image(tiff_of_size(0, 5), "a.tif")


def test_a_file_of_another_kind_is_refused_whatever_its_name_says():
    # Pillow would hand PostScript to Ghostscript.
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 2 2\n%%EndComments\nshowpage\n%%EOF\n"
    gif = io.BytesIO()
    Image.new("L", (2, 2)).save(gif, "gif")
    for data in (page, gif.getvalue()):
        for read in readers("a.png"):
            with pytest.raises(DataError, match=r"a.png: can't be decoded .*of no known format"):
                read(data)


def test_colours_of_16_bits_that_pillow_would_halve_are_refused():
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.full((8, 8, 3), 3000, np.uint16), photometric="rgb")
    assert (decode.raw(stream.getvalue(), "a.tif") == 3000).all()
    # As tifffile writes no LZW without a further package: the same, said to be packed so.
    with tifffile.TiffFile(io.BytesIO(stream.getvalue())) as file:
        place = file.pages[0].tags["Compression"].valueoffset
    packed = bytearray(stream.getvalue())
    packed[place : place + 2] = (5).to_bytes(2, "little")
    with pytest.raises(DataError, match=r"a.tif: TIFF files with more than 8 bits a channel"):
        decode.raw(bytes(packed), "a.tif")
