"""``recognizers predict`` of a recording: movements spotted in it, and what each shows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mersynth import logs, paths
from mersynth.disk.files import real_path, whole_folder
from mersynth.disk.lock import hold
from mersynth.motion.movements import Movement
from mersynth.motion.recording import Recording, spot_recording
from mersynth.pages.pictures import DIFFERENCE_GAIN, data_url, difference
from mersynth.pages.rendering import render
from mersynth.sources.video import check_video, video_frames
from recognizers.trained.card import RecognizerError
from recognizers.trained.raw_clips import prepared_clip
from recognizers.trained.recognizer import TrainedRecognizer, load

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

TABLE = "movements.csv"
PAGE = "movements.html"

LONGEST_CLIP = 4.0
"""Seconds: a longer video is no clip of an expression, macro-expressions included."""

MICRO = 0.5
"""Seconds: what lasts longer is no micro-expression (Yan et al., "How fast are the leaked facial
expressions", J. Nonverbal Behav. 37, 2013)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A movement, and what a recognizer says of it.

    Attributes:
        movement: when it is.
        probabilities: (C,), adding up to 1; None if it could not be predicted.
        reason: then, why.
        pictures: onset, apex and their magnified difference, (S, S, 3) uint8; none then.
    """

    movement: Movement
    probabilities: np.ndarray | None
    reason: str = ""
    pictures: tuple[np.ndarray, ...] = ()


def is_recording(video: Path) -> bool:
    """Whether a video is longer than a clip; False of what cannot be read, which says so later."""
    try:
        count, _, fps = check_video(video)
    except (OSError, ValueError):
        return False
    return count / fps > LONGEST_CLIP


def predict_recording(
    model: Path, film: Path, out: Path | None = None, *, device: str = "auto"
) -> tuple[list[Seen], Path]:
    """Spot the movements in a film, predict each, and write what was found.

    Args:
        model: folder of a trained recognizer, or the name of one that comes with the package.
        film: a video; where it shows several people, the largest face counts.
        out: the new folder; None: ``./predictions/`` and the names of model and film.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns:
        The movements by time; and the folder, with ``movements.csv``, a line a movement, and
        ``movements.html``: a time line and pictures.

    Raises:
        RecordingError: if the film cannot be read, or shows no face.
        RecognizerError: if the recognizer cannot be read or learned from arrays, or the folder
            exists.
        InUseError: if another process writes the folder.
    """
    recognizer = load(model, device)
    if recognizer.card.note:
        logger.warning("%s: %s", model, recognizer.card.note)
    recognizer.check_takes_frames(str(film))
    place = paths.predictions_path(f"{real_path(model).name}_{real_path(film).stem}", out)
    with hold(place):
        if place.exists():
            raise RecognizerError(f"{place} exists already; remove it or choose another --out")
        recording = spot_recording(film)
        found = list(_predicted(recognizer, recording))
        with whole_folder(place) as partial:
            made = table(recording, found, recognizer.card.classes)
            made.to_csv(partial / TABLE, index=False, lineterminator="\n")
            _write_page(partial / PAGE, recognizer, recording, found)
    minutes = recording.frames / recording.fps / 60
    logger.info("%s: %d movements in %.1f minutes", place, len(found), minutes)
    return found, place


def _predicted(recognizer: TrainedRecognizer, recording: Recording) -> Iterator[Seen]:
    """What a recognizer says of each movement."""
    movements = recording.movements
    with logs.progress("predicting movements", total=len(movements), unit="movements") as advance:
        for movement, frames in _frames_of(recording):
            try:
                apex_index = movement.apex - movement.onset
                with (
                    logs.warnings_only(),
                    prepared_clip(recognizer, frames, apex=apex_index) as store,
                ):
                    prediction = recognizer.predict_store(store, "the movement")
                    (item,) = store
                    onset, apex = (np.array(item.frames[i]) for i in (0, apex_index))
                    pictures = onset, apex, difference(onset, apex)
                yield Seen(movement, prediction.probabilities[0], pictures=pictures)
            except RecognizerError as error:
                logger.warning("frames %d to %d: %s", movement.onset, movement.offset, error)
                yield Seen(movement, None, str(error))
            advance(1)


def _frames_of(recording: Recording) -> Iterator[tuple[Movement, np.ndarray]]:
    """Each movement with its frames, cut to the face's surroundings; the film is read once."""
    film = enumerate(video_frames(recording.path))
    for movement in recording.movements:
        left, top, right, bottom = recording.stretch_of(movement).box
        frames = []
        for number, image in film:
            if number >= movement.onset:
                frames.append(image[top:bottom, left:right].copy())
            if number == movement.offset:
                break
        yield movement, np.stack(frames)


def table(recording: Recording, found: Sequence[Seen], classes: Sequence[str]) -> pd.DataFrame:
    """A row a movement: its frames from 0, seconds, kind, strength, and ``p_<class>``."""
    import pandas as pd

    rows = []
    for seen in found:
        movement, odds = seen.movement, seen.probabilities
        seconds = (movement.offset - movement.onset + 1) / recording.fps
        told: dict[str, Any] = {
            "onset": movement.onset,
            "apex": movement.apex,
            "offset": movement.offset,
            "onset_s": round(movement.onset / recording.fps, 3),
            "duration_s": round(seconds, 3),
            "kind": "micro" if seconds <= MICRO else "macro",
            "strength": round(movement.strength, 2),
            "predicted": "" if odds is None else classes[int(odds.argmax())],
        }
        known = [np.nan] * len(classes) if odds is None else odds.tolist()
        rows.append(told | {f"p_{name}": p for name, p in zip(classes, known, strict=True)})
    columns = [
        *("onset", "apex", "offset", "onset_s", "duration_s", "kind", "strength", "predicted"),
        *(f"p_{name}" for name in classes),
    ]
    return pd.DataFrame(rows, columns=columns)


def _write_page(
    path: Path, recognizer: TrainedRecognizer, recording: Recording, found: Sequence[Seen]
) -> None:
    classes = recognizer.card.classes
    rows = table(recording, found, classes).to_dict("records")
    shares = [
        ((each.first) / recording.frames, (each.last + 1) / recording.frames)
        for each in recording.stretches
    ]
    render(
        Path(__file__).parent,
        "recording.html.j2",
        path,
        name=recording.path.name,
        model=recognizer.path.name,
        note=recognizer.card.note[:1].upper() + recognizer.card.note[1:],
        seconds=recording.frames / recording.fps,
        fps=recording.fps,
        frames=recording.frames,
        stretches=shares,
        classes=classes,
        gain=DIFFERENCE_GAIN,
        micro=MICRO,
        movements=[
            {
                **row,
                "left": seen.movement.onset / recording.frames,
                "right": (seen.movement.offset + 1) / recording.frames,
                "odds": None
                if seen.probabilities is None
                else list(zip(classes, seen.probabilities.tolist(), strict=True)),
                "reason": seen.reason,
                "pictures": [data_url(picture) for picture in seen.pictures],
            }
            for row, seen in zip(rows, found, strict=True)
        ],
    )
