"""Tests of the label schemes and AU prototypes."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import openpyxl
import pytest

from mersynth.facs import condition_vector, parse_au_cell
from mersynth.facs.emotions import SCHEMES, classes, label, native_labels, prototypes

CLASSES = ("negative", "positive", "surprise")  # the challenge's 0, 1, 2


def _rows(path: Path, *columns: str) -> list[tuple[str, ...]]:
    """The columns of an annotation table, as text, below the header row."""
    rows = iter(openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True))
    header = next(row for row in rows if set(columns) <= set(row))
    places = [header.index(column) for column in columns]
    return [tuple(str(row[place]) for place in places) for row in rows if row[places[0]]]


def _casme2(annotations: Path) -> list[tuple[str, ...]]:
    columns = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "Estimated Emotion")
    return _rows(annotations / "CASME2-coding-20140508.xlsx", *columns)


def _samm(annotations: Path) -> list[tuple[str, ...]]:
    columns = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Estimated Emotion")
    return _rows(annotations / "SAMM_Micro_FACS_Codes_v2.xlsx", *columns)


def _counts(rows: list[tuple[str, ...]], source: str, scheme: str) -> Counter[str | None]:
    return Counter(label(source, row[-1].lower(), scheme) for row in rows)


def test_classes_are_in_a_fixed_order() -> None:
    assert classes("casme2", "five") == ("disgust", "happiness", "repression", "surprise", "others")
    assert classes("samm", "five") == ("contempt", "happiness", "anger", "surprise", "others")
    assert classes("samm", "four") == ("negative", "positive", "surprise", "others")
    assert classes("casme2", "three") == ("negative", "positive", "surprise")
    assert classes("casme2", "seven") == classes("casme2", "native") == native_labels("casme2")
    assert classes("samm", "eight") == classes("samm", "native") == native_labels("samm")
    assert len(classes("casme2", "seven")) == 7
    assert len(classes("samm", "eight")) == 8


def test_phantom_is_labelled_as_samm() -> None:
    for scheme in ("native", "three", "four", "five", "eight"):
        assert classes("phantom", scheme) == classes("samm", scheme)


def test_smic_and_casme() -> None:
    assert classes("smic", "three") == classes("smic", "native") == CLASSES
    assert [label("smic", name, "three") for name in native_labels("smic")] == list(CLASSES)
    assert len(classes("casme", "eight")) == 8
    assert set(classes("casme", "three")) == set(CLASSES)
    assert label("casme", "repression", "three") == "negative"
    assert label("casme", "tense", "three") is None
    assert prototypes("tense") == ()
    for name in set(native_labels("casme")) - {"tense"}:
        assert prototypes(name)
    with pytest.raises(ValueError, match="'five'; it has: native, three"):
        classes("smic", "five")


def test_real_counts(annotations: Path) -> None:
    casme2, samm = _casme2(annotations), _samm(annotations)
    assert _counts(casme2, "casme2", "seven") == {
        "happiness": 32, "disgust": 63, "surprise": 25, "fear": 2, "sadness": 7,
        "repression": 27, "others": 99,
    }  # fmt: skip
    assert _counts(casme2, "casme2", "five") == {
        "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25, "others": 99, None: 9,
    }  # fmt: skip
    assert _counts(samm, "samm", "five") == {
        "contempt": 12, "happiness": 26, "anger": 57, "surprise": 15, "others": 26, None: 23,
    }  # fmt: skip
    assert _counts(samm, "samm", "four") == {
        "negative": 92, "positive": 26, "surprise": 15, "others": 26,
    }  # fmt: skip
    assert _counts(casme2, "casme2", "four") == {
        "negative": 99, "positive": 32, "surprise": 25, "others": 99,
    }  # fmt: skip


@pytest.mark.parametrize("source", ["casme2", "samm"])
def test_three_classes_are_those_of_megc2019(annotations: Path, source: str) -> None:
    rows = _casme2(annotations) if source == "casme2" else _samm(annotations)
    keys = [(row[0], row[1]) for row in rows]
    width = len(keys[0][0])
    with (annotations / "combined_3_class_gt.csv").open(newline="") as file:
        listed = {
            (row["subject"].removeprefix("sub").zfill(width), row["clip"]): int(row["label"])
            for row in csv.DictReader(file)
            if row["data"] == source
        }
    names = [label(source, row[-1].lower(), "three") for row in rows]
    ours = {key: CLASSES.index(name) for key, name in zip(keys, names, strict=True) if name}
    measurable = {key for key, row in zip(keys, rows, strict=True) if row[3] not in ("/", row[2])}
    assert {key: index for key, index in ours.items() if key in measurable} == listed
    left_out = ours.keys() - measurable
    assert left_out == ({("04", "EP12_01f"), ("05", "EP09_05f")} if source == "casme2" else set())


# Clips of a label, as the databases' papers count them.
_PUBLISHED = {
    "mmew": {  # Ben et al. 2021
        "happiness": 36, "anger": 8, "surprise": 89, "disgust": 72, "fear": 16, "sadness": 13,
        "others": 66,
    },
    "ckplus": {  # Lucey et al. 2010, table 3
        "anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happiness": 69, "sadness": 28,
        "surprise": 83,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "scheme", "expected"),
    [
        ("mmew", "three", {"negative": 109, "positive": 36, "surprise": 89, None: 66}),
        ("mmew", "four", {"negative": 109, "positive": 36, "surprise": 89, "others": 66}),
        ("ckplus", "three", {"negative": 175, "positive": 69, "surprise": 83}),
    ],
)
def test_published_counts(source: str, scheme: str, expected: dict[str | None, int]) -> None:
    assert set(_PUBLISHED[source]) == set(native_labels(source))
    counts: Counter[str | None] = Counter()
    for emotion, clips in _PUBLISHED[source].items():
        counts[label(source, emotion, scheme)] += clips
    assert counts == expected


def test_schemes_of_the_databases_beside_the_challenge() -> None:
    for source in ("mmew", "casme3", "ckplus"):
        assert classes(source, "seven") == classes(source, "native") == native_labels(source)
    assert set(classes("mmew", "seven")) == set(classes("casme3", "seven"))
    assert set(classes("casme3", "four")) == {"negative", "positive", "surprise", "others"}
    assert classes("affectnet", "eight") == native_labels("affectnet")
    assert set(classes("affectnet", "eight")) - set(classes("affectnet", "seven")) == {"contempt"}
    assert label("affectnet", "neutral", "three") is None
    assert label("casme3", "others", "three") is None
    for source in ("mmew", "casme3", "ckplus", "affectnet"):
        assert set(classes(source, "three")) == set(CLASSES)
        assert label(source, "anger", "three") == "negative"
    assert prototypes("neutral") == ()


def test_a_class_stands_for_itself() -> None:
    for source in ("casme2", "samm", "phantom"):
        for scheme in ("native", "three", "four", "five"):
            for name in classes(source, scheme):
                assert label(source, name, scheme) == name


def test_labels_outside_of_a_scheme_are_none() -> None:
    assert label("casme2", "fear", "three") is None
    assert label("casme2", "sadness", "five") is None
    assert label("samm", "other", "three") is None
    assert label("samm", "fear", "three") == "negative"
    assert label("samm", "other", "five") == "others"


def test_errors_name_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="'eight'; it has: native, seven, five, four, three"):
        classes("casme2", "eight")
    with pytest.raises(ValueError, match=r"'smile' is neither .*anger.*contempt, happiness, anger"):
        label("samm", "smile", "five")
    with pytest.raises(ValueError, match="'negative' is neither"):
        label("samm", "negative", "five")
    with pytest.raises(ValueError, match="'ck'; known: casme2, samm, phantom"):
        classes("ck", "three")
    with pytest.raises(ValueError, match=r"'smile'; known emotions: .*contempt"):
        prototypes("smile")


def test_every_class_but_others_has_prototypes_with_a_source() -> None:
    names = {
        name
        for source, scheme in (("casme2", "seven"), ("samm", "eight"), ("samm", "four"))
        for name in classes(source, scheme)
    }
    assert set(SCHEMES) >= {"seven", "eight", "four"}
    for name in names:
        found = prototypes(name)
        assert bool(found) == (name not in ("other", "others"))
        for prototype in found:
            cell = parse_au_cell(prototype.aus)
            assert cell.numbers
            assert not cell.unread
            assert not cell.remarks
            assert condition_vector(cell, unlettered=0.2).max() == pytest.approx(0.2)
            assert "(" in prototype.source


def test_prototypes_of_merged_classes_are_those_of_their_members() -> None:
    assert prototypes("positive") == prototypes("happiness")
    negative = {prototype.aus for prototype in prototypes("negative")}
    for member in ("anger", "contempt", "disgust", "fear", "repression", "sadness"):
        assert {prototype.aus for prototype in prototypes(member)} <= negative
    assert {p.aus for p in prototypes("contempt")} >= {"L14", "R14"}
