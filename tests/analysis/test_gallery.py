import base64
import io
import struct
import zlib

import numpy as np
import polars as pl
import pytest
from PIL import Image

from analysis import gallery, load
from analysis.load import AnalysisError


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_outlines_are_in_their_verdicts_colours_and_all_else_is_transparent(
    sweep_folder, gallery_record
):
    rows = load.gallery([sweep_folder(gallery=[gallery_record()])])
    ((picture,),) = gallery.pictures(rows)
    overlay = np.asarray(decoded(picture.outlines).convert("RGBA"))
    name, colour, _ = gallery.VERDICTS[1]
    assert name == "hit"
    assert overlay[7, 7].tolist() == [*bytes.fromhex(colour[1:]), 255]
    assert overlay[0, 0, 3] == 0
    assert decoded(picture.picture).size == (30, 20)


def test_places_hold_the_architectures_in_one_order(sweep_folder, gallery_record):
    rows = [
        gallery_record(image=image, architecture=name)
        for image in ("b", "a")
        for name in ("unet", "cnn")
    ]
    places = gallery.pictures(load.gallery([sweep_folder(gallery=rows)]))
    assert [place[0].heading for place in places] == ["a (tissue)", "b (tissue)"]
    assert [[picture.architecture for picture in place] for place in places] == [
        ["cnn", "unet"]
    ] * 2


def test_a_sweep_without_a_gallery_has_no_pictures(sweep_folder):
    rows = load.gallery([sweep_folder()])
    assert isinstance(rows, pl.DataFrame)
    assert gallery.pictures(rows) == []


@pytest.mark.parametrize("picture", ["eps", "cut", "noise", "bomb"])
def test_what_is_no_png_is_refused_and_never_handed_to_another_program(
    sweep_folder, gallery_record, picture
):
    whole = gallery_record().picture
    header = whole[12:16] + struct.pack(">II", 1 << 16, 1 << 16) + whole[24:29]
    content = {
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 30 20\n%%EndComments\n",
        "cut": whole[:60],
        "noise": b"no picture",
        "bomb": whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:],
    }
    rows = load.gallery([sweep_folder(gallery=[gallery_record(picture=content[picture])])])
    with pytest.raises(AnalysisError, match=r"gallery.parquet holds a picture that can't be"):
        gallery.pictures(rows)
