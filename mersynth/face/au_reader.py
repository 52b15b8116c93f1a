"""What gives a store's AU intensities: py-feat's networks, MediaPipe, or another tool's files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mersynth.disk.files import real_path
from mersynth.face.au_files import FileReader
from mersynth.face.blendshapes import BlendshapeReader
from mersynth.face.framing import FramedClip
from mersynth.face.intensity import IntensityMeter, Measurement, choose_backend
from mersynth.face.libreface import LibreFace
from mersynth.face.openface import OpenFace
from mersynth.face.weights import BACKENDS, Backend
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.sources.errors import Problem

CHOICES = (*("auto", "none", *BACKENDS, "openface=DIR", "libreface=DIR", "blendshapes=FILE.task"),)
"""What ``prepare --intensities`` takes."""


class AUReader(Protocol):
    """Gives the AU intensities of a store's clips.

    Attributes:
        name: for the store's header.
    """

    name: str

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is read and how, as JSON-able values, for the store's header."""

    def find(self, clips: Sequence[tuple[FramedClip, np.ndarray | None]]) -> list[Problem]:
        """Look for what the clips need, before any is stored.

        Args:
            clips: each with the box of its face in the stored frames (``read``'s).

        Returns:
            What is wrong; a clip with a fatal problem cannot be read.
        """

    def read(
        self, item: FramedClip, frames: Iterable[np.ndarray], box: np.ndarray | None
    ) -> Measurement:
        """Read one clip.

        Args:
            item: the clip.
            frames: its stored frames in order, (S, S, 3) uint8, RGB, which are read to their end.
            box: (4,) left, top, right, bottom of the face in all of them; None: not known.
        """


def choose_reader(intensities: str, min_confidence: float) -> AUReader | None:
    """The reader that ``prepare --intensities`` names; None: AU intensities are not measured.

    Args:
        intensities: one of :data:`CHOICES`.
        min_confidence: OpenFace's frames of less confidence count as not measured, in [0, 1].

    Raises:
        ValueError: if there is no such reader, its folder or file is missing or of no use, or its
            package is not installed.
        WeightsMissingError: if weights of py-feat are missing.
    """
    tool, equals, place = intensities.partition("=")
    if equals and place:
        if tool == "openface":
            return FileReader(OpenFace(min_confidence), Path(place))
        if tool == "libreface":
            return FileReader(LibreFace(), Path(place))
        if tool == "blendshapes":
            return BlendshapeReader(Path(place))
    if equals or tool not in CHOICES:
        raise ValueError(f"intensities must be one of {', '.join(CHOICES)}, got {intensities!r}")
    backend = choose_backend(intensities)
    return None if backend is None else FeatReader(backend)


def without_place(intensities: str) -> str:
    """The name of a reader without the folders that lead to its files, for stores passed on."""
    tool, equals, place = intensities.partition("=")
    return f"{tool}={real_path(place).name}" if equals else intensities


class FeatReader:
    """Reads by py-feat's networks, which it loads for the first clip.

    Args:
        backend: see :class:`mersynth.face.intensity.IntensityMeter`.
    """

    def __init__(self, backend: Backend) -> None:
        self.name: str = backend
        self._backend = backend
        self._meter: IntensityMeter | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        """See :class:`AUReader`."""
        return {
            "tool": f"py-feat, {self._backend} backend",
            "scale": "probability of the AU, 0 to 1",
            "aus": list(CONDITION_AUS),
            "without": [],
            "sides": False,
        }

    def find(self, clips: Sequence[tuple[FramedClip, np.ndarray | None]]) -> list[Problem]:
        """Nothing is needed but the frames."""
        return []

    def read(
        self, item: FramedClip, frames: Iterable[np.ndarray], box: np.ndarray | None
    ) -> Measurement:
        """See :class:`AUReader`."""
        self._meter = self._meter or IntensityMeter(self._backend)
        return self._meter.measure(frames, box)
