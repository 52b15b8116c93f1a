"""``mersynth transfer``: faces wear the AU curve of a clip, with its timing.

The task of the micro-expression generation challenges (Li et al., "MEGC2021: the third facial
micro-expression grand challenge", FG 2021; MEGC 2022, ACM MM 2022): a source micro-expression is
shown by the face of somebody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from mersynth import config as configs
from mersynth import logs, paths
from mersynth.checks import listed
from mersynth.clips import Clip
from mersynth.curves import ConditionSettings, added_to_rest, clip_curve
from mersynth.devices import choose_device
from mersynth.disk.files import real_path
from mersynth.disk.scratch import scratch_folder
from mersynth.export.video import check_film, save_film
from mersynth.face.template import HEAD, Framing, FramingChoice
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import SHIPPED_NAME, CheckpointError
from mersynth.marks import mark_of
from mersynth.motion.camera_noise import add_camera_noise, camera_noise
from mersynth.motion.head import head_motion, move_head
from mersynth.sources import PrepareError
from mersynth.store.clip_store import ClipStore, StoredClip, StoreError, require_real
from mersynth.store.dataset import to_uint8
from mersynth.store.journal import check_target
from mersynth.store.names import NameChoice
from mersynth.store.writer import StoreWriter
from mersynth.synthesis.agreement import warn_framings, warn_versions
from mersynth.synthesis.generate import landmarks_at_rest
from mersynth.synthesis.generators import ClipGenerator
from mersynth.synthesis.header import make_header
from mersynth.synthesis.inputs import (
    find_generators,
    open_faces,
    photo_store,
    reconcile_names,
    wanted_framing,
)
from mersynth.transfer.driving import Driving, Moments, open_driving, read_curve

logger = logging.getLogger(__name__)

_AT_ONCE = 32  # frames made at once
_WORTH_TELLING = 0.05  # of an AU's intensity
_NO_APEX = 0.5  # a spotted apex with less than this share of the movement is none


def transfer(
    driving: str | Path,
    face: Path,
    *,
    store: Path | None = None,
    subjects: Sequence[str] = (),
    onset: int | None = None,
    apex: int | None = None,
    offset: int | None = None,
    aligned: bool = False,
    generator: str = "icgan",
    checkpoint: Path | None = None,
    out: Path | None = None,
    film: Path | None = None,
    names: NameChoice | None = None,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> ClipStore:
    """Write a store of faces that follow a clip, frame by frame and at its frame rate.

    The AU curve is the one that the clip's store measured, else it is read from the clip's motion
    (:mod:`mersynth.augment.au_reading`). Every clip records whose face it shows, the clip that it
    follows, its generator's checksum and the people that this generator never saw; the header says
    where the curve comes from.

    Args:
        driving: the clip to follow: the id of one in a store, ``source/subject/name``; or a video,
            or a folder of frames, with one person.
        face: a photo, a store, or a folder of photos. Of a store, the first frame of every person's
            first clip is moved, except the followed person's own.
        store: the driving clip's; default ``./stores/<source>``.
        subjects: ids of the people of ``face`` to show, ``source/subject``; default all.
        onset: of the expression in a film, as a frame number: as in the names of a folder's files,
            from 0 in a video. Default: the first frame.
        apex: likewise. Default: it is spotted, or the strongest frame of the curve, if the spotted
            frame has less than half of its movement.
        offset: likewise. Default: the last frame.
        aligned: the film's frames are cut to the face already.
        generator: ``icgan``, or ``warp``, which needs no training.
        checkpoint: folder of one AU-ICGAN; default the one in the package.
        out: the new store; default ``./stores/<driving clip>_on_<face>``.
        film: also write the clips, side by side, to this ``.mp4``, or, slowed down, ``.gif``.
        names: how to treat names that look alike (:mod:`mersynth.store.names`).
        seed: of the camera's noise.
        overrides: Hydra overrides of ``configs/transfer.yaml``.

    Returns:
        The store, opened.

    Raises:
        ConfigError, StoreError, SourceError, CheckpointError, NamesError, ValueError: with what is
            missing or wrong, and what to do.
    """
    config = _load_settings(overrides)
    driving = str(driving)
    label = Path(driving).stem if Path(driving).exists() else driving.rpartition("/")[2]
    target = paths.store_path(f"{label}_on_{real_path(face).stem}", out)
    check_target(target, resume=False)
    with scratch_folder() as folder:
        moments = Moments(onset, apex, offset)
        followed = open_driving(driving, store, moments, aligned, folder / "driving")
        generators = find_generators(
            generator,
            Path(SHIPPED_NAME) if checkpoint is None and generator == "icgan" else checkpoint,
            Path("STORE"),  # named in the command that trains one
            None,
        )
        if len(generators) > 1:
            raise CheckpointError(
                f"{checkpoint} holds {len(generators)} generators, of groups of people: choose "
                f"one, such as --checkpoint {checkpoint}/group_0"
            )
        (maker,) = generators
        choice = FramingChoice(**config.framing)
        wanted = wanted_framing(choice, generators, followed.store.path)
        face_store = _open_face(face, folder / "face", config.image_size, maker, wanted)
        if film is not None:
            check_film(film, face_store.image_size)
        read = [(each.path, each.clips) for each in (followed.store, face_store)]
        spelling = reconcile_names(names, read, generators)
        real, faces = (
            each.view(spelling.clips(each.clips), each.starts)
            for each in (followed.store, face_store)
        )
        followed = replace(followed, store=real)
        warn_framings(choice, [faces], generators)
        warn_versions(faces, generators)
        chosen = _chosen(faces, subjects, followed.item.clip.subject_id)
        moved, how = read_curve(followed, config.curve)
        _tell(followed, moved, how)
        clips = _clips(followed, moved, chosen, maker, {*real.subjects, *faces.subjects})
        header = make_header(real, faces, generators, config, "native", None, seed)
        header["transfer"] = {"driving": followed.item.clip.id, "curve": how}
        maker.load(faces.image_size, choose_device(config.device), faces.framing or HEAD)
        with StoreWriter(target, clips, faces.image_size, header) as writer:
            _fill(writer, chosen, followed, moved, maker, faces.framing or HEAD, config, seed)
            finished = writer.finish()
    if film is not None:
        side_by_side = np.concatenate([np.array(item.frames) for item in finished], axis=2)
        save_film(film, side_by_side, finished.clips[0].fps, mark_of(finished.clips))
    logger.info("%s: %d clips follow %s", target, len(finished), driving)
    return finished


def _load_settings(overrides: Sequence[str]) -> DictConfig:
    config = configs.load("transfer", overrides)
    choose_device(config.device)
    return config


def _open_face(
    face: Path, folder: Path, image_size: int, generator: ClipGenerator, framing: Framing
) -> ClipStore:
    """The store of the faces; a photo is prepared in a folder that goes afterwards."""
    size = generator.image_size
    if face.is_dir():
        photos = not (face / "store.json").exists()
        wanted = size or image_size if photos else size
        return require_real(open_faces(face, wanted, False, None, framing))
    if not face.exists():
        raise StoreError(f"--face: there is no {face}; name a photo, a store or a folder of photos")
    try:
        return photo_store(face, folder, size or image_size, framing)
    except PrepareError as error:
        reasons = "; ".join(problem.reason for problem in error.problems if problem.fatal)
        raise StoreError(f"--face {face}: {reasons}") from error


def _chosen(faces: ClipStore, subjects: Sequence[str], followed: str) -> list[StoredClip]:
    """The first clip of each person who is shown."""
    unknown = [name for name in subjects if name not in faces.subjects]
    if unknown:
        raise StoreError(
            f"--subject: {faces.path} has nobody called {listed(unknown)}; it has "
            f"{listed(faces.subjects)}"
        )
    wanted = tuple(subjects) or tuple(name for name in faces.subjects if name != followed)
    if not wanted:
        raise StoreError(
            f"{faces.path} shows only the followed person: choose other faces, or say that this is "
            f"wanted: --subject {followed}"
        )
    first: dict[str, int] = {}
    for number, clip in enumerate(faces.clips):
        first.setdefault(clip.subject_id, number)
    return [faces[first[name]] for name in dict.fromkeys(wanted)]


def _tell(followed: Driving, moved: np.ndarray, how: str) -> None:
    """Log the AUs that move, the strongest first."""
    clip, peaks = followed.item.clip, moved.max(axis=(0, 2))
    order = [i for i in np.argsort(-peaks) if peaks[i] >= _WORTH_TELLING]
    said = ", ".join(f"AU {CONDITION_AUS[i]} {peaks[i]:.2f}" for i in order) or "only weak AUs"
    origin = "measured in its store" if how == "measured" else "read from its motion"
    logger.info("%s, %d frames, %s: %s", clip.id, clip.num_frames, origin, said)


def _clips(
    followed: Driving,
    moved: np.ndarray,
    faces: Sequence[StoredClip],
    generator: ClipGenerator,
    people: set[str],
) -> list[Clip]:
    model, total = followed.item.clip, moved.sum(axis=(1, 2))
    apex, method = model.apex_index, model.apex_method
    # A film that ends at its apex misleads spotting, which expects a face to return to rest.
    if apex is None or (method is not None and total[apex] < _NO_APEX * total.max()):
        apex, method = int(total.argmax()), None
    saw = set(generator.training_subjects)
    return [
        Clip(
            source=item.clip.source,
            subject=item.clip.subject,
            name=f"transfer_{number:05d}",
            onset=0,
            apex=apex,
            apex_method=method,
            offset=model.num_frames - 1,
            emotion=model.emotion,
            aus=model.aus,
            fps=model.fps,
            strength=model.strength,
            template=model.id,
            generator=generator.sha256,
            unseen=tuple(sorted(people - saw)),
        )
        for number, item in enumerate(faces)
    ]


def _fill(
    writer: StoreWriter,
    faces: Sequence[StoredClip],
    followed: Driving,
    moved: np.ndarray,
    generator: ClipGenerator,
    framing: Framing,
    config: DictConfig,
    seed: int,
) -> None:
    heads = None
    if config.head_motion:
        found = head_motion(np.array(followed.item.frames), followed.framing)
        heads = torch.from_numpy(found)
    with logs.progress("transferring", len(faces) * len(moved), "frames") as step:
        for number, item in enumerate(faces):
            rest = clip_curve(item, ConditionSettings())
            curve = added_to_rest(rest, config.strength * moved)
            frames = _animated(generator, item, curve, step)
            if heads is not None:
                frames = move_head(frames, heads, framing)
            if config.camera_noise:
                rng = np.random.default_rng([seed, number])
                frames = add_camera_noise(frames, camera_noise(item.frames), rng)
            writer.add(to_uint8(frames), curve, landmarks_at_rest(item, len(curve)))


def _animated(
    generator: ClipGenerator, face: StoredClip, curve: np.ndarray, step: Callable[[int], None]
) -> Tensor:
    """(T, 3, S, S) in [0, 1], on the CPU; made in parts, since a clip may be long."""
    parts = []
    for start in range(0, len(curve), _AT_ONCE):
        part = np.concatenate([curve[:1], curve[start : start + _AT_ONCE]])
        parts.append(generator.animate([face], part[None])[0, 1:].cpu())
        step(len(parts[-1]))
    return torch.cat(parts)
