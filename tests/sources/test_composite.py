"""Tests of the composite database of MEGC2019."""

from __future__ import annotations

import csv
import dataclasses
import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mersynth.clips import Clip
from mersynth.facs.emotions import label
from mersynth.sources import get_source
from mersynth.sources.composite import PARTS, make_composite
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.writer import StoreWriter
from tests.sources.one_image import decoded_once

TABLES = {
    "casme2": "CASME2-coding-20140508.xlsx",
    "samm": "SAMM_Micro_FACS_Codes_v2.xlsx",
    "smic": "SMIC-HS-E_annotation.xlsx",
}
CLASSES = ("negative", "positive", "surprise")  # the challenge's 0, 1, 2
# The seven of the challenge's clips that are no row of SMIC's table.
FURTHER = {"s03_ne_03", "s04_ne_05", "s04_ne_06", "s09_sur_02"}
NOWHERE = {"s01_ne_02", "s02_sur_05", "s03_ne_20"}


def challenge(annotations: Path) -> dict[str, str]:
    """Class of every clip that MEGC2019 lists, by the clip's id."""
    with (annotations / "combined_3_class_gt.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    subjects = {"casme2": str, "smic": str, "samm": lambda subject: subject.zfill(3)}
    return {
        f"{row['data']}/{subjects[row['data']](row['subject'])}/{row['clip']}": CLASSES[
            int(row["label"])
        ]
        for row in rows
    }


def write_store(
    path: Path, clips: Sequence[Clip], source: str, image_size: int = 1, shade: int = 7
) -> ClipStore:
    header = {"source": source, "licence": f"terms of {source}", "citation": f"paper of {source}"}
    with StoreWriter(path, clips, image_size, header) as writer:
        for clip in clips:
            writer.add(np.full((clip.num_frames, image_size, image_size, 3), shade, np.uint8))
        return writer.finish()


def write_tree(root: Path, folders: dict[str, Sequence[str]]) -> None:
    """A tree in which all frames are one image."""
    root.mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(root / "frame.bmp")
    for folder, names in folders.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            os.link(root / "frame.bmp", root / folder / f"{name}.bmp")


def frame_name(source: str, clip: Clip, number: int) -> str:
    names = {"casme2": f"reg_img{number}", "samm": f"{clip.subject}_{number:05d}"}
    return names.get(source, f"image{number}")


def scan_to_store(source: str, root: Path, out: Path) -> None:
    with decoded_once():
        scan = get_source(source).scan(root)
    assert [problem for problem in scan.problems if problem.fatal] == []
    write_store(out, [files.clip for files in scan.clips], source)


def store_of_table(annotations: Path, source: str, tmp_path: Path, out: str = "") -> None:
    """The store of a tree that is laid out from the real table."""
    database = get_source(source)
    table = annotations / TABLES[database.home]
    rows, _ = database.read_annotations(table)  # type: ignore[attr-defined]
    home = "HS/" if database.home == "smic" else ""
    folders = {}
    for row in rows:
        numbers = range(row.clip.onset, row.clip.offset + 1)
        place = row.within or row.name
        names = [frame_name(source, row.clip, number) for number in numbers]
        folders.setdefault(f"{home}{row.subject}/{place}", []).extend(names)
    root = tmp_path / "data" / source
    write_tree(root, folders)
    (root / table.name).write_bytes(table.read_bytes())
    scan_to_store(source, root, tmp_path / "stores" / (out or source))


def store_of_cropped_smic(annotations: Path, tmp_path: Path) -> None:
    """The store of a tree as SMIC_all_cropped is laid out, of the clips that MEGC2019 lists."""
    folders = {}
    for clip, emotion in challenge(annotations).items():
        source, subject, name = clip.split("/")
        if source == "smic":
            short = re.sub("^s0", "s", subject)
            place = f"HS/{short}/micro/{emotion}/{short}{name.removeprefix(subject)}"
            folders[place] = [f"reg_image{number}" for number in range(3)]
    write_tree(tmp_path / "data" / "smic", folders)
    scan_to_store("smic", tmp_path / "data" / "smic", tmp_path / "stores" / "smic")


@pytest.fixture(scope="module")
def two(annotations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stores of CASME II and SAMM, from trees of the real tables."""
    folder = tmp_path_factory.mktemp("composite")
    for source in ("casme2", "samm"):
        store_of_table(annotations, source, folder)
    return folder


@pytest.fixture
def place(two: Path, tmp_path: Path) -> Path:
    """A folder in which SMIC's store is still missing."""
    (tmp_path / "stores").mkdir()
    for source in ("casme2", "samm"):
        (tmp_path / "stores" / source).symlink_to(two / "stores" / source)
    return tmp_path


@pytest.mark.slow
def test_the_clips_are_those_of_the_challenge(annotations: Path, place: Path) -> None:
    store_of_cropped_smic(annotations, place)
    store = make_composite(place / "stores", place / "composite")
    listed = challenge(annotations)
    assert {c.id: label(c.source, c.emotion, "three") for c in store.clips} == listed
    assert (len(store), len(store.subjects)) == (442, 68)
    counts = Counter((c.source, label(c.source, c.emotion, "three")) for c in store.clips)
    for source, wanted in (
        ("casme2", (88, 32, 25)),
        ("smic", (70, 51, 43)),
        ("samm", (92, 26, 15)),
    ):
        assert tuple(counts[source, name] for name in CLASSES) == wanted
    header = ClipStore.open(store.path, verify=True).meta["header"]
    assert (header["source"], header["image_size"], header["warnings"]) == ("composite", 1, [])


def test_the_raw_release_of_smic_lacks_seven(
    annotations: Path, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store_of_table(annotations, "smic", place)
    with pytest.raises(StoreError, match="--skip-bad") as caught:
        make_composite(place / "stores", place / "composite")
    text = str(caught.value)
    assert "smic: 157 clips (65/51/41 negative, positive, surprise) of 16 subjects" in text
    assert "expected: 164 (70/51/43) of 16" in text
    assert f"{', '.join(sorted(FURTHER))}: second or third" in text
    assert "mersynth prepare --source smic-further --out" in text
    assert f"{', '.join(sorted(NOWHERE))}: in no row of the table" in text
    assert "casme2:" not in text
    assert "samm:" not in text
    assert not (place / "composite").exists()

    with caplog.at_level(logging.WARNING):
        store = make_composite(place / "stores", place / "composite", skip_bad=True)
    assert (len(store), len(store.subjects)) == (435, 68)
    assert "157 clips" in caplog.text
    assert len(store.meta["header"]["warnings"]) == 3
    missing = challenge(annotations).keys() - {clip.id for clip in store.clips}
    assert {clip.rsplit("/", 1)[1] for clip in missing} == FURTHER | NOWHERE


def test_further_micro_expressions_fill_four_gaps(annotations: Path, place: Path) -> None:
    store_of_table(annotations, "smic-further", place, out="smic")
    store = make_composite(place / "stores", place / "composite", skip_bad=True)
    missing = challenge(annotations).keys() - {clip.id for clip in store.clips}
    assert {clip.rsplit("/", 1)[1] for clip in missing} == NOWHERE
    assert len(store) == 439


def clip(source: str, name: str, emotion: str, **changes: object) -> Clip:
    subject = {"casme2": "sub04", "smic": "s03", "samm": "006"}[source]
    facts = {"subject": subject, "onset": 3, "apex": 4, "offset": 5, "name": name}
    return Clip(source=source, emotion=emotion, **{**facts, **changes})  # type: ignore[arg-type]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Stores of a few clips each."""
    clips = {
        "casme2": [
            clip("casme2", "EP01", "disgust"),
            clip("casme2", "EP02", "others"),
            clip("casme2", "EP12_01f", "disgust"),  # without an apex: here one was spotted
        ],
        "smic": [
            clip("smic", "s03_ne_02", "negative", apex=None),
            clip("smic", "s03_ne_02_2", "negative", apex=None),
        ],
        "samm": [clip("samm", "006_1_2", "anger"), clip("samm", "006_1_3", "other")],
    }
    for shade, (source, some) in enumerate(clips.items(), 50):
        write_store(tmp_path / "stores" / source, some, source, image_size=4, shade=shade)
    return tmp_path


def test_clips_keep_ids_labels_and_frames(small: Path) -> None:
    store = make_composite(small / "stores", small / "new", skip_bad=True)
    assert [(c.id, c.emotion) for c in store.clips] == [
        ("casme2/sub04/EP01", "disgust"),
        ("smic/s03/s03_ne_02", "negative"),
        ("samm/006/006_1_2", "anger"),
    ]
    assert [item.frames[2, 1, 1, 0] for item in store] == [50, 51, 52]


def test_the_terms_of_all_three_are_kept(small: Path) -> None:
    header = make_composite(small / "stores", small / "new", skip_bad=True).meta["header"]
    assert header["licence"] == "terms of casme2; terms of smic; terms of samm"
    assert header["citation"].startswith("See, J.")
    assert header["citation"].endswith("paper of casme2; paper of smic; paper of samm")
    assert [part["header"]["source"] for part in header["parts"]] == list(PARTS)


def test_every_gap_is_named(small: Path) -> None:
    with pytest.raises(StoreError, match="nothing was written") as caught:
        make_composite(small / "stores", small / "new")
    for line in (
        "casme2: 1 clips (1/0/0 negative, positive, surprise) of 1 subjects; expected: 145 "
        "(88/32/25) of 24",
        "samm: 1 clips (1/0/0 negative, positive, surprise) of 1 subjects; expected: 133 "
        "(92/26/15) of 28",
    ):
        assert line in str(caught.value)


def test_a_person_in_two_spellings_is_a_gap(small: Path) -> None:
    some = [clip("samm", "006_1_2", "anger"), clip("samm", "006_1_3", "anger")]
    some[1] = dataclasses.replace(some[1], subject="6")
    write_store(small / "twice" / "samm", some, "samm", image_size=4, shade=1)
    for name in ("casme2", "smic"):
        (small / "twice" / name).symlink_to(small / "stores" / name)
    with pytest.raises(StoreError, match=r"names look alike: people of samm: '006' .*, '6' "):
        make_composite(small / "twice", small / "new")
    header = make_composite(small / "twice", small / "new", skip_bad=True).meta["header"]
    assert any("names look alike: people of samm" in line for line in header["warnings"])


def test_default_places(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small)
    store = make_composite(skip_bad=True)
    assert store.path.resolve() == small.resolve() / "stores" / "composite"
    with pytest.raises(StoreError, match="exists already"):
        make_composite(skip_bad=True)


def test_a_missing_store_names_its_command(small: Path) -> None:
    folder = small / "stores" / "smic"
    folder.rename(small / "elsewhere")
    command = f"make it with `mersynth prepare --source smic --out {folder}`"
    with pytest.raises(StoreError, match=re.escape(command)):
        make_composite(small / "stores", small / "new", skip_bad=True)


def test_image_sizes_that_differ(small: Path) -> None:
    (small / "stores" / "smic").rename(small / "elsewhere")
    write_store(small / "stores/smic", [clip("smic", "s03_ne_02", "negative")], "smic", 8)
    with pytest.raises(StoreError, match=r"smic has 8, .*samm has 4 pixels; .*--image-size"):
        make_composite(small / "stores", small / "new", skip_bad=True)


def test_stores_of_other_clips(small: Path) -> None:
    (small / "stores" / "smic").rename(small / "elsewhere")
    write_store(small / "stores/smic", [clip("samm", "006_1_2", "anger")], "samm", 4)
    with pytest.raises(StoreError, match="should hold clips of smic, but holds samm/006/006_1_2"):
        make_composite(small / "stores", small / "new", skip_bad=True)
    (small / "stores" / "smic").rename(small / "other")
    write_store(
        small / "stores/smic", [clip("smic", "s03_ne_02", "negative", generator="ab")], "smic", 4
    )
    with pytest.raises(StoreError, match="synthetic"):
        make_composite(small / "stores", small / "new", skip_bad=True)
    (small / "stores" / "smic").rename(small / "third")
    write_store(small / "stores/smic", [clip("smic", "s03_ne_02_vis", "negative")], "smic", 4)
    with pytest.raises(StoreError, match="holds no clip of the challenge"):
        make_composite(small / "stores", small / "new", skip_bad=True)
    assert not (small / "new").exists()
