"""Measure how well clip generators are controlled: AUs asked for, compared with AUs obtained.

    python scripts/measure_control.py --out docs/control.md     # the shipped one and the AU warp
    python scripts/measure_control.py --checkpoint mine=checkpoints/samm --sizes 128

Faces of phantom subjects that neither a generator nor the estimator was trained on are moved to
each of 20 AUs at five intensities, and to each lateral AU on one side, at several sizes. The row
"rendered" has the renderer's own frames of the same faces, whose readings bound those of any
generator. Columns:

- control: correlation, gain (slope through 0) and mean error between asked and read intensity;
  cross-talk: mean reading of the AUs that were not asked for, at intensity 1;
- one-sidedness: of what is read of an AU asked for on one side, the share on that side;
- strength: how far faces move along the true motion, by Farneback's flow, at intensity 0.5;
- SSIM to the true frame, and to the face at rest outside the moved region, at intensity 1;
- sharpness: the Laplacian's energy, as a share of the true frame's;
- frames per second, for single clips of 16 frames.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring.documents import command, document, machine, paragraph, table
from measuring.generator_figures import (
    READ_AT,
    animated,
    asked_intensities,
    control_figures,
    frame_figures,
    read,
    render_face,
)

from mersynth import logs
from mersynth.disk.files import write_json_atomically
from mersynth.disk.state_files import load_state_file, save_state_file
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import SHIPPED
from mersynth.phantom.subject import subject_name
from mersynth.phantom.version import VERSION
from mersynth.quality.reader import Estimator, fit
from mersynth.quality.rendered import FIRST_SUBJECT, rendered_pairs
from mersynth.synthesis.generators import ClipGenerator, IcganGenerator
from mersynth.synthesis.warp_generator import WarpGenerator

logger = logging.getLogger("mersynth.scripts.measure_control")

FIRST_TEST_SUBJECT = 3000
COLUMNS = {
    "correlation": "correlation",
    "gain": "gain",
    "error": "mean error",
    "cross_talk": "cross-talk",
    "one_sided": "one-sided",
    "strength": "strength",
    "ssim": "SSIM",
    "still": "SSIM outside",
    "sharpness": "sharpness",
}


def train_estimator(
    subjects: int, each: int, epochs: int, seed: int, kept: Path | None = None
) -> Estimator:
    """Train on ``each`` frames of every one of so many subjects.

    Args:
        subjects: how many.
        each: frames.
        epochs: passes over them.
        seed: of all that is drawn.
        kept: a file that keeps it, and is read if it exists.

    Raises:
        ValueError: if the file cannot be read, or keeps one that was trained otherwise.
    """
    trained = {"subjects": subjects, "each": each, "epochs": epochs, "seed": seed}
    record = {"trained": json.dumps({**trained, "phantom": VERSION, "pixels": READ_AT})}
    if kept is not None and kept.exists():
        tensors, found = load_state_file(kept)
        if found != record:
            raise ValueError(f"{kept} keeps an estimator of {found}, wanted is {record}; remove it")
        estimator = Estimator()
        estimator.load_state_dict(tensors)
        return estimator.eval()
    numbers = range(FIRST_SUBJECT, FIRST_SUBJECT + subjects)
    estimator = fit(rendered_pairs(READ_AT, numbers, each, seed), epochs, seed)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_state_file(kept, estimator.state_dict(), record)
    return estimator


def generators_of(checkpoints: Sequence[str]) -> dict[str, ClipGenerator]:
    """The AU warp, and AU-ICGAN of each ``NAME=FOLDER``, the shipped one by default."""
    found: dict[str, ClipGenerator] = {"AU warp": WarpGenerator()}
    for given in checkpoints or [f"AU-ICGAN={SHIPPED}"]:
        name, equals, folder = given.partition("=")
        if not equals or not name or not folder:
            raise argparse.ArgumentTypeError(f"--checkpoint needs NAME=FOLDER, got {given!r}")
        found[name] = IcganGenerator(Path(folder))
    return found


def measure(
    generators: dict[str, ClipGenerator], estimator: Estimator, size: int, subjects: int
) -> dict[str, dict[str, Any]]:
    """Figures of each AU by generator, at a size; ``rendered`` is the renderer itself."""
    asked = asked_intensities()
    readings: dict[str, list[np.ndarray]] = {"rendered": []}
    figures: dict[str, list[dict[str, np.ndarray]]] = {}
    speeds: dict[str, list[float]] = {}
    with logs.progress(f"measuring at {size} pixels", subjects, "faces") as advance:
        for number in range(FIRST_TEST_SUBJECT, FIRST_TEST_SUBJECT + subjects):
            face = render_face(number, size, asked)
            readings["rendered"].append(read(estimator, face.truth))
            for name, generator in generators.items():
                if generator.image_size not in (None, size):
                    continue
                made, speed = animated(generator, face, asked)
                readings.setdefault(name, []).append(read(estimator, made))
                figures.setdefault(name, []).append(frame_figures(face, made))
                speeds.setdefault(name, []).append(speed)
            advance(1)
    result: dict[str, dict[str, Any]] = {}
    for name, of_faces in readings.items():
        result[name] = control_figures(asked, of_faces)
        if name in figures:
            each = figures[name]
            result[name] |= {key: np.mean([f[key] for f in each], axis=0) for key in each[0]}
            result[name]["speed"] = float(np.median(speeds[name]))
    return result


def main() -> None:
    """Train the estimator, measure, and write document and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], help="pixels")
    parser.add_argument("--out", type=Path, default=Path("build/control/control.md"))
    parser.add_argument("--subjects", type=int, default=8, help="unseen subjects to measure on")
    parser.add_argument("--estimator-subjects", type=int, default=100)
    parser.add_argument("--estimator", type=Path, help="keep it in this file, and read it again")
    parser.add_argument("--each", type=int, default=150, help="frames a subject for the estimator")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.estimator_subjects > FIRST_TEST_SUBJECT - FIRST_SUBJECT:
        parser.error("--estimator-subjects would reach the subjects that are measured on")
    logs.set_up()
    try:
        generators = generators_of(arguments.checkpoint)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    tested = range(FIRST_TEST_SUBJECT, FIRST_TEST_SUBJECT + arguments.subjects)
    for name, generator in generators.items():
        if seen := {f"phantom/{subject_name(n)}" for n in tested} & {*generator.training_subjects}:
            parser.error(f"{name} was trained on {min(seen)}; measure on subjects it never saw")
        generator.load(generator.image_size or arguments.sizes[0], torch.device("cpu"))
    trained = (arguments.estimator_subjects, arguments.each, arguments.epochs, arguments.seed)
    try:
        estimator = train_estimator(*trained, arguments.estimator)
    except ValueError as error:
        parser.error(str(error))
    found = {
        size: measure(generators, estimator, size, arguments.subjects) for size in arguments.sizes
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    plain = {
        str(size): {
            name: {key: _plain(value) for key, value in figures.items()}
            for name, figures in rows.items()
        }
        for size, rows in found.items()
    }
    record = {"aus": list(CONDITION_AUS), "seed": arguments.seed, "sizes": plain}
    write_json_atomically(arguments.out.with_suffix(".json"), record)
    arguments.out.write_text(text(found, arguments.subjects), encoding="utf-8")
    logger.info("stored in %s", arguments.out)


def text(found: dict[int, dict[str, dict[str, Any]]], subjects: int) -> str:
    """The document."""
    rows = [
        [str(size), name, *_cells(figures), f"{figures['speed']:.0f}" if "speed" in figures else ""]
        for size, of_size in found.items()
        for name, figures in of_size.items()
    ]
    largest = max(found)
    parts = [
        "# How well generators obey",
        paragraph(
            f"{subjects} phantom subjects that neither a generator nor the estimator was trained "
            f"on, 20 AUs at five intensities, and one side of those that have sides; on "
            f"{machine('cpu')}. The script's text explains the columns. Made by"
        ),
        command(),
        table(("pixels", "generator", *COLUMNS.values(), "frames/s"), rows, (1,)),
    ]
    for name, figures in found[largest].items():
        parts += [
            f"## {name}, AU by AU, {largest} pixels",
            table(
                ("AU", *COLUMNS.values()),
                [[str(au), *_cells(figures, i)] for i, au in enumerate(CONDITION_AUS)],
            ),
        ]
    return document(parts)


def _plain(value: Any) -> Any:
    """For JSON: None where an AU has no figure."""
    if isinstance(value, float):
        return value
    return [None if np.isnan(one) else float(one) for one in value]


def _cells(figures: dict[str, Any], au: int | None = None) -> list[str]:
    """A column each: of one AU, or the mean of all that have it."""
    cells = []
    for column in COLUMNS:
        values = np.asarray(figures.get(column, np.nan))
        value = np.nan if values.ndim == 0 else np.nanmean(values) if au is None else values[au]
        cells.append("" if np.isnan(value) else f"{value:.3f}")
    return cells


if __name__ == "__main__":
    main()
