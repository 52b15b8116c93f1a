"""Train the generator that the package ships, on phantom subjects that nothing else uses.

    python scripts/train_phantom_checkpoint.py --work build/phantom_checkpoint
    python scripts/train_phantom_checkpoint.py --device cuda --minutes 8 --out build/shipped

renders expressions of the subjects 1000 and up, and clips of them if critics are used, trains
AU-ICGAN on them (settings: ``configs/experiment/cpu.yaml`` and ``gpu.yaml``) and puts the
generator into ``--out``, ``mersynth/checkpoints/phantom`` by default. Run again after a stop, it
continues where it was. ``--minutes`` sets the number of steps by the pace of the first ones;
rendering comes first, on all processors. Further arguments are Hydra overrides, for instance
``steps=100``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from joblib import Parallel, delayed

from mersynth import logs
from mersynth.clips import Clip
from mersynth.disk.files import write_json_atomically
from mersynth.face.template import HEAD, TIGHT, Framing
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS
from mersynth.gan.checkpoint import CARD, SHIPPED, load_card
from mersynth.gan.settings import load_settings
from mersynth.gan.train import train
from mersynth.gan.true_motion import load_true_motion, save_true_motion, where_from
from mersynth.phantom.capture import STILL
from mersynth.phantom.population import write_store
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import subject_name
from mersynth.phantom.variety import PLAIN, WIDE
from mersynth.phantom.version import VERSION
from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import to_uint8
from mersynth.store.writer import StoreWriter

logger = logging.getLogger("mersynth.scripts.train_phantom_checkpoint")

FIRST_SUBJECT = 1000
SUBJECTS = 200
MOVING_COUNTS = {
    "anger": 100, "contempt": 60, "disgust": 60, "fear": 60,
    "happiness": 80, "sadness": 60, "surprise": 80, "other": 100,
}  # fmt: skip
MOVING_FRAMES = 24
SITTINGS = 2  # of each subject
EXPRESSIONS = 24  # of each sitting


def random_peak(rng: np.random.Generator) -> np.ndarray:
    """(20, 2) intensities of one to four AUs, sometimes only on one side."""
    count = rng.choice([1, 2, 3, 4], p=[0.4, 0.3, 0.2, 0.1])
    peak = np.zeros((len(CONDITION_AUS), 2), np.float32)
    for column in rng.choice(len(CONDITION_AUS), count, replace=False):
        peak[column] = rng.uniform(0.2, 1.0)
        if ACTION_UNITS[CONDITION_AUS[column]].lateral and rng.random() < 0.25:
            peak[column, rng.integers(2)] = 0
    return peak


def random_framing(rng: np.random.Generator) -> Framing:
    """A framing between the whole head and a tight crop; either of these in a sixth of cases."""
    share = float(np.clip(rng.uniform(-0.25, 1.25), 0, 1))
    numbers = {
        name: (1 - share) * low + share * getattr(TIGHT, name)
        for name, low in HEAD.as_dict().items()
    }
    return Framing(**numbers)


def write_macro(path: Path, image_size: int, seed: int, workers: int) -> None:
    """One clip per sitting: a face at rest, then one frame per random AU set, of all strengths.

    Every AU is also shown alone. Framing, pose, light and camera noise are the same within a
    sitting, so that its frames differ only in the expression. (Independent noise in every frame
    would teach the generator to smooth.) Faces are framed as a whole head, as a tight crop and in
    all ways between, so that the generator finds them anywhere. Every other person comes from the
    wide population, the others from the phantom's default one.
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
    header |= {"framing": None}  # there are several
    with (
        StoreWriter(path, clips, image_size, header) as writer,
        logs.progress("rendering sittings", len(clips), "clips") as advance,
    ):
        people = Parallel(n_jobs=workers, return_as="generator")(
            delayed(_sittings)(number, image_size, seed) for number in numbers
        )
        fields = []
        for person in people:
            for *arrays, field in person:
                writer.add(*arrays)
                fields.append(field)
                advance(1)
        save_true_motion(writer.finish(), fields)


def _sittings(number: int, image_size: int, seed: int) -> list[tuple[np.ndarray, ...]]:
    """Frames, intensities, landmarks and true motion of a person's sittings."""
    torch.set_num_threads(1)
    rng = np.random.default_rng([seed, number])
    subject = (WIDE if number % 2 else PLAIN).person(number)
    found: list[tuple[np.ndarray, ...]] = []
    for _ in range(SITTINGS):
        renderer = PhantomRenderer(subject, image_size, framing=random_framing(rng))
        rest = np.zeros((1, len(CONDITION_AUS), 2), np.float32)
        aus = np.concatenate([rest, [random_peak(rng) for _ in range(EXPRESSIONS)]])
        pose = rng.normal(0, [0.015, 0.015, 0.04, 0.1, 0.08])
        rendered = renderer.render(
            torch.from_numpy(aus),
            torch.from_numpy(pose).expand(len(aus), -1),
            light=torch.full((len(aus),), rng.uniform(0.85, 1.12)),
            flow=True,
        )
        assert rendered.flow is not None
        grain = subject.noise * rng.standard_normal((3, image_size, image_size))
        frames = (rendered.frames + torch.from_numpy(grain)).clamp(0, 1)
        landmarks, field = rendered.landmarks.numpy(), where_from(rendered.flow)
        found.append((to_uint8(frames), aus, landmarks, field))
    return found


def steps_within(seconds: float, store: Path, seed: int, overrides: Sequence[str]) -> list[str]:
    """Overrides for a training of a given duration, with the same proportions of its stages."""
    config = load_settings(overrides)
    share = config.true_frame_steps / config.steps
    reads = config.au_reading_steps / config.steps if share < 1 else 0

    def pace(stage: str) -> float:
        """Seconds per step."""
        taken = []
        for steps in (10, 40):
            few = {
                "steps": 1 if stage == "au_reading_steps" else steps,
                "true_frame_steps": 0,
                "au_reading_steps": 0,
                stage: steps,
                "gain_pairs": 0,
                "checkpoint_every": 1000,
            }
            with TemporaryDirectory() as folder:
                begun = time.perf_counter()
                out = Path(folder) / "pace"
                quick = [f"{name}={value}" for name, value in few.items()]
                train(store_path=store, out=out, seed=seed, overrides=[*overrides, *quick])
                taken.append(time.perf_counter() - begun)
        return (taken[1] - taken[0]) / 30

    each = share * pace("true_frame_steps") if share else 0.0
    each += (1 - share) * pace("steps") if share < 1 else 0
    each += reads * pace("au_reading_steps") if reads else 0
    steps = max(10, int(seconds / each))
    logger.info("%d steps, %.3f s each, take %.1f minutes", steps, each, steps * each / 60)
    found = {"steps": steps, "true_frame_steps": share * steps, "au_reading_steps": reads * steps}
    return [f"{name}={round(value)}" for name, value in found.items()]


def main() -> None:
    """Render, train, and put the generator into the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/phantom_checkpoint"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--minutes", type=float, help="of training")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="that render")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    logs.set_up()
    moving, macro, out = (arguments.work / name for name in ("moving", "macro", "generator"))
    experiment = {"cpu": "cpu", "cuda": "gpu"}[arguments.device]
    overrides = [f"experiment={experiment}", *arguments.overrides]
    config = load_settings(overrides)
    size = config.gan.image_size
    if not macro.exists():
        write_macro(macro, size, arguments.seed, arguments.workers)
    elif load_true_motion(ClipStore.open(macro)) is None:
        parser.error(f"{macro} was not finished; remove it")
    store = macro
    if config.true_frame_steps < config.steps and config.video_every:  # it needs moving faces
        store, overrides = moving, [*overrides, f"macro_store={macro}", "macro_share=1.0"]
        if not moving.exists():
            write_store(
                moving,
                image_size=size,
                seed=arguments.seed,
                subjects=SUBJECTS,
                counts=MOVING_COUNTS,
                strength="macro",
                first_subject=FIRST_SUBJECT,
                fps=25,
                max_frames=MOVING_FRAMES,
                capture=STILL,
                device=arguments.device,
            )
    if arguments.minutes is not None:
        kept = arguments.work / "steps.json"  # a continued training keeps its number of steps
        if not kept.exists():
            found = steps_within(60 * arguments.minutes, store, arguments.seed, overrides)
            write_json_atomically(kept, found)
        overrides += json.loads(kept.read_text())
    train(store_path=store, out=out, resume=True, seed=arguments.seed, overrides=overrides)
    card = load_card(out)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in (card.weights, CARD):  # the card last: it names the weights
        shutil.copy(out / name, arguments.out)
    for old in arguments.out.glob("*.safetensors"):
        if old.name != card.weights:
            old.unlink()


if __name__ == "__main__":
    main()
