"""Databases of single images: a clip is one frame, which is onset, apex and offset at once."""

from __future__ import annotations

from pathlib import Path

from mersynth.clips import Clip
from mersynth.sources.base import CheckedFrames, check_frames


def still_clip(*, source: str, subject: str, name: str, emotion: str, fps: float) -> Clip:
    """The annotation of a single image, which shows a macro-expression at its strongest.

    Args:
        source: name of the database.
        subject: the subject.
        name: name of the image, unique within its subject.
        emotion: the native label.
        fps: frames per second; nominal, since a still has no rate.
    """
    return Clip(
        source=source,
        subject=subject,
        name=name,
        onset=0,
        apex=0,
        offset=0,
        emotion=emotion,
        fps=fps,
        strength="macro",
    )


def check_still(clip: Clip, file: Path, root: Path) -> CheckedFrames:
    """Decode the one frame of a clip; see ``base.check_frames``."""
    return check_frames(clip, {clip.onset: file}, file.parent, root)
