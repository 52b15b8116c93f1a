"""``mersynth generate``: a store and a generator become a balanced synthetic store."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from mersynth import __version__, paths
from mersynth import config as configs
from mersynth.clips import Clip
from mersynth.dataset import to_float, to_uint8
from mersynth.facs.emotions import label
from mersynth.gan.checkpoint import (
    SHIPPED,
    CheckpointCard,
    CheckpointError,
    find_groups,
    load_card,
    load_generator,
)
from mersynth.gan.conditions import (
    ConditionSettings,
    clip_curve,
    jitter,
    movement,
    prototype_curve,
    resample,
)
from mersynth.gan.generator import Generator
from mersynth.logs import progress
from mersynth.sources import SOURCES
from mersynth.store import ClipStore, StoredClip, StoreError
from mersynth.store_writer import StoreWriter
from mersynth.synthesis.gallery import draw_gallery
from mersynth.synthesis.plan import PlannedClip, make_plan, summarise
from mersynth.synthesis.tables import show_plan

logger = logging.getLogger(__name__)

PHANTOM = "phantom"


def generate(
    *,
    per_class: int,
    source: str | None = None,
    store: Path | None = None,
    classes: str = "five",
    checkpoint: Path | None = None,
    out: Path | None = None,
    dry_run: bool = False,
    resume: bool = False,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> ClipStore | None:
    """Write a synthetic store in which every class has ``per_class`` clips.

    The AU intensities in it are those that were asked for. Each clip names the subject whose face
    it wears, the clip whose AU curve it follows, its generator's checksum and the subjects that
    generator never saw. Beside the clips lie ``contact_sheet.png``, GIFs and ``gallery.html``.

    Args:
        per_class: clips of every class; with K generators, in each of the K sets.
        source: database whose store is taken, from ``./stores/<source>``; the phantom's is
            rendered when there is none.
        store: a store, instead of ``source``.
        classes: label scheme (``facs.emotions.SCHEMES``).
        checkpoint: generator; default ``./checkpoints/<name of the store>``, and for the phantom
            the shipped one where that does not exist.
        out: the new store; default ``./stores/<name of the store>_synthetic``.
        dry_run: only show the plan.
        resume: go on with an interrupted generation of the same plan.
        seed: of plan and curves.
        overrides: Hydra overrides of ``configs/generate.yaml``.

    Returns:
        The store, opened; None for a dry run.

    Raises:
        ConfigError, StoreError, CheckpointError, ValueError: with what is missing or wrong and
            the command that makes it.
    """
    config = configs.load("generate", overrides)
    store_folder = _store_folder(source, store)
    folders = find_groups(_checkpoint_folder(checkpoint, store_folder, source))
    cards = [load_card(folder) for folder in folders]
    target = paths.store_path(f"{store_folder.name}_synthetic", out)
    if not dry_run:
        _check_target(target, resume)
    real = _open_real(store_folder, source, cards[0], seed)
    hidden = [card.unseen_subjects for card in cards]
    plan = make_plan(real.clips, classes, per_class, seed, hidden)
    counts = Counter(label(clip.source, clip.emotion, classes) or "" for clip in real.clips)
    show_plan(summarise(plan, counts))
    if dry_run:
        return None
    settings = ConditionSettings(**config.conditions)
    work = _Work(real, plan, cards, config, settings, seed)
    header = {
        "source": real.meta["header"]["source"],
        "synthetic": True,
        "scheme": classes,
        "per_class": per_class,
        "seed": seed,
        "intensities": "as asked for",
        "config": OmegaConf.to_container(config, resolve=True),
        "generators": [
            {"sha256": c.sha256, "step": c.step, "unseen_subjects": list(c.unseen_subjects)}
            for c in cards
        ],
        "versions": {"mersynth": __version__, "torch": torch.__version__},
        "real_store": {"checksum": real.checksum, "header": real.meta["header"]},
    }
    device = torch.device(
        ("cuda" if torch.cuda.is_available() else "cpu")
        if config.device == "auto"
        else config.device
    )
    with StoreWriter(target, work.clips, real.image_size, header, resume=resume) as writer:
        _fill(writer, work, folders, config, device)
        finished = writer.finish(
            lambda whole: draw_gallery(whole, load_generator(folders[0])[0], classes)
        )
    logger.info("%s: %d clips, %d of every class", target, len(finished), per_class * len(cards))
    return finished


class _Work:
    """Plan, clips and curves of a generation, all known before the first frame is made."""

    def __init__(
        self,
        real: ClipStore,
        plan: Sequence[PlannedClip],
        cards: Sequence[CheckpointCard],
        config: DictConfig,
        settings: ConditionSettings,
        seed: int,
    ) -> None:
        by_id = {clip.id: i for i, clip in enumerate(real.clips)}
        self.plan = plan
        self.faces: list[StoredClip] = []
        self.curves: list[np.ndarray] = []  # each (K, 20)
        self.clips: list[Clip] = []
        for item in plan:
            face = real[by_id[item.face]]
            rng = np.random.default_rng([seed, 1, item.number])
            if item.template.clip is None:
                timing = face.clip
                curve = prototype_curve(item.template.aus, config.num_frames, rng, settings)
            else:
                template = real[by_id[item.template.clip]]
                timing = template.clip
                curve = resample(movement(clip_curve(template, settings)), config.num_frames)
            rest = np.nan_to_num(clip_curve(face, settings)[:1])
            curve = np.clip(rest + jitter(curve, rng, settings), 0, 1)
            trained = set(cards[item.group].training_subjects)
            self.faces.append(face)
            self.curves.append(curve)
            self.clips.append(
                Clip(
                    source=face.clip.source,
                    subject=face.clip.subject,
                    name=f"synthetic_{item.number:05d}",
                    onset=0,
                    apex=int(curve.sum(axis=1).argmax()),
                    offset=config.num_frames - 1,
                    emotion=item.emotion,
                    aus=item.template.aus,
                    fps=timing.fps * config.num_frames / timing.num_frames,
                    template=item.template.clip,
                    generator=cards[item.group].sha256,
                    unseen=tuple(s for s in real.subjects if s not in trained),
                )
            )


def _fill(
    writer: StoreWriter,
    work: _Work,
    folders: Sequence[Path],
    config: DictConfig,
    device: torch.device,
) -> None:
    # Batches have fixed borders, so that a resumed run computes the same sums as an unbroken one.
    size = config.batch_clips
    generators: dict[int, Generator] = {}
    todo = len(work.clips) - writer.done
    with progress("generating", todo * config.num_frames, "frames") as advance:
        for first in range(writer.done, len(work.clips), size):
            chosen = range(first, min(first + size, len(work.clips)))
            for group in sorted({work.plan[i].group for i in chosen}):
                if group not in generators:
                    generators = {group: load_generator(folders[group])[0].to(device)}
                part = [i for i in chosen if work.plan[i].group == group]
                faces = to_float(np.stack([work.faces[i].frames[0] for i in part]))
                curves = torch.from_numpy(np.stack([work.curves[i] for i in part]))
                frames = render_curves(generators[group], faces.to(device), curves.to(device))
                for i, clip in zip(part, frames, strict=True):
                    writer.add(to_uint8(clip), work.curves[i])
            writer.commit()
            advance(len(chosen) * config.num_frames)


@torch.inference_mode()
def render_curves(generator: Generator, faces: Tensor, curves: Tensor) -> Tensor:
    """Let each face follow its AU curve: I_out = [G(I_in | Y_1), ..., G(I_in | Y_K)].

    Args:
        generator: in evaluation mode.
        faces: (B, 3, H, W) in [0, 1].
        curves: (B, K, N) in [0, 1].

    Returns:
        (B, K, 3, H, W) in [0, 1].
    """
    batch, frames = curves.shape[:2]
    images = faces[:, None].expand(-1, frames, -1, -1, -1).flatten(0, 1)
    return generator(images, curves.flatten(0, 1)).image.unflatten(0, (batch, frames))


def _store_folder(source: str | None, store: Path | None) -> Path:
    if store is not None:
        return store
    if source not in (*SOURCES, PHANTOM):
        raise ValueError(f"no source {source!r}; known: {', '.join((*SOURCES, PHANTOM))}")
    folder = paths.store_path(source)
    if source != PHANTOM and not folder.exists():
        raise StoreError(f"no store at {folder}; `mersynth prepare --source {source}` makes it")
    return folder


def _checkpoint_folder(checkpoint: Path | None, store: Path, source: str | None) -> Path:
    folder = paths.checkpoint_path(store.name, checkpoint)
    if checkpoint is None and source == PHANTOM and not folder.exists():
        return SHIPPED
    if not folder.exists():
        wanted = f"--source {source}" if source is not None else f"--store {store}"
        raise CheckpointError(f"no generator at {folder}; `mersynth train {wanted}` makes it")
    return folder


def _check_target(target: Path, resume: bool) -> None:
    if target.exists():
        raise StoreError(f"{target} exists already; remove it or choose another --out")
    partial = target.parent / f".{target.name}.partial"
    if partial.exists() and not resume:
        raise StoreError(
            f"an interrupted generation lies in {partial}; add --resume to go on with it, or "
            "remove that folder"
        )


def _open_real(folder: Path, source: str | None, card: CheckpointCard, seed: int) -> ClipStore:
    if not folder.exists() and source == PHANTOM:
        from mersynth.sources.prepare import prepare

        logger.info("there is no %s yet: rendering the phantom at %d px", folder, card.image_size)
        prepare(PHANTOM, out=folder, image_size=card.image_size, seed=seed)
    real = ClipStore.open(folder, verify=True)
    if real.image_size != card.image_size:
        raise CheckpointError(
            f"the generator makes images of {card.image_size} pixels, the frames of {folder} have "
            f"{real.image_size}: prepare the store with --image-size {card.image_size}, or train a "
            "generator on this store"
        )
    return real
