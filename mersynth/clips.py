"""The annotated clip: what every part of the project agrees on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mersynth.checks import check_choice
from mersynth.files import file_name
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
        ValueError: if the offset lies before the onset, the apex outside onset..offset, the frame
            rate is not a number above 0, source, subject or name is empty, or source or subject
            holds a ``/``, which divides the parts of an id.
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
        if self.offset < self.onset:
            raise ValueError(f"clip {self.id}: offset {self.offset} lies before onset {self.onset}")
        if self.apex is not None and not self.onset <= self.apex <= self.offset:
            raise ValueError(
                f"clip {self.id}: apex {self.apex} lies outside onset..offset "
                f"{self.onset}..{self.offset}"
            )
        if self.fps not in Range(0, above=True):
            raise ValueError(f"clip {self.id}: fps must be above 0, got {self.fps}")
        for part in ("source", "subject", "name"):
            value = getattr(self, part)
            if not value or (part != "name" and "/" in value):
                raise ValueError(
                    f"clip {self.id}: {part} must be a text, and that of a source or a subject "
                    f"without /, got {value!r}"
                )
        check_choice(f"clip {self.id}: strength", self.strength, ("micro", "macro"))

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


def flat_name(clip: Clip) -> str:
    """A safe file name of a clip, without a dot: ``source_subject_name``."""
    return file_name(f"{clip.source}_{clip.subject}_{clip.name}").replace(".", "_")
