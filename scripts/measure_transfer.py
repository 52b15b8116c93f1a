"""Measure how well AU curves are read from motion, and how well transferred clips keep their time.

    python scripts/measure_transfer.py --out docs/transfer.md

Clips of phantom subjects whom neither the shipped generator nor the choices made here have seen,
128 pixels, 100 frames a second. Their AU intensities are known; they are read from the frames
alone, and compared at the apex, each side for itself. Columns:

- correlation: over all clips and sides, also those that do not show the AU;
- error: mean absolute difference; gain: slope through 0 of read on true intensity;
- false: what is read, on average, where the AU does not move.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from measuring.documents import command, document, paragraph, table

from mersynth import logs
from mersynth.augment.au_reading import (
    COLUMNS,
    MotionReader,
    least_squares,
    read_intensities,
    solve,
)
from mersynth.augment.au_warp import au_flow
from mersynth.clips import Clip, Strength
from mersynth.curves import movement
from mersynth.face.detect import FaceFinder, find_landmarks
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.gan.checkpoint import SHIPPED
from mersynth.motion.apex import spot_apex
from mersynth.motion.head import face_mask, still_head
from mersynth.phantom.capture import PLAIN_CAPTURE, Capture
from mersynth.phantom.cells import CELLS
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float
from mersynth.synthesis.generators import IcganGenerator

logger = logging.getLogger("mersynth.scripts.measure_transfer")

SIZE = 128
FIRST_SUBJECT = 5000
FACE = 6000  # the subject whose face wears the clips
MOVES = 0.05  # an AU of this intensity or more counts as shown
RIDGE = 0.05  # of the fields' mean square; 0.02 did no better on other people
NEAR = 6  # frames around the apex that its smoothed motion depends on, at 100 a second
ONSET = 0.1  # share of a movement's peak at which it has begun


@dataclass(frozen=True, eq=False)
class Rendered:
    """A clip whose truth is known.

    Attributes:
        clip: annotation.
        frames: (T, S, S, 3) uint8.
        truth: (T, 20, 2) movement from the first frame.
        landmarks: (68, 2) of the first frame.
    """

    clip: Clip
    frames: np.ndarray
    truth: np.ndarray
    landmarks: np.ndarray

    @property
    def apex(self) -> int:
        """Position of the apex."""
        assert self.clip.apex_index is not None
        return self.clip.apex_index


def rendered(count: int, strength: Strength, capture: Capture, first: int) -> Iterator[Rendered]:
    """Clips, two a person, the AUs in turn, in cells that have them."""
    cells = {cell: share for each in CELLS.values() for cell, share in each.items()}
    specs = clip_specs(
        subjects=max(1, count // 2),
        counts={"other": count},
        strength=strength,
        first_subject=first,
    )
    rng = np.random.default_rng(first)
    for number, spec in enumerate(specs):
        au = CONDITION_AUS[number % len(CONDITION_AUS)]
        having = {c: share for c, share in cells.items() if au in parse_au_cell(c).numbers}
        shares = np.array(list(having.values()))
        cell = str(rng.choice(list(having), p=shares / shares.sum()))
        clip = replace(spec.clip, aus=cell)
        frames, intensities, landmarks = render_clip(
            replace(spec, clip=clip), SIZE, capture=capture
        )
        yield Rendered(clip, frames, movement(intensities), landmarks[0])


def ways_to_read(item: Rendered, finder: FaceFinder, others: bool) -> dict[str, np.ndarray]:
    """(20, 2) intensities at the apex of a clip, by what is done; ``others``: in all ways."""
    near = [0, *range(max(1, item.apex - NEAR), min(len(item.frames), item.apex + NEAR + 1))]
    frames, apex, fps = item.frames[near], near.index(item.apex), item.clip.fps
    reader = MotionReader(frames[0], item.landmarks)
    motion = reader.follow(frames, fps)[apex]
    found = find_landmarks(finder, frames[0])
    of_found = MotionReader(frames[0], found)
    ways = {
        "as read": solve(reader.fields, motion),
        "as read, landmarks from MTCNN's five points": solve(of_found.fields, motion),
    }
    if others:
        ways |= {
            "least squares": _ridged(reader.fields, motion, 1e-6),
            "ridge": _ridged(reader.fields, motion, RIDGE),
            "as read, true displacements as fields": solve(_displacements(reader, item), motion),
        }
    for flow, name in (("tvl1", "TV-L1"), ("farneback", "Farneback")) if others else ():
        other = MotionReader(frames[0], item.landmarks, flow=flow)
        ways[f"as read, {name}"] = solve(other.fields, other.follow(frames, fps)[apex])
    return {name: np.einsum("k,kns->ns", x, COLUMNS) for name, x in ways.items()}


def _ridged(fields: np.ndarray, motion: np.ndarray, ridge: float) -> np.ndarray:
    pixels = len(motion) / 2
    squares = fields.T @ fields / pixels
    squares += ridge * np.trace(squares) / len(squares) * np.eye(len(squares))
    return least_squares(squares, fields.T @ motion / pixels)


def _displacements(reader: MotionReader, item: Rendered) -> np.ndarray:
    """(N, K) where the AU warp moves the face, as :class:`MotionReader` has its fields."""
    level = 0.5
    points = torch.from_numpy(reader.place(item.landmarks))[None]
    size = (reader.side, reader.side)
    flow = au_flow(points, level * torch.from_numpy(COLUMNS)[None], size)[0]
    mask = face_mask(reader.side, reader.framing)
    inside = still_head(flow, reader.framing)[..., mask] / reader.side
    return inside.flatten(1).double().numpy().T / level


def figures(truth: np.ndarray, read: np.ndarray) -> list[str]:
    """Correlation, error, gain and false of intensities of one shape."""
    moves = truth >= MOVES
    varies = truth.std() > 0 and read.std() > 0
    correlation = np.corrcoef(truth.ravel(), read.ravel())[0, 1] if varies else 0.0
    gain = (truth * read).sum() / np.square(truth).sum()
    return [
        f"{correlation:.3f}",
        f"{np.abs(truth - read).mean():.3f}",
        f"{gain:.2f}",
        f"{read[~moves].mean():.3f}",
    ]


def mean_correlation(truth: np.ndarray, read: np.ndarray) -> float:
    """Mean over the AUs, of (N, 20, 2)."""
    each = np.moveaxis(np.stack([truth, read]), 2, 0)  # (20, 2, N, 2)
    varies = (each.std((2, 3)) > 0).all(1)
    return float(
        np.mean(
            [
                np.corrcoef(*a.reshape(2, -1))[0, 1] if v else 0
                for a, v in zip(each, varies, strict=True)
            ]
        )
    )


def by_au(truth: np.ndarray, read: np.ndarray) -> str:
    """The table of AUs, of clips (N, 20, 2) true and read."""
    rows = []
    for number, au in enumerate(CONDITION_AUS):
        shown = (truth[:, number] >= MOVES).any(1).sum()
        rows.append([str(au), str(shown), *figures(truth[:, number], read[:, number])])
    return table(["AU", "clips", "correlation", "error", "gain", "false"], rows)


def begun(curve: np.ndarray) -> int:
    """The frame at which a movement (T, 20, 2) has begun."""
    total = curve.sum((1, 2))
    return int((total >= ONSET * total.max()).argmax())


def timing(item: Rendered, read: np.ndarray, maker: IcganGenerator, face: StoredClip) -> np.ndarray:
    """(5,) frames by which onset and apex of the clip made differ from the truth, and its length.

    Onset by the curve that the clip follows; apex by that curve's strongest frame, by spotting it
    in the driving frames, as for a film, and by spotting it in the frames made.
    """
    made = maker.animate([face], read[None])[0].clamp(0, 1)
    driving = to_float(item.frames)
    return np.array(
        [
            abs(begun(read) - begun(item.truth)),
            abs(int(read.sum((1, 2)).argmax()) - item.apex),
            abs(spot_apex(driving) - item.apex),
            abs(spot_apex(made) - item.apex),
            len(item.frames),
        ]
    )


def main() -> None:
    """Measure, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=60, help="of each kind")
    parser.add_argument("--out", type=Path, default=Path("build/transfer/transfer.md"))
    arguments = parser.parse_args()
    logs.set_up(debug=False)
    maker = IcganGenerator(SHIPPED)
    maker.load(SIZE, torch.device("cpu"))
    face = _face()
    finder = FaceFinder()
    sets: dict[str, tuple[Strength, Capture]] = {
        "micro": ("micro", PLAIN_CAPTURE),
        "macro": ("macro", PLAIN_CAPTURE),
        "micro, lab": ("micro", Capture()),
    }
    overall: list[list[str]] = []
    aus: list[str] = []
    times: list[list[str]] = []
    for kind, (strength, capture) in sets.items():
        truths, reads, timed = [], [], []
        with logs.progress(kind, arguments.clips, "clips") as step:
            for item in rendered(arguments.clips, strength, capture, FIRST_SUBJECT):
                truths.append(item.truth[item.apex])
                reads.append(ways_to_read(item, finder, kind == "micro"))
                curve = read_intensities(item.frames, item.clip.fps, item.landmarks)
                timed.append(timing(item, curve, maker, face))
                step(1)
        truth = np.stack(truths)
        for way in reads[0]:
            read = np.stack([each[way] for each in reads])
            overall.append(
                [kind, way, f"{mean_correlation(truth, read):.3f}", *figures(truth, read)]
            )
        aus += [f"### {kind}", by_au(truth, np.stack([each["as read"] for each in reads]))]
        values = np.stack(timed).astype(float)
        share = 100 * (values[:, :4] / values[:, 4:]).mean(0)
        frames = values.mean(0)
        cells = [f"{f:.1f} ({s:.0f} %)" for f, s in zip(frames[:4], share, strict=True)]
        times.append([kind, f"{frames[4]:.0f}", *cells])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(_document(arguments.clips, overall, aus, times))
    logger.info("%s", arguments.out)


def _face() -> StoredClip:
    """The face at rest that wears the clips."""
    spec = clip_specs(subjects=1, counts={"other": 1}, first_subject=FACE)[0]
    frames, intensities, landmarks = render_clip(spec, SIZE)
    rest = np.zeros_like(intensities[:1])
    return StoredClip(spec.clip, frames[:1], rest, landmarks[:1])


def _document(count: int, overall: list[list[str]], aus: list[str], times: list[list[str]]) -> str:
    columns = ["clips", "how", "mean correlation of an AU", "correlation", "error", "gain", "false"]
    return document(
        [
            "# Following a clip: how well AU curves are read from motion",
            paragraph(
                f"`mersynth transfer` reads the AU curve of a clip whose store has none from its "
                f"motion (`mersynth.augment.au_reading`). {count} clips of each kind, two of a "
                f"person, at {SIZE} pixels, which show every AU {count // 20} times or more, of "
                "phantom people seen by neither the "
                'shipped generator nor the choices made here; "lab" adds sway of the head, blinks, '
                "swallowing, stray AUs and flicker. The script's text explains the columns. Made by"
            ),
            command(),
            "![Three clips, and faces that follow their motion](images/transfer.jpg)",
            "## At the apex",
            table(columns, overall, words=(0, 1)),
            "## AU by AU",
            *aus,
            "## Timing",
            paragraph(
                "Frames by which the transferred clip's onset and apex differ from the driving "
                "clip's, and that as a share of the clip. The onset is where the curve, read or "
                "true, reaches a tenth of its peak. The apex: the strongest frame of the curve "
                "that was read; the one spotted in the driving clip, as for a film (method "
                "`strain`); the one spotted in the frames that were made."
            ),
            table(
                [
                    "clips",
                    "frames",
                    "onset",
                    "apex by curve",
                    "apex spotted",
                    "apex of what is made",
                ],
                times,
            ),
        ]
    )


if __name__ == "__main__":
    main()
