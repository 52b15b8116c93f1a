"""AU curves: the conditions Y_c (K x N x 2) that a generated sequence follows (paper 3.4).

A curve comes from a real clip: its measured intensities, or, where nothing was measured, its
annotated AUs, sides and intensity letters with the onset-apex-offset course. The last axis holds
the subject's left and right side; the paper's AUs have no sides.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mersynth.checks import listed
from mersynth.facs.action_units import CONDITION_AUS, condition_vector, parse_au_cell
from mersynth.store.clip_store import StoredClip

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConditionSettings:
    """How annotations become intensities, and how much curves are varied at random.

    Attributes:
        unlettered: intensity, on a coder's scale of 0 to 1, of an annotated AU without a letter.
        micro_gain: what full intensity on a coder's scale means in a micro-expression, on the
            physical scale where 1 is the strongest contraction that the face can make.
        scale_jitter: a curve is multiplied by up to 1 +- this.
        timing_jitter: its apex is moved by up to this share of the curve's length.
        noise: standard deviation of the smooth noise added where the curve is active, as a share
            of the AU's peak.
    """

    unlettered: float = 0.55
    micro_gain: float = 0.42
    scale_jitter: float = 0.2
    timing_jitter: float = 0.1
    noise: float = 0.05

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            # Above 0.3 a moved apex would make time run backwards.
            limit = 0.3 if name == "timing_jitter" else 1
            if not 0 <= value <= limit:
                raise ValueError(f"conditions.{name} must lie in [0, {limit}], got {value}")


def expression_course(num_frames: int, apex: float) -> np.ndarray:
    """Onset-apex-offset course: a smooth rise from 0 to 1 and a smooth fall back to 0.

    Args:
        num_frames: length T.
        apex: position of the apex, in 0..T-1.

    Returns:
        (T,) float32 in [0, 1]; a clip of one frame is its apex.
    """
    if num_frames == 1:
        return np.ones(1, np.float32)
    frame = np.arange(num_frames)
    course = np.interp(frame, *_rising_points(apex, num_frames - 1))
    return ((1 - np.cos(np.pi * course)) / 2).astype(np.float32)


def _rising_points(apex: float, last: int) -> tuple[list[float], list[float]]:
    if apex <= 0:
        return [0, last], [1, 0]
    if apex >= last:
        return [0, last], [0, 1]
    return [0, apex, last], [0, 1, 0]


def cell_curve(
    cell: str, num_frames: int, apex: float, gain: float, settings: ConditionSettings
) -> np.ndarray:
    """AU curve of an AU cell: its intensities times the onset-apex-offset course.

    Args:
        cell: AUs in a database's notation, for instance ``"4+L10B"``.
        num_frames: length T.
        apex: position of the apex, in 0..T-1.
        gain: the intensity that the cell's full intensity stands for, in [0, 1].
        settings: gives the intensity of AUs without a letter.

    Returns:
        (T, 20, 2) float32 in [0, 1]; all NaN where the cell names no AU.
    """
    peak = gain * condition_vector(parse_au_cell(cell), unlettered=settings.unlettered)
    return expression_course(num_frames, apex)[:, None, None] * peak


def clip_curve(item: StoredClip, settings: ConditionSettings) -> np.ndarray:
    """AU curve of a stored clip: of each AU what was measured, else what was annotated.

    An AU measured in only some frames is interpolated over the others. One whose sides have equal
    measurements, as from a reader that does not distinguish them, moves on the sides that the
    annotation names (:attr:`mersynth.facs.action_units.AUEvent.shares`). If the database gives no
    apex, or puts it on the onset, where no movement could lead to it, the clip's middle is taken.

    Returns:
        (T, 20, 2) float32 in [0, 1]; NaN where an AU was neither measured nor annotated.
    """
    clip = item.clip
    curve = _take_sides(_interpolate_gaps(np.array(item.intensities)), clip.aus)
    unknown = np.isnan(curve).all((0, 2))  # tools other than py-feat do not give all 20 AUs
    if unknown.any():
        apex = clip.apex_index or (clip.num_frames - 1) / 2
        gain = settings.micro_gain if clip.strength == "micro" else 1.0
        annotated = cell_curve(clip.aus, clip.num_frames, apex, gain, settings)
        curve[:, unknown] = annotated[:, unknown]
    return curve


def warn_assumed_apexes(items: Iterable[StoredClip]) -> None:
    """Warn of clips whose curve peaks in the middle because :func:`clip_curve` knows no apex."""
    count, assumed = 0, []
    for item in items:
        count += 1
        if (
            item.clip.num_frames > 1
            and not item.clip.apex_index
            and np.isnan(item.intensities).all()
            and parse_au_cell(item.clip.aus).numbers
        ):
            assumed.append(item.clip.id)
    if assumed:
        logger.warning(
            "%d of %d clips have no apex after their onset, and their AUs were not measured: the "
            "curves of their annotated AUs are taken to peak in the middle: %s; prepare the store "
            "with apex=strain and doubtful_apex=spot, which spot their apexes",
            len(assumed),
            count,
            listed(assumed),
        )


def _interpolate_gaps(curve: np.ndarray) -> np.ndarray:
    frame = np.arange(len(curve))
    for column in curve.reshape(len(curve), -1).T:  # a view: curve is changed
        known = ~np.isnan(column)
        if known.any():
            column[~known] = np.interp(frame[~known], frame[known], column[known])
    return curve


def _take_sides(curve: np.ndarray, cell: str) -> np.ndarray:
    """Measurements without sides, moved to the sides that the cell names."""
    shares = np.zeros(curve.shape[1:], np.float32)
    for event in parse_au_cell(cell).events:
        if event.number in CONDITION_AUS:
            row = CONDITION_AUS.index(event.number)
            shares[row] = np.maximum(shares[row], event.shares)
    named = shares.any(1) & (curve[..., 0] == curve[..., 1]).all(0)
    rest = curve[:1, named]
    curve[:, named] = rest + shares[named] * (curve[:, named] - rest)
    return curve


def movement(curve: np.ndarray) -> np.ndarray:
    """What a curve (T, ...) adds to its first frame; NaN and values below that frame are 0.

    A face follows another face's movement, not its resting state: :func:`added_to_rest` gives the
    condition for the generator.
    """
    known = np.nan_to_num(curve)
    return np.maximum(known - known[:1], 0).astype(np.float32)


def added_to_rest(curve: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """A movement (K, ...) added to a curve's (T, ...) first frame, clipped to [0, 1]; NaN is 0."""
    return np.clip(np.nan_to_num(curve[:1]) + moved, 0, 1)


def early_movement(moved: np.ndarray, share: float) -> tuple[np.ndarray, float]:
    """The beginning of a movement, and back the same way.

    MiE-X (Liu et al., arXiv 2112.01730) takes AUs of micro-expressions from early frames of
    macro-expressions.

    Args:
        moved: (T, N, 2), from :func:`movement`.
        share: of its strongest frame, by the sum over AUs, that it reaches before it turns back,
            in (0, 1].

    Returns:
        (2 T - 1, N, 2) float32, strongest in the middle; and the number of frames of the original
        that it lasts.
    """
    total = moved.sum(axis=(1, 2))
    wanted = share * total.max()
    after = int((total >= wanted).argmax())
    turn = float(after)
    if after > 0:
        turn -= float((total[after] - wanted) / (total[after] - total[after - 1]))
    frame = np.concatenate([np.linspace(0, turn, len(moved)), np.linspace(turn, 0, len(moved))[1:]])
    columns = moved.reshape(len(moved), -1).T
    found = np.stack([np.interp(frame, np.arange(len(moved)), each) for each in columns], axis=1)
    return found.reshape(-1, *moved.shape[1:]).astype(np.float32), 2 * turn + 1


def resample(curve: np.ndarray, num_frames: int) -> np.ndarray:
    """A curve (T, ...) resampled to (num_frames, ...) by linear interpolation; its ends stay."""
    positions = np.linspace(0, len(curve) - 1, num_frames)
    below = np.floor(positions).astype(int)
    above = np.minimum(below + 1, len(curve) - 1)
    share = (positions - below).reshape(-1, *[1] * (curve.ndim - 1))
    return ((1 - share) * curve[below] + share * curve[above]).astype(np.float32)


def jitter(curve: np.ndarray, rng: np.random.Generator, settings: ConditionSettings) -> np.ndarray:
    """A random variation of a curve: another strength and timing, and a little noise.

    Both sides of an AU vary alike.

    Args:
        curve: (T, N, 2) in [0, 1].
        rng: source of randomness.
        settings: sizes of the variation.

    Returns:
        (T, N, 2) float32 in [0, 1]; a side of an AU that is 0 in ``curve`` stays 0.
    """
    num_frames, num_aus, _ = curve.shape
    time = np.linspace(0, 1, num_frames)
    shift = settings.timing_jitter * rng.uniform(-1, 1)
    warped = time + shift * np.sin(np.pi * time)  # ends stay; monotone, since |shift| < 1 / pi
    columns = curve.reshape(num_frames, -1).T
    moved = np.stack([np.interp(warped, time, column) for column in columns], axis=1)
    moved = moved.reshape(curve.shape)
    moved *= 1 + settings.scale_jitter * rng.uniform(-1, 1)
    slow = rng.standard_normal((4, num_aus, 1))
    steps = resample(slow, num_frames) * settings.noise * curve.max(axis=0)
    active = moved / np.maximum(moved.max(axis=0), 1e-6)
    return np.clip(moved + steps * active, 0, 1).astype(np.float32)


def prototype_curve(
    cell: str, num_frames: int, rng: np.random.Generator, settings: ConditionSettings
) -> np.ndarray:
    """AU curve of a prototype, for classes with too few clips to take curves from.

    Args:
        cell: AUs of the prototype (``facs.emotions.prototypes``).
        num_frames: length T.
        rng: draws the apex between 35 % and 60 % of the clip.
        settings: a prototype is as strong as an annotation without letters.

    Returns:
        (T, 20, 2) float32 in [0, 1].
    """
    apex = (num_frames - 1) * rng.uniform(0.35, 0.6)
    return cell_curve(cell, num_frames, apex, settings.micro_gain, settings)
