"""Measure how many samples per second each augmentation processes, and two of kornia's to compare.

    python scripts/benchmark_augment.py --quick                      # a quick look
    python scripts/benchmark_augment.py --out docs/augment_speed.md  # also writes a .json

Every sample is changed (p = 1), by one thread on a CPU, as in a DataLoader's worker, and on the GPU
if there is one.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import kornia.augmentation as kornia
import torch
from measuring import documents
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from mersynth import augment, logs
from mersynth.augment.au_warp import au_warp, template_landmarks
from mersynth.disk.files import write_json_atomically
from mersynth.facs.action_units import CONDITION_AUS

logger = logging.getLogger("mersynth.scripts.benchmark_augment")

SCALE = "kornia RandomHorizontalFlip"
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h


@dataclass(frozen=True)
class Settings:
    """The amount of measuring."""

    batch: int  # images
    clips: int  # of clip_frames frames, for transforms of time
    clip_frames: int
    pairs: int  # of images, for the transform that magnifies
    size: int  # pixels
    repeats: int  # of a timing, the best of which counts


FULL = Settings(batch=64, clips=8, clip_frames=8, pairs=8, size=224, repeats=5)
QUICK = Settings(batch=4, clips=2, clip_frames=4, pairs=2, size=64, repeats=1)


@dataclass(frozen=True)
class Case:
    """A transform and its input."""

    name: str
    given: str
    call: Callable[[], Any]
    samples: int  # images, pairs, or frames of clips


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    transform: str
    given: str
    where: str
    per_second: float  # samples
    times_flip: float  # a sample's time over that of SCALE
    by_clock: float  # samples by the clock, whatever else the machine did


def cases(settings: Settings, device: torch.device) -> Iterator[Case]:
    """Every transform with its input on a device."""
    generator = torch.Generator().manual_seed(0)
    size, count = settings.size, settings.batch

    def batch_of(count: int, frames: int) -> dict[str, Any]:
        coarse = torch.rand(count, 3, size // 8, size // 8, generator=generator)
        smooth = functional.interpolate(coarse, (size, size), mode="bilinear")
        # Clips move by a pixel, so that there is something to magnify.
        steps = torch.linspace(0, 1, frames)[:, None, None, None]
        clip = torch.lerp(smooth[:, None], smooth.roll(1, -1)[:, None], steps)
        return {
            "clip": clip.to(device),
            "label": torch.arange(count, device=device) % 2,
            "apex_index": torch.full((count,), frames // 2, device=device),
            "strength": ["micro"] * count,
        }

    given = batch_of(count, 1)
    images = given["clip"][:, 0]
    as_image = {"image": images, "label": given["label"]}
    text = f"{count} images"
    alike: dict[str, Callable[[Tensor], Any]] = {
        SCALE: kornia.RandomHorizontalFlip(p=1),
        "kornia RandomErasing": kornia.RandomErasing(p=1),
        "RandomHorizontalFlip": augment.RandomHorizontalFlip(p=1),
        "HalfFaceMirror": augment.HalfFaceMirror(p=1),
        "RandomErasing": augment.RandomErasing(p=1),
        "RandomCrop": augment.RandomCrop(padding=15),
        "RandomAffine": augment.RandomAffine(),
        "ColorJitter": augment.ColorJitter(),
        "SensorNoise": augment.SensorNoise(p=1),
        "RandomJPEG": augment.RandomJPEG(p=1),
    }
    for name, transform in alike.items():
        yield Case(name, text, partial(transform, images), count)
    for name, mixing in (
        ("RegionReplacing", augment.RegionReplacing(p=1)),
        ("RegionReplacing, feathered", augment.RegionReplacing(p=1, feather=0.08)),
        ("MixUp", augment.MixUp(p=1)),
    ):
        yield Case(name, text, partial(mixing, as_image), count)
    clips = batch_of(settings.clips, settings.clip_frames)
    text = f"{settings.clips} clips of {settings.clip_frames} frames"
    frames = settings.clips * settings.clip_frames
    resample, pair = augment.TemporalResample(), augment.OnsetApexPair()
    yield Case("TemporalResample", text, partial(resample, clips), frames)
    yield Case("OnsetApexPair", text, partial(pair, clips), frames)
    yield Case("PhasesApart", text, partial(augment.PhasesApart(), clips), frames)
    shape = (settings.clips, settings.clip_frames, len(CONDITION_AUS))
    curves = torch.rand(shape, generator=generator).to(device) / 4
    points = template_landmarks((size, size)).expand(settings.clips, -1, -1).to(device)
    warp = partial(au_warp, clips["clip"][:, 0], points, curves)
    yield Case("AUWarp", f"{settings.clips} faces into {settings.clip_frames} frames", warp, frames)
    pairs, number = batch_of(settings.pairs, 2), settings.pairs
    for magnifier in ("eulerian", "magnet"):
        emr = augment.EMR(target=2.0, magnifier=magnifier).to(device)
        yield Case(f"EMR, {magnifier}", f"{number} pairs", partial(emr, pairs), number)


def measure(settings: Settings, device: torch.device) -> list[Row]:
    """Time every case, taking the best of several runs."""
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, 1 thread"
    timed, every = [], list(cases(settings, device))
    with logs.progress(f"timing on {where}", len(every), "transforms") as advance:
        for case in every:
            timed.append((case, *best_of(settings.repeats, case, device)))
            advance(1)
    (scale,) = (work / case.samples for case, work, _ in timed if case.name == SCALE)
    return [
        Row(
            transform=case.name,
            given=case.given,
            where=where,
            per_second=case.samples / work,
            times_flip=work / case.samples / scale,
            by_clock=case.samples / wall,
        )
        for case, work, wall in timed
    ]


@torch.no_grad()
def best_of(repeats: int, case: Case, device: torch.device) -> tuple[float, float]:
    """Seconds per call: CPU time (on a GPU wall time), and wall time."""
    case.call()  # one-time work does not count
    works, walls = [], []
    for _ in range(repeats):
        wall, work = time.perf_counter(), time.process_time()
        case.call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        walls.append(time.perf_counter() - wall)
        works.append(walls[-1] if device.type == "cuda" else time.process_time() - work)
    return min(works), min(walls)


def keep_memory() -> None:
    """Let glibc keep freed memory, as it eventually does in a long run.

    Otherwise the same call may take up to three times as long, depending on what ran before it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


COLUMNS = ("transform", "given", "where", "samples/s", "x kornia's flip")


def cells(rows: list[Row]) -> Iterator[list[str]]:
    """The table's lines as text."""
    for row in rows:
        rate = f"{row.per_second:,.{0 if row.per_second >= 100 else 1}f}"
        yield [row.transform, row.given, row.where, rate, f"{row.times_flip:.1f}"]


def report(rows: list[Row]) -> None:
    """Print the table."""
    table = Table(title="Augmentations")
    for i, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if i < 3 else "right")
    for line in cells(rows):
        table.add_row(*line)
    Console(width=140).print(table)


def markdown(rows: list[Row], settings: Settings) -> str:
    """The table as a document."""
    text = f"""Samples of {settings.size} x {settings.size} pixels per second, float32 RGB, all of
        them changed; each frame of a clip counts as one. The best of {settings.repeats} runs, on
        {platform.machine()}, torch {torch.__version__}. On the CPU the seconds are CPU time, which
        other work on the machine disturbs little; memory is kept from call
        to call. The scale is kornia's flip, a mere copy. AUWarp renders, EMR measures optical flow
        several times, and RandomJPEG is kornia's differentiable codec."""
    return documents.document(
        [
            "# How fast augmentations are",
            "Made by",
            documents.command(),
            documents.paragraph(text),
            documents.table(COLUMNS, cells(rows), words=range(3)),
        ]
    )


def main() -> None:
    """Measure, print the table and store it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few, small images; one run")
    parser.add_argument("--out", type=Path, help="Markdown file; figures go to a .json beside it")
    arguments = parser.parse_args()
    logs.set_up()
    keep_memory()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    settings = QUICK if arguments.quick else FULL
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows = [row for device in devices for row in measure(settings, torch.device(device))]
    report(rows)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(markdown(rows, settings))
        figures = {"settings": asdict(settings), "rows": [asdict(row) for row in rows]}
        write_json_atomically(arguments.out.with_suffix(".json"), figures)
        logger.info("stored in %s", arguments.out)


if __name__ == "__main__":
    main()
