"""Read rendered faces with a reader of real ones: MediaPipe's 52 blendshapes, left and right.

    python -m venv build/reader
    build/reader/bin/pip install mediapipe
    build/reader/bin/python scripts/read_blendshapes.py build/geometry/frames.npz \
        --model face_landmarker.task --out build/geometry/readings.json

The reader is a measuring tool in a separate environment: mediapipe is not a dependency of this
package, and this script imports nothing from the package. MODEL is MediaPipe's published bundle for
its face landmarker. The frames are those that ``scripts/measure_au_geometry.py --frames`` writes:
``x`` (people, 1 + K, H, W, 3) uint8, each person's first picture at rest; ``shown`` (K,), what the
others show. The readings are JSON: ``people``, how many faces were found at rest; ``rest``, each
blendshape's mean over people; ``rises``, for each of ``shown``, its mean rise over rest; and
``moves``, how far each of :data:`PLACES` moves outwards and down, in percent of the distance
between the eyes' centres.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

# Points of MediaPipe's mesh on the subject's right (the image's left) and left.
PLACES = {
    "inner brow": (55, 285), "outer brow": (70, 300), "upper lid": (159, 386),
    "lower lid": (145, 374), "nose wing": (64, 294), "lip corner": (61, 291),
    "upper lip": (37, 267), "lower lip": (84, 314), "chin": (148, 377),
}  # fmt: skip
STEADY = [33, 133, 362, 263, 168, 6]  # eye corners and the bridge of the nose
IRISES = (468, 473)


def moves(rest: np.ndarray, shown: np.ndarray) -> dict[str, tuple[float, float]]:
    """How far places move outwards and down from points (478, 2) to others, in percent.

    The faces are aligned by a similarity transform of their steady points.
    """
    x, y = (points[STEADY] - points[STEADY].mean(0) for points in (shown, rest))
    turn = complex(*[(x * y).sum(), (x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]).sum()]) / (x**2).sum()
    moved = (shown - shown[STEADY].mean(0)) @ [1, 1j] * turn
    change = moved - (rest - rest[STEADY].mean(0)) @ [1, 1j]
    change *= 100 / np.linalg.norm(rest[IRISES[0]] - rest[IRISES[1]])
    return {
        name: (
            float(change[left].real - change[right].real) / 2,
            float(change[[right, left]].imag.mean()),
        )
        for name, (right, left) in PLACES.items()
    }


def read_all(frames: np.ndarray, shown: list[str], model: Path) -> dict[str, object]:
    """The readings of frames (people, 1 + K, H, W, 3)."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)), output_face_blendshapes=True
    )
    names: list[str] = []
    values = np.full((*frames.shape[:2], 52), np.nan)
    points = np.full((*frames.shape[:2], 478, 2), np.nan)
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for place in np.ndindex(frames.shape[:2]):
            pixels = np.ascontiguousarray(frames[place])
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
            result = landmarker.detect(picture)
            if result.face_blendshapes:
                names = [shape.category_name for shape in result.face_blendshapes[0]]
                values[place] = [shape.score for shape in result.face_blendshapes[0]]
                mesh = result.face_landmarks[0]
                points[place] = [(p.x * frames.shape[3], p.y * frames.shape[2]) for p in mesh]
    if not names:
        raise SystemExit("the reader found no face: are these frames of faces?")

    def by_name(mean: np.ndarray) -> dict[str, float]:
        return {name: round(float(v), 4) for name, v in zip(names, mean, strict=True)}

    rises = np.nanmean(values[:, 1:] - values[:, :1], axis=0)
    found = np.isfinite(points[..., 0, 0])
    each = {
        column: [
            list(moves(person[0], person[row]).values())
            for person, seen in zip(points, found, strict=True)
            if seen[0] and seen[row]
        ]
        for row, column in enumerate(shown, 1)
    }
    return {
        "people": int(np.isfinite(values[:, 0, 0]).sum()),
        "rest": by_name(np.nanmean(values[:, 0], axis=0)),
        "rises": {column: by_name(rise) for column, rise in zip(shown, rises, strict=True)},
        "moves": {
            column: dict(zip(PLACES, np.round(np.mean(rows, axis=0), 2).tolist(), strict=True))
            for column, rows in each.items()
            if rows
        },
    }


def main() -> None:
    """Read the frames and store the readings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frames", type=Path, help="what measure_au_geometry.py --frames wrote")
    parser.add_argument("--model", type=Path, required=True, help="face_landmarker.task")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    options = parser.parse_args()
    for path in (options.frames, options.model):
        if not path.is_file():
            parser.error(f"{path} is not a file")
    with np.load(options.frames) as data:
        readings = read_all(data["x"], [str(name) for name in data["shown"]], options.model)
    options.out.write_text(json.dumps(readings, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
