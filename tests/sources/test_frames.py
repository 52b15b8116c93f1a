"""Tests of reading and resizing frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from mersynth.sources.frames import check_frame, read_frame
from mersynth.sources.media import kind_of


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "png"])
@pytest.mark.parametrize("grey", [False, True])
def test_every_truncation_is_found(tmp_path: Path, suffix: str, grey: bool) -> None:
    path = tmp_path / f"frame.{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).convert("L" if grey else "RGB").save(path)
    whole = path.read_bytes()
    assert check_frame(path) == (30, 20)
    assert read_frame(path).shape == (20, 30, 3)
    # The last bytes of a PNG are an end mark; its pixels are whole without them.
    for length in range(0, len(whole) - 20, 23):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"truncated or damaged|is empty"):
            check_frame(path)
        with pytest.raises(ValueError, match=r"truncated or damaged|is empty"):
            read_frame(path)


def test_a_damaged_size_is_found(tmp_path: Path) -> None:
    path = tmp_path / "frame.bmp"
    Image.new("RGB", (30, 20)).save(path)
    whole = bytearray(path.read_bytes())
    whole[21] = whole[25] = 100  # the third byte, little-endian, of width and height
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="truncated or damaged"):
        check_frame(path)


def test_channels_are_red_green_blue(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (250, 100, 5)).save(tmp_path / "frame.bmp")
    assert read_frame(tmp_path / "frame.bmp")[2, 2].tolist() == [250, 100, 5]


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_16_bits_keep_their_scale(tmp_path: Path, shape: tuple[int, ...]) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, shape, np.uint16)
    deep[0, 0], deep[0, 1] = 0, 65535
    assert cv2.imwrite(str(tmp_path / "frame.png"), deep)
    colours = np.stack([deep] * 3, 2) if deep.ndim == 2 else deep[..., [2, 1, 0]].astype(float)
    if shape[2:] == (4,):  # over white
        colours = 65535 - (65535 - colours) * (deep[..., 3:] / 65535)
    np.testing.assert_array_equal(
        read_frame(tmp_path / "frame.png"), np.rint(np.rint(colours) / 257)
    )
    assert check_frame(tmp_path / "frame.png") == (7, 5)


def test_truncated_16_bits_are_found(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 65536, (20, 30), np.uint16))
    path.write_bytes(path.read_bytes()[:-200])
    for read in (check_frame, read_frame):
        with pytest.raises(ValueError, match="truncated or damaged"):
            read(path)


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "RGBA"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    pixels = np.zeros((6, 8), np.uint8)
    pixels[:, 4:] = 255
    Image.fromarray(pixels).convert(mode).save(tmp_path / "frame.png")
    np.testing.assert_array_equal(read_frame(tmp_path / "frame.png"), np.stack([pixels] * 3, 2))


def test_cmyk_is_converted(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK").save(tmp_path / "frame.jpg")
    np.testing.assert_allclose(read_frame(tmp_path / "frame.jpg")[8, 8], (200, 40, 90), atol=6)


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_pixels_without_a_known_scale_are_refused(tmp_path: Path, mode: str) -> None:
    # A TIFF under another name: Pillow looks at the content.
    Image.new(mode, (4, 4)).save(tmp_path / "frame.png", "TIFF")
    for read in (check_frame, read_frame):
        with pytest.raises(ValueError, match=f"^pixels of mode {mode} .TIFF. have no known scale"):
            read(tmp_path / "frame.png")


@pytest.mark.parametrize("form", ["TIFF", "PPM"])
def test_grey_of_16_bits_outside_of_png(tmp_path: Path, form: str) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (5, 7), np.uint16)
    Image.fromarray(deep).save(tmp_path / "frame", form)
    wanted = np.stack([np.rint(deep / 257)] * 3, 2)
    np.testing.assert_array_equal(read_frame(tmp_path / "frame"), wanted)
    assert check_frame(tmp_path / "frame") == (7, 5)


@pytest.mark.parametrize(("orientation", "degrees"), [(1, 0), (3, 180), (6, 90), (8, 270)])
def test_heic_of_a_turned_phone_is_upright(tmp_path: Path, orientation: int, degrees: int) -> None:
    heif = pytest.importorskip("pillow_heif")
    upright = np.zeros((64, 96, 3), np.uint8)
    upright[:32, :48] = (220, 60, 30)
    turned = Image.fromarray(upright).rotate(degrees, expand=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.heic"
    heif.from_pillow(turned).save(path, exif=exif.tobytes(), quality=95)
    assert check_frame(path) == (96, 64)
    assert np.abs(read_frame(path).astype(int) - upright).mean() < 4


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "TIFF"])
def test_what_is_transparent_lies_on_white(tmp_path: Path, form: str) -> None:
    pixels = np.zeros((6, 8, 4), np.uint8)
    pixels[:, 4:] = (200, 40, 90, 255)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "frame", form, **({"lossless": True} if form == "WEBP" else {}))
    frame = read_frame(tmp_path / "frame").astype(int)
    np.testing.assert_allclose(frame[:, :4], 255)
    np.testing.assert_allclose(frame[:, 4:], np.broadcast_to((200, 40, 90), (6, 4, 3)), atol=2)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_a_file_of_several_images_is_not_a_frame(tmp_path: Path, form: str) -> None:
    images = [Image.new("RGB", (8, 8), (value,) * 3) for value in (0, 90, 250)]
    images[0].save(tmp_path / "frame", form, save_all=True, append_images=images[1:])
    for read in (check_frame, read_frame):
        with pytest.raises(ValueError, match=r"^the file holds 3 images where one is expected"):
            read(tmp_path / "frame")


def test_a_raw_file_is_not_a_preview(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.NEF", "TIFF")
    with pytest.raises(ValueError, match=r"raw files of cameras cannot be read; save it as \.jpg"):
        check_frame(tmp_path / "photo.NEF")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^the file cannot be read \(No such file"):
        check_frame(tmp_path / "nothing.jpg")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ada.JPG", "image"), ("ada.webp", "image"), ("ada.heic", "image"), ("ada.CR2", "image"),
        ("ada.MOV", "video"), ("ada.mpg", "video"), ("ada.txt", "other"), ("ada", "other"),
        ("ada.h5", "other"), ("._ada.jpg", "system"), (".DS_Store", "system"),
        ("THUMBS.DB", "system"), ("desktop.ini", "system"),
    ],
)  # fmt: skip
def test_kinds_of_files(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_text("words")
    assert kind_of(tmp_path / name) == kind


def test_an_image_under_another_ending_is_one(tmp_path: Path) -> None:
    for form in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
        Image.new("RGB", (8, 8)).save(tmp_path / "ada.old", form)
        assert kind_of(tmp_path / "ada.old") == "image"


@pytest.mark.parametrize("orientation", range(9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_frames_are_turned_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    image = Image.fromarray(blocks.repeat(16, 0).repeat(16, 1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"frame.{suffix}"
    image.save(path, exif=exif, quality=100, lossless=True)
    with Image.open(path) as saved:
        upright = np.asarray(ImageOps.exif_transpose(saved).convert("RGB"))
    np.testing.assert_array_equal(read_frame(path), upright)
    assert check_frame(path) == upright.shape[1::-1]
    assert (upright.shape == (48, 32, 3)) == (orientation >= 5)
