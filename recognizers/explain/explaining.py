"""``recognizers explain``: what the trained models of a run looked at."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from mersynth.checks import check_choice, listed
from mersynth.disk.files import whole_file
from mersynth.disk.lock import hold
from mersynth.logs import progress
from recognizers.explain.clip_maps import ExplainedClips, MapMethod, Target, explain_clips
from recognizers.explain.embedding import embed
from recognizers.explain.embedding_page import write_embedding_page
from recognizers.explain.maps_page import write_maps_page
from recognizers.explain.opening import OpenedRun

logger = logging.getLogger(__name__)

Method = Literal[MapMethod, "tsne"]

_MOST_FOLDS = 4  # on a page of t-SNE


def explain(
    run: str | Path,
    method: Method,
    out: Path | None = None,
    clips: Sequence[str] | None = None,
    *,
    target: Target = "predicted",
    seed: int | None = None,
    device: str = "auto",
) -> Path:
    """Explain a run's predictions, each clip by the model of the fold that tested it.

    ============  ==================================================================================
    method        result
    ============  ==================================================================================
    au-cam        AU-CAM (:func:`recognizers.explain.au_cam.au_cam`) of ``dual_branch``, with
                  Grad-CAM beside it, as in the paper's Figure 6
    grad-cam      Grad-CAM of the models of :func:`recognizers.explain.layer_maps.cam_layers`
    attention     attention maps of MMNet, FRL-DGT and FRL-DGT-S
    tsne          t-SNE of the features in the folds that tested most clips, at most four, coloured
                  by class and by AU set
    ============  ==================================================================================

    Args:
        run: folder of a finished run that was made with ``keep_weights=true``.
        method: one of these.
        out: a folder; None: ``explain`` in the run's folder.
        clips: ids (``samm/006/006_1_2``) of tested clips; None: all. For ``tsne``, they choose the
            folds that are shown.
        target: the class that Grad-CAM explains: the predicted or the true one.
        seed: the seed whose folds are explained; None: the first.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns:
        The self-contained page ``<method>.html``; beside it ``<method>.npz``: ids (``clip``),
        ``fold``, ``true``, ``predicted``, ``explained`` and an array ``map_<name>`` (N, h, w) per
        map, or for ``tsne`` ``clip``, ``fold``, ``held_out``, ``points``.

    Raises:
        RunError: if the folder is not a finished run, its folds kept no weights, its data are
            missing or have changed, or its model has no such explanation.
        InUseError: if another process draws the same page.
        ValueError: if there is no such method, target or clip.
    """
    for name, value, allowed in (("method", method, Method), ("target", target, Target)):
        check_choice(name, value, get_args(allowed))
    path = Path(run)
    opened = OpenedRun(path, seed, device)
    wanted = _wanted(opened, clips)
    folder = path / "explain" if out is None else out
    with hold(folder / f"{method}.html"):
        if method == "tsne":
            return _explain_features(opened, wanted if clips is not None else None, folder)
        explained = explain_clips(opened, method, wanted, target)
        _save(folder / f"{method}.npz", _arrays(opened, explained))
        page = write_maps_page(opened, method, target, explained, folder / f"{method}.html")
    logger.info("%s of %d clips: %s", method, len(explained.rows), page)
    return page


def _explain_features(run: OpenedRun, wanted: Sequence[int] | None, folder: Path) -> Path:
    sizes = [len(record.clips) for record in run.records]
    folds = sorted(sorted(range(len(sizes)), key=lambda i: -sizes[i])[:_MOST_FOLDS])
    if wanted is not None:
        chosen = set(wanted)
        folds = [
            i
            for i, record in enumerate(run.records)
            if any(run.row[clip] in chosen for clip in record.clips)
        ]
    with progress("t-SNE", total=len(folds), unit="folds") as advance:
        embeddings = []
        for fold in run.folds(folds):
            embeddings.append(embed(run, fold))
            advance(1)
    ids = np.array([clip.id for clip in run.clips.clips])
    arrays = {
        "clip": ids[embeddings[0].rows],
        "fold": np.array([e.fold for e in embeddings]),
        "held_out": np.stack([e.held_out for e in embeddings]),
        "points": np.stack([e.points for e in embeddings]),
    }
    _save(folder / "tsne.npz", arrays)
    page = write_embedding_page(run, embeddings, folder / "tsne.html")
    logger.info("t-SNE of %d folds: %s", len(embeddings), page)
    return page


def _wanted(run: OpenedRun, clips: Sequence[str] | None) -> list[int]:
    """Rows of clips by their ids."""
    tested = run.tested
    if clips is None:
        return [run.row[clip] for clip in tested]
    if not clips:
        raise ValueError("clips: give one or more, or leave it out for all")
    if unknown := sorted(set(clips) - set(tested)):
        raise ValueError(
            f"clips: {listed(unknown, 5)} are not tested by the run {run.path}; it tests "
            f"{listed(tested, 3)}, as its predictions.csv names them: "
            "dataset/subject/clip"
        )
    return [run.row[clip] for clip in dict.fromkeys(clips)]


def _arrays(run: OpenedRun, explained: ExplainedClips) -> dict[str, np.ndarray]:
    classes = np.array(run.classes)
    return {
        "clip": np.array([run.clips.clips[i].id for i in explained.rows]),
        "fold": explained.fold,
        "true": classes[run.clips.label[explained.rows]],
        "predicted": classes[explained.predicted],
        "explained": classes[explained.explained],
        **{f"map_{name}": heat for name, heat in explained.maps.items()},
    }


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an ``.npz`` whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
