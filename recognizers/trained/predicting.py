"""``recognizers predict``: what a trained recognizer says of clips, as a table and a picture."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mersynth import paths
from mersynth.checks import listed
from mersynth.disk.files import real_path, whole_folder
from mersynth.disk.lock import hold
from mersynth.store.clip_store import ClipStore
from recognizers.trained.card import RecognizerError
from recognizers.trained.prediction_sheet import MOST, draw_sheet
from recognizers.trained.raw_clips import prepared_clip
from recognizers.trained.recognizer import Prediction, TrainedRecognizer, load

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

logger = logging.getLogger(__name__)

TABLE = "predictions.csv"
SHEET = "predictions.png"


def predict(
    model: Path,
    out: Path | None = None,
    *,
    store: Path | None = None,
    clip: Path | None = None,
    data: Path | None = None,
    onset: int | None = None,
    apex: int | None = None,
    offset: int | None = None,
    aligned: bool = False,
    device: str = "auto",
) -> tuple[Prediction, Path]:
    """Predict clips, and write what was predicted.

    Args:
        model: folder of a trained recognizer, or the name of one that comes with the package.
        out: the new folder; None: ``./predictions/`` and the names of model and clips.
        store: folder of the store to predict.
        clip: instead, a folder of frames or a video.
        data: instead, a feature file.
        onset: of a clip, as ``TrainedRecognizer.predict_clip`` takes it.
        apex: likewise.
        offset: likewise.
        aligned: likewise.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns:
        The prediction; and the folder, with ``predictions.csv``, a line a clip: dataset, subject,
        clip, predicted and a probability ``p_<class>`` a class; and ``predictions.png``, 24 clips
        at most.

    Raises:
        RecognizerError: if the recognizer cannot be read, it cannot take the clips, or the folder
            exists.
        StoreError, FeatureFileError, FileNotFoundError: if clips cannot be read.
        ValueError: if not one of store, clip and data is given, or no clip is left.
        InUseError: if another process writes the folder.
    """
    given = [path for path in (store, clip, data) if path is not None]
    if len(given) != 1:
        raise ValueError("give the clips by one of --store, --clip, --video and --data")
    if clip is None and (aligned or (onset, apex, offset) != (None, None, None)):
        raise ValueError(
            "--onset, --apex, --offset and --aligned say how one clip lies in its frames (--clip, "
            "--video); a store and a feature file know it themselves"
        )
    recognizer = load(model, device)
    if recognizer.card.note:
        logger.warning("%s: %s", model, recognizer.card.note)
    place = paths.predictions_path(f"{real_path(model).name}_{real_path(given[0]).stem}", out)
    with hold(place):
        if place.exists():
            raise RecognizerError(f"{place} exists already; remove it or choose another --out")
        moments = {"onset": onset, "apex": apex, "offset": offset}
        with _opened(recognizer, store, clip, moments, aligned) as opened:
            if opened is not None:
                prediction = recognizer.predict_store(opened, str(given[0]))
            else:
                assert data is not None
                prediction = recognizer.predict_file(data)
            with whole_folder(place) as partial:
                table(prediction).to_csv(partial / TABLE, index=False, lineterminator="\n")
                draw_sheet(prediction, opened).save(partial / SHEET)
    counts = Counter(prediction.predicted)
    shown = [f"{name} {counts[name]}" for name in prediction.classes if counts[name]]
    logger.info("%s: clips %d, predicted %s", place, len(prediction.clips), listed(shown, 20))
    return prediction, place


@contextmanager
def _opened(
    recognizer: TrainedRecognizer,
    store: Path | None,
    clip: Path | None,
    moments: dict[str, int | None],
    aligned: bool,
) -> Iterator[ClipStore | None]:
    """The clips as a store; None of a feature file."""
    if clip is not None:
        with prepared_clip(recognizer, clip, aligned=aligned, **moments) as prepared:
            yield prepared
    elif store is not None:
        recognizer.check_takes_frames(str(store))
        yield ClipStore.open(store)
    else:
        yield None


def table(prediction: Prediction) -> pd.DataFrame:
    """A row a clip: dataset, subject, clip, predicted, and ``p_<class>`` of each class."""
    import pandas as pd

    clips = prediction.clips
    columns = {
        "dataset": [clip.source for clip in clips],
        "subject": [clip.subject for clip in clips],
        "clip": [clip.name for clip in clips],
        "predicted": prediction.predicted,
    }
    names = [f"p_{name}" for name in prediction.classes]
    return pd.DataFrame(columns | dict(zip(names, prediction.probabilities.T, strict=True)))


def terminal_table(prediction: Prediction) -> Table:
    """The first clips for the terminal, the class of each in bold."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    count = len(prediction.clips)
    more = f"and {count - MOST} more clips in {TABLE}" if count > MOST else None
    shown = Table(box=box.SIMPLE, caption=more, caption_justify="left", pad_edge=False)
    shown.add_column("Clip", overflow="fold")
    shown.add_column("Predicted", no_wrap=True)
    for name in prediction.classes:
        shown.add_column(name, justify="right", no_wrap=True)
    for clip, predicted, row in zip(
        prediction.clips[:MOST], prediction.predicted, prediction.probabilities, strict=False
    ):
        best = row.argmax()
        cells = [Text(f"{p:.2f}", style="bold" if i == best else "dim") for i, p in enumerate(row)]
        shown.add_row(Text(clip.id), Text(predicted, style="bold"), *cells)
    return shown
