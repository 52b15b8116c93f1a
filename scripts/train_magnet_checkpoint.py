"""Train the MagNet that the package ships, on procedural textures and phantom faces.

    python scripts/train_magnet_checkpoint.py

renders patches of phantom subjects 5000 and up, which nothing else uses, trains (30 to 50 minutes
on one CPU core), and puts the weights into ``mersynth/checkpoints/magnet``. Run it again after a
stop to continue.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from mersynth import logs
from mersynth.disk.files import whole_file
from mersynth.motion.magnify.checkpoint import SHIPPED, save_magnet
from mersynth.motion.magnify.magnet import MagNet
from mersynth.motion.magnify.pairs import Pairs, perturb
from mersynth.motion.magnify.phantom_pairs import phantom_pairs
from mersynth.motion.magnify.train_magnet import MagNetTrainer, MagNetTraining, magnet_losses

logger = logging.getLogger("mersynth.scripts.train_magnet_checkpoint")

FIRST_SUBJECT = 5000
FIRST_UNSEEN_SUBJECT = 5900
PAIRS_EACH = 24
IMAGE_SIZES = (64, 96, 128, 192)


def rendered(path: Path, first: int, subjects: int, settings: MagNetTraining) -> Pairs:
    """Pairs of phantom faces, from a file if it exists (8 bits, as in stores)."""
    if not path.exists():
        pairs = phantom_pairs(
            range(first, first + subjects), PAIRS_EACH, settings.size,
            [max(size, settings.size) for size in IMAGE_SIZES],
            settings.largest_alpha, settings.seed,
        )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = {
            name: (values * 255).round().byte() if values.dim() == 4 else values
            for name, values in pairs._asdict().items()
        }
        with whole_file(path) as partial:
            save_file(stored, partial)
    tensors = load_file(path)
    return Pairs(**{k: v / 255 if v.dim() == 4 else v for k, v in tensors.items()})


@torch.inference_mode()
def validate(model: MagNet, pairs: Pairs, settings: MagNetTraining) -> dict[str, float]:
    """Losses on subjects that were not trained on, and the error of leaving the frame as it is."""
    batch = perturb(pairs, settings.noise, settings.colour, torch.Generator().manual_seed(1))
    losses = {name: value.item() for name, value in magnet_losses(model, batch).items()}
    losses["reconstruction_unmagnified"] = (batch.second - batch.magnified).abs().mean().item()
    return {name: round(value, 5) for name, value in losses.items()}


def main() -> None:
    """Render, train, and put the weights into the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/magnet_checkpoint"))
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--seed", type=int, default=MagNetTraining().seed)
    parser.add_argument("--steps", type=int, default=MagNetTraining().steps)
    parser.add_argument("--subjects", type=int, default=80, help="phantom subjects trained on")
    arguments = parser.parse_args()
    logs.set_up()
    settings = MagNetTraining(steps=arguments.steps, seed=arguments.seed)
    work = arguments.work / f"seed_{settings.seed}_subjects_{arguments.subjects}"
    faces = rendered(work / "faces.safetensors", FIRST_SUBJECT, arguments.subjects, settings)
    unseen = rendered(work / "unseen.safetensors", FIRST_UNSEEN_SUBJECT, 8, settings)
    trainer = MagNetTrainer(settings, faces, work / f"steps_{settings.steps}")
    model = trainer.run()
    facts = {
        "model": "MagNet (Oh et al., ECCV 2018), magnification of the motion between two frames",
        "options": {},
        "parameters": sum(p.numel() for p in model.parameters()),
        "data": {
            "textures": "procedural, half of each batch",
            "phantom_subjects": [FIRST_SUBJECT, FIRST_SUBJECT + arguments.subjects - 1],
            "unseen_phantom_subjects": [FIRST_UNSEEN_SUBJECT, FIRST_UNSEEN_SUBJECT + 7],
            "phantom_pairs": len(faces.alpha),
            "image_sizes": IMAGE_SIZES,
            "licence": "no real person: free to use",
        },
        "training": asdict(settings),
        "training_losses": {k: round(v, 5) for k, v in trainer.recent.items()},
        "unseen_losses": validate(model, unseen, settings),
    }
    path = save_magnet(arguments.out, model.state_dict(), facts)
    logger.info("wrote %s (%.2f MB)", path, path.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
