"""Plans of any store: balanced, of other people's curves, the same by seed (property-based)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mersynth.clips import Clip
from mersynth.facs.emotions import classes, label, prototypes
from mersynth.synthesis.plan import ENOUGH_TEMPLATES, PlannedClip, make_plan, names_condition_au

AUS = {"anger": "4+7", "contempt": "L14", "happiness": "6+12", "surprise": "1+2B", "other": "24"}
AUS |= {"fear": "1+4"}  # of no class in the scheme five


def clip(subject: str, number: int, emotion: str, aus: str, length: int = 5) -> Clip:
    return Clip(
        source="samm",
        subject=subject,
        name=f"{number}",
        onset=0,
        apex=length,
        offset=length,
        emotion=emotion,
        aus=aus,
    )


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of ``make_plan``: people who show some emotions, some without any movement."""
    shown = st.lists(st.sampled_from(list(AUS)), max_size=8)
    clips = []
    for person in range(draw(st.integers(1, 5))):
        for number, emotion in enumerate(draw(shown)):
            aus = draw(st.sampled_from([AUS[emotion], AUS[emotion], "?", "38"]))
            clips.append(clip(f"{person}", number, emotion, aus, draw(st.sampled_from([5, 5, 0]))))
    strangers = draw(st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=5))
    faces = [clip(name, number, "fear", "?") for number, name in enumerate(strangers)]
    people = sorted({c.subject_id for c in (*clips, *faces)})
    hidden = st.lists(st.sampled_from(people), unique=True, max_size=3)
    return {
        "clips": clips,
        "scheme": draw(st.sampled_from(["three", "five", "native"])),
        "per_class": draw(st.integers(1, 12)),
        "seed": draw(st.integers(0, 99)),
        "unseen": draw(st.lists(hidden, min_size=1, max_size=3)),
        "faces": draw(st.sampled_from([None, faces])),
    }


@dataclass(frozen=True)
class Seen:
    """What the generator of one set has seen, and may use."""

    clips: list[Clip]
    faces: list[Clip]
    scheme: str

    @classmethod
    def of(cls, request: dict[str, Any], hidden: list[str]) -> Seen:
        clips, faces = request["clips"], request["faces"]
        every = clips, clips if faces is None else faces
        shown = [[c for c in some if c.subject_id not in hidden] for some in every]
        return cls(*shown, request["scheme"])

    def followable(self, emotion: str, face: str = "") -> list[Clip]:
        """Clips of a class, of other people than the face's, that show a condition AU moving."""
        return [
            c
            for c in self.clips
            if label("samm", c.emotion, self.scheme) == emotion
            and c.num_frames > 1
            and names_condition_au(c.aus)
            and c.subject_id != face
        ]

    @property
    def people(self) -> dict[str, list[str]]:
        """The clips with each person's face."""
        found: dict[str, list[str]] = {}
        for c in self.faces:
            found.setdefault(c.subject_id, []).append(c.id)
        return found

    @property
    def stuck(self) -> int:
        """The most faces of a class that have no curve to follow."""
        undefined = [e for e in classes("samm", self.scheme) if not prototypes(e)]
        return max(
            (sum(not self.followable(e, face) for face in self.people) for e in undefined),
            default=0,
        )


@given(requests())
def test_every_plan_is_balanced_and_crosses_people(request: dict[str, Any]) -> None:
    sets = [Seen.of(request, hidden) for hidden in request["unseen"]]
    empty = not all(each.clips and each.faces for each in sets)
    try:
        plan = make_plan(**request)
    except ValueError as error:
        assert empty or any(each.stuck for each in sets), error  # noqa: PT017
        return
    assert not empty
    for each in sets:  # with fewer clips than faces, those without a curve may be left out
        assert not each.stuck or request["per_class"] < len(each.people) > each.stuck
    assert plan == make_plan(**request)
    assert [item.number for item in plan] == list(range(len(plan)))
    assert [group for group, _ in groupby(item.group for item in plan)] == list(range(len(sets)))
    for group, each in enumerate(sets):
        assert_set([item for item in plan if item.group == group], each, request["per_class"])


def assert_set(plan: list[PlannedClip], seen: Seen, per_class: int) -> None:
    names = classes("samm", seen.scheme)
    assert [name for name, _ in groupby(item.emotion for item in plan)] == list(names)
    assert_even(Counter(item.subject for item in plan), seen.people)
    for person, faces in seen.people.items():
        assert_even(Counter(item.face for item in plan if item.subject == person), faces)
    for emotion in names:
        own = [item for item in plan if item.emotion == emotion]
        assert len(own) == per_class
        assert_even(Counter(item.subject for item in own), seen.people)
        for item in own:
            others = {c.id: c for c in seen.followable(emotion, item.subject)}
            if item.template.clip is None:
                assert len(others) < ENOUGH_TEMPLATES
                assert item.template.aus in {p.aus for p in prototypes(emotion)}
            else:
                assert item.template.aus == others[item.template.clip].aus
        everybodys = seen.followable(emotion)
        if len(everybodys) >= ENOUGH_TEMPLATES and not seen.people.keys() & {
            c.subject_id for c in everybodys
        }:  # every curve suits every face
            assert_even(Counter(item.template.clip for item in own), [c.id for c in everybodys])


def assert_even(counts: Counter, wanted: Iterable[str]) -> None:
    """All of these, and no others, equally often or once more."""
    uses = [counts.pop(each, 0) for each in wanted]
    assert not counts
    assert max(uses) - min(uses) <= 1
