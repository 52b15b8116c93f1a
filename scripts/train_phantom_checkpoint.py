"""Train the generator that the package ships, on phantom subjects that nothing else uses.

    python scripts/train_phantom_checkpoint.py --work build/phantom_checkpoint

renders macro-expressions of the subjects 1000 and up, and where critics take part micro-expressions
too, trains AU-ICGAN on them (``configs/experiment/cpu.yaml`` holds the choices) and puts the
generator into ``mersynth/checkpoints/phantom``. Repeated after a stop, it goes on where it was.
Further words are Hydra overrides, for instance ``steps=100``.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch

from mersynth import logs
from mersynth.clips import Clip
from mersynth.dataset import to_uint8
from mersynth.face.template import HEAD, TIGHT, Framing
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS
from mersynth.gan.checkpoint import CARD, SHIPPED, load_card
from mersynth.gan.settings import load_settings
from mersynth.gan.train import train
from mersynth.sources.phantom.population import write_store
from mersynth.sources.phantom.render import PhantomRenderer
from mersynth.sources.phantom.subject import subject_name
from mersynth.sources.phantom.variety import PLAIN, WIDE
from mersynth.sources.phantom.version import VERSION
from mersynth.store_writer import StoreWriter

FIRST_SUBJECT = 1000
SUBJECTS = 200
MICRO_COUNTS = {
    "anger": 100, "contempt": 60, "disgust": 60, "fear": 60,
    "happiness": 80, "sadness": 60, "surprise": 80, "other": 100,
}  # fmt: skip
SITTINGS = 2  # of each subject
EXPRESSIONS = 24  # of each sitting


def random_peak(rng: np.random.Generator) -> np.ndarray:
    """(20, 2) intensities of one to four AUs, now and then on one side only."""
    count = rng.choice([1, 2, 3, 4], p=[0.4, 0.3, 0.2, 0.1])
    peak = np.zeros((len(CONDITION_AUS), 2), np.float32)
    for column in rng.choice(len(CONDITION_AUS), count, replace=False):
        peak[column] = rng.uniform(0.2, 1.0)
        if ACTION_UNITS[CONDITION_AUS[column]].lateral and rng.random() < 0.25:
            peak[column, rng.integers(2)] = 0
    return peak


def random_framing(rng: np.random.Generator) -> Framing:
    """Between the whole head and a tight crop; each of them for a sixth of the time."""
    share = float(np.clip(rng.uniform(-0.25, 1.25), 0, 1))
    numbers = {
        name: (1 - share) * low + share * getattr(TIGHT, name)
        for name, low in HEAD.as_dict().items()
    }
    return Framing(**numbers)


def write_macro(path: Path, image_size: int, seed: int) -> None:
    """A clip a sitting: a face at rest, then random AU sets of all strengths, each a frame.

    Every AU is seen alone too. Framing, pose, light and camera noise stay the same within a
    sitting: what differs between its frames is the expression alone, so that the frames teach
    nothing but that. (Noise of its own in every frame would teach the generator to smooth.) Faces
    are framed as a whole head, as a tight crop and in all ways between, so that the generator finds
    them wherever they lie. Every other person comes from a population as wide as real recordings,
    the others are as the phantom's default is.
    """
    numbers = range(FIRST_SUBJECT, FIRST_SUBJECT + SUBJECTS)
    clips = [
        Clip(
            source="phantom", subject=subject_name(number), name=f"sitting_{i}", onset=0,
            apex=1, offset=EXPRESSIONS, emotion="other", strength="macro",
        )
        for number in numbers
        for i in range(SITTINGS)
    ]  # fmt: skip
    header = {"source": "phantom", "phantom": VERSION, "strength": "macro", "seed": seed}
    header |= {"framing": None}  # not one
    with (
        StoreWriter(path, clips, image_size, header) as writer,
        logs.progress("rendering sittings", len(clips), "clips") as advance,
    ):
        for number in numbers:
            rng = np.random.default_rng([seed, number])
            subject = (WIDE if number % 2 else PLAIN).person(number)
            for _ in range(SITTINGS):
                renderer = PhantomRenderer(subject, image_size, framing=random_framing(rng))
                rest = np.zeros((1, len(CONDITION_AUS), 2), np.float32)
                aus = np.concatenate([rest, [random_peak(rng) for _ in range(EXPRESSIONS)]])
                pose = rng.normal(0, [0.015, 0.015, 0.04, 0.1, 0.08])
                rendered = renderer.render(
                    torch.from_numpy(aus),
                    torch.from_numpy(pose).expand(len(aus), -1),
                    light=torch.full((len(aus),), rng.uniform(0.85, 1.12)),
                )
                grain = subject.noise * rng.standard_normal((3, image_size, image_size))
                frames = (rendered.frames + torch.from_numpy(grain)).clamp(0, 1)
                writer.add(to_uint8(frames), aus, rendered.landmarks.numpy())
                advance(1)
        writer.finish()


def main() -> None:
    """Render, train, and put the generator into the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/phantom_checkpoint"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    logs.set_up()
    micro, macro, out = (arguments.work / name for name in ("micro", "macro", "generator"))
    overrides = ["experiment=cpu", *arguments.overrides]
    config = load_settings(overrides)
    if not macro.exists():
        write_macro(macro, arguments.image_size, arguments.seed)
    store = macro
    if config.true_frame_steps < config.steps:  # critics learn from micro-expressions too
        store, overrides = micro, [*overrides, f"macro_store={macro}"]
        if not micro.exists():
            write_store(
                micro,
                image_size=arguments.image_size,
                seed=arguments.seed,
                subjects=SUBJECTS,
                counts=MICRO_COUNTS,
                first_subject=FIRST_SUBJECT,
            )
    train(store_path=store, out=out, resume=True, seed=arguments.seed, overrides=overrides)
    card = load_card(out)
    SHIPPED.mkdir(parents=True, exist_ok=True)
    for name in (card.weights, CARD):  # the card last: it names the weights
        shutil.copy(out / name, SHIPPED)
    for old in SHIPPED.glob("*.safetensors"):
        if old.name != card.weights:
            old.unlink()


if __name__ == "__main__":
    main()
