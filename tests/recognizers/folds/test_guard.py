"""The leakage guard: allowed clips pass, all others are found and named."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from mersynth.augment.bank import ClipBank
from mersynth.clips import Clip
from recognizers.folds.guard import (
    FoldInputs,
    Leak,
    LeakageError,
    check_fold,
    find_leaks,
    usable_clips,
)
from recognizers.folds.splits import cross, loso, lovo
from tests.recognizers.folds.tiny_plan import REAL, SYNTHETIC


@dataclass
class Ids:
    clip_ids: tuple[str, ...] = ()
    subject_ids: tuple[str, ...] = ()


def fold_inputs(**changed: Any) -> FoldInputs:
    """A clean fold that tests samm/000 and uses everything there is to use."""
    fold = loso(REAL)[0]
    pretrained = [SYNTHETIC[i] for i in usable_clips(SYNTHETIC, fold.subjects(REAL))]
    real = [REAL[i] for i in fold.train]
    ids = tuple(c.id for c in real[5:])
    learned: dict[str, Any] = {
        "real": real[5:],
        "selection": real[:5],
        "synthetic": pretrained[:30],
        "statistics": (*ids, pretrained[0].id),
        "class_weights": ids,
        "banks": {"emr": Ids(ids, tuple(c.subject_id for c in real[5:]))},
        "checkpoints": {"pretrained": pretrained, "imagenet": ()},
    }
    return FoldInputs.of(fold, REAL, **(learned | changed))


def leaks_of(inputs: FoldInputs) -> tuple[Leak, ...]:
    with pytest.raises(LeakageError) as caught:
        check_fold(inputs)
    leaks = caught.value.leaks
    for kind in {leak.kind for leak in leaks}:
        for leak in [leak for leak in leaks if leak.kind == kind][:10]:
            assert f"{leak.clip} {leak.reason}".lstrip() in str(caught.value)
    return leaks


OF_TEST_SUBJECT = REAL[2]
STRANGER = REAL[7]
ALLOWED = SYNTHETIC[usable_clips(SYNTHETIC, {"samm/000"})[0]]
FORBIDDEN = {
    "shows the face of samm/000, who is tested": replace(ALLOWED, subject="000"),
    "follows samm/000/anger_0, a clip of samm/000, who is tested": replace(
        ALLOWED, template="samm/000/anger_0"
    ),
    "the people that its generator never saw are unknown": replace(ALLOWED, unseen=()),
    "its generator is not known to have never seen samm/000, who is tested": replace(
        ALLOWED, unseen=("samm/001",)
    ),
    "names no generator: its origin is unknown": replace(ALLOWED, generator=None),
}


def test_a_clean_fold_passes() -> None:
    assert check_fold(fold_inputs()) == ()
    assert find_leaks(fold_inputs()) == ()


@pytest.mark.parametrize("reason", FORBIDDEN)
@pytest.mark.parametrize("way", ["synthetic", "real", "selection", "checkpoints"])
def test_synthetic_clips_sneaked_in(reason: str, way: str) -> None:
    clean, clip = fold_inputs(), FORBIDDEN[reason]
    changed = (
        {"p": [*clean.checkpoints["pretrained"], clip]}
        if way == "checkpoints"
        else [*getattr(clean, way), clip]
    )
    (leak,) = leaks_of(fold_inputs(**{way: changed}))
    assert leak.clip == clip.id
    assert leak.reason == reason
    kinds = {"selection": "clips that epochs are chosen on", "checkpoints": "checkpoint: p"}
    assert leak.kind == kinds.get(way, "synthetic clips")


def test_real_clips_sneaked_in() -> None:
    clean = fold_inputs()
    for way, kind in [("real", "training clips"), ("selection", "clips that epochs are chosen on")]:
        leaks = leaks_of(fold_inputs(**{way: [*getattr(clean, way), OF_TEST_SUBJECT]}))
        assert leaks == (Leak(kind, OF_TEST_SUBJECT.id, "is a test clip"),)
    # another clip of the same person, that of another store
    macro = replace(OF_TEST_SUBJECT, name="macro", strength="macro")
    (leak,) = leaks_of(fold_inputs(real=[*clean.real, macro]))
    assert leak == Leak("training clips", macro.id, "shows samm/000, who is tested")
    (leak,) = leaks_of(fold_inputs(checkpoints={"nmer": [STRANGER, macro]}))
    assert leak == Leak("checkpoint: nmer", macro.id, "shows samm/000, who is tested")


def test_a_real_clip_called_synthetic() -> None:
    clean = fold_inputs()
    (leak,) = leaks_of(fold_inputs(synthetic=[*clean.synthetic, STRANGER]))
    unknown = "names no generator: its origin is unknown"
    assert leak == Leak("synthetic clips", STRANGER.id, unknown)
    leaks = leaks_of(fold_inputs(synthetic=[*clean.synthetic, OF_TEST_SUBJECT]))
    assert {leak.kind for leak in leaks} == {"training clips", "synthetic clips"}


@pytest.mark.parametrize(
    ("way", "kind"),
    [("statistics", "normalisation statistics"), ("class_weights", "class weights")],
)
def test_measured_on_more_than_the_fold_learns_from(way: str, kind: str) -> None:
    clean = fold_inputs()
    (leak,) = leaks_of(fold_inputs(**{way: [*getattr(clean, way), OF_TEST_SUBJECT.id]}))
    assert leak == Leak(kind, OF_TEST_SUBJECT.id, "is a test clip")
    # a clip that is counted twice is named once
    assert len(leaks_of(fold_inputs(**{way: [OF_TEST_SUBJECT.id] * 3}))) == 1
    # of the training part, but set apart to choose epochs on
    (leak,) = leaks_of(fold_inputs(**{way: [*getattr(clean, way), clean.selection[0].id]}))
    assert leak == Leak(
        kind, clean.selection[0].id, "is not among the clips that this fold trains on"
    )
    assert len(leaks_of(fold_inputs(**{way: [c.id for c in REAL]}))) == 5 + 5


def bank(clips: Sequence[Clip], named: bool = True) -> ClipBank:
    return ClipBank(
        frames=torch.zeros(len(clips), 1, 3, 4, 4),
        label=torch.zeros(len(clips), dtype=torch.int64),
        clip_ids=tuple(c.id for c in clips) if named else (),
        subject_ids=tuple(c.subject_id for c in clips),
    )


def test_banks_that_augmentations_borrow_from() -> None:
    clean = fold_inputs()
    assert check_fold(fold_inputs(banks={"region": bank(clean.real)})) == ()
    sneaked = bank([*clean.real, OF_TEST_SUBJECT])
    (leak,) = leaks_of(fold_inputs(banks={"fine": bank(clean.real), "region": sneaked}))
    assert leak == Leak("bank: region", OF_TEST_SUBJECT.id, "is a test clip")
    # a synthetic clip that the fold may not use
    foreign = next(c for c in SYNTHETIC if c.generator != ALLOWED.generator)
    (leak,) = leaks_of(fold_inputs(banks={"region": bank([*clean.real, foreign])}))
    assert leak.clip == foreign.id
    (leak,) = leaks_of(fold_inputs(banks={"region": bank(clean.real, named=False)}))
    assert leak == Leak("bank: region", "", "it does not name its clips")
    # ids that lie: a training clip's name on the test person's picture
    (leak,) = leaks_of(fold_inputs(banks={"region": Ids((clean.real[0].id,), ("samm/000",))}))
    assert leak == Leak("bank: region", clean.real[0].id, "shows samm/000, who is tested")


def test_checkpoints_of_unknown_origin() -> None:
    (leak,) = leaks_of(fold_inputs(checkpoints={"found.pt": None}))
    reason = "the clips that it was trained on are unknown"
    assert leak == Leak("checkpoint: found.pt", "", reason)
    with pytest.raises(LeakageError, match=rf"found\.pt \(1\):\n    {reason}\n    -> pretrain on"):
        check_fold(fold_inputs(checkpoints={"found.pt": None}))
    # of the clips that a checkpoint was trained on, statistics may be
    clean = fold_inputs()
    pretrained = clean.checkpoints["pretrained"]
    assert pretrained is not None
    ids = [c.id for c in pretrained]
    assert len(ids) > len(clean.synthetic)
    assert check_fold(fold_inputs(statistics=ids)) == ()
    assert leaks_of(fold_inputs(statistics=ids, checkpoints={}))


def test_the_message_names_ten_clips_of_each_kind_and_the_count() -> None:
    everything = fold_inputs(synthetic=SYNTHETIC, real=REAL, statistics=())
    with pytest.raises(LeakageError, match="fold samm/000 used") as caught:
        check_fold(everything)
    lines = str(caught.value).splitlines()
    forbidden = len(SYNTHETIC) - len(usable_clips(SYNTHETIC, {"samm/000"}))
    start = lines.index(f"  synthetic clips ({forbidden}):")
    assert lines[start + 11] == f"    and {forbidden - 10} more"
    assert "usable_clips" in lines[start + 12]
    assert "  training clips (5):" in lines
    assert len(caught.value.leaks) == forbidden + 5


def test_the_papers_habits_pass_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    habits = fold_inputs(
        synthetic=SYNTHETIC, selection=REAL[:5], statistics=[c.id for c in REAL], checkpoints={}
    )
    with caplog.at_level(logging.WARNING):
        leaks = check_fold(habits, "paper")
    assert leaks == find_leaks(habits)
    assert {leak.kind for leak in leaks} == {
        "synthetic clips",
        "clips that epochs are chosen on",
        "normalisation statistics",
    }
    assert "synthetic clips" in caplog.text
    assert check_fold(fold_inputs(), "paper") == ()
    with pytest.raises(LeakageError) as caught:
        check_fold(fold_inputs(real=REAL, synthetic=SYNTHETIC), "paper")
    assert {leak.kind for leak in caught.value.leaks} == {"training clips"}
    with pytest.raises(ValueError, match=r"^protocol must be .*got 'lax'"):
        check_fold(fold_inputs(), "lax")  # type: ignore[arg-type]


def test_lovo_learns_from_the_person_but_from_no_synthetic_clip_of_it() -> None:
    fold = lovo(REAL)[2]
    assert fold.name == OF_TEST_SUBJECT.id
    assert check_fold(FoldInputs.of(fold, REAL)) == ()
    ids = [REAL[i].id for i in fold.train]
    banked = bank([REAL[i] for i in fold.train])
    assert check_fold(FoldInputs.of(fold, REAL, statistics=ids, banks={"b": banked})) == ()
    (leak,) = leaks_of(FoldInputs.of(fold, REAL, real=REAL))
    assert leak == Leak("training clips", OF_TEST_SUBJECT.id, "is a test clip")
    usable = [SYNTHETIC[i] for i in usable_clips(SYNTHETIC, fold.subjects(REAL))]
    assert check_fold(FoldInputs.of(fold, REAL, synthetic=usable)) == ()
    face = replace(ALLOWED, subject="000")
    assert leaks_of(FoldInputs.of(fold, REAL, synthetic=[face]))[0].clip == face.id


def test_cross_database_folds_need_generators_that_never_saw_the_tested() -> None:
    smic = [replace(c, source="smic") for c in REAL[:10]]
    clips = [*REAL, *smic]
    fold = cross(REAL, smic)
    (leak,) = leaks_of(FoldInputs.of(fold, clips, synthetic=[ALLOWED]))
    assert "smic/000 and 1 more, who is tested" in leak.reason
    known = replace(ALLOWED, unseen=(*ALLOWED.unseen, "smic/000", "smic/001"))
    assert check_fold(FoldInputs.of(fold, clips, synthetic=[known])) == ()


def test_only_real_clips_are_tested() -> None:
    with pytest.raises(ValueError, match=f"tests the synthetic clip {ALLOWED.id}"):
        FoldInputs(name="f", test=[ALLOWED])
    with pytest.raises(ValueError, match="fold f has no test clip"):
        FoldInputs(name="f", test=[])
    with pytest.raises(ValueError, match=r"^usable_clips needs the people that are tested"):
        usable_clips(SYNTHETIC, ())
