"""The rule for usable clips on random provenance, against an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest

from mersynth.clips import Clip
from recognizers.folds.guard import FoldInputs, LeakageError, check_fold, usable_clips


def random_synthetic(rng: np.random.Generator, count: int = 60) -> list[Clip]:
    # people whose ids begin alike must not be mixed up
    subjects = ["1", "10", "2", "sub01", "sub011"]

    def somebody() -> str:
        return f"{rng.choice(['samm', 'samm2'])}/{rng.choice(subjects)}"

    clips = []
    for i in range(count):
        source, subject = somebody().split("/")
        template = None if rng.random() < 0.3 else f"{somebody()}/clip{i}"
        unseen = tuple(sorted({somebody() for _ in range(rng.integers(0, 9))}))
        clips.append(
            Clip(
                source=source,
                subject=subject,
                name=f"synthetic_{i}",
                onset=0,
                apex=0,
                offset=0,
                emotion="anger",
                template=template,
                generator=None if rng.random() < 0.1 else "sha",
                unseen=unseen,
            )
        )
    return clips


def allowed_by_design(clip: Clip, tested: str) -> bool:
    follows = clip.template and clip.template.rsplit("/", 1)[0]
    involved = {f"{clip.source}/{clip.subject}", follows}
    if clip.generator is None and not clip.template and not clip.unseen:  # a real one
        return tested not in involved
    return clip.generator == "sha" and tested not in involved and tested in clip.unseen


@pytest.mark.parametrize("seed", range(30))
def test_the_rule_on_random_provenance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clips = random_synthetic(rng)
    everyone = sorted({c.subject_id for c in clips})
    tested = rng.choice(everyone, size=rng.integers(1, 4), replace=False).tolist()
    expected = [i for i, c in enumerate(clips) if all(allowed_by_design(c, s) for s in tested)]
    usable = usable_clips(clips, tested)
    assert list(usable) == expected
    test = [
        Clip(source=a, subject=b, name="t", onset=0, apex=0, offset=0, emotion="anger")
        for a, b in (name.split("/") for name in tested)
    ]
    picked = [clips[i] for i in usable if clips[i].is_synthetic]
    real = [clips[i] for i in usable if not clips[i].is_synthetic]
    assert check_fold(FoldInputs(name="f", test=test, synthetic=picked, real=real)) == ()
    for i in set(range(len(clips))) - set(usable):
        place = int(rng.integers(len(picked) + 1))
        sneaked = [*picked[:place], clips[i], *picked[place:]]
        with pytest.raises(LeakageError, match=clips[i].id) as caught:
            check_fold(FoldInputs(name="f", test=test, synthetic=sneaked))
        assert [leak.clip for leak in caught.value.leaks] == [clips[i].id]


def test_random_provenance_finds_both_answers() -> None:
    clips = random_synthetic(np.random.default_rng(0), 500)
    assert 0 < sum(allowed_by_design(c, "samm/1") for c in clips) < 500
