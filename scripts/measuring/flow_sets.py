"""Sets of flow images, real and rendered, as one feature file each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from mersynth.clips import Clip
from mersynth.disk.files import checksum_of, whole_file
from mersynth.motion.flow_images import DUAL_BRANCH_TVL1
from mersynth.motion.maps import scaled
from mersynth.store.clip_store import ClipStore
from recognizers.data.feature_files import read_features
from recognizers.data.inputs import ModelData, build_inputs
from recognizers.models import outline

INPUT = "flow_strain"
FLOW = DUAL_BRANCH_TVL1
"""Options of TV-L1: nearest to OpenCV's at its defaults, by which most flow images are made."""
SPECS = outline("ststnet", 3).inputs


@dataclass(frozen=True, slots=True)
class FlowSet:
    """Flow images of some clips.

    Attributes:
        name: its name.
        files: its feature files.
        images: (N, 3, 28, 28) float32 in [0, 1], u, v and strain, each stretched.
        labels: (N,) index in ``classes``.
        people: N ids.
        classes: their names.
    """

    name: str
    files: tuple[Path, ...]
    images: np.ndarray
    labels: np.ndarray
    people: tuple[str, ...]
    classes: tuple[str, ...]

    @classmethod
    def read(cls, name: str, files: Sequence[Path]) -> FlowSet:
        """Read feature files with the same classes.

        Raises:
            ValueError: if their classes differ; and as ``read_features``.
        """
        parts = [read_features(file, SPECS, alone=len(files) == 1) for file in files]
        if len({part.classes for part in parts}) > 1:
            raise ValueError(
                f"{name}: files of one set need the same classes, got "
                f"{' and '.join(', '.join(part.classes) for part in parts)}"
            )
        return cls(
            name,
            tuple(files),
            scaled(np.concatenate([part.inputs[INPUT].numpy() for part in parts]), "minmax"),
            np.concatenate([part.label.numpy() for part in parts]),
            tuple(clip.subject_id for part in parts for clip in part.clips),
            parts[0].classes,
        )


def by_database(real: Path, folder: Path) -> list[FlowSet]:
    """The databases of a feature file, each as a file of its own, stretched.

    Raises:
        ValueError: if a clip is synthetic; and as ``read_features``.
    """
    data = read_features(real, SPECS)
    if synthetic := [clip.id for clip in data.clips if clip.is_synthetic]:
        raise ValueError(f"{real}: {synthetic[0]} is a synthetic clip; give real ones")
    sets = []
    for name in dict.fromkeys(clip.source for clip in data.clips):
        rows = [i for i, clip in enumerate(data.clips) if clip.source == name]
        file = folder / f"{name}.npz"
        clips = [data.clips[i] for i in rows]
        _write(
            file,
            scaled(data.inputs[INPUT].numpy()[rows], "minmax"),
            data.label.numpy()[rows],
            data.classes,
            subject=[clip.subject for clip in clips],
            dataset=[clip.source for clip in clips],
            clip=[clip.name for clip in clips],
        )
        sets.append(FlowSet.read(name, [file]))
    return sets


def rendered_file(path: Path, people: Sequence[str], folder: Path) -> Path:
    """A store of ``mersynth phantom --like``, or generated from one, as a file of synthetic clips.

    Rendered clips have the names of the real clips whose AU cell and timing they follow, their
    templates; generated ones name theirs. Renderer, AU warp and shipped generator never saw
    anybody, so all of ``people`` are unseen by them.

    Args:
        path: the store; a feature file is returned as it is.
        people: ids of those who are tested.
        folder: of the file.

    Raises:
        ValueError: if the store follows a database under test, whose people are called otherwise;
            and as ``ClipStore.open`` and ``build_inputs``.
    """
    if path.suffix == ".npz":
        return path
    store = ClipStore.open(path)
    file = folder / f"{path.name}-{checksum_of([store.checksum, sorted(people), FLOW])[:8]}.npz"
    if file.exists():
        return file
    tested = {person.split("/")[0] for person in people}
    for source in {clip.source for clip in store.clips} & tested:
        followed = {_person(_followed(clip)) for clip in store.clips if clip.source == source}
        if not followed & set(people):
            raise ValueError(
                f"{path} follows {source}, whose people it names like {min(followed)}, but the "
                f"tested data like {min(p for p in people if p.startswith(source))}: use the same "
                "names, or no tested person is left out"
            )
    options = {"flow": FLOW, "strain": FLOW}
    data = build_inputs(store, SPECS, "three", features=options)
    images = scaled(data.inputs[INPUT].numpy(), "minmax")
    origin = _origin(data, path.name, people)
    _write(file, images, data.label.numpy(), data.classes, **origin)
    return file


def _origin(data: ModelData, name: str, people: Sequence[str]) -> dict[str, list[str]]:
    clips = data.clips
    unseen = ";".join(sorted(set(people)))
    return {
        "subject": [f"{clip.source}_{clip.subject}" for clip in clips],
        "dataset": [name] * len(clips),
        "clip": [clip.name for clip in clips],
        "aus": [clip.aus for clip in clips],
        "template": [_followed(clip) for clip in clips],
        "generator": [clip.generator or checksum_of("phantom") for clip in clips],
        "unseen": [unseen] * len(clips),
    }


def _followed(clip: Clip) -> str:
    """The clip whose AU cell or curve a clip follows; of a generated one without any, none."""
    return (clip.template or "") if clip.is_synthetic else clip.id


def _person(clip: str) -> str:
    return "/".join(clip.split("/")[:2])


def in_form(file: Path, channels: Sequence[str], size: int) -> Path:
    """A feature file as a system reads it: some channels, enlarged to a number of pixels."""
    made = file.with_name(f"{file.stem}_{'_'.join(channels)}_{size}.npz")
    if made.exists():
        return made
    with np.load(file) as opened:
        arrays = dict(opened)
    rows = [arrays["channels"].tolist().index(name) for name in channels]
    x = torch.from_numpy(arrays["x"][:, rows])
    if x.shape[-1] != size:
        x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
    with whole_file(made) as partial, partial.open("wb") as stream:
        np.savez(stream, **{**arrays, "x": x.numpy(), "channels": np.array(channels)})
    return made


def _write(
    file: Path, images: np.ndarray, labels: np.ndarray, classes: Sequence[str], **texts: list[str]
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as partial, partial.open("wb") as opened:
        np.savez(
            opened,
            x=images,
            y=labels,
            classes=np.array(classes),
            channels=np.array(SPECS[INPUT].channels),
            scale=np.array("minmax"),
            **{key: np.array(values) for key, values in texts.items()},
        )
