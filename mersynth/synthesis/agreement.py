"""Checks that stores, faces, generators and classes of a generation go together."""

from __future__ import annotations

from collections.abc import Sequence

from mersynth.clips import Clip
from mersynth.face.template import AUTO, HEAD, FramingChoice
from mersynth.facs.emotions import classes as label_classes
from mersynth.facs.emotions import label
from mersynth.phantom.version import version_of
from mersynth.phantom.version import warn_versions as warn_phantoms
from mersynth.store.clip_store import ClipStore
from mersynth.store.clip_store import warn_framings as warn_differing
from mersynth.synthesis.generators import ClipGenerator


def warn_framings(
    choice: FramingChoice, stores: Sequence[ClipStore], generators: Sequence[ClipGenerator]
) -> None:
    """Warn if the framings of stores, generators and the user's choice differ."""
    named = {str(store.path): store.framing for store in stores}
    for number, each in enumerate(generators):
        named[f"the generator {number or ''}".strip()] = each.framing
    if choice != AUTO:
        named["asked for"] = choice.framing(HEAD)
    warn_differing(
        named,
        "A generator expects the framing that it was trained with: prepare the store again with "
        "that framing, or train a generator on this store; `--generator warp` takes any framing",
    )


def warn_versions(faces: ClipStore, generators: Sequence[ClipGenerator]) -> None:
    """Warn if the faces are from another version of the phantom than a generator's."""
    named = {str(faces.path): version_of(faces)}
    for number, each in enumerate(generators):
        named[f"the generator {number or ''}".strip()] = each.phantom
    warn_phantoms(
        named,
        "A generator works best on the version it was trained on: render the store again, or train "
        "a generator on it with `mersynth train`; `--generator warp` needs no training",
    )


def check_classes(clips: Sequence[Clip], face_sources: Sequence[Clip], scheme: str) -> None:
    """Check that the faces' databases have the classes that their clips will show."""
    names = dict.fromkeys(name for clip in clips for name in label_classes(clip.source, scheme))
    for source in sorted({clip.source for clip in face_sources}):
        try:
            unknown = [name for name in names if label(source, name, scheme) != name]
        except ValueError as error:
            raise ValueError(f"--faces: {error}; choose other --classes, or other faces") from error
        if unknown:
            raise ValueError(
                f"--faces: {source} has no class {', '.join(unknown)} in the scheme {scheme!r}; "
                "choose other --classes, or other faces"
            )
