"""A population of phantom subjects and the clips that they show: the built-in data set."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import mersynth
from mersynth import logs
from mersynth.clips import Clip, Strength
from mersynth.face.template import HEAD, Framing
from mersynth.facs.emotions import native_labels
from mersynth.phantom.capture import PLAIN_CAPTURE, Capture
from mersynth.phantom.cells import CELLS
from mersynth.phantom.motion import clip_motion, letter_of, peak_intensities
from mersynth.phantom.optics.sensor import to_bytes
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import subject_name
from mersynth.phantom.variety import PLAIN, Population
from mersynth.phantom.version import VERSION
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import CLIPS_A_COMMIT, StoreWriter

logger = logging.getLogger(__name__)

DEFAULT_COUNTS: Mapping[str, int] = {
    "contempt": 12,
    "happiness": 26,
    "anger": 57,
    "surprise": 15,
    "other": 26,
}
"""SAMM's five largest classes and their counts."""

_SECONDS: dict[Strength, tuple[float, float, float]] = {
    "micro": (0.36, 0.15, 0.5),  # median, shortest, longest
    "macro": (0.65, 0.4, 1.0),
}


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """A clip that can be rendered: everything but the pixels.

    Attributes:
        clip: the annotation.
        subject: number of the phantom subject.
        seed: seed of the clip's motion and noise.
    """

    clip: Clip
    subject: int
    seed: tuple[int, ...]


def clip_specs(
    *,
    seed: int = 0,
    subjects: int = 28,
    counts: Mapping[str, int] = DEFAULT_COUNTS,
    strength: Strength = "micro",
    first_subject: int = 0,
    fps: float = 100.0,
    max_frames: int | None = None,
) -> list[ClipSpec]:
    """Plan a population's clips; nothing is rendered.

    As in real data, some subjects have many clips and some few, and few show every emotion.

    Args:
        seed: determines the plan.
        subjects: number of subjects, each with at least one clip.
        counts: number of clips of each emotion (labels of SAMM).
        strength: ``"micro"`` or ``"macro"``.
        first_subject: number of the first subject.
        fps: frames per second.
        max_frames: longest clip, in frames.

    Returns:
        The clips, grouped by subject.

    Raises:
        ValueError: if an emotion is unknown, a count negative, or there are fewer clips than
            subjects.
    """
    for emotion, count in counts.items():
        if emotion not in CELLS or count < 0:
            raise ValueError(
                f"counts: {emotion!r}: {count} must be 0 or more clips of one of "
                f"{', '.join(native_labels('phantom'))}"
            )
    labels = [emotion for emotion, count in counts.items() for _ in range(count)]
    if not 1 <= subjects <= len(labels):
        raise ValueError(f"subjects must lie in 1..{len(labels)} (the clips), got {subjects}")
    rng = np.random.default_rng([seed, first_subject, subjects])
    share = rng.lognormal(0.0, 0.7, subjects)
    extra = rng.choice(subjects, size=len(labels) - subjects, p=share / share.sum())
    owners = np.sort(np.concatenate([np.arange(subjects), extra]))
    specs: list[ClipSpec] = []
    order = rng.permutation(len(labels))
    for index, owner in enumerate(owners):
        number = first_subject + int(owner)
        place = index - int(np.searchsorted(owners, owner))
        clip = _plan_clip(number, place, labels[order[index]], strength, fps, max_frames, rng)
        specs.append(ClipSpec(clip, number, (seed, number, place)))
    return specs


def render_clip(
    spec: ClipSpec,
    image_size: int = 128,
    device: str | torch.device = "cpu",
    framing: Framing = HEAD,
    population: Population = PLAIN,
    capture: Capture = PLAIN_CAPTURE,
    gain: float = 1.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Render a clip.

    Args:
        spec: which clip.
        image_size: side of the frames, in pixels.
        device: where to render. Only sensor noise differs between kinds of devices.
        framing: which part of the head is shown.
        population: how the subject looks and is recorded.
        capture: what there is besides the expression; blinks count as AU 43, mouth movements as
            their AUs.
        gain: times the strength that the clip's expression has; intensities stay in [0, 1].

    Returns:
        Frames (T, H, W, 3) uint8; true AU intensities (T, 20, 2) float32 in [0, 1], left and
        right; true landmarks (T, 68, 2) float32, pixels.
    """
    renderer = _renderer(spec.subject, image_size, str(device), framing, population)
    rng = np.random.default_rng(spec.seed)
    clip = spec.clip
    peaks = peak_intensities(clip.aus, clip.strength, renderer.subject.expressiveness, rng, gain)
    apex = (clip.num_frames - 1) // 2 if clip.apex_index is None else clip.apex_index
    motion = clip_motion(peaks, clip.num_frames, apex, clip.fps, rng, capture)
    rendered = renderer.render(
        torch.from_numpy(motion.aus),
        torch.from_numpy(motion.pose),
        torch.from_numpy(motion.blink),
        torch.from_numpy(motion.light),
        _noise(rng, device),
    )
    frames = to_bytes(rendered.frames, renderer.subject.look.jpeg)
    return frames, motion.intensities, rendered.landmarks.cpu().numpy()


def write_store(
    out: Path,
    *,
    image_size: int = 128,
    seed: int = 0,
    subjects: int = 28,
    counts: Mapping[str, int] = DEFAULT_COUNTS,
    strength: Strength = "micro",
    first_subject: int = 0,
    fps: float = 100.0,
    max_frames: int | None = None,
    device: str | torch.device = "cpu",
    framing: Framing = HEAD,
    population: Population = PLAIN,
    capture: Capture = PLAIN_CAPTURE,
    gain: float = 1.0,
    resume: bool = False,
) -> ClipStore:
    """Render a population into a new store; see :func:`clip_specs` and :func:`render_clip`.

    The truth is stored with the clips: intensities hold every AU that moved, blinks as AU 43, and
    landmarks follow the head; the header records how people and recordings were drawn. ``resume``
    continues an interrupted rendering of the same population.

    Raises:
        ValueError: as :func:`clip_specs`, or if the image size is odd or below 32.
        StoreError: if ``out`` exists.
    """
    specs = clip_specs(
        seed=seed,
        subjects=subjects,
        counts=counts,
        strength=strength,
        first_subject=first_subject,
        fps=fps,
        max_frames=max_frames,
    )
    # Refuses a size that cannot be rendered before anything is written.
    _renderer(specs[0].subject, image_size, str(device), framing, population)
    header = {
        "source": "phantom",
        "phantom": VERSION,
        "image_size": image_size,
        "framing": framing.as_dict(),
        "seed": seed,
        "subjects": subjects,
        "first_subject": first_subject,
        "counts": dict(counts),
        "strength": strength,
        "gain": gain,
        "population": population.as_dict(),
        "capture": capture.as_dict(),
        "licence": "rendered, no real person: free to use",
        "mersynth": mersynth.__version__,
    }
    total = sum(spec.clip.num_frames for spec in specs)
    with (
        StoreWriter(
            out, [spec.clip for spec in specs], image_size, header, resume=resume
        ) as writer,
        logs.progress("rendering the phantom", total=total, unit="frames") as advance,
    ):
        advance(sum(spec.clip.num_frames for spec in specs[: writer.done]))
        for number, spec in enumerate(specs[writer.done :], writer.done + 1):
            writer.add(*render_clip(spec, image_size, device, framing, population, capture, gain))
            advance(spec.clip.num_frames)
            if number % CLIPS_A_COMMIT == 0:
                writer.commit()
        return writer.finish()


def _plan_clip(
    number: int,
    place: int,
    emotion: str,
    strength: Strength,
    fps: float,
    max_frames: int | None,
    rng: np.random.Generator,
) -> Clip:
    cells, weights = list(CELLS[emotion]), np.array(list(CELLS[emotion].values()))
    cell = cells[rng.choice(len(cells), p=weights / weights.sum())]
    if rng.random() < 0.5:  # coders often give no letter
        cell = "+".join(f"{part}{letter_of(rng.uniform(0.2, 0.9))}" for part in cell.split("+"))
    median, shortest, longest = _SECONDS[strength]
    seconds = np.clip(median * rng.lognormal(0.0, 0.25), shortest, longest)
    count = max(3, round(seconds * fps))
    count = count if max_frames is None else max(3, min(count, max_frames))
    onset = int(rng.integers(10, 200))
    apex = onset + int(np.clip(round(rng.uniform(0.3, 0.65) * (count - 1)), 1, count - 2))
    return Clip(
        source="phantom",
        subject=subject_name(number),
        name=f"{subject_name(number)}_{place:02d}",
        onset=onset,
        apex=apex,
        offset=onset + count - 1,
        emotion=emotion,
        aus=cell,
        fps=fps,
        strength=strength,
    )


@functools.lru_cache(maxsize=4)
def _renderer(
    subject: int, image_size: int, device: str, framing: Framing, population: Population
) -> PhantomRenderer:
    return PhantomRenderer(population.person(subject), image_size, device, framing)


def _noise(rng: np.random.Generator, device: str | torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(int(rng.integers(2**62)))
