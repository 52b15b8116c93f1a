"""``mersynth generate``: makes a balanced synthetic store from a store and a generator."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, inf
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from mersynth import config as configs
from mersynth import paths
from mersynth.clips import Clip
from mersynth.curves import (
    ConditionSettings,
    added_to_rest,
    clip_curve,
    jitter,
    movement,
    prototype_curve,
    resample,
    warn_assumed_apexes,
)
from mersynth.devices import choose_device
from mersynth.estimate import Spent, now
from mersynth.face.template import FramingChoice
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.facs.emotions import label
from mersynth.lock import hold
from mersynth.logs import progress
from mersynth.motion.camera_noise import add_camera_noise, camera_noise
from mersynth.shards import Shard
from mersynth.sources import PHANTOM
from mersynth.store.clip_store import ClipStore, StoredClip
from mersynth.store.dataset import to_uint8
from mersynth.store.names import NameChoice
from mersynth.store.writer import StoreWriter, check_target
from mersynth.synthesis.agreement import check_classes, warn_framings, warn_versions
from mersynth.synthesis.estimate import estimate_generation
from mersynth.synthesis.gallery import draw_gallery
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
from mersynth.synthesis.plan import PlannedClip, make_plan, summarise
from mersynth.synthesis.tables import show_plan

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
    whose AU curve it follows, its generator's checksum and the subjects that this generator never
    saw. The store also holds ``contact_sheet.png``, GIFs and ``gallery.html``.

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
        out: the new store; default ``./stores/<name of the store>_synthetic``.
        dry_run: only show the plan; nothing is written.
        estimate: only make a few batches, in a folder for temporary files, and show what the whole
            will take (:mod:`mersynth.synthesis.estimate`).
        resume: continue an interrupted generation of the same plan; if parts of it were made
            (``shard``), make the missing ones and join them to the bytes that one process writes.
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
    if workers < 1 or (workers > 1 and (estimate or shard is not None)):
        raise ValueError(f"workers must be 1 or more, and 1 for a shard or estimate; got {workers}")
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
            check_target(target, resume or shard is not None)
            check_target(place, resume)
        parts = begun_parts(target, resume or only_show) if shard is None else []
        clips = real_clips(real_folder)
        face_sources = face_clips(faces) if faces is not None else None
        read = [(real_folder, clips), *([(faces, face_sources)] if faces and face_sources else [])]
        spelling = reconcile_names(names, read, generators)
        clips, face_sources = spelling.clips(clips), face_sources and spelling.clips(face_sources)
        check_classes(clips, face_sources or (), classes)
        hidden = [each.unseen_subjects for each in generators]
        plan = make_plan(clips, classes, per_class, seed, hidden, face_sources)
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
        work = _plan_work(real, face_store, plan, generators, config, seed)
        heads = HeadMotions(real, face_store, framing=framing) if config.head_motion else None
        header = make_header(real, face_store, generators, config, classes, per_class, seed)
        header |= {"names": names} if names is not None else {}
        if shard is not None:
            work = work[shard.share(len(work), config.batch_clips, "batches of config batch_clips")]
            header = part_header(header, shard)
        if estimate:
            furnish = None if shard is not None else _pictures(work, generators[0], classes)
            _estimate(work, generators, heads, config, header, furnish, begun)
            return None
        if workers > 1 and not parts:
            parts = all_parts(min(workers, ceil(len(work) / config.batch_clips)))
        new_clips = [item.clip for item in work]
        with StoreWriter(place, new_clips, face_store.image_size, header, resume=resume) as writer:
            if parts:
                make_parts(target, parts, workers, partial(_make_part, settings), len(work))
                copy_parts(writer, parts, header, config.batch_clips)
            else:
                _fill(writer, work, generators, heads, config)
            if shard is not None:
                return writer.finish()
            shown = [item for item in work if item.group == 0]
            finished = writer.finish(_pictures(shown, generators[0], classes))
        if parts:
            remove_parts(target)
    logger.info(
        "%s: %d clips, %d of every class", target, len(finished), per_class * len(generators)
    )
    return finished


def _pictures(
    work: Sequence[_Work], generator: ClipGenerator, scheme: str
) -> Callable[[ClipStore], None]:
    """What adds pictures of these clips to their store."""
    neutral = {item.clip.id: item.face for item in work}
    return lambda whole: draw_gallery(whole, generator, neutral, scheme)


_SAME_FOR_PARTS = (
    *("per_class", "source", "store", "classes", "generator", "checkpoint", "faces", "out"),
    *("names", "seed", "overrides"),
)


def _make_part(settings: Mapping[str, Any], shard: Shard) -> None:
    """Runs in a process of its own."""
    generate(**settings, shard=shard, resume=True)


@dataclass(frozen=True, slots=True)
class _Work:
    """A clip to make: its annotation, whose face moves, and how.

    Attributes:
        clip: the synthetic clip.
        face: the real clip whose first frame moves.
        curve: (K, 20, 2) intensities to ask for, left and right.
        group: which generator makes it.
        people: ids of the subjects whose face is shown and whose curve is followed.
        rng: draws the head motion.
    """

    clip: Clip
    face: StoredClip
    curve: np.ndarray
    group: int
    people: Sequence[str]
    rng: np.random.Generator


def _plan_work(
    real: ClipStore,
    face_store: ClipStore,
    plan: Sequence[PlannedClip],
    generators: Sequence[ClipGenerator],
    config: DictConfig,
    seed: int,
) -> list[_Work]:
    """Clips and curves of a whole plan, before the first frame is made."""
    settings = ConditionSettings(**config.conditions)
    by_id = {clip.id: i for i, clip in enumerate(real.clips)}
    faces = {clip.id: i for i, clip in enumerate(face_store.clips)}
    known = sorted({*real.subjects, *face_store.subjects})
    templates = dict.fromkeys(item.template.clip for item in plan)
    warn_assumed_apexes(real[by_id[name]] for name in templates if name is not None)
    work = []
    for item in plan:
        generator = generators[item.group]
        face = face_store[faces[item.face]]
        rng = np.random.default_rng([seed, 1, item.number])
        if item.template.clip is None:
            model = face.clip  # a prototype has no timing
            curve = prototype_curve(item.template.aus, config.num_frames, rng, settings)
        else:
            template = real[by_id[item.template.clip]]
            model = template.clip
            curve = resample(movement(clip_curve(template, settings)), config.num_frames)
        varied = jitter(config.strength * curve, rng, settings)
        curve = added_to_rest(clip_curve(face, settings), varied)
        clip = Clip(
            source=face.clip.source,
            subject=face.clip.subject,
            name=f"synthetic_{item.number:05d}",
            onset=0,
            apex=_apex(curve, item.template.aus),
            offset=config.num_frames - 1,
            emotion=item.emotion,
            aus=item.template.aus,
            fps=model.fps * config.num_frames / model.num_frames,
            strength="micro" if item.template.clip is None else model.strength,
            template=item.template.clip,
            generator=generator.sha256,
            unseen=tuple(s for s in known if s not in generator.training_subjects),
        )
        people = [name for name in (item.subject, item.template.subject) if name is not None]
        rng = np.random.default_rng([seed, 2, item.number])
        work.append(_Work(clip, face, curve, item.group, people, rng))
    return work


def _apex(curve: np.ndarray, aus: str) -> int:
    """The frame at which the clip's annotated AUs are strongest.

    The curve of a real clip may hold other AUs, such as a blink, that are not part of the
    expression.
    """
    numbers = parse_au_cell(aus).numbers
    columns = [i for i, number in enumerate(CONDITION_AUS) if number in numbers]
    change = (curve - curve[:1])[:, columns or slice(None)].sum(axis=(1, 2))
    return int(change.argmax())


def _fill(
    writer: StoreWriter,
    work: Sequence[_Work],
    generators: Sequence[ClipGenerator],
    heads: HeadMotions | None,
    config: DictConfig,
) -> None:
    # Batch boundaries are fixed, so that a resumed run computes the same sums.
    at_once = config.batch_clips
    todo = len(work) - writer.done
    with progress("generating", todo * config.num_frames, "frames") as advance:
        for first in range(writer.done, len(work), at_once):
            chosen = work[first : first + at_once]
            for group in sorted({item.group for item in chosen}):
                part = [item for item in chosen if item.group == group]
                curves = np.stack([item.curve for item in part])
                made = generators[group].animate([item.face for item in part], curves)
                for item, frames in zip(part, made, strict=True):
                    moved = (
                        frames if heads is None else heads.transfer(frames, item.people, item.rng)
                    )
                    if config.camera_noise:
                        size = camera_noise(item.face.frames)
                        moved = add_camera_noise(moved, size, item.rng)
                    landmarks = landmarks_at_rest(item.face, len(item.curve))
                    writer.add(to_uint8(moved), item.curve, landmarks)
            writer.commit()
            advance(len(chosen) * config.num_frames)


def _estimate(
    work: Sequence[_Work],
    generators: Sequence[ClipGenerator],
    heads: HeadMotions | None,
    config: DictConfig,
    header: Mapping[str, Any],
    furnish: Callable[[ClipStore], None] | None,
    begun: Spent,
) -> None:
    """Show what the work will take."""

    def again(places: Sequence[int]) -> list[_Work]:
        """Some of the work, as if nothing had been drawn for it yet."""
        return [replace(work[i], rng=copy.deepcopy(work[i].rng)) for i in places]

    def followed(places: Sequence[int]) -> set[str]:
        ids = (heads.followed(item.people, item.rng) for item in again(places)) if heads else ()
        return {name for name in ids if name is not None}

    estimate_generation(
        [item.clip for item in work],
        config.batch_clips,
        work[0].face.frames.shape[1],
        header,
        lambda writer, places: _fill(writer, again(places), generators, heads, config),
        furnish,
        followed,
        begun,
    ).show()


def landmarks_at_rest(face: StoredClip, num_frames: int) -> np.ndarray:
    """(K, 68, 2): the face's own in the first frame, at rest; unknown (NaN) in all others.

    Systems that cut regions out of a clip need them in one frame.
    """
    landmarks = np.full((num_frames, *face.landmarks.shape[1:]), np.nan, np.float32)
    landmarks[0] = face.landmarks[0]
    return landmarks


def _load_settings(overrides: Sequence[str]) -> DictConfig:
    config = configs.load("generate", overrides)
    configs.check_ranges(config, {"num_frames": (2, inf), "batch_clips": (1, inf)})
    configs.check_ranges(config, {"strength": (0, 10)})
    configs.check_choice(config, "camera_noise", (True, False))
    configs.check_choice(config, "device", ("auto", "cpu", "cuda"))
    configs.check_choice(config, "head_motion", (True, False))
    choose_device(config.device)
    return config


def _count(clips: Sequence[Clip], scheme: str) -> Counter[str]:
    labels = (label(clip.source, clip.emotion, scheme) for clip in clips)
    return Counter(name for name in labels if name is not None)
