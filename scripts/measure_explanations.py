"""Measure how much of an AU-CAM or Grad-CAM map lies where the phantom moves.

    python scripts/measure_explanations.py                 # writes docs/explanations.md
    python scripts/measure_explanations.py --image-size 224 --subjects 16 --each 40 --epochs 60

Phantom clips are rendered, the dual branch is trained on them under grouped leave-one-subject-out,
and each clip is explained by the model that never saw its person. The moving region is where the
expression's true flow at the apex, the head held still, is longer than a share of its longest.

- share of the mass: the share of a map's sum that lies in the region; for a uniform map, the
  region's area.
- within the moving half: the same, in the rows of the half (eyes or mouth) that moves most. Both
  maps of the dual branch are relative to their half, so that the other half lights up, too,
  whether or not it moves.
- highest point: share of the clips whose highest value lies in the region.
- the true motion's row bounds what maps of this resolution can reach: the length of the true flow,
  averaged to the resolution of the branches' last layers and resized to that of the maps.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import cv2
import numpy as np
import torch
from measuring import documents
from torch.nn import functional as F

from mersynth import logs
from mersynth.disk.files import write_json_atomically
from mersynth.facs.regions import half_rows
from mersynth.phantom.population import ClipSpec, clip_specs, render_clip
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request
from recognizers.explain import (
    ExplainedClips,
    OpenedRun,
    apex_flow,
    explain,
    explain_clips,
    mass_inside,
    moving_region,
)
from recognizers.explain.pictures import backgrounds, overlay, picture

logger = logging.getLogger("mersynth.scripts.measure_explanations")

EMOTIONS = ("happiness", "anger", "surprise")
FIGURES = {
    "share": "share of the mass",
    "half": "within the moving half",
    "highest": "highest point",
}
NAMES = {
    "au_cam": "AU-CAM",
    "grad_cam": "Grad-CAM",
    "uniform": "a uniform map",
    "truth": "true motion, as coarse",
}
STRIDE = 32  # of ResNet18's last layer
DRAWN = 6  # clips in the picture


def render_store(path: Path, arguments: argparse.Namespace) -> dict[str, ClipSpec]:
    """Render the phantom clips if the folder is missing; their specs by the clips' ids."""
    specs = clip_specs(
        seed=arguments.seed,
        subjects=arguments.subjects,
        counts=dict.fromkeys(EMOTIONS, arguments.each),
        strength=arguments.strength,
        fps=30,
        max_frames=16,
    )
    known = {spec.clip.id: spec for spec in specs}
    if path.exists():
        stored = ClipStore.open(path)
        if (
            stored.clips != tuple(spec.clip for spec in specs)
            or stored.image_size != arguments.image_size
        ):
            raise SystemExit(f"{path} holds other clips; remove it, or choose another --work")
        return known
    header = {"source": "phantom", "licence": "rendered, no real person: free to use"}
    with (
        StoreWriter(path, [spec.clip for spec in specs], arguments.image_size, header) as writer,
        logs.progress("rendering", total=len(specs), unit="clips") as advance,
    ):
        for spec in specs:
            writer.add(*render_clip(spec, arguments.image_size))
            advance(1)
        writer.finish()
    return known


def train(store: Path, run: Path, arguments: argparse.Namespace) -> Path:
    """The dual branch from random weights, under grouped leave-one-subject-out."""
    return evaluate(
        Request(
            split="loso",
            model="dual_branch",
            data=[store],
            groups=arguments.groups,
            classes="three",
            seed=arguments.seed,
            overrides=[
                "keep_weights=true",
                "executor.workers=1",
                f"device={arguments.device}",
                "model.options.weights=none",
                f"model.options.image_size={arguments.image_size}",
                f"model.training.epochs={arguments.epochs}",
                f"model.training.batch_size={arguments.batch_size}",
            ],
        ),
        run,
    )


def coarse_motion(flow: np.ndarray) -> np.ndarray:
    """(2, H, W) to the length of the flow, as coarse and as smooth as the branches' maps."""
    length = torch.from_numpy(np.hypot(flow[0], flow[1]))[None, None]
    height, width = length.shape[-2:]
    halves = [length[:, :, half_rows(half, height)] for half in ("eyes", "mouth")]
    drawn = []
    for half in halves:
        places = (-(-half.shape[2] // STRIDE), -(-width // STRIDE))
        coarse = F.adaptive_avg_pool2d(half, places)
        drawn.append(F.interpolate(coarse, half.shape[2:], mode="bilinear"))
    return torch.cat(drawn, 2)[0, 0].numpy()


def figures_of(heat: np.ndarray, region: np.ndarray, moving: slice) -> dict[str, float]:
    """The figures of one map of one clip."""
    share, half = mass_inside(heat, region), mass_inside(heat[moving], region[moving])
    # A uniform map has its highest value everywhere: the share of these within the region.
    highest = float(region[heat == heat.max()].mean()) if heat.max() > 0 else float("nan")
    return {"share": share, "half": half, "highest": highest}


def measure(
    explained: ExplainedClips, flows: list[np.ndarray], threshold: float
) -> dict[str, dict[str, np.ndarray]]:
    """By map and figure, one number per clip; NaN where a map is empty."""
    found: dict[str, dict[str, list[float]]] = {
        name: {key: [] for key in FIGURES} for name in NAMES
    }
    for i, flow in enumerate(flows):
        region = moving_region(flow, threshold)
        length = np.hypot(flow[0], flow[1])
        halves = [half_rows("eyes", len(length)), half_rows("mouth", len(length))]
        moving = max(halves, key=lambda rows: float(length[rows].sum()))
        maps = {name: heat[i] for name, heat in explained.maps.items()}
        maps |= {"uniform": np.ones_like(length), "truth": coarse_motion(flow)}
        for name, heat in maps.items():
            for key, value in figures_of(heat, region, moving).items():
                found[name][key].append(value)
    return {name: {k: np.array(v) for k, v in rows.items()} for name, rows in found.items()}


def table(figures: dict[str, dict[str, np.ndarray]]) -> str:
    """Means over clips, in Markdown; for the share with its standard deviation over clips."""
    lines = []
    for name, rows in figures.items():
        spread = float(np.nanstd(rows["share"]))
        cells = [f"{np.nanmean(rows[key]):.3f}" for key in FIGURES]
        cells[0] += f" ± {spread:.3f}"
        lines.append([NAMES[name], *cells, str(int(np.isnan(rows["share"]).sum()))])
    return documents.table(["map", *FIGURES.values(), "clips with an empty map"], lines)


def comparisons(figures: dict[str, dict[str, np.ndarray]]) -> str:
    """In how many clips AU-CAM has more of its mass in the region than another map."""
    own = figures["au_cam"]
    lines = []
    for key in ("share", "half"):
        for other in ("grad_cam", "uniform"):
            both = np.isfinite(own[key]) & np.isfinite(figures[other][key])
            more = int((own[key][both] > figures[other][key][both]).sum())
            lines.append(
                f"- {FIGURES[key]}: more than {NAMES[other]} in {more} of {int(both.sum())} clips\n"
            )
    return "".join(lines)


def draw(
    run: OpenedRun,
    explained: ExplainedClips,
    flows: list[np.ndarray],
    threshold: float,
    path: Path,
) -> None:
    """A few clips: the apex frame with the region's outline, AU-CAM, Grad-CAM."""
    chosen = np.linspace(0, len(flows) - 1, min(DRAWN, len(flows))).round().astype(int)
    faces = backgrounds(run, explained.rows[chosen].tolist())
    rows = []
    for i, face in zip(chosen, faces, strict=True):
        tiles = [picture(face), *(overlay(face, heat[i]) for heat in explained.maps.values())]
        side = tiles[0].shape[:2]
        region = cv2.resize(moving_region(flows[i], threshold).astype(np.uint8), side[::-1])
        outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        rows.append(
            [cv2.drawContours(tile.copy(), outlines, -1, (64, 224, 208), 1) for tile in tiles]
        )
    columns = [np.hstack(row) for row in rows]
    half = -(-len(columns) // 2)
    left, right = np.vstack(columns[:half]), np.vstack(columns[half:])
    gap = np.full((len(left), 12, 3), 255, np.uint8)
    padded = np.full_like(left, 255)
    padded[: len(right)] = right
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.hstack([left, gap, padded])[..., ::-1]
    cv2.imwrite(str(path), drawn, [cv2.IMWRITE_JPEG_QUALITY, 85])


def document(
    arguments: argparse.Namespace,
    run: OpenedRun,
    figures: dict[str, dict[str, np.ndarray]],
    drawing: str,
) -> str:
    """The document, in Markdown."""
    accuracy = run.results.strict["Full"].mean.accuracy
    side = f"{arguments.image_size} x {arguments.image_size} pixels"
    parts = [
        "# Where the dual branch looks: AU-CAM measured on the phantom",
        "`recognizers explain` draws what a run's models looked at, each clip by the model of the "
        "fold that tested it. On the phantom the truth is known, so that the share of a map that "
        "lies where the face moves can be measured. Made by",
        documents.command(),
        f"The script's text explains the columns. {len(run.tested)} clips of "
        f"{arguments.subjects} phantom "
        f"subjects in {len(EMOTIONS)} classes ({arguments.strength}-expressions, {side}), "
        f"{arguments.groups} groups of people, {arguments.epochs} epochs from random weights: a "
        f"small budget, after which held-out clips are recognised with an accuracy of "
        f"{accuracy:.3f}. A pixel belongs to the moving region if its true flow is longer than "
        f"{arguments.threshold:g} of the longest. Figures are means over clips, of the share ± the "
        "standard deviation.",
        table(figures),
        "AU-CAM has more of its mass in the region:",
        comparisons(figures).rstrip(),
        "Either map of the dual branch has the resolution of its last layer, one position per "
        f"{STRIDE} x {STRIDE} pixels, and before its ReLU adds up to 0 over each half, since "
        "a half's features are normalised to one length: both halves light up, even one that does "
        "not move. The second column is therefore computed in the half that moves most.",
        f"![Apex frame, AU-CAM and Grad-CAM of some clips; outlined: what really moves]({drawing})",
    ]
    return documents.document([wrapped(part) for part in parts])


def wrapped(part: str) -> str:
    """A paragraph in lines; tables, lists, pictures and code as they are."""
    kept = part.startswith(("|", "-", "!", "`" * 3, "#"))
    return part if kept else documents.paragraph(part)


def main() -> None:
    """Render, train, explain, measure, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/explanations.md"))
    parser.add_argument("--work", type=Path, default=Path("build/explanations"), help="folder")
    parser.add_argument("--subjects", type=int, default=6)
    parser.add_argument("--each", type=int, default=14, help="clips of each of three emotions")
    parser.add_argument("--strength", choices=("micro", "macro"), default="macro")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--groups", type=int, default=3, help="of people, one fold each")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=7)
    parser.add_argument("--threshold", type=float, default=0.25, help="of the moving region")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logs.set_up()
    specs = render_store(arguments.work / "phantom", arguments)
    run = OpenedRun(
        train(arguments.work / "phantom", arguments.work / "run", arguments),
        device=arguments.device,
    )
    explained = explain_clips(run, "au-cam", [run.row[clip] for clip in run.tested])
    size = next(iter(explained.maps.values())).shape[-1]
    flows = [apex_flow(specs[run.clips.clips[row].id], size) for row in explained.rows]
    figures = measure(explained, flows, arguments.threshold)
    image = arguments.out.parent / "images" / "explanations.jpg"
    draw(run, explained, flows, arguments.threshold, image)
    text = document(arguments, run, figures, f"images/{image.name}")
    arguments.out.write_text(text)
    record = {
        name: {key: float(np.nanmean(v)) for key, v in rows.items() if np.isfinite(v).any()}
        for name, rows in figures.items()
    }
    write_json_atomically(arguments.work / "explanations.json", record)
    logger.info("stored in %s; pictures: %s", arguments.out, explain(run.path, "au-cam"))


if __name__ == "__main__":
    main()
