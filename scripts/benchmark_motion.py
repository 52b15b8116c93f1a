"""Measure the accuracy of the motion tools against the phantom's truth, and their speed.

    python scripts/benchmark_motion.py --quick               # a minute
    python scripts/benchmark_motion.py --out docs/motion.md  # all sections; also writes a .json

Each section is one table; --sections chooses among them.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from measuring import documents
from measuring.flow_accuracy import (
    REGION_SHARE,
    FlowMethod,
    flow_pairs,
    measure_flow,
    plan_clips,
)
from measuring.magnification import magnifiers, measure_magnification
from rich.console import Console
from rich.table import Table
from skimage.registration import optical_flow_tvl1
from torch import Tensor

from mersynth import logs
from mersynth.clips import Strength
from mersynth.disk.files import write_json_atomically
from mersynth.motion.apex import measure_apex
from mersynth.motion.flow import dis, farneback, tvl1
from mersynth.motion.flow_images import DUAL_BRANCH_TVL1
from mersynth.motion.luma import luma
from mersynth.motion.magnify.checkpoint import MagNetError, load_magnet
from mersynth.motion.magnify.evm import eulerian_pair
from mersynth.phantom.population import ClipSpec, render_clip

logger = logging.getLogger("mersynth.scripts.benchmark_motion")

STRENGTHS: tuple[Strength, ...] = ("micro", "macro")


@dataclass(frozen=True)
class Settings:
    """The amount of measuring."""

    subjects: int
    each: int  # clips of each subject to spot apexes in, expressions to magnify
    image_size: int  # of pairs for flow
    clip_size: int  # of clips, and of pairs to magnify
    batch: int  # pairs that are timed at once
    repeats: int  # of a timing, the best of which counts


FULL = Settings(subjects=16, each=3, image_size=224, clip_size=128, batch=16, repeats=3)
QUICK = Settings(subjects=2, each=1, image_size=64, clip_size=64, batch=4, repeats=1)

Row = dict[str, str | float]


@dataclass(frozen=True)
class Section:
    """One table: rows are dicts with the columns' names as keys."""

    title: str
    text: str
    rows: list[Row]


def scikit_image(first: Tensor, second: Tensor) -> Tensor:
    """scikit-image's TV-L1 at its defaults, pair by pair."""
    greys = [luma(frames)[:, 0].numpy() for frames in (first, second)]
    flows = [optical_flow_tvl1(*pair)[::-1] for pair in zip(*greys, strict=True)]
    return torch.from_numpy(np.stack(flows))


FLOWS: dict[str, FlowMethod] = {
    "TV-L1": tvl1,
    "TV-L1, dual-branch": lambda first, second: tvl1(first, second, **DUAL_BRANCH_TVL1),
    "TV-L1 of scikit-image": scikit_image,
    "Farneback, NMER": farneback,
    "DIS": dis,
}


def flow_accuracy(settings: Settings) -> Section:
    """End-point errors of the flow methods."""
    rows: list[Row] = []
    for strength in STRENGTHS:
        pairs = flow_pairs(settings.subjects, strength, settings.image_size)
        reference = scikit_image(pairs.onset, pairs.apex)
        for name, error in measure_flow(FLOWS, pairs).items():
            difference = (FLOWS[name](pairs.onset, pairs.apex) - reference).norm(dim=1)
            rows.append(
                {
                    "pairs": strength,
                    "method": name,
                    "true motion, px": error.motion,
                    "error, px": error.pixels,
                    "relative error": error.relative,
                    "error elsewhere, px": error.elsewhere,
                    "difference to scikit-image, px": difference.mean().item(),
                }
            )
    size = settings.image_size
    return Section(
        "Optical flow: accuracy",
        f"""From onset to apex of {settings.subjects} phantom subjects, one clip each, at {size} x
        {size} pixels with camera noise, head and light still. Error is the mean end-point error
        against the true flow where the face moved (true flow above {REGION_SHARE:.0%} of its
        maximum), the mean over pairs; relative, divided by the pair's mean true motion there, so
        that finding no motion scores 1. Elsewhere is the rest of the frame, background
        included, where any flow is an error. The last column is the mean end-point difference to
        `skimage.registration.optical_flow_tvl1` at its defaults, over the whole frame.""",
        rows,
    )


def flow_time(settings: Settings) -> Section:
    """How long the flow methods take."""
    pairs = flow_pairs(settings.batch, "micro", settings.image_size)
    frames = pairs.onset, pairs.apex
    rows: list[Row] = []
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        for name, method in FLOWS.items():
            if threads == 1 or method is not scikit_image:  # which always uses one thread
                where = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
                rows.append(timing(name, where, method, frames, settings.repeats))
    if torch.cuda.is_available():
        frames = pairs.onset.cuda(), pairs.apex.cuda()
        rows.append(timing("TV-L1", torch.cuda.get_device_name(), tvl1, frames, settings.repeats))
    (reference,) = (row for row in rows if row["method"] == "TV-L1 of scikit-image")
    for row in rows:
        clock = "CPU ms a pair" if str(row["where"]).startswith("CPU") else "ms a pair"
        row["times as fast as scikit-image"] = float(reference[clock]) / float(row[clock])
    size = settings.image_size
    return Section(
        "Optical flow: time",
        f"""A batch of {settings.batch} pairs at {size} x {size} pixels, the best of
        {settings.repeats} runs, on {platform.machine()} with {os.cpu_count()} cores, torch
        {torch.__version__}. CPU time is that of all threads: other work on the machine disturbs
        it less, and the last column uses it for methods on the CPU.""",
        rows,
    )


def timing(
    name: str, where: str, method: FlowMethod, frames: tuple[Tensor, Tensor], repeats: int
) -> Row:
    """A row of :func:`flow_time`."""
    method(*(half[:1] for half in frames))  # one-time work does not count
    walls, works = [], []
    for _ in range(repeats):
        wall, work = time.perf_counter(), time.process_time()
        method(*frames).cpu()  # copying waits for the device
        walls.append(time.perf_counter() - wall)
        works.append(time.process_time() - work)
    each = 1000 / len(frames[0])
    return {
        "method": name,
        "where": where,
        "ms a pair": min(walls) * each,
        "CPU ms a pair": min(works) * each,
    }


def apex_spotting(settings: Settings) -> Section:
    """Errors of the apex-spotting methods."""
    rows: list[Row] = []
    for strength in STRENGTHS:
        specs = plan_clips(settings.subjects, settings.subjects * settings.each, strength)
        frames = np.mean([spec.clip.num_frames for spec in specs])
        rows += [
            {
                "clips": f"{error.clips} {strength}",
                "frames a clip": float(frames),
                "method": name,
                "error, frames": error.frames,
                "error, % of the clip": 100 * error.share,
            }
            for name, error in measure_apex(rendered_clips(specs, settings.clip_size)).items()
        ]
    return Section(
        "Apex spotting",
        f"""Whole clips of {settings.subjects} phantom subjects at {settings.clip_size} x
        {settings.clip_size} pixels and 100 frames a second, with drifting heads, flickering light,
        blinks, stray AUs and camera noise. Mean absolute difference of the spotted frame to the
        annotated apex; `middle` always takes the middle frame.""",
        rows,
    )


def rendered_clips(specs: list[ClipSpec], size: int) -> Iterator[tuple[Tensor, int]]:
    """Clips (T, 3, S, S) in [0, 1] with their apexes."""
    with logs.progress("spotting apexes", len(specs), "clips") as advance:
        for spec in specs:
            frames, _, _ = render_clip(spec, size)
            yield torch.from_numpy(frames).permute(0, 3, 1, 2) / 255, spec.clip.apex_index
            advance(1)


def magnification(settings: Settings) -> Section:
    """Accuracy of motion magnification."""
    try:
        candidates = magnifiers(load_magnet())
    except MagNetError as error:
        logger.warning("MagNet is not measured: %s", error)
        candidates = {"none": lambda onset, apex, alpha: apex, "eulerian": eulerian_pair}
    size, subjects, each = settings.clip_size, settings.subjects, settings.each
    measured = measure_magnification(candidates, subjects=subjects, each=each, image_size=size)
    rows: list[Row] = [
        {
            "magnifier": row.magnifier,
            "alpha": row.alpha,
            "true motion, px": row.pixels,
            "obtained / asked": row.motion,
            "the truth's": row.motion_of_truth,
            "SSIM": row.ssim,
            "SSIM where moved": row.ssim_moved,
        }
        for row in measured
    ]
    return Section(
        "Motion magnification",
        f"""{each} weak expressions each of {subjects} phantom subjects at {size} x {size} pixels
        with camera noise, against the renderer's own frame at alpha times the AU intensities.
        Obtained over asked motion is measured by optical flow (DIS) where the face moved; that of
        the rendered truth is an upper bound. SSIM is to the rendered
        truth; `none` shows the apex frame as it is.""",
        rows,
    )


SECTIONS: dict[str, Callable[[Settings], Section]] = {
    "flow-accuracy": flow_accuracy,
    "flow-time": flow_time,
    "apex": apex_spotting,
    "magnification": magnification,
}


def cells(section: Section) -> Iterator[list[str]]:
    """The table's lines as text, the head first."""
    yield list(section.rows[0])
    for row in section.rows:
        yield [value if isinstance(value, str) else f"{value:.4g}" for value in row.values()]


def report(section: Section) -> None:
    """Print the table."""
    head, *lines = cells(section)
    table = Table(title=section.title)
    for name, value in zip(head, section.rows[0].values(), strict=True):
        table.add_column(name, justify="left" if isinstance(value, str) else "right")
    for line in lines:
        table.add_row(*line)
    Console(width=140).print(table)


def markdown(sections: list[Section]) -> str:
    """All sections as one document."""
    parts = ["# How good the motion tools are", "Made by", documents.command()]
    for section in sections:
        head, *lines = cells(section)
        values = section.rows[0].values()
        words = [i for i, value in enumerate(values) if isinstance(value, str)]
        parts += [
            f"## {section.title}",
            documents.paragraph(section.text),
            documents.table(head, lines, words),
        ]
    return documents.document(parts)


def main() -> None:
    """Measure the chosen sections, print their tables and store them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few subjects, small frames")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--out", type=Path, help="Markdown file; figures go to a .json beside it")
    arguments = parser.parse_args()
    logs.set_up()
    settings = QUICK if arguments.quick else FULL
    sections = []
    for name in arguments.sections:
        logger.info("measuring %s", name)
        sections.append(SECTIONS[name](settings))
        report(sections[-1])
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(markdown(sections))
        figures = {"settings": asdict(settings), "sections": [asdict(part) for part in sections]}
        write_json_atomically(arguments.out.with_suffix(".json"), figures)
        logger.info("stored in %s", arguments.out)


if __name__ == "__main__":
    main()
