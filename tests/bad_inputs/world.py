"""The good inputs that cases spoil: one small example of everything that is read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from typer.testing import CliRunner

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import SHIPPED as GENERATOR
from recognizers.cli import app
from recognizers.trained.card import SHIPPED as RECOGNIZERS
from tests.recognizers.data.tiny_features import synthetic, write
from tests.recognizers.report.tiny_run import write_tiny_run
from tests.sources.test_samm import TestSAMM
from tests.tiny_store import tiny_clips, write_tiny_store

PEOPLE = 3
SIZE = 64
QUICK = (
    "model.options.image_size=8",
    "model.training.epochs=1",
    "fine_tuning.lr_factor=1",
    "executor.workers=1",
    "device=cpu",
)


def make_world(folder: Path, folds: bool = True) -> Path:
    """Write all of them into a folder.

    Args:
        folder: is made if missing.
        folds: whether a run is trained as well, which takes five seconds.

    ::

        store/ made/        a store of three people, and a synthetic one of their faces
        tree/               SAMM as published; photos/ and film.mp4 of one's own
        openface/           AU intensities of the tree
        data.npz more.npz   features, and features of synthetic clips
        generator/ model/   a trained generator and a trained recognizer
        run/ folds/         an invented run with its figures, and a real one that kept its folds
    """
    folder.mkdir(parents=True, exist_ok=True)
    real = tiny_clips(subjects=PEOPLE)
    write_tiny_store(folder / "store", real, SIZE, measured=True)
    ids = tuple(sorted({clip.subject_id for clip in real}))
    made = [
        replace(clip, name=f"made_{i:03}", template=clip.id, generator="0" * 64, unseen=ids[:1])
        for i, clip in enumerate(real)
        if clip.subject_id != ids[0]
    ]
    facts = {"source": "samm", "licence": "none", "scheme": "five"}
    write_tiny_store(folder / "made", made, SIZE, measured=True, header=facts)
    TestSAMM().write_tree(folder / "tree")
    _write_pictures(folder)
    write(folder / "data.npz")
    synthetic(folder / "more.npz", [["samm/00", "samm/01"], ["samm/02", "samm/03"]])
    shutil.copytree(GENERATOR, folder / "generator")
    shutil.copytree(RECOGNIZERS / "phantom-ststnet", folder / "model")
    write_tiny_run(folder / "run")
    if folds:
        _train(folder)
    return folder


def _train(folder: Path) -> None:
    words = ["loso", "--model", "ststnet_tiny", "--data", str(folder / "data.npz"), *QUICK]
    words += ["keep_weights=true", "--groups", "2", "--out", str(folder / "folds")]
    done = CliRunner().invoke(app, words)
    if done.exit_code:
        raise RuntimeError(done.output) from done.exception


def _write_pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for name in ("anna", "ben"):
        pixels = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{name}.png")
    form = cv2.VideoWriter.fourcc(*"mp4v")
    film = cv2.VideoWriter(str(folder / "film.mp4"), form, 30, (48, 48))
    for _ in range(6):
        film.write(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8))
    film.release()
    (folder / "openface").mkdir()
    header = ["frame", "face_id", "timestamp", "confidence", "success"]
    header += [f"AU{au:02}_r" for au in CONDITION_AUS if au not in (11, 24, 28, 43)]
    for clip in TestSAMM.clips:
        rows = [header] + [
            [str(number), "0", "0.0", "0.98", "1", *["1.0"] * (len(header) - 5)]
            for number in range(1, clip.offset - clip.onset + 4)
        ]
        text = "\n".join(", ".join(row) for row in rows)
        (folder / "openface" / f"{clip.name}.csv").write_text(text + "\n")
