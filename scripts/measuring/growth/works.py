"""The works whose growth is measured: what each needs, and the call that is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mersynth.clips import Clip
from mersynth.face.template import HEAD
from mersynth.facs.emotions import native_labels
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter

Sizes = Mapping[str, int]
"""Numbers of clips, frames a clip, subjects and classes, and the side of an image in pixels."""

CELLS = {"anger": "4+7", "contempt": "L14", "happiness": "6+12", "surprise": "1+2", "other": "24"}
STEPS = 2  # of a training
FILM = 128  # pixels: sides of a film's frames


@dataclass(frozen=True)
class Work:
    """A piece of work.

    Attributes:
        sizes: the smallest.
        doubled: which of them are doubled.
        get_ready: makes what it needs in a folder, unmeasured, and gives the call to measure.
    """

    sizes: Sizes
    doubled: tuple[str, ...]
    get_ready: Callable[[Sizes, Path], Callable[[], object]]


def _prepare(sizes: Sizes, folder: Path) -> Callable[[], object]:
    from mersynth.prepare.command import prepare

    films = [folder / f"{number}.avi" for number in range(sizes["clips"])]
    face = _face(FILM)
    for film in films:
        writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (FILM, FILM))
        for frame in range(sizes["frames"]):
            writer.write(np.roll(face, frame % 7, 0)[..., ::-1].copy())
        writer.release()
    side, how = sizes["image side"], {"geometry": "crop", "intensities": "none"}
    return lambda: prepare("folder", out=folder / "s", videos=films, image_size=side, **how)


def _train(sizes: Sizes, folder: Path) -> Callable[[], object]:
    from mersynth.gan.train import train

    store = _store(sizes, folder / "real").path
    side = sizes["image side"]
    quick = [f"steps={STEPS}", "au_reading_steps=0", "critic_steps=1", "batch_size=8"]
    quick += [f"gan.image_size={side}", "gain_pairs=0", "device=cpu"]
    return lambda: train(store_path=store, out=folder / "c", overrides=["gan=small_motion", *quick])


def _generate(sizes: Sizes, folder: Path) -> Callable[[], object]:
    from mersynth.gan.checkpoint import SHIPPED
    from mersynth.synthesis.generate import generate

    real = dict(sizes) | {"clips": 5 * sizes["subjects"], "frames": 16, "classes": 5}
    store = _store(real, folder / "real").path
    return lambda: generate(
        store=store,
        per_class=sizes["clips"] // 5,
        checkpoint=SHIPPED,
        out=folder / "s",
        overrides=[f"num_frames={sizes['frames']}", "device=cpu"],
    )


def _export(sizes: Sizes, folder: Path) -> Callable[[], object]:
    from mersynth.export import export

    store = _store(sizes, folder / "real").path
    return lambda: export(store, "webdataset", folder / "shards")


def _loso(sizes: Sizes, folder: Path) -> Callable[[], object]:
    from recognizers.experiment.evaluate import evaluate
    from recognizers.experiment.request import Request

    count, classes, side = sizes["clips"], sizes["classes"], sizes["image side"]
    data, rng = folder / "features.npz", np.random.default_rng(0)
    subjects = np.arange(count) % sizes["subjects"]
    np.savez(
        data,
        x=rng.normal(size=(count, 3, side, side)).astype(np.float32),
        y=np.arange(count) // sizes["subjects"] % classes,
        subject=np.array([f"{subject:03}" for subject in subjects]),
        classes=np.array([f"class {number:02}" for number in range(classes)]),
        channels=np.array(["u", "v", "strain"]),
    )
    quick = ["model.training.epochs=20", f"model.options.image_size={side}", "device=cpu"]
    request = Request(
        split="loso", model="ststnet", data=[data], overrides=[*quick, "executor.workers=1"]
    )
    return lambda: evaluate(request, folder / "run")


WORKS: Mapping[str, Work] = {
    "prepare": Work(
        {"clips": 2, "frames": 250, "image side": 32}, ("clips", "frames", "image side"), _prepare
    ),
    "training step": Work(
        {"clips": 40, "frames": 16, "image side": 32, "subjects": 4, "classes": 1},
        ("clips", "frames", "image side", "subjects", "classes"),
        _train,
    ),
    "generate": Work(
        {"clips": 10, "frames": 8, "image side": 32, "subjects": 4},
        ("clips", "frames", "image side", "subjects"),
        _generate,
    ),
    "export": Work(
        {"clips": 50, "frames": 16, "image side": 64, "subjects": 4, "classes": 1},
        ("clips", "frames", "image side", "subjects", "classes"),
        _export,
    ),
    "LOSO": Work(
        {"clips": 64, "image side": 14, "subjects": 4, "classes": 2},
        ("clips", "image side", "subjects", "classes"),
        _loso,
    ),
}


def _face(side: int) -> np.ndarray:
    """(S, S, 3) uint8: a smooth picture; what the work costs does not depend on what it shows."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def _store(sizes: Sizes, folder: Path) -> ClipStore:
    """A store of clips that all show one picture, which moves."""
    names = list(CELLS) if sizes["classes"] <= len(CELLS) else list(native_labels("samm"))
    frames, side = sizes["frames"], sizes["image side"]
    clips = [
        Clip(
            source="samm",
            subject=f"{number % sizes['subjects']:03}",
            name=f"{number}",
            onset=0,
            apex=frames // 2,
            offset=frames - 1,
            emotion=(emotion := names[number // sizes["subjects"] % sizes["classes"]]),
            aus=CELLS.get(emotion, "4"),
        )
        for number in range(sizes["clips"])
    ]
    face = _face(side)
    moved = [round(2 * np.sin(np.pi * frame / frames)) for frame in range(frames)]
    shown = np.stack([np.roll(face, rows, 0) for rows in moved])
    header = {"source": "samm", "licence": "none", "framing": HEAD.as_dict()}
    with StoreWriter(folder, clips, side, header) as writer:
        for _ in clips:
            writer.add(shown)
        return writer.finish()
