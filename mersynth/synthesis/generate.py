"""``mersynth generate``: makes a balanced synthetic store from a store and a generator."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from mersynth import config as configs
from mersynth import paths
from mersynth.checks import check_whole
from mersynth.clips import Clip
from mersynth.devices import choose_device
from mersynth.disk.lock import hold
from mersynth.estimate import now
from mersynth.face.template import FramingChoice
from mersynth.facs.emotions import label
from mersynth.logs import progress
from mersynth.motion.camera_noise import add_camera_noise, camera_noise
from mersynth.pages.gallery import write_gallery
from mersynth.shards import Shard
from mersynth.sources import PHANTOM
from mersynth.store.clip_store import ClipStore, StoredClip
from mersynth.store.dataset import to_uint8
from mersynth.store.journal import check_target
from mersynth.store.names import NameChoice
from mersynth.store.writer import StoreWriter
from mersynth.synthesis.agreement import check_classes, warn_framings, warn_versions
from mersynth.synthesis.estimate import estimate_generation
from mersynth.synthesis.generators import ClipGenerator
from mersynth.synthesis.head import HeadMotions
from mersynth.synthesis.header import make_header
from mersynth.synthesis.inputs import (
    face_clips,
    find_generators,
    find_store,
    open_faces,
    open_real,
    real_clips,
    reconcile_names,
    wanted_framing,
)
from mersynth.synthesis.parts import (
    all_parts,
    begun_parts,
    copy_parts,
    make_parts,
    part_header,
    part_path,
    remove_parts,
)
from mersynth.synthesis.pictures import draw_pictures
from mersynth.synthesis.plan import make_plan, summarise
from mersynth.synthesis.tables import show_plan
from mersynth.synthesis.work import Faces, Work, WorkList, plan_work

logger = logging.getLogger(__name__)


def generate(
    *,
    per_class: int,
    source: str | None = None,
    store: Path | None = None,
    classes: str = "five",
    generator: str = "icgan",
    checkpoint: Path | None = None,
    faces: Path | None = None,
    tested: Sequence[Path] = (),
    out: Path | None = None,
    dry_run: bool = False,
    estimate: bool = False,
    resume: bool = False,
    shard: Shard | None = None,
    workers: int = 1,
    names: NameChoice | None = None,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> ClipStore | None:
    """Write a synthetic store in which every class has ``per_class`` clips.

    Heads move as in real clips of the same people, and frames are as noisy as the clip that gives
    the face. The store holds the AU intensities that were asked for, and landmarks only for each
    clip's first frame, the face at rest. Each clip names the subject whose face it shows, the clip
    whose AU curve it follows (none if it follows an AU prototype), its generator's checksum and the
    subjects that this generator never saw. The store also holds ``contact_sheet.png``, GIFs and
    ``gallery.html``.

    Args:
        per_class: clips of every class; with K generators, in each of the K sets.
        source: database whose store ``./stores/<source>`` is used; the phantom's is rendered if
            missing.
        store: a store, instead of ``source``.
        classes: label scheme (``facs.emotions.SCHEMES``).
        generator: what makes the clips: ``icgan``, or ``warp``, which moves the face along the AUs'
            displacement fields without any training (:mod:`mersynth.augment.au_warp`).
        checkpoint: of ``icgan``; ``shipped`` is the one in the package. Default
            ``./checkpoints/<name of the store>``; for the phantom, the shipped one if there is no
            complete generator.
        faces: another source of faces: a store, or a folder of photos and videos
            (:class:`mersynth.sources.folder.Folder`), which is prepared. AU curves still come from
            the real store, or from the phantom if none is named.
        tested: further stores on whose people recognizers will be tested: clips record that their
            generator never saw these people, unless it was trained on them.
        out: the new store; default ``./stores/<name of the store>_synthetic``.
        dry_run: only show the plan; nothing is written.
        estimate: only make a few batches, in a folder for temporary files, and show what the whole
            will take (:mod:`mersynth.synthesis.estimate`).
        resume: continue an interrupted generation of the same plan, or find it whole; if parts of
            it were made (``shard``), make the missing ones and join them to the bytes that one
            process writes.
        shard: make only this part, ``<out>.parts/I_of_N``, which may be done on any machine.
        workers: make so many parts at once in processes of this machine, and join them.
        names: how to treat names that look alike, such as the subjects ``006`` and ``6``:
            ``"same"``, ``"distinct"``, or None to refuse them (:mod:`mersynth.store.names`).
        seed: of plan, curves and head motion.
        overrides: Hydra overrides of ``configs/generate.yaml``.

    Returns:
        The store, opened; None for a dry run or an estimate.

    Raises:
        ConfigError, StoreError, CheckpointError, NamesError, ValueError: with what is missing or
            wrong, and the command that fixes it.
        InUseError: if another process is writing ``out``.
    """
    settings = {name: value for name, value in locals().items() if name in _SAME_FOR_PARTS}
    begun = now()
    config = _load_settings(overrides)
    check_whole("per_class", per_class, 1, 1_000_000)
    check_whole("workers", workers, 1, 1024)
    if workers > 1 and (estimate or shard is not None):
        raise ValueError(f"workers must be 1 for a shard or an estimate, got {workers}")
    choice = FramingChoice(**config.framing)
    if faces is not None and source is None and store is None:
        logger.info("--faces without a real store: the AU curves are the phantom's")
        source = PHANTOM
    real_folder = find_store(source, store)
    generators = find_generators(generator, checkpoint, real_folder, source)
    target = paths.store_path(f"{real_folder.name}_synthetic", out)
    place = target if shard is None else part_path(target, shard)
    only_show = dry_run or estimate  # that needs no lock
    with nullcontext() if only_show else hold(place):
        if not only_show:
            if shard is not None and resume and place.exists() and not target.exists():
                logger.info("%s is complete", place)
                return ClipStore.open(place)
            if shard is None or target.exists():
                check_target(target, resume and shard is None)
            check_target(place, resume)
        parts = begun_parts(target, resume or only_show) if shard is None else []
        clips = real_clips(real_folder)
        face_sources = face_clips(faces) if faces is not None else None
        read = [(real_folder, clips), *([(faces, face_sources)] if faces and face_sources else [])]
        read += [(folder, real_clips(find_store(None, folder))) for folder in tested]
        spelling = reconcile_names(names, read, generators)
        clips, face_sources = spelling.clips(clips), face_sources and spelling.clips(face_sources)
        check_classes(clips, face_sources or (), classes)
        hidden = [each.unseen_subjects for each in generators]
        others = {clip.subject_id for _, named in read for clip in spelling.clips(named)}
        plan = make_plan(clips, classes, per_class, seed, hidden, face_sources, config.curves)
        show_plan(summarise(plan, _count(clips, classes)))
        if dry_run:
            return None
        size = generators[0].image_size
        wanted = wanted_framing(choice, generators, real_folder)
        other_faces = open_faces(faces, size, resume, spelling, wanted) if faces else None
        real = open_real(real_folder, size, spelling, wanted)
        face_store = real if other_faces is None else other_faces
        warn_framings(choice, [real, face_store], generators)
        warn_versions(face_store, generators)
        framing = face_store.framing or wanted
        for each in generators:
            each.load(face_store.image_size, choose_device(config.device), framing)
        work = plan_work(real, face_store, plan, generators, config, seed, others)
        heads = HeadMotions(real, face_store, framing=framing) if config.head_motion else None
        header = make_header(real, face_store, generators, config, classes, per_class, seed)
        header |= {"names": names} if names is not None else {}
        if shard is not None:
            work = work[shard.share(len(work), config.batch_clips, "batches of config batch_clips")]
            header = part_header(header, shard)
        new_clips = [item.clip for item in work]
        pictures = _pictures(work, new_clips, generators[0]) if shard is None else None
        if estimate:
            estimate_generation(
                new_clips,
                config.batch_clips,
                face_store.image_size,
                header,
                lambda writer, places: _fill(
                    writer, [work[i] for i in places], generators, heads, config
                ),
                pictures,
                lambda places: _followed([work[i] for i in places], heads),
                begun,
            ).show()
            return None
        if workers > 1 and not parts:
            parts = all_parts(min(workers, ceil(len(work) / config.batch_clips)))
        with StoreWriter(place, new_clips, face_store.image_size, header, resume=resume) as writer:
            if parts and not writer.whole:
                make_parts(target, parts, workers, partial(_make_part, settings), len(work))
                copy_parts(writer, parts, header, config.batch_clips)
            else:
                _fill(writer, work, generators, heads, config)
            finished = writer.finish(_with_gallery(pictures) if pictures else None)
        if shard is not None:
            return finished
        if parts:
            remove_parts(target)
    logger.info(
        "%s: %d clips, %d of every class", target, len(finished), per_class * len(generators)
    )
    return finished


def _pictures(
    work: WorkList, clips: Sequence[Clip], generator: ClipGenerator
) -> Callable[[ClipStore], None]:
    """What adds pictures of these clips to their store."""
    neutral = Faces(work, clips)
    return lambda whole: draw_pictures(whole, generator, neutral)


def _with_gallery(pictures: Callable[[ClipStore], None]) -> Callable[[ClipStore], None]:
    def furnish(whole: ClipStore) -> None:
        pictures(whole)
        write_gallery(whole)

    return furnish


_SAME_FOR_PARTS = (
    *("per_class", "source", "store", "classes", "generator", "checkpoint", "faces", "out"),
    *("tested", "names", "seed", "overrides"),
)


def _make_part(settings: Mapping[str, Any], shard: Shard) -> None:
    """Runs in a process of its own."""
    generate(**settings, shard=shard, resume=True)


def _fill(
    writer: StoreWriter,
    work: Sequence[Work],
    generators: Sequence[ClipGenerator],
    heads: HeadMotions | None,
    config: DictConfig,
) -> None:
    # Batch boundaries are fixed, so that a resumed run computes the same sums.
    at_once = config.batch_clips
    noise: dict[str, float] = {}  # by the id of the clip that gives the face
    todo = len(work) - writer.done
    with progress("generating", todo * config.num_frames, "frames") as advance:
        for first in range(writer.done, len(work), at_once):
            chosen = list(work[first : first + at_once])
            for group in sorted({item.group for item in chosen}):
                part = [item for item in chosen if item.group == group]
                curves = np.stack([item.curve for item in part])
                made = generators[group].animate([item.face for item in part], curves)
                for item, frames in zip(part, made, strict=True):
                    moved = (
                        frames if heads is None else heads.transfer(frames, item.people, item.rng)
                    )
                    if config.camera_noise:
                        if item.face.clip.id not in noise:
                            noise[item.face.clip.id] = camera_noise(item.face.frames)
                        moved = add_camera_noise(moved, noise[item.face.clip.id], item.rng)
                    landmarks = landmarks_at_rest(item.face, len(item.curve))
                    writer.add(to_uint8(moved), item.curve, landmarks)
            writer.commit()
            advance(len(chosen) * config.num_frames)


def _followed(work: Sequence[Work], heads: HeadMotions | None) -> set[str]:
    """Ids of the real clips whose heads these clips follow."""
    ids = (heads.followed(item.people, item.rng) for item in work) if heads else ()
    return {name for name in ids if name is not None}


def landmarks_at_rest(face: StoredClip, num_frames: int) -> np.ndarray:
    """(K, 68, 2): the face's own in the first frame, at rest; unknown (NaN) in all others.

    Systems that cut regions out of a clip need them in one frame.
    """
    landmarks = np.full((num_frames, *face.landmarks.shape[1:]), np.nan, np.float32)
    landmarks[0] = face.landmarks[0]
    return landmarks


def _load_settings(overrides: Sequence[str]) -> DictConfig:
    config = configs.load("generate", overrides)
    choose_device(config.device)
    return config


def _count(clips: Sequence[Clip], scheme: str) -> Counter[str]:
    labels = (label(clip.source, clip.emotion, scheme) for clip in clips)
    return Counter(name for name in labels if name is not None)
