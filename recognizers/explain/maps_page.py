"""The page of a run's maps: what each clip's model looked at, and the mean by class and by AU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mersynth.disk.files import real_path
from mersynth.facs.action_units import ACTION_UNITS, parse_au_cell
from mersynth.pages.pictures import data_url
from recognizers.explain.clip_maps import ExplainedClips, MapMethod, Target
from recognizers.explain.opening import OpenedRun
from recognizers.explain.pictures import backgrounds, overlay, picture, scale_bar
from recognizers.report.page import describe_split
from recognizers.report.rendering import render

_MOST_SHOWN = 200  # clips with their own pictures: some megabytes
_MEAN_SIDE = 64  # size at which maps are averaged
_FEWEST = 2  # clips in a mean

_TITLES: dict[MapMethod, str] = {
    "au-cam": "AU-CAM",
    "grad-cam": "Grad-CAM",
    "attention": "Attention maps",
}
_LABELS = {"au_cam": "AU-CAM", "grad_cam": "Grad-CAM", "face_weights": "Full-face fusion"}


@dataclass(frozen=True, slots=True)
class Strip:
    """A clip's pictures: its face, then its maps."""

    clip: str
    aus: str
    predicted: str
    right: bool
    fold: str
    pictures: Sequence[str]


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean faces and maps of some clips."""

    name: str
    note: str
    clips: int
    pictures: Sequence[str]


def write_maps_page(
    run: OpenedRun, method: MapMethod, target: Target, explained: ExplainedClips, page: Path
) -> Path:
    """Write the page; its folder must exist.

    Args:
        run: the run.
        method: what made the maps.
        target: the class that Grad-CAM explains.
        explained: the clips.
        page: path of the page.

    Returns:
        The page.
    """
    faces = backgrounds(run, explained.rows.tolist())
    shown = _shown(run, explained)
    # Attention is seldom near 0, especially that of a sigmoid.
    from_zero = method != "attention"
    groups = {
        name: [
            _strip(run, explained, faces, from_zero, i)
            for i in shown
            if _true(run, explained, i) == name
        ]
        for name in run.classes
    }
    return render(
        "explanation.html.j2",
        page,
        run=run.run,
        results=run.results,
        name=real_path(run.path).name,
        split=describe_split(run.results),
        method=method,
        title=_TITLES[method],
        target=target,
        seed=run.seed,
        labels=[label_of(name) for name in explained.maps],
        from_zero=from_zero,
        classes=_means_by_class(run, explained, faces, from_zero),
        aus=_means_by_au(run, explained, faces, from_zero),
        groups={name: strips for name, strips in groups.items() if strips},
        count=len(explained.rows),
        shown=len(shown),
        scale=scale_bar(),
        without_frames=any(part.path.suffix == ".npz" for part in run.parts),
    )


def label_of(name: str) -> str:
    """The name of a map on the page."""
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def aus_of(cell: str) -> str:
    """The certain AUs of a cell in rising order, without sides and letters; empty if none."""
    return "+".join(map(str, sorted(parse_au_cell(cell).numbers)))


def _true(run: OpenedRun, explained: ExplainedClips, index: int) -> str:
    return run.classes[int(run.clips.label[explained.rows[index]])]


def _shown(run: OpenedRun, explained: ExplainedClips) -> list[int]:
    """The clips with their own pictures: all, or equally many of each class, same AUs together."""
    clips = [run.clips.clips[i] for i in explained.rows]
    order = sorted(
        range(len(clips)),
        key=lambda i: (run.clips.label[explained.rows[i]], aus_of(clips[i].aus), clips[i].id),
    )
    if len(order) <= _MOST_SHOWN:
        return order
    return [order[i] for i in np.linspace(0, len(order) - 1, _MOST_SHOWN).round().astype(int)]


def _strip(
    run: OpenedRun,
    explained: ExplainedClips,
    faces: Sequence[np.ndarray],
    from_zero: bool,
    index: int,
) -> Strip:
    row = int(explained.rows[index])
    clip = run.clips.clips[row]
    face = faces[index]
    heats = [overlay(face, heat[index], from_zero) for heat in explained.maps.values()]
    return Strip(
        clip=clip.id,
        aus=clip.aus,
        predicted=run.classes[int(explained.predicted[index])],
        right=bool(explained.predicted[index] == run.clips.label[row]),
        fold=str(explained.fold[index]),
        pictures=[data_url(image) for image in (picture(face), *heats)],
    )


def _means_by_class(
    run: OpenedRun, explained: ExplainedClips, faces: Sequence[np.ndarray], from_zero: bool
) -> list[Mean]:
    members: dict[str, list[int]] = {name: [] for name in run.classes}
    for i in range(len(explained.rows)):
        members[_true(run, explained, i)].append(i)
    return _means(
        {name: ("", chosen) for name, chosen in members.items()}, explained, faces, from_zero
    )


def _means_by_au(
    run: OpenedRun, explained: ExplainedClips, faces: Sequence[np.ndarray], from_zero: bool
) -> list[Mean]:
    members: dict[int, list[int]] = {}
    for i, row in enumerate(explained.rows):
        for number in parse_au_cell(run.clips.clips[row].aus).numbers:
            members.setdefault(number, []).append(i)
    named = {
        f"AU {number}": (ACTION_UNITS[number].name, members[number]) for number in sorted(members)
    }
    return _means(named, explained, faces, from_zero)


def _means(
    members: Mapping[str, tuple[str, Sequence[int]]],
    explained: ExplainedClips,
    faces: Sequence[np.ndarray],
    from_zero: bool,
) -> list[Mean]:
    """Means of groups of two or more clips, with equal weights."""
    means = []
    for name, (note, chosen) in members.items():
        if len(chosen) < _FEWEST:
            continue
        face = np.mean([picture(faces[i]) for i in chosen], axis=0).round().astype(np.uint8)
        heats = [
            overlay(face, np.mean([_unit(heat[i]) for i in chosen], axis=0), from_zero)
            for heat in explained.maps.values()
        ]
        pictures = [data_url(image) for image in (face, *heats)]
        means.append(Mean(name, note, len(chosen), pictures))
    return means


def _unit(heat: np.ndarray) -> np.ndarray:
    """A map at the size of means, scaled to a sum of 1; an all-zero map is kept."""
    side = (_MEAN_SIDE, _MEAN_SIDE)
    resized = cv2.resize(heat.astype(np.float32), side, interpolation=cv2.INTER_LINEAR)
    total = float(resized.sum())
    return resized / total if total > 0 else resized
