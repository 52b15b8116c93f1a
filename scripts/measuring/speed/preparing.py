"""Preparing a tree laid out like CASME II, with flow and strain, beside a plain loop."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from measuring.speed.comparison import Comparison, Work
from mersynth.features.cache import complete_options
from mersynth.motion.flow import optical_strain, tvl1
from mersynth.phantom.tree import write_tree
from mersynth.prepare.command import prepare

logger = logging.getLogger("mersynth.scripts.benchmark_performance")

SIZE = 128
TABLE = "CASME2_TABLE"  # environment variable: its annotation table, which nobody may pass on
_FEATURES = ("flow", "strain")


def comparisons(quick: bool, device: torch.device) -> Iterator[Comparison]:
    """First with nothing computed, then the same command again."""
    if TABLE not in os.environ:
        logger.warning("set %s to CASME II's annotation table to time prepare", TABLE)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limit = 3 if quick else 40
        tree = write_tree(Path(os.environ[TABLE]), "casme2", folder / "tree", limit=limit)
        clips = sorted({path.parent for path in tree.rglob("*.jpg")})
        made = [0]

        def loop() -> None:
            for i, clip in enumerate(clips):
                plain(clip, folder / f"plain_{i}")

        def ours() -> None:
            made[0] += 1
            features = complete_options({name: {} for name in _FEATURES})
            out = folder / f"store_{made[0]}"
            prepare("casme2", tree, out, features=features, skip_bad=True, image_size=SIZE)

        yield Comparison(
            f"prepare with flow and strain, {len(clips)} clips of CASME II's table",
            "clip",
            Work("a clip at a time", loop, len(clips)),
            [Work("mersynth prepare", ours, len(clips))],
            wanted=2 if device.type == "cpu" else 5,
        )


def plain(clip: Path, out: Path) -> None:
    """Decode and resize a clip, compute flow and strain, and write all of it."""
    frames = []
    for path in sorted(clip.iterdir()):
        frame = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        frames.append(cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_AREA))
    clip_frames = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
    flow = tvl1(clip_frames[:1], clip_frames[len(frames) // 2][None])
    out.mkdir(exist_ok=True)
    for frame, path in zip(frames, sorted(clip.iterdir()), strict=True):
        cv2.imwrite(str(out / f"{path.stem}.png"), frame[..., ::-1])
    np.save(out / "flow.npy", flow.numpy())
    np.save(out / "strain.npy", optical_strain(flow).numpy())
