"""The clips of a plan as work to do: annotation, face, curve, and where chance comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from omegaconf import DictConfig

from mersynth.clips import Clip, Strength
from mersynth.curves import (
    ConditionSettings,
    added_to_rest,
    clip_curve,
    early_movement,
    jitter,
    movement,
    prototype_curve,
    resample,
    warn_assumed_apexes,
)
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.store.clip_store import ClipStore, StoredClip
from mersynth.synthesis.generators import ClipGenerator
from mersynth.synthesis.plan import PlannedClip


@dataclass(frozen=True, slots=True)
class Work:
    """A clip to make: its annotation, whose face moves, and how.

    Attributes:
        clip: the synthetic clip.
        face: the real clip whose first frame moves.
        curve: (K, 20, 2) intensities to ask for, left and right.
        group: which generator makes it.
        people: ids of the subjects whose face is shown and whose curve is followed.
        rng: draws the head motion.
    """

    clip: Clip
    face: StoredClip
    curve: np.ndarray
    group: int
    people: Sequence[str]
    rng: np.random.Generator


@dataclass(frozen=True)
class WorkList(Sequence[Work]):
    """The work of a plan, each item made when it is asked for: curves of all need gigabytes."""

    plan: Sequence[PlannedClip]
    make: Callable[[PlannedClip], Work]

    def __len__(self) -> int:
        return len(self.plan)

    @overload
    def __getitem__(self, index: int) -> Work: ...
    @overload
    def __getitem__(self, index: slice) -> WorkList: ...
    def __getitem__(self, index: int | slice) -> Work | WorkList:
        if isinstance(index, slice):
            return WorkList(self.plan[index], self.make)
        return self.make(self.plan[index])


class Faces(Mapping[str, StoredClip]):
    """The clip whose face moves, for each clip of the first generator, by the id of that clip."""

    def __init__(self, work: WorkList, clips: Sequence[Clip]) -> None:
        self._work = work
        own = (i for i, item in enumerate(work.plan) if item.group == 0)
        self._places = {clips[i].id: i for i in own}

    def __getitem__(self, name: str) -> StoredClip:
        return self._work[self._places[name]].face

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def plan_work(
    real: ClipStore,
    face_store: ClipStore,
    plan: Sequence[PlannedClip],
    generators: Sequence[ClipGenerator],
    config: DictConfig,
    seed: int,
    others: Iterable[str] = (),
) -> WorkList:
    """Clips and curves of a plan.

    Args:
        real: gives the curves.
        face_store: gives the faces.
        plan: which face follows which curve.
        generators: by the plan's groups.
        config: ``configs/generate.yaml``.
        seed: of the curves.
        others: ids of further people whom a clip's generator may never have seen.
    """
    settings = ConditionSettings(**config.conditions)
    by_id = {clip.id: i for i, clip in enumerate(real.clips)}
    faces = {clip.id: i for i, clip in enumerate(face_store.clips)}
    known = sorted({*real.subjects, *face_store.subjects, *others})
    templates = dict.fromkeys(item.template.clip for item in plan)
    warn_assumed_apexes(real[by_id[name]] for name in templates if name is not None)
    saw = [set(each.training_subjects) for each in generators]
    unseen = [tuple(name for name in known if name not in seen) for seen in saw]

    def make(item: PlannedClip) -> Work:
        generator = generators[item.group]
        face = face_store[faces[item.face]]
        rng = np.random.default_rng([seed, 1, item.number])
        if item.template.clip is None:
            model = face.clip  # a prototype has no timing
            frames: float = model.num_frames
            strength: Strength = "micro"
            curve = prototype_curve(item.template.aus, config.num_frames, rng, settings)
        else:
            template = real[by_id[item.template.clip]]
            model = template.clip
            curve, frames, strength = _followed(template, config, settings)
        varied = jitter(config.strength * curve, rng, settings)
        curve = added_to_rest(clip_curve(face, settings), varied)
        clip = Clip(
            source=face.clip.source,
            subject=face.clip.subject,
            name=f"synthetic_{item.number:05d}",
            onset=0,
            apex=_apex(curve, item.template.aus),
            offset=config.num_frames - 1,
            emotion=item.emotion,
            aus=item.template.aus,
            fps=model.fps * config.num_frames / frames,
            strength=strength,
            template=item.template.clip,
            generator=generator.sha256,
            unseen=unseen[item.group],
        )
        people = [name for name in (item.subject, item.template.subject) if name is not None]
        rng = np.random.default_rng([seed, 2, item.number])
        return Work(clip, face, curve, item.group, people, rng)

    return WorkList(plan, make)


def _followed(
    template: StoredClip, config: DictConfig, settings: ConditionSettings
) -> tuple[np.ndarray, float, Strength]:
    """The movement of a clip, how many of its frames that lasts, and its strength."""
    curve = movement(clip_curve(template, settings))
    frames: float = template.clip.num_frames
    strength = template.clip.strength
    if config.curves == "early":
        curve, frames = early_movement(curve, settings.micro_gain)
        strength = "micro"
    return resample(curve, config.num_frames), frames, strength


def _apex(curve: np.ndarray, aus: str) -> int:
    """The frame at which the clip's annotated AUs are strongest.

    The curve of a real clip may hold other AUs, such as a blink, that are not part of the
    expression.
    """
    numbers = parse_au_cell(aus).numbers
    columns = [i for i, number in enumerate(CONDITION_AUS) if number in numbers]
    change = (curve - curve[:1])[:, columns or slice(None)].sum(axis=(1, 2))
    return int(change.argmax())
