"""The layouts casme2 and samm: read back by us and by other readers, named and labelled."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from PIL import Image

from mersynth.clips import Clip
from mersynth.export import ExportError, export
from mersynth.export.annotations import casme2_cell
from mersynth.facs.action_units import parse_au_cell
from mersynth.facs.emotions import label
from mersynth.prepare.command import prepare
from mersynth.sources import get_source
from mersynth.store.clip_store import ClipStore
from tests.export.export_stores import (
    REAL_CASME2,
    REAL_SAMM,
    SIDE,
    read_provenance,
    synthetic,
    write_store,
)

REAL = {"samm": REAL_SAMM, "casme2": REAL_CASME2}
TABLES = {"samm": "SAMM_Micro_FACS_Codes_v2.xlsx", "casme2": "CASME2-coding-20140508.xlsx"}


def read_back(source: str, root: Path, out: Path) -> ClipStore:
    """Prepare an export as if it were the database itself."""
    chosen = {"geometry": "resize", "apex": "annotated", "intensities": "none"}
    return prepare(source, root, out, image_size=SIDE, **chosen)


def written_clips(folder: Path, layout: str) -> pd.DataFrame:
    """The annotations as other people's loaders read them, without mersynth."""
    above = {"samm": 13, "casme2": 0}[layout]
    return pd.read_excel(folder / TABLES[layout], skiprows=above, dtype={"Subject": str})


@pytest.mark.parametrize("form", ["png", "bmp"])
@pytest.mark.parametrize("naming", ["raw", "cropped"])
@pytest.mark.parametrize("layout", ["samm", "casme2"])
def test_a_real_store_comes_back_as_it_was(
    tmp_path: Path, layout: str, naming: str, form: str
) -> None:
    store = write_store(tmp_path / "s", REAL[layout])
    export(store.path, layout, tmp_path / "tree", naming=naming, overrides=[f"format={form}"])
    back = read_back(layout, tmp_path / "tree", tmp_path / "back")
    assert back.clips == store.clips
    np.testing.assert_array_equal(back.frames, store.frames)


@pytest.mark.parametrize("layout", ["samm", "casme2"])
def test_a_synthetic_store_comes_back_with_its_labels_and_aus(tmp_path: Path, layout: str) -> None:
    made = [
        synthetic(clip, i, label(layout, clip.emotion, "five"))
        for i, clip in enumerate(REAL[layout])
    ]
    store = write_store(tmp_path / "s", made, header={"scheme": "five"})
    export(store.path, layout, tmp_path / "tree", overrides=["format=png"])
    back = read_back(layout, tmp_path / "tree", tmp_path / "back")
    np.testing.assert_array_equal(back.frames, store.frames)
    lines = read_provenance(tmp_path / "tree")
    for old, new, line in zip(store.clips, back.clips, lines, strict=True):
        assert line["path"] == f"{new.subject}/{new.name}"
        assert [line["dataset"], line["subject"], line["clip"]] == old.id.split("/")
        assert (new.subject, new.aus) == (old.subject, old.aus)
        assert label(layout, new.emotion, "five") == old.emotion == line["class"]
        assert (new.apex_index, new.num_frames) == (old.apex_index, old.num_frames)
        assert new.onset == int(line["written_onset"]) == 1
        assert line["onset"] == "0"
        assert (line["template"], line["generator"]) == (old.template, old.generator)
        assert line["unseen"].split(";") == list(old.unseen)
        assert line["face"] == old.subject_id


def test_frames_lie_where_other_peoples_loaders_of_samm_look(tmp_path: Path) -> None:
    made = [synthetic(clip, i) for i, clip in enumerate(REAL_SAMM)]
    store = write_store(tmp_path / "s", made)
    export(store.path, "samm", tmp_path / "tree")
    table = written_clips(tmp_path / "tree", "samm")
    assert list(table) == [
        "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame",
        "Duration", "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
    ]  # fmt: skip
    assert list(table["Estimated Emotion"]) == ["Anger", "Other", "Happiness"]
    assert list(table["Action Units"]) == ["4+7", 4, "(R6 or R12)+R15A"]
    assert list(table["Duration"]) == [4, 4, 4]
    for row, item in zip(table.to_dict("records"), store, strict=True):
        # The subject is read off the name by some, off its column by others.
        assert row["Filename"][:3] == row["Subject"] == item.clip.subject
        for number in range(row["Onset Frame"], row["Offset Frame"] + 1):
            name = f"{row['Subject']}/{row['Filename']}/{row['Subject']}_{number:05d}.jpg"
            shown = np.asarray(Image.open(tmp_path / "tree" / name)).astype(int)
            assert np.abs(shown - item.frames[number - row["Onset Frame"]]).max() <= 6
    assert openpyxl.load_workbook(tmp_path / "tree" / TABLES["samm"]).sheetnames == ["MICRO_ONLY"]


@pytest.mark.parametrize(("naming", "prefix"), [("raw", "img"), ("cropped", "reg_img")])
def test_frames_lie_where_other_peoples_loaders_of_casme2_look(
    tmp_path: Path, naming: str, prefix: str
) -> None:
    store = write_store(tmp_path / "s", REAL_CASME2)
    export(store.path, "casme2", tmp_path / "tree", naming=naming)
    table = written_clips(tmp_path / "tree", "casme2")
    assert [c for c in table if not c.startswith("Unnamed")] == [
        "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units",
        "Estimated Emotion",
    ]  # fmt: skip
    assert list(table["ApexFrame"]) == [48, 398, "/"]
    for row in table.to_dict("records"):
        folder = tmp_path / "tree" / f"sub{row['Subject']}" / row["Filename"]
        numbers = range(row["OnsetFrame"], row["OffsetFrame"] + 1)
        assert {p.name for p in folder.iterdir()} == {f"{prefix}{n}.jpg" for n in numbers}


@pytest.mark.parametrize("layout", ["samm", "casme2"])
def test_cells_are_those_of_the_real_table(annotations: Path, tmp_path: Path, layout: str) -> None:
    database = get_source(layout)
    rows, _ = database.read_annotations(annotations / TABLES[layout])  # type: ignore[attr-defined]
    short = [
        replace(row.clip, offset=row.clip.onset + 1, apex=row.clip.apex and row.clip.onset)
        for row in rows
    ]
    store = write_store(tmp_path / "s", short, side=4)
    export(store.path, layout, tmp_path / "tree", overrides=["format=bmp"])
    real = pd.read_excel(
        annotations / TABLES[layout],
        skiprows={"samm": 13, "casme2": 0}[layout],
        dtype={"Subject": str},
    )
    written = written_clips(tmp_path / "tree", layout)
    assert list(written) == list(real)
    onset = "Onset Frame" if layout == "samm" else "OnsetFrame"
    for column in ("Subject", "Filename", onset, "Estimated Emotion"):
        assert list(written[column]) == list(real[column]), column
    for mine, theirs in zip(written["Action Units"], real["Action Units"], strict=True):
        assert mine == (theirs.strip() if isinstance(theirs, str) else theirs)


def test_au_cells_of_samm_in_the_notation_of_casme2(annotations: Path) -> None:
    real = pd.read_excel(annotations / TABLES["casme2"])["Action Units"].astype(str)
    known = set("".join(re.sub(r"\d+", "1", cell) for cell in real))
    rows, _ = get_source("samm").read_annotations(annotations / TABLES["samm"])  # type: ignore[attr-defined]
    for cell in (row.clip.aus for row in rows):
        written = casme2_cell(cell)
        assert set(re.sub(r"\d+", "1", written)) <= known, (cell, written)
        events = parse_au_cell(cell).events
        assert parse_au_cell(written).numbers == tuple(dict.fromkeys(e.number for e in events))


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("12", "12"), ("4+L10", "4+L10"), ("?", "?"), ("", "?"), (" 4+7 ", "4+7"),
        ("1A+2B+L14C", "1+2+L14"), ("A12", "12"), ("A/L12", "12"), ("T23", "23"),
        ("(R6 or R12)+R15", "R6+R15"), ("ref(7B)+43C", "7+43"), ("R14+17+soft focus", "R14+17"),
        ("blink", "?"),
    ],
)  # fmt: skip
def test_au_cells_are_written_in_the_notation_of_casme2(cell: str, written: str) -> None:
    assert casme2_cell(cell) == written


def guests() -> list[Clip]:
    own = REAL_SAMM[0]
    return [
        own,
        replace(own, source="phantom", subject="p003", name="b"),
        replace(own, source="phantom", subject="p000", name="a"),
        replace(own, source="ckplus", subject="006", name="c"),
        replace(own, subject="102", name="d"),
    ]


def test_subjects_of_other_databases_get_numbers_that_nobody_has(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", guests())
    export(store.path, "samm", tmp_path / "tree")
    paths = {line["face"]: line["path"] for line in read_provenance(tmp_path / "tree")}
    assert paths == {
        "samm/006": "006/006_1_2",
        "samm/102": "102/102_d",
        "ckplus/006": "101/101_c",
        "phantom/p000": "103/103_a",
        "phantom/p003": "104/104_b",
    }
    back = read_back("samm", tmp_path / "tree", tmp_path / "back")
    assert len(back.subjects) == 5
    chosen = [c for c in guests() if c.source != "ckplus"]
    turned = write_store(tmp_path / "t", chosen[::-1])
    export(turned.path, "casme2", tmp_path / "other", overrides=["emotions=[anger:others]"])
    lines = read_provenance(tmp_path / "other")
    assert {line["face"]: line["path"] for line in lines} == {
        "phantom/p000": "sub101/a",
        "phantom/p003": "sub102/b",
        "samm/006": "sub103/006_1_2",
        "samm/102": "sub104/d",
    }


@pytest.mark.parametrize(("layout", "other"), [("casme2", "others"), ("samm", "Other")])
def test_a_class_without_a_label_is_written_as_other_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, layout: str, other: str
) -> None:
    """A class that CASME II and SAMM lack: in the table, the card, the log, and read back."""
    emotions = ("contempt", "surprise", "contempt", "other")
    made = [
        Clip(source="phantom", subject="p000", name=f"c{i}", onset=0, apex=1, offset=2,
             emotion=emotion, aus="12")
        for i, emotion in enumerate(emotions)
    ]  # fmt: skip
    named = {"casme2": {"surprise"}, "samm": {"surprise", "contempt"}}[layout]
    store = write_store(tmp_path / "s", made)
    export(store.path, layout, tmp_path / "tree", overrides=["format=png"])
    unnamed = [] if layout == "samm" else ["contempt"]
    card = json.loads((tmp_path / "tree" / "card.json").read_text())
    assert card["written_as_other"] == dict.fromkeys(unnamed, other)
    assert ("no label for 'contempt': 2 clips are written as others" in caplog.text) == (
        layout == "casme2"
    )
    back = read_back(layout, tmp_path / "tree", tmp_path / "back")
    wanted = [c.emotion if c.emotion in named else other.lower() for c in made]
    assert [c.emotion for c in back.clips] == wanted
    lines = read_provenance(tmp_path / "tree")
    assert [line["emotion"] for line in lines] == [c.emotion for c in made]
    assert {line["written_emotion"].lower() for line in lines} == set(wanted)


def test_classes_of_a_scheme_are_written_as_other_or_as_was_chosen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = [synthetic(clip, i, "negative") for i, clip in enumerate(REAL_SAMM)]
    made.append(synthetic(REAL_SAMM[0], 9, "surprise"))
    store = write_store(tmp_path / "s", made, header={"scheme": "three"})
    export(store.path, "samm", tmp_path / "plain")
    assert "'negative': 3 clips are written as Other; 'emotions=[negative:LABEL]'" in caplog.text
    sheet = openpyxl.load_workbook(tmp_path / "plain" / TABLES["samm"])["MICRO_ONLY"]
    assert (
        sheet["A5"].value == "Written as Other, because the database has no label for it: negative"
    )

    caplog.clear()
    out = tmp_path / "tree"
    export(store.path, "samm", out, overrides=["emotions=[negative:disgust]"])
    assert "has no label" not in caplog.text
    back = read_back("samm", out, tmp_path / "back")
    assert [c.emotion for c in back.clips] == ["disgust"] * 3 + ["surprise"]
    line = read_provenance(out)[0]
    assert (line["emotion"], line["written_emotion"]) == ("negative", "Disgust")


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ("negative:bored", "label of samm .*, got 'negative:bored'"),
        ("negative", "CLASS:LABEL"),
        ("fear:disgust", "no exported clip shows 'fear'; there are anger, happiness, other"),
    ],
)
def test_a_rule_for_emotions_that_makes_no_sense_is_refused(
    tmp_path: Path, pair: str, told: str
) -> None:
    store = write_store(tmp_path / "s", REAL_SAMM)
    with pytest.raises(ValueError, match=told):
        export(store.path, "samm", tmp_path / "tree", overrides=[f"emotions=[{pair}]"])
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_first_frame_can_be_the_stores_own(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", [synthetic(REAL_CASME2[0], 0), REAL_CASME2[1]])
    export(store.path, "casme2", tmp_path / "tree", overrides=["first_frame=0", "format=png"])
    back = read_back("casme2", tmp_path / "tree", tmp_path / "back")
    assert [(c.onset, c.apex, c.offset) for c in back.clips] == [(0, 2, 3), (396, 398, 399)]


def test_names_lead_nowhere_else_and_meet_nobody(tmp_path: Path) -> None:
    clip = REAL_CASME2[0]
    store = write_store(tmp_path / "s", [replace(clip, name="../../a:b")])
    export(store.path, "casme2", tmp_path / "tree")
    (line,) = read_provenance(tmp_path / "tree")
    assert line["path"] == "sub01/_.._a_b"
    assert (tmp_path / "tree" / line["path"] / "reg_img46.jpg").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "tree"]
    twins = write_store(tmp_path / "t", [replace(clip, name="a:b"), replace(clip, name="A?b")])
    with pytest.raises(ExportError, match=r"casme2/sub01/a:b and casme2/sub01/A\?b would both"):
        export(twins.path, "casme2", tmp_path / "other")


def test_raw_frames_of_samm_cannot_be_found_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = write_store(tmp_path / "s", REAL_SAMM)
    export(store.path, "samm", tmp_path / "tree", naming="raw")
    assert "both releases of SAMM name their frames alike" in caplog.text
    assert get_source("samm").scan(tmp_path / "tree").release == "cropped"
