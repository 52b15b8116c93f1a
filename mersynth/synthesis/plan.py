"""The plan of a balanced synthetic store: which subject shows what, how often (paper 4.2)."""

from __future__ import annotations

import heapq
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from mersynth.clips import Clip
from mersynth.facs.action_units import condition_vector, parse_au_cell
from mersynth.facs.emotions import classes, label, prototypes

logger = logging.getLogger(__name__)

Curves = Literal["clips", "prototypes", "early"]
"""Where AU curves come from: ``configs/generate.yaml``."""

#: A face with fewer suitable clips of a class than this also follows the class's AU prototypes.
ENOUGH_TEMPLATES = 3


@dataclass(frozen=True, slots=True)
class Template:
    """Where an AU curve comes from: a clip of the store, or a prototype.

    Attributes:
        aus: the AU cell, of the clip or of the prototype.
        clip: id of the clip; None for a prototype.
        subject: id of that clip's subject; None for a prototype.
    """

    aus: str
    clip: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """One clip to generate.

    Attributes:
        emotion: its class in the label scheme.
        subject: id of the subject whose face it shows.
        face: id of the clip whose first frame is that face.
        template: where its AU curve comes from; never a clip of the same subject.
        group: which generator makes it.
        number: its place in the plan, from 0.
    """

    emotion: str
    subject: str
    face: str
    template: Template
    group: int
    number: int


def make_plan(
    clips: Sequence[Clip],
    scheme: str,
    per_class: int,
    seed: int,
    unseen: Sequence[Sequence[str]] = ((),),
    faces: Sequence[Clip] | None = None,
    curves: Curves = "clips",
) -> list[PlannedClip]:
    """Plan a balanced set of synthetic clips; with K generators, one such set for each.

    Within a set every class has ``per_class`` clips; in each class the subjects' numbers of clips
    differ by at most one; templates of a class are used evenly, and never on the face of their own
    subject. The set of a generator that never saw some subjects uses neither their faces nor their
    curves, so that it can be used in any fold that tests one of them.

    Args:
        clips: real clips, whose curves may be followed.
        scheme: label scheme (``facs.emotions.SCHEMES``).
        per_class: clips for each class, 1 or more.
        seed: of all random choices.
        unseen: for each generator, the ids of the subjects that it never saw.
        faces: clips whose faces are used, if not those of ``clips``.
        curves: ``"prototypes"``: a class that has AU prototypes follows these alone;
            ``"early"``: only macro-expressions are followed.

    Returns:
        The plan, class by class within a set.

    Raises:
        ValueError: if ``per_class`` is not positive, a class has no template for some face, or
            there is no macro-expression to follow.
    """
    if per_class < 1:
        raise ValueError(f"--per-class must be 1 or more, got {per_class}")
    face_clips = clips if faces is None else faces
    if curves == "early":
        clips = _macro(clips)
    plan: list[PlannedClip] = []
    for group, subjects in enumerate(unseen):
        hidden = set(subjects)
        rng = np.random.default_rng([seed, group])
        followed = [clip for clip in clips if clip.subject_id not in hidden]
        face_sources = [clip for clip in face_clips if clip.subject_id not in hidden]
        templates = templates_of(followed, scheme)
        if curves == "prototypes":
            templates = _without_defined(templates)
        plan += _plan_set(templates, face_sources, per_class, rng, group, len(plan))
    return plan


def _macro(clips: Sequence[Clip]) -> list[Clip]:
    """The macro-expressions among clips."""
    found = [clip for clip in clips if clip.strength == "macro"]
    if not found:
        raise ValueError(
            f"curves=early follows the beginnings of macro-expressions, and none of the "
            f"{len(clips)} clips is one; give a store of macro-expressions as --store, and the "
            "faces as --faces"
        )
    return found


def _without_defined(templates: Mapping[str, list[Template]]) -> dict[str, list[Template]]:
    """No clips to follow in the classes that AU prototypes define."""
    undefined = [emotion for emotion in templates if not _prototypical(emotion)]
    if undefined:
        logger.info(
            "no AU prototype defines the class %s: its clips are followed", ", ".join(undefined)
        )
    return {emotion: own if emotion in undefined else [] for emotion, own in templates.items()}


def _plan_set(
    templates: Mapping[str, Sequence[Template]],
    face_sources: Sequence[Clip],
    per_class: int,
    rng: np.random.Generator,
    group: int,
    first: int,
) -> list[PlannedClip]:
    faces: dict[str, list[str]] = {}
    for clip in face_sources:
        faces.setdefault(clip.subject_id, []).append(clip.id)
    if not faces:
        raise ValueError("no face is left: the generator may use none of the subjects")
    subjects = rng.permutation(sorted(faces)).tolist()
    if per_class < len(subjects):
        logger.warning(
            "%d clips per class are fewer than the %d subjects: not every subject has every class",
            per_class,
            len(subjects),
        )
    faces_used: Counter[str] = Counter()
    planned: list[PlannedClip] = []
    turn = 0  # rotates which subjects get one clip more than others
    for emotion, choices in templates.items():
        face_subjects = [subjects[(turn + i) % len(subjects)] for i in range(per_class)]
        turn += per_class
        for subject, template in zip(
            face_subjects, _assign_templates(face_subjects, choices, emotion, rng), strict=True
        ):
            face = faces[subject][faces_used[subject] % len(faces[subject])]
            faces_used[subject] += 1
            number = first + len(planned)
            planned.append(PlannedClip(emotion, subject, face, template, group, number))
    return planned


def templates_of(clips: Sequence[Clip], scheme: str) -> dict[str, list[Template]]:
    """The clips to take AU curves from, for each class of the scheme, in the scheme's order.

    Clips whose annotation names no condition AU (``?``, or only AUs such as 38), and single
    pictures, show no movement that a generator could be asked for; they are not used, and counted
    in the log.

    Raises:
        ValueError: if there are no clips, or their database has no such scheme.
    """
    if not clips:
        raise ValueError("a plan needs clips; the store has none (left)")
    sources = sorted({clip.source for clip in clips})
    names = dict.fromkeys(name for source in sources for name in classes(source, scheme))
    found: dict[str, list[Template]] = {name: [] for name in names}
    silent = 0
    for clip in clips:
        emotion = label(clip.source, clip.emotion, scheme)
        if emotion is None:
            continue
        if names_condition_au(clip.aus) and clip.num_frames > 1:
            found[emotion].append(Template(clip.aus, clip.id, clip.subject_id))
        else:
            silent += 1
    if silent:
        logger.info(
            "%d clips show no movement of the 20 condition AUs and are not used as templates",
            silent,
        )
    return found


@cache
def names_condition_au(cell: str) -> bool:
    """Whether an AU cell names one of the 20 condition AUs."""
    vector = condition_vector(parse_au_cell(cell), unlettered=1.0)
    return bool(np.nan_to_num(vector).any())


def _prototypical(emotion: str) -> list[Template]:
    """Templates of the emotion's AU prototypes."""
    cells = (prototype.aus for prototype in prototypes(emotion))
    return [Template(cell) for cell in cells if names_condition_au(cell)]


def _assign_templates(
    face_subjects: Sequence[str],
    templates: Sequence[Template],
    emotion: str,
    rng: np.random.Generator,
) -> list[Template]:
    """A template of another subject for each face, all templates as evenly as possible.

    Faces with the fewest suitable templates come first, each with the least used suitable one.
    """
    prototypical = _prototypical(emotion)
    order = rng.permutation(len(templates)).tolist()
    pool = [templates[i] for i in order] + prototypical
    of_subject = Counter(template.subject for template in templates)
    fitting: dict[str, int] = {}
    scarce: list[str] = []
    for subject in dict.fromkeys(face_subjects):
        fitting[subject] = len(templates) - of_subject[subject]
        if fitting[subject] < ENOUGH_TEMPLATES:
            scarce.append(subject)
            fitting[subject] += len(prototypical)
        if not fitting[subject]:
            raise ValueError(
                f"class {emotion!r} has neither a clip of a subject other than {subject} nor an AU "
                "prototype: that face has no curve to follow; choose another --classes"
            )
    needy = set(scarce)
    if scarce and templates:
        logger.info(
            "class %s: fewer than %d AU curves suit the faces of %s; %d prototypes are used too",
            emotion,
            ENOUGH_TEMPLATES,
            ", ".join(sorted(scarce)),
            len(prototypical),
        )
    least_used = _LeastUsed([template.subject for template in pool])
    chosen: dict[int, Template] = {}
    places = rng.permutation(len(face_subjects)).tolist()
    for place in sorted(places, key=lambda p: fitting[face_subjects[p]]):
        subject = face_subjects[place]
        # None is the subject of prototypes, which are for scarce faces alone.
        refused = {subject} if subject in needy else {subject, None}
        chosen[place] = pool[least_used.take(refused)]
    return [chosen[place] for place in range(len(face_subjects))]


class _LeastUsed:
    """Templates, of which the least used of some subjects is found without looking at all.

    Args:
        subjects: of each template.
    """

    def __init__(self, subjects: Sequence[str | None]) -> None:
        self._own: dict[str | None, list[tuple[int, int]]] = {}  # (uses, template), heaps
        for i, subject in enumerate(subjects):
            self._own.setdefault(subject, []).append((0, i))
        self._firsts = [(*own[0], subject) for subject, own in self._own.items()]
        heapq.heapify(self._firsts)

    def take(self, refused: Collection[str | None]) -> int:
        """The least used template of a subject that is not refused, of equals the first."""
        aside = []
        while (first := heapq.heappop(self._firsts))[2] in refused:
            aside.append(first)
        uses, i, subject = first
        heapq.heapreplace(self._own[subject], (uses + 1, i))
        for each in [*aside, (*self._own[subject][0], subject)]:
            heapq.heappush(self._firsts, each)
        return i


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A row of the table that ``--dry-run`` prints.

    Attributes:
        group: number of the generator's set.
        emotion: class.
        real: clips of that class in the real store.
        synthetic: planned clips.
        subjects: number of subjects that show it.
        per_subject: fewest and most clips of a subject.
        templates: number of AU curves used.
        per_template: fewest and most uses of a curve.
    """

    group: int
    emotion: str
    real: int
    synthetic: int
    subjects: int
    per_subject: tuple[int, int]
    templates: int
    per_template: tuple[int, int]


def summarise(plan: Sequence[PlannedClip], real: Mapping[str, int]) -> list[PlanSummary]:
    """Count a plan by set and class; ``real`` has the number of real clips of each class."""
    rows: dict[tuple[int, str], list[PlannedClip]] = {}
    for item in plan:
        rows.setdefault((item.group, item.emotion), []).append(item)
    summary = []
    for (group, emotion), items in rows.items():
        faces = Counter(item.subject for item in items)
        curves = Counter(item.template for item in items)
        summary.append(
            PlanSummary(
                group,
                emotion,
                real.get(emotion, 0),
                len(items),
                len(faces),
                (min(faces.values()), max(faces.values())),
                len(curves),
                (min(curves.values()), max(curves.values())),
            )
        )
    return summary
