"""The annotated clip: what every part of the project agrees on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import Literal

from mersynth.checks import check_choice
from mersynth.disk.files import file_name
from mersynth.ranges import Range

Strength = Literal["micro", "macro"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One annotated expression, from its onset to its offset.

    Frame numbers are those of the database; a stored clip holds every frame of
    ``onset..offset``, both included, so that stored frame ``i`` is frame ``onset + i``.

    Args:
        source: name of the database, for instance ``"samm"``.
        subject: subject as the database writes it, for instance ``"006"`` or ``"sub01"``. For a
            synthetic clip it is the subject whose face the clip shows.
        name: name of the clip, unique within its subject.
        onset: first frame of the movement.
        apex: frame of the strongest movement, or None where the database gives none.
        offset: last frame of the movement.
        emotion: the database's own label, in lower case; for a synthetic clip its class in the
            label scheme that the store names.
        aus: the AU cell exactly as annotated (``facs.parse_au_cell`` reads it).
        fps: frames per second.
        strength: ``"micro"`` or ``"macro"``.
        template: for a synthetic clip, the id of the clip whose AU curve it follows.
        generator: for a synthetic clip, the SHA-256 of the generator's weights.
        apex_method: how the apex was spotted (``motion.apex``); None where there is no apex, or it
            was annotated or rendered.
        unseen: for a synthetic clip, the ids of the subjects that its generator never saw.

    Raises:
        ValueError: if a value is of another type, the offset lies before the onset, the apex
            outside onset..offset, the frame rate is not a number above 0, source, subject or name
            is empty, source or subject holds a ``/``, which divides the parts of an id, or
            ``template`` or ``unseen`` holds no ids.
    """

    source: str
    subject: str
    name: str
    onset: int
    apex: int | None
    offset: int
    emotion: str
    aus: str = ""
    fps: float = 200.0
    strength: Strength = "micro"
    template: str | None = None
    generator: str | None = None
    apex_method: str | None = None
    unseen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_texts()
        for part in ("onset", "offset", "apex"):
            value = getattr(self, part)
            none = value is None and part == "apex"
            if not none and (not isinstance(value, Integral) or isinstance(value, bool)):
                raise ValueError(f"clip {self.id}: {part} must be a whole number, got {value!r}")
        if self.offset < self.onset:
            raise ValueError(f"clip {self.id}: offset {self.offset} lies before onset {self.onset}")
        if self.apex is not None and not self.onset <= self.apex <= self.offset:
            raise ValueError(
                f"clip {self.id}: apex {self.apex} lies outside onset..offset "
                f"{self.onset}..{self.offset}"
            )
        if self.fps not in Range(0, above=True):
            raise ValueError(f"clip {self.id}: fps must be above 0, got {self.fps!r}")
        check_choice(f"clip {self.id}: strength", self.strength, ("micro", "macro"))

    def _check_texts(self) -> None:
        for part in ("source", "subject", "name"):
            value = getattr(self, part)
            text = isinstance(value, str) and value
            if not text or (part != "name" and "/" in value):
                raise ValueError(
                    f"clip {self.id}: {part} must be a text, and that of a source or a subject "
                    f"without /, got {value!r}"
                )
        for part in ("emotion", "aus"):
            if not isinstance(value := getattr(self, part), str):
                raise ValueError(f"clip {self.id}: {part} must be a text, got {value!r}")
        for part in ("template", "generator", "apex_method"):
            value = getattr(self, part)
            if value is not None and not (isinstance(value, str) and value):
                raise ValueError(f"clip {self.id}: {part} must be a text or None, got {value!r}")
        if self.template is not None and self.template.count("/") < 2:
            raise ValueError(
                f"clip {self.id}: template must be the id of a clip, source/subject/name, got "
                f"{self.template!r}"
            )
        if not _are_subject_ids(self.unseen):
            raise ValueError(
                f"clip {self.id}: unseen must be a tuple of ids of subjects, source/subject, got "
                f"{self.unseen!r}"
            )

    @property
    def subject_id(self) -> str:
        """Subject, unique over all databases: ``source/subject``."""
        return f"{self.source}/{self.subject}"

    @property
    def id(self) -> str:
        """Clip, unique over all databases: ``source/subject/name``."""
        return f"{self.source}/{self.subject}/{self.name}"

    @property
    def num_frames(self) -> int:
        """Frames from onset to offset, both included."""
        return self.offset - self.onset + 1

    @property
    def apex_index(self) -> int | None:
        """Position of the apex among the stored frames."""
        return None if self.apex is None else self.apex - self.onset

    @property
    def is_synthetic(self) -> bool:
        """Whether a generator made it."""
        return self.generator is not None


def _are_subject_ids(values: object) -> bool:
    try:
        return isinstance(values, tuple) and _all_are_ids(values)
    except TypeError:  # of values that are not hashable, and so no texts
        return False


@lru_cache(maxsize=1024)  # the clips of a generator share hundreds of ids
def _all_are_ids(values: tuple[object, ...]) -> bool:
    return all(isinstance(value, str) and "/" in value for value in values)


def flat_name(clip: Clip) -> str:
    """A safe file name of a clip, without a dot: ``source_subject_name``."""
    return file_name(f"{clip.source}_{clip.subject}_{clip.name}").replace(".", "_")
