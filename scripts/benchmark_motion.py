"""Measure the motion tools against the phantom's truth, and how long they take.

    python scripts/benchmark_motion.py --quick               # a minute's glance
    python scripts/benchmark_motion.py --out docs/motion.md  # all of it, figures in a .json beside

Each section is one table; --sections chooses among them.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from skimage.registration import optical_flow_tvl1
from torch import Tensor

from mersynth import logs
from mersynth.clips import Strength
from mersynth.files import write_json_atomically
from mersynth.motion.flow import dis, farneback, tvl1
from mersynth.motion.flow_images import DUAL_BRANCH_TVL1
from mersynth.sources.phantom.motion import peak_intensities
from mersynth.sources.phantom.population import ClipSpec, clip_specs
from mersynth.sources.phantom.render import PhantomRenderer
from mersynth.sources.phantom.subject import PhantomSubject

logger = logging.getLogger("mersynth.scripts.benchmark_motion")

FIRST_SUBJECT = 7000  # no shipped weights were trained on these
STRENGTHS: tuple[Strength, ...] = ("micro", "macro")
LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
# A pixel belongs to the moved region if the true flow there is above this share of its maximum.
REGION_SHARE = 0.05


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    subjects: int
    image_size: int
    batch: int  # pairs that are timed at once
    repeats: int  # of a timing, the best of which counts


FULL = Settings(subjects=16, image_size=224, batch=16, repeats=3)
QUICK = Settings(subjects=2, image_size=64, batch=4, repeats=1)


@dataclass(frozen=True)
class Section:
    """One table: rows are dicts with the columns' names as keys."""

    title: str
    text: str
    rows: list[dict[str, str | float]]


def scikit_image(first: Tensor, second: Tensor) -> Tensor:
    """scikit-image's TV-L1 at its defaults, pair by pair."""
    greys = [(frames * LUMA).sum(1).numpy() for frames in (first, second)]
    flows = [optical_flow_tvl1(*pair)[::-1] for pair in zip(*greys, strict=True)]
    return torch.from_numpy(np.stack(flows))


FLOWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "TV-L1": tvl1,
    "TV-L1, dual-branch": lambda first, second: tvl1(first, second, **DUAL_BRANCH_TVL1),
    "TV-L1 of scikit-image": scikit_image,
    "Farneback, NMER": farneback,
    "DIS": dis,
}


def plan(settings: Settings, strength: Strength) -> list[ClipSpec]:
    """One clip of each subject, the emotions evenly."""
    each = -(-settings.subjects // 4)
    counts = dict.fromkeys(("happiness", "anger", "surprise", "contempt"), each)
    specs = clip_specs(
        subjects=settings.subjects, counts=counts, strength=strength, first_subject=FIRST_SUBJECT
    )
    return list({spec.subject: spec for spec in specs}.values())


def pairs(settings: Settings, strength: Strength) -> tuple[Tensor, Tensor, Tensor]:
    """Onsets and apexes (N, 3, S, S) with camera noise, head and light still, and the true flow."""
    firsts, seconds, flows = [], [], []
    for spec in plan(settings, strength):
        subject = PhantomSubject.sample(spec.subject)
        rng = np.random.default_rng(spec.seed)
        peaks = peak_intensities(spec.clip.aus, strength, subject.expressiveness, rng)
        rendered = PhantomRenderer(subject, settings.image_size).render(
            torch.from_numpy(np.stack([np.zeros_like(peaks), peaks])),
            noise_generator=torch.Generator().manual_seed(spec.subject),
            flow=True,
        )
        firsts.append(rendered.frames[0])
        seconds.append(rendered.frames[1])
        flows.append(rendered.flow[1])
    return torch.stack(firsts), torch.stack(seconds), torch.stack(flows)


def flow_accuracy(settings: Settings) -> Section:
    """End-point errors of the flow methods."""
    rows: list[dict[str, str | float]] = []
    for strength in STRENGTHS:
        first, second, truth = pairs(settings, strength)
        length = truth.norm(dim=1)  # (N, H, W)
        moved = length > REGION_SHARE * length.amax((1, 2), keepdim=True)
        motion = mean_where(length, moved)
        reference = scikit_image(first, second)
        for name, method in FLOWS.items():
            flow = method(first, second)
            error = mean_where((flow - truth).norm(dim=1), moved)
            rows.append(
                {
                    "pairs": strength,
                    "method": name,
                    "true motion, px": motion.mean().item(),
                    "error, px": error.mean().item(),
                    "relative error": (error / motion).mean().item(),
                    "difference to scikit-image, px": (flow - reference).norm(dim=1).mean().item(),
                }
            )
    size = settings.image_size
    return Section(
        "Optical flow: accuracy",
        f"""From onset to apex of {settings.subjects} phantom subjects, one clip each, at {size} x
        {size} pixels with camera noise, head and light still. Error is the mean end-point error
        against the true flow where the face moved (true flow above {REGION_SHARE:.0%} of its
        maximum), the mean over pairs; relative, divided by the pair's mean true motion there, so
        that finding no motion at all scores 1. The last column is the mean end-point difference to
        `skimage.registration.optical_flow_tvl1` at its defaults, over the whole frame.""",
        rows,
    )


def mean_where(values: Tensor, where: Tensor) -> Tensor:
    """(N,) means of (N, H, W) values over a mask."""
    return (values * where).sum((1, 2)) / where.sum((1, 2))


def flow_time(settings: Settings) -> Section:
    """How long the flow methods take."""
    first, second, _ = pairs(replace(settings, subjects=settings.batch), "micro")
    rows: list[dict[str, str | float]] = []
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        for name, method in FLOWS.items():
            if threads == 1 or method is not scikit_image:  # which uses one thread at any rate
                rows.append(
                    timing(name, f"CPU, {threads} threads", method, first, second, settings)
                )
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
        on_gpu = first.cuda(), second.cuda()
        rows.append(timing("TV-L1", device, tvl1, *on_gpu, settings))
    reference = next(row for row in rows if row["method"] == "TV-L1 of scikit-image")
    for row in rows:
        row["times as fast as scikit-image"] = reference["ms a pair"] / row["ms a pair"]
    size = settings.image_size
    return Section(
        "Optical flow: time",
        f"""A batch of {settings.batch} pairs at {size} x {size} pixels, the best of
        {settings.repeats} runs ({platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}). CPU time is
        what all threads spent, which other work on the machine disturbs less.""",
        rows,
    )


def timing(
    name: str,
    where: str,
    method: Callable[[Tensor, Tensor], Tensor],
    first: Tensor,
    second: Tensor,
    settings: Settings,
) -> dict[str, str | float]:
    """A row of :func:`flow_time`."""
    method(first[:1], second[:1])  # what is done once does not count
    walls, works = [], []
    for _ in range(settings.repeats):
        wall, work = time.perf_counter(), time.process_time()
        method(first, second).cpu()  # copying waits for the device
        walls.append(time.perf_counter() - wall)
        works.append(time.process_time() - work)
    each = 1000 / len(first)
    return {
        "method": name,
        "where": where.replace("1 threads", "1 thread"),
        "ms a pair": min(walls) * each,
        "CPU ms a pair": min(works) * each,
    }


SECTIONS: dict[str, Callable[[Settings], Section]] = {
    "flow-accuracy": flow_accuracy,
    "flow-time": flow_time,
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


def markdown(sections: list[Section], command: str) -> str:
    """All sections as one document."""
    parts = [f"# How good the motion tools are\n\nMade by\n\n```\n{command}\n```\n"]
    for section in sections:
        head, *lines = cells(section)
        marks = [":---" if isinstance(v, str) else "---:" for v in section.rows[0].values()]
        table = "".join(f"| {' | '.join(line)} |\n" for line in (head, marks, *lines))
        text = textwrap.fill(" ".join(section.text.split()), 100, break_on_hyphens=False)
        parts.append(f"## {section.title}\n\n{text}\n\n{table}")
    return "\n".join(parts)


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
        chosen = [] if len(sections) == len(SECTIONS) else ["--sections", *arguments.sections]
        options = [*(["--quick"] if arguments.quick else []), *chosen]
        command = " ".join(["python scripts/benchmark_motion.py", *options, "--out FILE"])
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(markdown(sections, command))
        figures = {"settings": asdict(settings), "sections": [asdict(part) for part in sections]}
        write_json_atomically(arguments.out.with_suffix(".json"), figures)
        logger.info("stored in %s", arguments.out)


if __name__ == "__main__":
    main()
