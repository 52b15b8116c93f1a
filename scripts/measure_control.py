"""Measure how well a generator obeys: AU intensities asked for against those obtained.

    python scripts/measure_control.py                    # the shipped generator, unseen subjects
    python scripts/measure_control.py --checkpoint checkpoints/phantom

For each of eight phantom subjects that the generator never saw and each of 13 AUs, the onset frame
is moved to five intensities. Three questions, each against the renderer's truth:

- control: correlation and mean error between asked and obtained intensity. Obtained is what an
  estimator reads that was trained on yet other phantom subjects; its own error, on frames that the
  renderer itself moved, stands beside it.
- the rest of the face: SSIM to the onset frame outside of the region that the AU moves.
- motion: relative end-point error of the optical flow (DIS) onset to apex against the true flow,
  beside the same figure for the renderer's own apex frame, which is the flow method's own error.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from skimage.metrics import structural_similarity
from torch import Tensor

from mersynth import logs
from mersynth.dataset import to_uint8
from mersynth.facs.action_units import CONDITION_AUS, SIDES
from mersynth.files import write_json_atomically
from mersynth.gan.checkpoint import SHIPPED, load_generator
from mersynth.quality.reader import Estimator, fit
from mersynth.quality.rendered import FIRST_SUBJECT, noise, rendered_pairs
from mersynth.sources.phantom.render import PhantomRenderer
from mersynth.sources.phantom.subject import PhantomSubject, subject_name

logger = logging.getLogger("mersynth.scripts.measure_control")

MEASURED_AUS = (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 20, 25)
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
FIRST_TEST_SUBJECT = 3000
# A pixel belongs to the moved region if the true flow there is above this share of its maximum.
REGION_SHARE = 0.05


def train_estimator(size: int, subjects: int, each: int, epochs: int, seed: int) -> Estimator:
    """Train on ``each`` frames of every one of so many subjects, rendered at ``size`` pixels."""
    numbers = range(FIRST_SUBJECT, FIRST_SUBJECT + subjects)
    return fit(rendered_pairs(size, numbers, each, seed), epochs, seed)


def relative_flow_error(onset: np.ndarray, apex: np.ndarray, truth: np.ndarray) -> float:
    """Mean end-point error over the moved region, divided by the mean true motion there."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (onset, apex)]
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method.setFinestScale(0)  # the preset stops at half resolution
    found = method.calc(grey[0], grey[1], None)  # (H, W, 2)
    length = np.linalg.norm(truth, axis=-1)
    moved = length > REGION_SHARE * length.max()
    return float(np.linalg.norm(found - truth, axis=-1)[moved].mean() / length[moved].mean())


def still_ssim(onset: np.ndarray, apex: np.ndarray, truth: np.ndarray) -> float:
    """SSIM of two frames (H, W, 3) uint8 over windows that touch no moved pixel."""
    _, full = structural_similarity(onset, apex, channel_axis=-1, full=True)
    length = np.linalg.norm(truth, axis=-1)
    moved = (length > REGION_SHARE * length.max()).astype(np.uint8)
    still = cv2.dilate(moved, np.ones((7, 7), np.uint8)) == 0  # 7: the window of the SSIM
    return float(full.mean(axis=-1)[still].mean())


@torch.inference_mode()
def measure(checkpoint: Path, estimator: Estimator, subjects: int) -> list[dict[str, float]]:
    """A row of figures for each measured AU, over so many subjects."""
    generator, card = load_generator(checkpoint)
    rows = []
    levels = torch.tensor(LEVELS)
    renderers = {
        number: PhantomRenderer(PhantomSubject.sample(number), card.image_size)
        for number in range(FIRST_TEST_SUBJECT, FIRST_TEST_SUBJECT + subjects)
    }
    for number in renderers:
        if f"phantom/{subject_name(number)}" in card.training_subjects:
            raise ValueError(f"phantom subject {number} was trained on; measure unseen ones")
    for au in MEASURED_AUS:
        column = CONDITION_AUS.index(au)
        wanted = torch.zeros(len(LEVELS), len(CONDITION_AUS), len(SIDES))
        wanted[:, column] = levels[:, None]
        read: dict[str, list[Tensor]] = {"obtained": [], "estimator": []}
        figures: dict[str, list[float]] = {"ssim": [], "flow": [], "flow_method": []}
        for number, renderer in renderers.items():
            truth = renderer.render(
                torch.cat([torch.zeros_like(wanted[:1]), wanted]),
                noise_generator=noise(number),
                flow=True,
            )
            onset = truth.frames[:1].expand(len(LEVELS), -1, -1, -1)
            made = generator(onset, wanted).image
            read["obtained"].append(estimator(onset, made)[:, column].mean(-1))
            read["estimator"].append(estimator(onset, truth.frames[1:])[:, column].mean(-1))
            first, apex, real = (to_uint8(x) for x in (onset[0], made[-1], truth.frames[-1]))
            flow = truth.flow[-1].permute(1, 2, 0).numpy()
            figures["ssim"].append(still_ssim(first, apex, flow))
            figures["flow"].append(relative_flow_error(first, apex, flow))
            figures["flow_method"].append(relative_flow_error(first, real, flow))
        row = {"au": au, **{name: float(np.mean(values)) for name, values in figures.items()}}
        asked = levels.repeat(subjects).numpy()
        for name, values in read.items():
            got = torch.cat(values).numpy()
            # Readings that never change obey nothing: no correlation rather than 0 / 0.
            row[f"{name}_correlation"] = float(np.corrcoef(asked, got)[0, 1]) if got.std() else 0.0
            row[f"{name}_error"] = float(np.abs(asked - got).mean())
        rows.append(row)
    return rows


COLUMNS = {
    "obtained_correlation": "correlation",
    "obtained_error": "mean error",
    "estimator_correlation": "estimator: correlation",
    "estimator_error": "estimator: mean error",
    "ssim": "SSIM elsewhere",
    "flow": "flow error",
    "flow_method": "flow method's own error",
}


def main() -> None:
    """Train the estimator, measure, print the table and store it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED)
    parser.add_argument("--out", type=Path, default=Path("build/control"), help="folder")
    parser.add_argument("--subjects", type=int, default=8, help="unseen subjects to measure on")
    parser.add_argument("--estimator-subjects", type=int, default=100)
    parser.add_argument("--each", type=int, default=150, help="frames a subject for the estimator")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.estimator_subjects > FIRST_TEST_SUBJECT - FIRST_SUBJECT:
        parser.error("--estimator-subjects would reach the subjects that are measured on")
    logs.set_up()
    size = load_generator(arguments.checkpoint)[1].image_size
    estimator = train_estimator(
        size, arguments.estimator_subjects, arguments.each, arguments.epochs, arguments.seed
    )
    rows = measure(arguments.checkpoint, estimator, arguments.subjects)
    mean = {name: float(np.mean([row[name] for row in rows])) for name in COLUMNS}
    report(rows, mean, f"AU control on {arguments.subjects} unseen phantom subjects, {size} px")
    arguments.out.mkdir(parents=True, exist_ok=True)
    figures = {"aus": rows, "mean": mean, "seed": arguments.seed}
    write_json_atomically(arguments.out / "control.json", figures)
    (arguments.out / "control.md").write_text(markdown(rows, mean))
    logger.info("stored in %s", arguments.out)


def cells(rows: list[dict[str, float]], mean: dict[str, float]) -> list[list[str]]:
    """The table's rows as text, the mean last."""
    named = [(str(int(row["au"])), row) for row in rows] + [("mean", mean)]
    return [[name, *(f"{row[column]:.3f}" for column in COLUMNS)] for name, row in named]


def report(rows: list[dict[str, float]], mean: dict[str, float], title: str) -> None:
    """Print the table."""
    table = Table(title=title)
    for name in ("AU", *COLUMNS.values()):
        table.add_column(name, justify="right")
    for row in cells(rows, mean):
        table.add_row(*row)
    Console(width=120).print(table)


def markdown(rows: list[dict[str, float]], mean: dict[str, float]) -> str:
    """The table in Markdown."""
    head = ["AU", *COLUMNS.values()]
    lines = [head, ["---:"] * len(head), *cells(rows, mean)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
