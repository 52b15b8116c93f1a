"""The plan: balance over classes, subjects and templates; no face gets its own movement."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from pathlib import Path

import pytest

from mersynth.clips import Clip
from mersynth.facs.emotions import classes, prototypes
from mersynth.sources import get_source
from mersynth.synthesis.plan import PlanSummary, make_plan, summarise, templates_of
from tests.tiny_store import tiny_clips


def spread(counts: Counter) -> int:
    return max(counts.values()) - min(counts.values())


@pytest.mark.parametrize("per_class", [7, 20, 33])
def test_balance(per_class: int) -> None:
    clips = tiny_clips(subjects=7, each=2)
    plan = make_plan(clips, "five", per_class, seed=0)
    assert Counter(item.emotion for item in plan) == dict.fromkeys(
        classes("samm", "five"), per_class
    )
    for emotion in classes("samm", "five"):
        items = [item for item in plan if item.emotion == emotion]
        faces = Counter(item.subject for item in items)
        assert len(faces) == 7
        assert spread(faces) <= 1
        curves = Counter(item.template for item in items)
        assert max(curves.values()) - per_class / 14 < 1.0
    assert [item.number for item in plan] == list(range(len(plan)))


def test_a_face_follows_somebody_else() -> None:
    for item in make_plan(tiny_clips(subjects=4, each=3), "five", 40, seed=1):
        assert item.template.subject != item.subject
        assert item.face.startswith(item.subject)


def test_subjects_show_what_they_never_showed() -> None:
    clips = tiny_clips(subjects=6)
    shown = {0: "anger", 1: "surprise"}
    clips = [c for c in clips if shown.get(int(c.subject), c.emotion) == c.emotion]
    plan = make_plan(clips, "five", 12, seed=0)
    of_subject_0 = {item.emotion for item in plan if item.subject == "samm/000"}
    assert of_subject_0 == set(classes("samm", "five"))


def test_thousands_of_clips_are_assigned_evenly() -> None:
    clips = tiny_clips(subjects=40, each=25)
    plan = make_plan(clips, "five", 3000, seed=2)
    for emotion in classes("samm", "five"):
        curves = Counter(item.template for item in plan if item.emotion == emotion)
        assert len(curves) == 1000
        assert spread(curves) <= 1
    assert all(item.template.subject != item.subject for item in plan)


def test_same_seed_same_plan() -> None:
    clips = tiny_clips()
    assert make_plan(clips, "five", 9, seed=3) == make_plan(clips, "five", 9, seed=3)
    assert make_plan(clips, "five", 9, seed=3) != make_plan(clips, "five", 9, seed=4)


def test_a_set_for_each_generator_without_its_unseen_subjects() -> None:
    unseen = [("samm/000", "samm/001"), ("samm/002", "samm/003", "samm/004", "samm/005")]
    plan = make_plan(tiny_clips(subjects=6, each=3), "five", 10, seed=0, unseen=unseen)
    assert Counter((item.group, item.emotion) for item in plan) == {
        (group, emotion): 10 for group in (0, 1) for emotion in classes("samm", "five")
    }
    for item in plan:
        assert item.subject not in unseen[item.group]
        assert item.template.subject not in unseen[item.group]


def test_scarce_classes_take_prototypes_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    make_plan(tiny_clips(subjects=6), "five", 30, seed=0)
    assert caplog.text == ""
    clips = [c for c in tiny_clips(subjects=6) if c.emotion != "surprise" or c.subject == "000"]
    plan = make_plan(clips, "five", 30, seed=0)
    surprise = [item for item in plan if item.emotion == "surprise"]
    assert {item.template.clip for item in surprise} == {None, "samm/000/surprise_0"}
    own = [item for item in surprise if item.subject == "samm/000"]
    assert own
    assert all(item.template.clip is None for item in own)
    assert all(item.template.clip for item in plan if item.emotion == "anger")
    faces = ", ".join(f"samm/{i:03d}" for i in range(6))
    assert f"fewer than 3 AU curves suit the faces of {faces}; 11 prototypes" in caplog.text


def test_others_have_no_prototype_to_fall_back_on() -> None:
    clips = [c for c in tiny_clips(subjects=3) if c.emotion != "other" or c.subject == "000"]
    with pytest.raises(ValueError, match=r"'others' has neither .* than samm/000 nor an AU proto"):
        make_plan(clips, "five", 6, seed=0)


def test_prototypes_replace_clips_where_they_define_the_class() -> None:
    plan = make_plan(tiny_clips(subjects=4, each=2), "five", 24, seed=0, curves="prototypes")
    assert len(plan) == 5 * 24
    for emotion in classes("samm", "five"):
        own = [item for item in plan if item.emotion == emotion]
        if emotion == "others":  # no prototype defines it
            assert {item.template.subject for item in own} == {f"samm/{i:03d}" for i in range(4)}
            continue
        wanted = {prototype.aus for prototype in prototypes(emotion)}
        uses = Counter(item.template.aus for item in own)
        assert set(uses) <= wanted
        assert len(uses) == min(24, len(wanted))
        assert spread(uses) <= 1
        assert {(item.template.clip, item.template.subject) for item in own} == {(None, None)}


def test_early_curves_are_those_of_macro_expressions() -> None:
    clips = tiny_clips(subjects=6, each=2)
    macro = [
        dataclasses.replace(c, strength="macro", name=f"macro_{c.name}")
        for c in tiny_clips(subjects=4)
    ]
    plan = make_plan([*clips, *macro], "five", 18, seed=0, curves="early")
    assert {item.template.clip for item in plan} == {clip.id for clip in macro}
    assert {item.subject for item in plan} == {clip.subject_id for clip in clips}
    assert all(item.template.subject != item.subject for item in plan)
    advice = "give a store of macro-expressions as --store, and the faces as --faces"
    with pytest.raises(ValueError, match=f"none of the 60 clips is one; {advice}$"):
        make_plan(clips, "five", 18, seed=0, curves="early")


def test_a_face_that_few_curves_suit_gets_its_choice_first() -> None:
    """The faces 000 and x: only three curves are of others than 000, eight of others than x."""
    clips = [c for c in tiny_clips(subjects=2, each=5) if c.emotion == "anger"][:8]
    others = [c for c in tiny_clips(subjects=9) if c.subject in ("007", "008")]
    faces = [clips[0], dataclasses.replace(clips[0], subject="x")]
    for seed in range(10):
        plan = make_plan([*clips, *others], "five", 6, seed=seed, faces=faces)
        anger = [item.template.clip for item in plan if item.emotion == "anger"]
        assert len(set(anger)) == 6


def test_a_subject_without_some_class_is_told(caplog: pytest.LogCaptureFixture) -> None:
    make_plan(tiny_clips(subjects=4), "five", 4, seed=0)
    assert caplog.text == ""
    make_plan(tiny_clips(subjects=4), "five", 3, seed=0)
    assert "3 clips per class are fewer than the 4 subjects" in caplog.text


def test_clips_that_show_no_condition_au_are_not_templates(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clips = tiny_clips(subjects=4)
    silent = [dataclasses.replace(c, aus=a) for c, a in zip(clips, ("?", "38", ""), strict=False)]
    with caplog.at_level(logging.INFO):
        found = templates_of([*silent, *clips[3:]], "five")
    assert sum(len(templates) for templates in found.values()) == len(clips) - 3
    assert [record.getMessage() for record in caplog.records] == [
        "3 clips show no movement of the 20 condition AUs and are not used as templates"
    ]
    short = [dataclasses.replace(clips[0], name=f"{n}", apex=10, offset=9 + n) for n in (1, 2)]
    assert [t.clip for own in templates_of(short, "five").values() for t in own] == ["samm/000/2"]
    fear = dataclasses.replace(clips[0], emotion="fear", name="fear")  # of no class of the five
    assert templates_of([fear, *clips], "five") == templates_of(clips, "five")
    caplog.clear()
    templates_of(clips, "five")
    assert caplog.text == ""


def test_merged_databases_share_their_classes() -> None:
    casme2 = [
        dataclasses.replace(clip, source="casme2", emotion="disgust", aus="9")
        for clip in tiny_clips(subjects=4)
    ]
    casme2 = [dataclasses.replace(clip, name=f"{i}") for i, clip in enumerate(casme2)]
    found = templates_of([*tiny_clips(subjects=4), *casme2], "five")
    assert len(found["disgust"]) == 20
    assert len(found["contempt"]) == 4


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="--per-class must be 1 or more, got 0"):
        make_plan(tiny_clips(), "five", 0, seed=0)
    with pytest.raises(ValueError, match=r"^a plan needs clips"):
        make_plan([], "five", 5, seed=0)


def test_summary_counts_the_plan() -> None:
    unseen = [("samm/000",), ()]
    plan = make_plan(tiny_clips(subjects=5), "five", 12, seed=0, unseen=unseen)
    rows = summarise(plan, {"anger": 5})
    names = classes("samm", "five")
    assert [(row.group, row.emotion) for row in rows] == [(g, n) for g in (0, 1) for n in names]
    # Of 4 people 3 clips each, and of 5 two have 3 and three have 2; of the curves the same.
    for group, (people, each) in enumerate([(4, (3, 3)), (5, (2, 3))]):
        for name in names:
            row = PlanSummary(group, name, 5 * (name == "anger"), 12, people, each, people, each)
            assert row in rows


@pytest.mark.parametrize("scheme", ["three", "five", "native"])
@pytest.mark.parametrize(
    ("name", "table"),
    [("samm", "SAMM_Micro_FACS_Codes_v2.xlsx"), ("casme2", "CASME2-coding-20140508.xlsx")],
)
def test_real_tables_give_balanced_plans(
    annotations: Path, name: str, table: str, scheme: str
) -> None:
    rows, _ = get_source(name).read_annotations(annotations / table)
    clips: list[Clip] = [row.clip for row in rows]
    plan = make_plan(clips, scheme, 300, seed=0)
    for row in summarise(plan, {}):
        assert row.synthetic == 300
        assert row.per_subject[1] - row.per_subject[0] <= 1
        assert row.per_template[1] - row.per_template[0] <= 1


def test_a_generator_that_may_use_no_face_is_reported() -> None:
    clips = tiny_clips(subjects=2)
    with pytest.raises(ValueError, match=r"^no face is left"):
        make_plan(clips, "five", 2, seed=0, faces=[])
