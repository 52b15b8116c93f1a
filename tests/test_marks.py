"""Marks: pictures and films of synthetic clips say so, and by which generator; others do not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image

from mersynth.export import export
from mersynth.export.images import encode_frame
from mersynth.export.video import save_film
from mersynth.marks import SOURCE_TYPE, mark_of
from tests.export.export_stores import REAL_SAMM, synthetic, write_store

MADE = synthetic(REAL_SAMM[0], 1)
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
FRAME = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)


def facts(xmp: bytes | str) -> dict[str, str]:
    """The fields of an XMP packet, as any XML reader finds them."""
    root = ElementTree.fromstring(xmp)
    described = root.find(f".//{RDF}Description")
    assert described is not None
    text = root.findtext(f".//{RDF}li")
    return {key.removeprefix(IPTC): value for key, value in described.items()} | {
        "text": text or ""
    }


def boxes(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of an MP4's boxes."""
    data = path.read_bytes()
    while data:
        size = int.from_bytes(data[:4], "big")
        assert 8 <= size <= len(data)
        yield data[4:8], data[8:size]
        data = data[size:]


@pytest.mark.parametrize("form", ["png", "jpg"])
def test_a_picture_says_that_it_is_synthetic_and_who_made_it(form: str) -> None:
    plain = encode_frame(FRAME, form, 100)
    image = Image.open(io.BytesIO(encode_frame(FRAME, form, 100, mark_of([MADE]))))
    assert facts(image.info["xmp"]) == {
        f"{RDF}about": "",
        "DigitalSourceType": SOURCE_TYPE,
        "AISystemUsed": facts(image.info["xmp"])["AISystemUsed"],
        "AISystemVersionUsed": "ab" * 32,
        "text": (
            "Synthetic clip samm/006/synthetic_00001: shows the face of samm/006, follows the AU "
            f"curve of samm/020/020_1_1, made by the generator {'ab' * 32}."
        ),
    }
    assert facts(image.info["xmp"])["AISystemUsed"].startswith("mersynth ")
    np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(plain))))


def test_a_recording_has_no_mark() -> None:
    assert mark_of(REAL_SAMM) is None
    for form in ("png", "jpg", "bmp"):
        image = Image.open(io.BytesIO(encode_frame(FRAME, form, 100, mark_of(REAL_SAMM))))
        assert "xmp" not in image.info


def test_names_that_xml_would_misread() -> None:
    odd = replace(MADE, subject="<\"&'é", generator="cd" * 32)
    mark = mark_of([MADE, *REAL_SAMM, odd])
    assert mark is not None
    assert facts(mark.xmp)["AISystemVersionUsed"] == f"{'ab' * 32} {'cd' * 32}"
    assert "shows the face of samm/<\"&'é, follows" in facts(mark.xmp)["text"]


def test_films_are_marked(tmp_path: Path) -> None:
    frames = np.stack([FRAME, 255 - FRAME, FRAME])
    save_film(tmp_path / "made.gif", frames, 25.0, mark_of([MADE]))
    assert SOURCE_TYPE.encode() in Image.open(tmp_path / "made.gif").info["comment"]
    save_film(tmp_path / "made.mp4", frames, 25.0, mark_of([MADE]))
    save_film(tmp_path / "real.mp4", frames, 25.0, None)
    *film, (kind, content) = boxes(tmp_path / "made.mp4")
    assert kind == b"uuid"
    assert content[:16].hex() == "be7acfcb97a942e89c71999491e3afac"
    assert facts(content[16:])["AISystemVersionUsed"] == "ab" * 32
    assert [name for name, _ in film] == [name for name, _ in boxes(tmp_path / "real.mp4")]
    video = cv2.VideoCapture(str(tmp_path / "made.mp4"))
    assert sum(iter(lambda: video.read()[0], False)) == 3


def test_an_export_marks_the_synthetic_clips_alone(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", [REAL_SAMM[0], MADE], header={"scheme": "native"})
    out = export(store.path, "imagefolder", tmp_path / "images")
    marked = {path.name: "xmp" in Image.open(path).info for path in out.rglob("*.png")}
    assert len(marked) == REAL_SAMM[0].num_frames + MADE.num_frames
    assert all(is_marked == ("synthetic" in name) for name, is_marked in marked.items())
    out = export(store.path, "mp4", tmp_path / "films")
    ends = {path.name: [kind for kind, _ in boxes(path)][-1] for path in out.rglob("*.mp4")}
    assert {name: end == b"uuid" for name, end in ends.items()} == {
        "samm_006_006_1_2.mp4": False,
        "samm_006_synthetic_00001.mp4": True,
    }
