"""Train the generator that the package ships, on phantom subjects that nothing else uses.

    python scripts/train_phantom_checkpoint.py --work build/phantom_checkpoint

renders a store of micro-expressions and one of macro-expressions of the subjects 1000 and up,
trains AU-ICGAN on them (``configs/experiment/phantom_checkpoint.yaml`` holds the choices) and puts
the generator into ``mersynth/checkpoints/phantom``. Repeated after a stop, it goes on where it was.
Further words are Hydra overrides, for instance ``steps=100``.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path

import numpy as np

from mersynth import logs
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import SHIPPED
from mersynth.gan.train import train
from mersynth.sources.phantom.population import ClipSpec, clip_specs, write_specs, write_store

FIRST_SUBJECT = 1000
SUBJECTS = 150
MICRO_COUNTS = {
    "anger": 100, "contempt": 60, "disgust": 60, "fear": 60,
    "happiness": 80, "sadness": 60, "surprise": 80, "other": 100,
}  # fmt: skip
MACRO_CLIPS = 2400
FRAMES = 8


def random_aus(rng: np.random.Generator) -> str:
    """An AU cell of one to four AUs with letters, so that every AU is seen alone and in company."""
    count = rng.choice([1, 2, 3, 4], p=[0.35, 0.3, 0.2, 0.15])
    chosen = rng.choice(CONDITION_AUS, count, replace=False)
    return "+".join(f"{au}{rng.choice(list('BCDE'))}" for au in chosen)


def macro_specs(seed: int) -> list[ClipSpec]:
    """Macro-expressions of random AU sets, evenly over the subjects."""
    counts = {"other": MACRO_CLIPS}
    plan = clip_specs(
        seed=seed,
        subjects=SUBJECTS,
        counts=counts,
        strength="macro",
        first_subject=FIRST_SUBJECT,
        max_frames=FRAMES,
    )
    rng = np.random.default_rng(seed)
    return [
        dataclasses.replace(spec, clip=dataclasses.replace(spec.clip, aus=random_aus(rng)))
        for spec in plan
    ]


def main() -> None:
    """Render, train, and put the generator into the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/phantom_checkpoint"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    logs.set_up()
    micro, macro, out = (arguments.work / name for name in ("micro", "macro", "generator"))
    if not micro.exists():
        write_store(
            micro,
            image_size=arguments.image_size,
            seed=arguments.seed,
            subjects=SUBJECTS,
            counts=MICRO_COUNTS,
            first_subject=FIRST_SUBJECT,
        )
    if not macro.exists():
        header = {"source": "phantom", "strength": "macro", "seed": arguments.seed}
        specs = macro_specs(arguments.seed)
        write_specs(macro, specs, header, image_size=arguments.image_size)
    train(
        store_path=micro,
        out=out,
        resume=True,
        seed=arguments.seed,
        overrides=[
            "+experiment=phantom_checkpoint", f"macro_store={macro}", *arguments.overrides
        ],
    )  # fmt: skip
    SHIPPED.mkdir(parents=True, exist_ok=True)
    for old in SHIPPED.glob("generator*"):
        old.unlink()
    for file in out.glob("generator*"):
        shutil.copy(file, SHIPPED)


if __name__ == "__main__":
    main()
