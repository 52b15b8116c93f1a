"""A clip that is in no store, brought to what a recognizer reads: prepared as databases are."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from mersynth.disk.scratch import scratch_folder
from mersynth.face.template import AUTO, FramingChoice
from mersynth.features.kinds import REMEDIES, Need, has
from mersynth.prepare.database import PrepareSettings, prepare_database
from mersynth.sources import PrepareError
from mersynth.sources.errors import SourceError
from mersynth.sources.one_clip import OneClip
from mersynth.store.clip_store import ClipStore
from recognizers.data.inputs import needs_of
from recognizers.models.base import InputSpec
from recognizers.trained.card import RecognizerCard, RecognizerError

logger = logging.getLogger(__name__)

_MEASURED = "`mersynth doctor` says what measuring them needs"
_ADVICE = {
    "apex": "name the frame in which the movement is strongest: --apex",
    "intensities": _MEASURED,
    "landmarks": _MEASURED,
}


class ForWhom(Protocol):
    """What a ``TrainedRecognizer`` says of the clips that it takes."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    @property
    def card(self) -> RecognizerCard:
        """Size, framing and features of what it learned from."""
        ...

    @property
    def inputs(self) -> Mapping[str, InputSpec]:
        """Its inputs by name."""
        ...

    def check_takes_frames(self, what: str) -> None:
        """Refuse frames where it learned from arrays."""
        ...


def called(frames: np.ndarray | str | Path) -> str:
    """What messages call a clip: its folder or file, never the store that is made of it."""
    return str(frames) if isinstance(frames, (str, Path)) else "the array of frames"


@contextmanager
def prepared_clip(
    recognizer: ForWhom,
    frames: np.ndarray | str | Path,
    *,
    onset: int | None = None,
    apex: int | None = None,
    offset: int | None = None,
    aligned: bool = False,
) -> Iterator[ClipStore]:
    """A store of one clip, framed and sized as what a recognizer learned from; it goes afterwards.

    Args:
        recognizer: for whom; it says the size, the framing, and whether AU intensities and
            landmarks are to be measured.
        frames: as :meth:`recognizers.trained.recognizer.TrainedRecognizer.predict_clip` takes them.
        onset: likewise, as what follows.
        apex: of the strongest movement.
        offset: of its end.
        aligned: whether the frames are framed already.

    Raises:
        RecognizerError: if the recognizer learned from arrays, or from frames of an unknown
            framing while the face is to be brought there; if the clip cannot be read, shows no
            face, or has no apex where one is needed.
        TypeError, ValueError: if an array is no clip.
    """
    card = recognizer.card
    what = called(frames)
    recognizer.check_takes_frames(what)
    assert card.image_size is not None  # whoever takes frames has learned from a store
    framing = card.framing
    if framing is None and not aligned:
        raise RecognizerError(
            f"{recognizer.path} does not say where faces lay in the frames that it learned from, "
            "which were not aligned, or not alike: cut the clip to the face as they were, and say "
            "so (--aligned)"
        )
    needs = needs_of(recognizer.inputs, card.features)
    settings = PrepareSettings(
        image_size=card.image_size,
        geometry="resize" if aligned else "align",
        framing=AUTO if framing is None else FramingChoice("head", **framing.as_dict()),
        intensities="auto" if needs & {"intensities", "landmarks"} else "none",
    )
    with scratch_folder() as folder:
        place = folder / "clip"
        if isinstance(frames, (str, Path)):
            place = Path(frames)
        else:
            _write_frames(frames, place)
        source = OneClip(place, onset, apex, offset, "cropped" if aligned else "raw")
        try:
            store = prepare_database(
                source, None, folder / "store", settings, skip_bad=False, seed=0, resume=False
            )
        except PrepareError as error:
            raise RecognizerError(f"{what} cannot be predicted: {error.reasons}") from error
        except SourceError as error:
            raise RecognizerError(str(error)) from error
        _check(store, what, needs)
        yield store


def _check(store: ClipStore, what: str, needs: set[Need]) -> None:
    """Tell the apex that was spotted; refuse a clip without what the inputs need."""
    (item,) = store
    if item.clip.apex_method is not None:
        clip = item.clip
        logger.info("%s: apex spotted by %s: frame %d", what, clip.apex_method, clip.apex)
    for need in sorted(needs):
        if not has(item, need):
            warnings = [f"({problem['reason']})" for problem in store.meta["header"]["warnings"]]
            lacking = " ".join([need, *(warnings if need == "apex" else ())])
            advice = _ADVICE.get(need, REMEDIES[need])
            raise RecognizerError(f"{what} has no {lacking}, which the recognizer needs; {advice}")


def _write_frames(frames: np.ndarray, folder: Path) -> None:
    """Frames as lossless images, so that an array goes the way of a folder."""
    if not isinstance(frames, np.ndarray):
        raise TypeError(f"frames must be an array, a folder or a video, got {frames!r:.60}")
    if frames.dtype != np.uint8:
        raise TypeError(f"frames must be uint8, got {frames.dtype}")
    if frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise ValueError(f"frames must be (T, H, W, 3), RGB, got {frames.shape}")
    folder.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{number:06}.png", compress_level=1)
